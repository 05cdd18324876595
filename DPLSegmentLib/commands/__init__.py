"""The three commands of the command line."""
