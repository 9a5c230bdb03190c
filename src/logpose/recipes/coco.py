"""Recipes for COCO keypoint files: the rows of the paper's tables, and one for small data sets of one's own.

Those of the paper's rows share the released configuration's optimiser, schedule and augmentation (Adam 1e-3, × 0.1 at
epochs 170 and 200 of 270); there are 32 people on each of 8 GPUs. A row whose backbone was trained with heatmaps first
(the paper's *) is a recipe of two stages, or the same recipe without it and `--weights HEATMAP.ckpt`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from logpose.data import Augmentation
from logpose.losses import Gaussian, HeatmapLoss, L1Loss, L2Loss, Laplace, PoseLoss, RLELoss, WithHeatmaps
from logpose.tasks.pose.recipe import Recipe, Watch, heatmaps, integral, regression_with_heatmaps, released_regression

__all__ = [
    "coco_hrnet_w32_heatmap",
    "coco_hrnet_w32_rle",
    "coco_hrnet_w48_384_rle",
    "coco_resnet18_rle",
    "coco_resnet50_384_rle",
    "coco_resnet50_dle",
    "coco_resnet50_gaussian",
    "coco_resnet50_heatmap",
    "coco_resnet50_integral",
    "coco_resnet50_integral_sigmoid",
    "coco_resnet50_l1",
    "coco_resnet50_l1_auxiliary",
    "coco_resnet50_l2",
    "coco_resnet50_laplace",
    "coco_resnet50_rle",
    "coco_resnet50_rle_auxiliary",
    "coco_resnet50_rle_gaussian",
    "coco_resnet50_rle_heatmaps_first",
    "coco_resnet50_rle_mmpose",
    "coco_resnet50_rle_paper",
    "coco_resnet50_rle_paper_with_s",
    "coco_resnet50_rle_released",
    "coco_resnet101_384_rle",
    "coco_resnet101_rle",
    "coco_resnet101_rle_mmpose",
    "coco_resnet152_384_heatmap",
    "coco_resnet152_384_rle",
    "coco_resnet152_384_rle_heatmaps_first",
    "coco_resnet152_384_rle_mmpose",
    "coco_resnet152_rle",
    "coco_resnet152_rle_mmpose",
]


def of_the_paper(loss: Callable[[], PoseLoss], backbone: str = "resnet50") -> Recipe:
    """The released configuration with a loss and a backbone."""
    return Recipe(loss=loss, backbone=backbone, epochs=270, gradient_clip=0.0)


def coco_resnet50_rle() -> Recipe:
    """ResNet-50 at 256×192 by RLE, the normalised density, from ImageNet weights (Table 1; the paper has 70.5 AP)."""
    return of_the_paper(RLELoss)


def coco_resnet50_rle_paper() -> Recipe:
    """The same by Eq. 8 without s, as the paper trains it."""
    return of_the_paper(partial(RLELoss, convention="paper"))


def coco_resnet50_rle_paper_with_s() -> Recipe:
    """The same by Eq. 8 with s, estimated afresh at every step (Table 17; the paper has 70.5 AP with and without)."""
    return of_the_paper(partial(RLELoss, convention="paper", with_s=True))


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


def coco_resnet50_384_rle() -> Recipe:
    """ResNet-50 at 384×288 by RLE."""
    return replace(coco_resnet50_rle(), size=(384, 288))


def coco_resnet101_384_rle() -> Recipe:
    """ResNet-101 at 384×288 by RLE."""
    return replace(coco_resnet101_rle(), size=(384, 288))


def coco_resnet152_384_rle() -> Recipe:
    """ResNet-152 at 384×288 by RLE (Table 3 does not say its size; the paper has 74.2 AP on test-dev)."""
    return replace(coco_resnet152_rle(), size=(384, 288))


def heatmaps_first(recipe: Recipe) -> Recipe:
    """SimplePose on a recipe's data and backbone, for half its epochs: the first stage of the paper's * rows.

    140 of 270 epochs as in a reproduction that reaches the paper's figure; the rate falls where Xiao et al. let it.
    """
    epochs = max(1, round(recipe.epochs * 140 / 270))
    falls = (round(epochs * 90 / 140), round(epochs * 120 / 140))
    watch: Watch = "error_px" if recipe.watch == "nll" else recipe.watch  # maps claim nothing of their errors
    return replace(recipe, model=heatmaps, loss=HeatmapLoss, first=None, epochs=epochs, milestones=falls, watch=watch)


def coco_resnet50_rle_heatmaps_first() -> Recipe:
    """ResNet-50 at 256×192 by RLE, its backbone trained with heatmaps before (* of Table 1; the paper has 71.3 AP)."""
    return replace(coco_resnet50_rle(), first=heatmaps_first)


def coco_resnet152_384_rle_heatmaps_first() -> Recipe:
    """ResNet-152 at 384×288 by RLE, its backbone trained with heatmaps before (* of Table 3; 75.1 AP on test-dev)."""
    return replace(coco_resnet152_384_rle(), first=heatmaps_first)


def coco_resnet50_heatmap() -> Recipe:
    """SimplePose: ResNet-50 and three deconvolutions at 256×192 (Table 2a; the paper's authors have 71.0 AP)."""
    return replace(heatmaps_first(coco_resnet50_rle()), epochs=140, milestones=(90, 120))


def coco_resnet152_384_heatmap() -> Recipe:
    """SimplePose: ResNet-152 at 384×288, what the starred row of Table 3 begins with."""
    return replace(coco_resnet50_heatmap(), backbone="resnet152", size=(384, 288))


def coco_resnet50_integral() -> Recipe:
    """Integral Pose: SimplePose's network, read off by a softmax's mean, by L1 (Table 2a; the paper has 63.0 AP)."""
    return replace(of_the_paper(L1Loss), model=integral)


def coco_resnet50_integral_sigmoid() -> Recipe:
    """Integral Pose whose maps go through a sigmoid before they are made to sum to 1; its maximum is the confidence."""
    return replace(of_the_paper(L1Loss), model=partial(integral, normalisation="sigmoid"))


def coco_hrnet_w32_heatmap() -> Recipe:
    """HRNet-W32 at 256×192 with heatmaps, with its own schedule (Table 2b; the paper's authors have 74.1 AP)."""
    return replace(coco_resnet50_heatmap(), backbone="hrnet_w32", epochs=210, milestones=(170, 200))


def coco_hrnet_w32_rle() -> Recipe:
    """HRNet-W32 at 256×192 by RLE: mu the mean of maps, sigma from the neck (Table 2b; the paper has 74.3 AP)."""
    return replace(of_the_paper(RLELoss, "hrnet_w32"), model=integral)


def coco_hrnet_w48_384_rle() -> Recipe:
    """HRNet-W48 at 384×288 by RLE (Table 3 does not say its size; the paper has 75.7 AP on test-dev)."""
    return replace(of_the_paper(RLELoss, "hrnet_w48"), model=integral, size=(384, 288))


def coco_resnet50_l1_auxiliary() -> Recipe:
    """ResNet-50 by L1 with an auxiliary heatmap loss (Table 14; the paper has 57.5 AP at weight 1, 58.1 without)."""
    return replace(of_the_paper(l1_with_heatmaps), model=regression_with_heatmaps)


def coco_resnet50_rle_auxiliary() -> Recipe:
    """ResNet-50 by RLE with an auxiliary heatmap loss (Table 14; the paper has 70.4 AP at weight 1, 70.5 without)."""
    return replace(of_the_paper(rle_with_heatmaps), model=regression_with_heatmaps)


def l1_with_heatmaps() -> WithHeatmaps:
    """L1 and the heatmap loss beside it."""
    return WithHeatmaps(L1Loss())


def rle_with_heatmaps() -> WithHeatmaps:
    """RLE and the heatmap loss beside it."""
    return WithHeatmaps(RLELoss())


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
            half_body_upper=0.7,
            draws="normal",
        ),
        outside="mask",
        epochs=210,
        batch_size=64,
        warmup_steps=500,
        warmup_start=0.001,
        gradient_clip=0.0,
    )


def coco_resnet101_rle_mmpose() -> Recipe:
    """ResNet-101 at 256×192 as mmpose trains it (there 72.2 AP)."""
    return replace(coco_resnet50_rle_mmpose(), backbone="resnet101")


def coco_resnet152_rle_mmpose() -> Recipe:
    """ResNet-152 at 256×192 as mmpose trains it (there 73.1 AP)."""
    return replace(coco_resnet50_rle_mmpose(), backbone="resnet152")


def coco_resnet152_384_rle_mmpose() -> Recipe:
    """ResNet-152 at 384×288 as mmpose trains it, at half the rate (there 74.9 AP)."""
    return replace(coco_resnet152_rle_mmpose(), size=(384, 288), lr=5e-4)


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
