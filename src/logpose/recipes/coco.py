"""Recipes for COCO keypoint files: the rows of the paper's tables, and one for small data sets of one's own.

Those of the paper's rows share the released configuration's optimiser, schedule and augmentation (Adam 1e-3, × 0.1 at
epochs 170 and 200 of 270); there are 32 people on each of 8 GPUs. A row whose backbone was trained with heatmaps first
is the same recipe with `--weights HEATMAP.ckpt`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from logpose.data import Augmentation
from logpose.interop import RELEASED_MEAN, RELEASED_STD
from logpose.losses import Gaussian, L1Loss, L2Loss, Laplace, LikelihoodLoss, RLELoss
from logpose.models import PoseModel, RegressionModel, create_backbone, load_backbone_weights
from logpose.recipe import Recipe
from logpose.skeletons import Skeleton

__all__ = [
    "coco_resnet18_rle",
    "coco_resnet50_dle",
    "coco_resnet50_gaussian",
    "coco_resnet50_l1",
    "coco_resnet50_l2",
    "coco_resnet50_laplace",
    "coco_resnet50_rle",
    "coco_resnet50_rle_gaussian",
    "coco_resnet50_rle_mmpose",
    "coco_resnet50_rle_paper",
    "coco_resnet50_rle_released",
    "coco_resnet101_rle",
    "coco_resnet152_384_rle",
    "coco_resnet152_rle",
]


def of_the_paper(loss: Callable[[], LikelihoodLoss], backbone: str = "resnet50") -> Recipe:
    """The released configuration with a loss and a backbone."""
    return Recipe(loss=loss, backbone=backbone, epochs=270, gradient_clip=0.0)


def coco_resnet50_rle() -> Recipe:
    """ResNet-50 at 256×192 by RLE, the normalised density, from ImageNet weights (Table 1; the paper has 70.5 AP)."""
    return of_the_paper(RLELoss)


def coco_resnet50_rle_paper() -> Recipe:
    """The same by Eq. 8 without s, as the paper trains it."""
    return of_the_paper(partial(RLELoss, convention="paper"))


def coco_resnet50_rle_gaussian() -> Recipe:
    """The same by RLE with a Gaussian for Q (Table 7; the paper has 70.0 AP)."""
    return of_the_paper(partial(RLELoss, base="gaussian"))


def coco_resnet50_dle() -> Recipe:
    """The same by direct likelihood estimation, Eq. 5 (Table 1; the paper has 62.7 AP)."""
    return of_the_paper(partial(RLELoss, mode="dle"))


def coco_resnet50_l1() -> Recipe:
    """The same by L1, direct regression (Table 1; the paper has 58.1 AP)."""
    return of_the_paper(L1Loss)


def coco_resnet50_l2() -> Recipe:
    """The same by L2 (Table 7; the paper has 36.6 AP)."""
    return of_the_paper(L2Loss)


def coco_resnet50_gaussian() -> Recipe:
    """The same by a Gaussian likelihood with a learned sigma (Table 7; the paper has 60.2 AP)."""
    return of_the_paper(Gaussian)


def coco_resnet50_laplace() -> Recipe:
    """The same by a Laplace likelihood with a learned sigma (Table 7; the paper has 67.4 AP)."""
    return of_the_paper(Laplace)


def coco_resnet101_rle() -> Recipe:
    """ResNet-101 at 256×192 by RLE."""
    return of_the_paper(RLELoss, "resnet101")


def coco_resnet152_rle() -> Recipe:
    """ResNet-152 at 256×192 by RLE."""
    return of_the_paper(RLELoss, "resnet152")


def coco_resnet152_384_rle() -> Recipe:
    """ResNet-152 at 384×288 by RLE (Table 3 does not say its size; the paper has 74.2 AP on test-dev)."""
    recipe = of_the_paper(RLELoss, "resnet152")
    recipe.size = (384, 288)
    return recipe


def released_regression(recipe: Recipe, skeleton: Skeleton, predicts_sigma: bool) -> PoseModel:
    """The released code's network: features of length 1 before mu, its own pixel normalisation."""
    backbone = create_backbone(recipe.backbone, recipe.size)
    load_backbone_weights(backbone, recipe.weights)
    return RegressionModel(
        backbone,
        skeleton,
        recipe.size,
        predicts_sigma=predicts_sigma,
        padding=recipe.padding,
        pixel_mean=RELEASED_MEAN,
        pixel_std=RELEASED_STD[2],
        unit_features=True,
    )


def coco_resnet50_rle_released() -> Recipe:
    """ResNet-50 at 256×192 as the paper's released code trains it: its formula, network and pixels."""
    recipe = of_the_paper(partial(RLELoss, convention="released"))
    recipe.model = released_regression
    return recipe


def coco_resnet50_rle_mmpose() -> Recipe:
    """ResNet-50 at 256×192 as mmpose trains it: its formula, augmentation and warm-up (there 70.6 AP; 64 on a GPU)."""
    return Recipe(
        loss=partial(RLELoss, convention="mmpose"),
        augmentation=Augmentation(
            scale=0.5,
            rotation=80.0,
            rotation_probability=0.6,
            shift=0.16,
            shift_probability=0.3,
            half_body_least=9,
            draws="normal",
        ),
        outside="mask",
        epochs=210,
        batch_size=64,
        warmup_steps=500,
        gradient_clip=0.0,
    )


def coco_resnet18_rle() -> Recipe:
    """ResNet-18 at 128×128 by RLE from random weights: for small data sets of one's own, learned on a CPU."""
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
