"""Recipes for COCO keypoints (`logpose train NAME COCO`), and one for small data sets of one's own.

Those of the paper share the released configuration's optimiser, schedule and augmentation; the batch is 32 people on
each of 8 GPUs; the best epoch is that of the highest AP. `logpose reproduce` prints the commands of the tables' rows.
"""

from __future__ import annotations

from dataclasses import replace

from logpose import losses
from logpose.data import Augmentation
from logpose.recipes.renamed import old_presets
from logpose.tasks.pose.recipe import Recipe, released_regression

__all__ = [
    "coco_lite0_rle",
    "coco_resnet18_rle",
    "coco_resnet50_heatmap",
    "coco_resnet50_rle",
    "coco_resnet50_rle_mmpose",
    "coco_resnet50_rle_paper_with_s",
    "coco_resnet50_rle_released",
]


def coco_resnet50_rle() -> Recipe:
    """RLE, ResNet-50, 256×192, ImageNet weights: the paper's schedule (Table 1: 70.5 AP)."""
    return Recipe(epochs=270, gradient_clip=0.0, watch="ap")


def coco_resnet50_rle_paper_with_s() -> Recipe:
    """RLE by Eq. 8 with log s in the loss, estimated at every step; otherwise the same (Table 17: 70.5 AP)."""
    return replace(coco_resnet50_rle(), loss=lambda: losses.RLELoss(convention="paper", with_s=True))


def coco_resnet50_rle_released() -> Recipe:
    """RLE as in the paper's released code: its formula, network and pixel normalisation."""
    return replace(coco_resnet50_rle(), convention="released", model=released_regression)


def coco_resnet50_rle_mmpose() -> Recipe:
    """RLE as in mmpose: its formula, augmentation and warm-up (mmpose: 70.6 AP; 64 images on a GPU)."""
    return Recipe(
        convention="mmpose",
        augmentation=Augmentation(
            0.5, 80.0, 0.6, shift=0.16, shift_probability=0.3, half_body_least=9, half_body_upper=0.7, draws="normal"
        ),
        outside="mask",
        epochs=210,
        batch_size=64,
        warmup_steps=500,
        warmup_start=0.001,
        gradient_clip=0.0,
        watch="ap",
    )


def coco_resnet50_heatmap() -> Recipe:
    """SimplePose: heatmaps by ResNet-50 and three deconvolutions, 256×192 (Table 2a: 71.0 AP)."""
    return replace(coco_resnet50_rle(), head="heatmap", epochs=140, milestones=(90, 120))


def coco_resnet18_rle() -> Recipe:
    """RLE, ResNet-18, 128×128, random weights: for small data sets, trains on a CPU; the best has the lowest error."""
    return Recipe(
        backbone="resnet18",
        weights="random",
        size=(128, 128),
        epochs=100,
        optimizer="adamw",
        lr=2e-3,
        weight_decay=0.05,
        schedule="one_cycle",
    )


def coco_lite0_rle() -> Recipe:
    """RLE by attention, EfficientNet-Lite0, 128×128, ImageNet weights (extra `lite`): for your own labels, on a CPU."""
    return replace(
        coco_resnet18_rle(), backbone="efficientnet_lite0", weights="imagenet", head="attention", lr=1e-3, epochs=30
    )


__getattr__ = old_presets(globals())
