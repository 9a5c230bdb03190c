"""Training: recipes' base, `fit` on Lightning, checkpoints, resuming, other codes' weights."""

from __future__ import annotations

from logpose.core.moved import names_of_module

__getattr__ = names_of_module("training")
