"""Top-down pose: a model of one person's crop, in the image or in space."""
