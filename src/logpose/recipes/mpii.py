"""Recipes for MPII: the rows of Table 12. Training is COCO's, at 256×256; PCKh decides which epoch is the best."""

from __future__ import annotations

from dataclasses import replace

from logpose.losses import L1Loss, RLELoss
from logpose.recipes.coco import (
    coco_resnet50_dle,
    coco_resnet50_heatmap,
    coco_resnet50_rle_mmpose,
    heatmaps_first,
    of_the_paper,
)
from logpose.tasks.pose.recipe import Recipe

__all__ = [
    "mpii_resnet50_dle",
    "mpii_resnet50_heatmap",
    "mpii_resnet50_l1",
    "mpii_resnet50_rle",
    "mpii_resnet50_rle_heatmaps_first",
    "mpii_resnet50_rle_mmpose",
]


def on_mpii(recipe: Recipe) -> Recipe:
    """A recipe for COCO as one for MPII."""
    return replace(recipe, size=(256, 256), watch="pckh@0.5")


def mpii_resnet50_rle() -> Recipe:
    """ResNet-50 at 256×256 by RLE (Table 12; the paper has a PCKh@0.5 of 85.5, @0.1 of 26.7, an AUC of 55.1)."""
    return on_mpii(of_the_paper(RLELoss))


def mpii_resnet50_l1() -> Recipe:
    """The same by L1, direct regression (Table 12; the paper has 83.8, 23.6 and 52.6)."""
    return on_mpii(of_the_paper(L1Loss))


def mpii_resnet50_heatmap() -> Recipe:
    """SimplePose: ResNet-50 and three deconvolutions at 256×256 (Table 12; the paper has 87.1, 25.4 and 56.2)."""
    return on_mpii(coco_resnet50_heatmap())


def mpii_resnet50_rle_heatmaps_first() -> Recipe:
    """ResNet-50 by RLE, its backbone trained with heatmaps before (* of Table 12; the paper has 85.8, 27.1, 55.5)."""
    return replace(mpii_resnet50_rle(), first=heatmaps_first)


def mpii_resnet50_dle() -> Recipe:
    """ResNet-50 at 256×256 by direct likelihood estimation (Table 13; the paper has 84.3, 25.3 and 53.5)."""
    return on_mpii(coco_resnet50_dle())


def mpii_resnet50_rle_mmpose() -> Recipe:
    """ResNet-50 at 256×256 by RLE as mmpose trains it: half the rate, no half bodies, no shifts (there 86.1, 27.7)."""
    recipe = coco_resnet50_rle_mmpose()
    varied = replace(recipe.augmentation, half_body_probability=0.0, shift_probability=0.0)
    return replace(on_mpii(recipe), lr=5e-4, augmentation=varied)
