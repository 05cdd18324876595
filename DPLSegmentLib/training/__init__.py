"""Training of the bundled weights: data, episodes, losses and the loop (needs scipy)."""
