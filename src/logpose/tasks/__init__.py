"""The tasks that models are trained for, each in a folder with the same four files."""
