"""Training: data, episodes, losses and the loop (needs the ``training`` extra).

Resources/Docs/Training.md says how to use it.
"""
