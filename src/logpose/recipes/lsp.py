"""Recipes for Leeds Sports Pose and its extension."""

from __future__ import annotations

from dataclasses import replace

from logpose.data import Augmentation
from logpose.losses import L1Loss
from logpose.recipes.coco import heatmaps_first
from logpose.tasks.pose.recipe import Recipe, integral

__all__ = [
    "lsp_resnet18_heatmap",
    "lsp_resnet18_integral",
    "lsp_resnet18_l1",
    "lsp_resnet18_rle",
    "lsp_resnet18_rle_heatmaps_first",
]


def lsp_resnet18_rle() -> Recipe:
    """ResNet-18 at 128×128 by RLE from random weights: `benchmarks/lsp_losses.py` compares the losses on it."""
    return Recipe(
        backbone="resnet18",
        weights="random",
        size=(128, 128),
        # Milder than COCO's: with that a network this small, from random weights, is still far from fitting anything.
        augmentation=Augmentation(scale=0.2, rotation=30.0, rotation_probability=0.4, half_body_probability=0.0),
        epochs=20,
        batch_size=32,
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
    return replace(lsp_resnet18_rle(), loss=L1Loss)


def lsp_resnet18_heatmap() -> Recipe:
    """SimplePose on the same backbone, data and budget."""
    recipe = lsp_resnet18_rle()
    return replace(heatmaps_first(recipe), epochs=recipe.epochs)


def lsp_resnet18_integral() -> Recipe:
    """Integral Pose by L1 on the same backbone, data and budget."""
    return replace(lsp_resnet18_l1(), model=integral)


def lsp_resnet18_rle_heatmaps_first() -> Recipe:
    """RLE on a backbone trained with heatmaps before, for half as many epochs more."""
    return replace(lsp_resnet18_rle(), first=heatmaps_first)
