"""Recipes for point-set anchors: Table 2(d) on COCO, one for small data, and drawn people on a CPU.

The schedule is that of Wei et al.'s code (Adam 1e-4, × 0.1 after 95 and 110 of 115 epochs; 4 squares of 640 pixels on
each of 8 GPUs). What the paper changed for RLE beyond the loss it does not say; see `PointSetOptions` for what is
proposed instead.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from logpose.core.errors import InputError
from logpose.data.image_sets import ImageSet
from logpose.losses import L1Loss, RLELoss
from logpose.models import PointSetOptions
from logpose.recipes.mask_rcnn import drawn_pictures
from logpose.tasks.detection.recipe import DetectionRecipe, PointSetRecipe, point_set

__all__ = [
    "point_set_hrnet_w32_l1",
    "point_set_hrnet_w32_rle",
    "point_set_resnet18_l1",
    "point_set_resnet18_rle",
    "point_set_synthetic_l1",
    "point_set_synthetic_rle",
]

TEST_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
"""For `PointSetOptions.scales`: the published test of HRNet-W32, short sides of 400 to 1,400 pixels, from 800."""


def point_set_hrnet_w32_l1() -> PointSetRecipe:
    """Point-set anchors on HRNet-W32 by L1, from ImageNet weights (Table 2d; the paper has 67.0 AP).

    Each picture is looked at in one size; the published test looks at six (`TEST_SCALES`).
    """
    return PointSetRecipe(
        model=point_set, loss=L1Loss, backbone="hrnet_w32", view="square", square=640, scale=(0.5, 1.5),
        batch_size=4, epochs=115, milestones=(95, 110), optimizer="adam", lr=1e-4, warmup_steps=5, warmup_start=1 / 3,
        gradient_clip=35.0, validate_every=5,
    )  # fmt: skip


def point_set_hrnet_w32_rle() -> PointSetRecipe:
    """The same by RLE (Table 2d; the paper has 67.4 AP)."""
    return replace(point_set_hrnet_w32_l1(), loss=RLELoss)


def point_set_resnet18_rle() -> PointSetRecipe:
    """RLE on a ResNet-18 at 320 pixels from ImageNet weights: for small data sets of one's own."""
    options = PointSetOptions(channels=128, depth=2, scale=8.0, least_peak=0.1, farthest=0.15)
    return PointSetRecipe(
        model=partial(point_set, options=options), backbone="resnet18", view="square", square=320, scale_of="test",
        test_short=320,
        longest=640, batch_size=8, epochs=100, lr=5e-4, weight_decay=0.05, schedule="one_cycle", validate_every=5,
    )  # fmt: skip


def point_set_resnet18_l1() -> PointSetRecipe:
    """The same network and budget by L1."""
    return replace(point_set_resnet18_rle(), loss=L1Loss)


def drawn_scenes(recipe: DetectionRecipe, part: str) -> ImageSet:
    """The scenes of Mask R-CNN's recipe for drawn people.

    Raises:
        InputError: if data are given: there is no use for them here.
    """
    if recipe.data or recipe.val_data:
        raise InputError("this recipe draws its people itself; to learn from --data take point_set_resnet18_rle")
    return drawn_pictures(recipe, part)


def point_set_synthetic_rle() -> PointSetRecipe:
    """Small point-set anchors by RLE on drawn scenes of several people, from random weights, on a CPU.

    Anchors are half as large as the published ones, as the pictures are small, and fewer are positive that resemble
    nobody. Maps are learned beside, which helps the regression, but joints are not snapped to their peaks: in so short
    a training these are not more exact.
    """
    options = PointSetOptions(channels=64, depth=1, scale=8.0, forced=5, snap=False)
    return PointSetRecipe(
        people=drawn_scenes, model=partial(point_set, options=options), backbone="resnet18", weights="random",
        view="square", square=96, scale=(0.85, 1.15), test_short=96, longest=128, batch_size=8, epochs=7, workers=0,
        lr=1e-3, weight_decay=0.05, schedule="one_cycle", validate_every=7, precision="auto",
    )  # fmt: skip


def point_set_synthetic_l1() -> PointSetRecipe:
    """The same network, scenes and budget by L1."""
    return replace(point_set_synthetic_rle(), loss=L1Loss)
