"""Recipes for MPII (Table 12): COCO's schedule and augmentation at 256×256; PCKh selects the best checkpoint."""

from __future__ import annotations

from dataclasses import replace

from logpose.recipes.coco import coco_resnet50_rle, coco_resnet50_rle_mmpose
from logpose.recipes.renamed import old_presets
from logpose.tasks.pose.recipe import Recipe

__all__ = ["mpii_resnet50_rle", "mpii_resnet50_rle_mmpose"]


def mpii_resnet50_rle() -> Recipe:
    """RLE, ResNet-50, 256×256 (Table 12: PCKh@0.5 85.5, PCKh@0.1 26.7, AUC 55.1)."""
    return replace(coco_resnet50_rle(), size=(256, 256), watch="pckh@0.5")


def mpii_resnet50_rle_mmpose() -> Recipe:
    """RLE as in mmpose: half the learning rate, no half-body augmentation, no shifts (mmpose: 86.1, 27.7)."""
    recipe = coco_resnet50_rle_mmpose()
    augmentation = replace(recipe.augmentation, half_body_probability=0.0, shift_probability=0.0)
    return replace(recipe, size=(256, 256), watch="pckh@0.5", lr=5e-4, augmentation=augmentation)


__getattr__ = old_presets(globals())
