"""Training: recipes' base, `fit` on Lightning, checkpoints, resuming, other codes' weights."""
