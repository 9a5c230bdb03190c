"""Recipes for COCO keypoint files: the paper's rows on COCO, and the same for anyone's own labels."""

from __future__ import annotations

from logpose.losses import L1Loss, RLELoss
from logpose.recipe import Recipe

__all__ = ["coco_resnet18_rle", "coco_resnet50_l1", "coco_resnet50_rle"]


def coco_resnet50_rle() -> Recipe:
    """ResNet-50 at 256×192 by RLE, from ImageNet weights (the row of Table 1 for which the paper gives 70.5 AP).

    Optimiser, schedule and augmentation are the released configuration's (Adam 1e-3, × 0.1 at epochs 170 and 200). It
    differs in the loss (the normalised density), in clipping gradients at a norm of 1, and in the batch: there are 32
    people on each of 8 GPUs.
    """
    return Recipe(loss=RLELoss, epochs=270)


def coco_resnet50_l1() -> Recipe:
    """ResNet-50 at 256×192 by L1, direct regression (the row of Table 1 for which the paper gives 58.1 AP)."""
    return Recipe(loss=L1Loss, epochs=270)


def coco_resnet18_rle() -> Recipe:
    """ResNet-18 at 128×128 by RLE from random weights: for small data sets of one's own, learned on a CPU."""
    return Recipe(
        loss=RLELoss,
        backbone="resnet18",
        weights="random",
        size=(128, 128),
        epochs=100,
        optimizer="adamw",
        lr=2e-3,
        weight_decay=0.05,
        schedule="one_cycle",
    )
