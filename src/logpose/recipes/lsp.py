"""Recipes for Leeds Sports Pose and its extension."""

from __future__ import annotations

from logpose.losses import L1Loss
from logpose.recipe import Recipe

__all__ = ["lsp_resnet18_l1", "lsp_resnet18_rle"]


def lsp_resnet18_rle() -> Recipe:
    """ResNet-18 at 128×128 by RLE from random weights: `benchmarks/lsp_losses.py` compares the losses on it."""
    return Recipe(
        backbone="resnet18",
        weights="random",
        size=(128, 128),
        epochs=20,
        batch_size=64,
        workers=0,
        optimizer="adamw",
        lr=2e-3,
        weight_decay=0.05,
        schedule="one_cycle",
        watch="pck_torso@0.2",
        validate_every=5,
    )


def lsp_resnet18_l1() -> Recipe:
    """The same network, data and budget by L1."""
    recipe = lsp_resnet18_rle()
    recipe.loss = L1Loss
    return recipe
