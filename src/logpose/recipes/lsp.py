"""The recipe for Leeds Sports Pose and its extension."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from logpose.data import Augmentation
from logpose.recipes.coco import coco_lite0_rle, coco_resnet18_rle
from logpose.recipes.renamed import old_presets
from logpose.tasks.pose.recipe import Recipe

__all__ = ["lsp_lite0_rle", "lsp_resnet18_rle"]


MILD = Augmentation(scale=0.2, rotation=30.0, rotation_probability=0.4, half_body_probability=0.0)
"""With COCO's small networks underfit: after 10 epochs EfficientNet-Lite0 is 4 points of PCK lower."""


def lsp_resnet18_rle() -> Recipe:
    """RLE, ResNet-18, 128×128, random weights, on LSP-Extended (compared in `benchmarks/lsp_losses.py`)."""
    return _on_lsp(coco_resnet18_rle(), epochs=20, batch_size=32, validate_every=5)


def lsp_lite0_rle() -> Recipe:
    """RLE by attention, EfficientNet-Lite0, 128×128, ImageNet weights (compared in `benchmarks/lsp_pretrained.py`)."""
    return _on_lsp(coco_lite0_rle(), epochs=10, freeze=3, validate_every=2, flip_test=False)


def _on_lsp(recipe: Recipe, **changes: Any) -> Recipe:
    return replace(recipe, augmentation=MILD, workers=0, watch="pck_torso@0.2", **changes)


__getattr__ = old_presets(globals())
