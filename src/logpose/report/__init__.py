"""Pages, plots and drawings of results."""
