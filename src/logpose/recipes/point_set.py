"""Recipes for point-set anchors: Table 2(d) on COCO, one for small data sets, and synthetic people.

The schedule is that of Wei et al.'s code (Adam 1e-4, × 0.1 after 95 and 110 of 115 epochs; 4 squares of 640 pixels on
each of 8 GPUs). The paper does not say what it changed for RLE besides the loss; see `PointSetOptions` for what is
proposed instead.
"""

from __future__ import annotations

from functools import partial

from logpose.models import PointSetOptions
from logpose.recipes.mask_rcnn import synthetic_scenes
from logpose.recipes.renamed import old_presets
from logpose.tasks.detection.recipe import PointSetRecipe, point_set

__all__ = ["point_set_hrnet_w32_rle", "point_set_resnet18_rle", "point_set_synthetic_rle"]

TEST_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
"""For `PointSetOptions.scales`: the published test of HRNet-W32, short sides of 400 to 1,400 pixels, from 800."""


def point_set_hrnet_w32_rle() -> PointSetRecipe:
    """Point-set anchors with RLE, HRNet-W32, ImageNet weights (Table 2d: 67.4 AP; --loss l1: 67.0).

    Evaluation takes each image at one scale; the published test takes six (`TEST_SCALES`).
    """
    return PointSetRecipe(
        model=point_set, backbone="hrnet_w32", view="square", square=640, scale=(0.5, 1.5),
        batch_size=4, epochs=115, milestones=(95, 110), optimizer="adam", lr=1e-4, warmup_steps=5, warmup_start=1 / 3,
        gradient_clip=35.0, validate_every=5,
    )  # fmt: skip


def point_set_resnet18_rle() -> PointSetRecipe:
    """Point-set anchors with RLE, ResNet-18, 320 pixels, ImageNet weights: for small data sets."""
    options = PointSetOptions(channels=128, depth=2, scale=8.0, least_peak=0.1, farthest=0.15)
    return PointSetRecipe(
        model=partial(point_set, options=options), backbone="resnet18", view="square", square=320, scale_of="test",
        test_short=320,
        longest=640, batch_size=8, epochs=100, lr=5e-4, weight_decay=0.05, schedule="one_cycle", validate_every=5,
    )  # fmt: skip


def point_set_synthetic_rle() -> PointSetRecipe:
    """Point-set anchors with RLE on synthetic scenes, a small network, random weights: trains on a CPU.

    Anchors are half as large as the published ones, since the images are small, and fewer anchors without a similar
    pose are positive. Joints do not snap to the maps' peaks, which are not more accurate after so short a training.
    """
    options = PointSetOptions(channels=64, depth=1, scale=8.0, forced=5, snap=False)
    return PointSetRecipe(
        people=synthetic_scenes, model=partial(point_set, options=options), backbone="resnet18", weights="random",
        view="square", square=96, scale=(0.85, 1.15), test_short=96, longest=128, batch_size=8, epochs=7, workers=0,
        lr=1e-3, weight_decay=0.05, schedule="one_cycle", validate_every=7, precision="auto",
    )  # fmt: skip


__getattr__ = old_presets(globals())
