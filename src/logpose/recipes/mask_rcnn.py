"""Recipes for Mask R-CNN that poses people: Table 2(c) on COCO, one for small data, and drawn people on a CPU.

The schedule is detectron2's for its keypoint R-CNN (SGD, 0.02 for 16 pictures, × 0.1 at two milestones). Of the
paper's there are two readings: 270,000 steps from ImageNet weights, as a reader of its first version says it has, or
180,000 from the network that was trained with heatmaps, as its author says.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from logpose.core.errors import InputError
from logpose.data.image_sets import ImageSet, whole_images
from logpose.data.synthetic import SyntheticPeople
from logpose.losses import CellLoss, RLELoss, WithHeatmaps
from logpose.models import MaskRCNNOptions
from logpose.tasks.detection.recipe import DetectionRecipe, MaskRCNNRecipe, mask_rcnn

__all__ = [
    "mask_rcnn_resnet18_heatmap",
    "mask_rcnn_resnet18_rle",
    "mask_rcnn_resnet50_heatmap",
    "mask_rcnn_resnet50_rle",
    "mask_rcnn_resnet50_rle_heatmaps_first",
    "mask_rcnn_synthetic_heatmap",
    "mask_rcnn_synthetic_rle",
    "mask_rcnn_synthetic_rle_heatmaps_first",
]

SMALL = MaskRCNNOptions(
    frozen=False, channels=64, anchor_sizes=(16, 28, 40, 64, 96), aspect_ratios=(1.0, 2.0, 3.5),
    rpn_iou_thresholds=(0.5, 0.3), box_head_width=256, keypoint_head_channels=(64, 64, 64, 64),
    samples_per_image=(32, 32), rpn_pre_nms_top_n=(100, 100), rpn_post_nms_top_n=(100, 100), detections_per_image=80,
    roi_scale=1.25, min_map_size=112,
)  # fmt: skip
"""A network that learns on a CPU. Its anchors are as slender as people who stand are: by torchvision's numbers one in
five of the drawn people would have one that overlaps them by .7. Joints are looked for in regions a quarter larger than
boxes, as a sixteenth of them lies nearer to the rim than the middle of the outermost cell."""
MIDDLING = MaskRCNNOptions(
    channels=128, box_head_width=512, keypoint_head_channels=(256, 256, 256, 256), anchor_sizes=(16, 32, 64, 128, 256),
    roi_scale=1.25, min_map_size=112,
)  # fmt: skip
"""A network for small data. (Four convolutions are blind to places in an average of 14×14 cells: what zero padding
tells of the rim comes no further; so by RLE mu is read from the heatmap head's maps in both.)"""
BY_MAPS: dict[str, Any] = {"coordinates": "maps", "with_logits": True, "sharpness": 2.0}
"""Of RLE in these two: mu the mean of a map, whose cells are charged by cross-entropy beside. It is that of squared
probabilities, which keeps off the middle between two places. (Chosen on scenes that nothing is measured on.)"""


def mask_rcnn_resnet50_heatmap() -> MaskRCNNRecipe:
    """Mask R-CNN's heatmap head on ResNet-50, 270,000 steps of 16 pictures (Table 2c; the paper has 66.0 AP)."""
    return MaskRCNNRecipe(
        model=partial(mask_rcnn, head="heatmap"), loss=CellLoss, backbone="resnet50", batch_size=16, steps=270_000,
        milestones=(210_000, 250_000), optimizer="sgd", lr=0.02, weight_decay=1e-4, warmup_steps=1000,
        warmup_start=0.001, validate_every=4,
    )  # fmt: skip


def mask_rcnn_resnet50_rle() -> MaskRCNNRecipe:
    """The same with the paper's head by RLE, from ImageNet weights: 270,000 steps (Table 2c; the paper has 66.7 AP)."""
    return replace(mask_rcnn_resnet50_heatmap(), model=mask_rcnn, loss=RLELoss)


def mask_rcnn_resnet50_rle_heatmaps_first() -> MaskRCNNRecipe:
    """The same in two stages: heatmaps first, then 180,000 steps by RLE from their network (Table 2c, its author)."""
    return replace(mask_rcnn_resnet50_rle(), first=heatmaps_first, steps=180_000, milestones=(120_000, 160_000))


LONGER = 270_000 / 180_000
"""How much longer the heatmaps' stage is than the one that follows."""


def heatmaps_first(recipe: MaskRCNNRecipe) -> MaskRCNNRecipe:
    """The heatmap recipe, on the same data and machine; as much shorter than its own as what follows is."""
    return before_rle(recipe, mask_rcnn_resnet50_heatmap())


def before_rle(recipe: MaskRCNNRecipe, baseline: MaskRCNNRecipe) -> MaskRCNNRecipe:
    """The baseline's model and loss, on the data and the machine of a recipe that goes on from there."""
    taken = {name: getattr(baseline, name) for name in ("model", "loss", "first", "watch", "score")}
    steps, epochs = round(LONGER * recipe.steps), round(LONGER * recipe.epochs)
    milestones = tuple(
        round(at / (baseline.steps or baseline.epochs) * (steps or epochs)) for at in baseline.milestones
    )
    return replace(recipe, **taken, steps=steps, epochs=epochs, milestones=milestones)


def rle_and_cells() -> WithHeatmaps:
    """RLE, and cross-entropy of the cells that places are read from."""
    return WithHeatmaps(RLELoss(), cells=True)


def mask_rcnn_resnet18_rle() -> MaskRCNNRecipe:
    """RLE on a ResNet-18 at 320 pixels from ImageNet weights: for small data sets of one's own."""
    return MaskRCNNRecipe(
        model=partial(mask_rcnn, options=replace(MIDDLING, **BY_MAPS)), loss=rle_and_cells, outside="mask",
        backbone="resnet18",
        short=(256, 288, 320, 352, 384), test_short=320, longest=640, batch_size=8, epochs=100,
        lr=5e-4, weight_decay=0.05, schedule="one_cycle", validate_every=5,
    )  # fmt: skip


def mask_rcnn_resnet18_heatmap() -> MaskRCNNRecipe:
    """The same network and budget with the heatmap head."""
    return replace(mask_rcnn_resnet18_rle(), model=partial(mask_rcnn, head="heatmap", options=MIDDLING), loss=CellLoss)


SCENES, VAL_SCENES = 3200, 300


def drawn_pictures(recipe: DetectionRecipe, part: str) -> ImageSet:
    """Scenes of one to three synthetic people of the easy kind; those of "val" are others than those of "train".

    Raises:
        InputError: if data are given: there is no use for them here.
    """
    if recipe.data or recipe.val_data:
        raise InputError("this recipe draws its people itself; to learn from --data take mask_rcnn_resnet18_rle")
    count, seed = (SCENES, 11) if part == "train" else (VAL_SCENES, 12)
    return whole_images(SyntheticPeople(count, seed, size=(96, 96), people=(1, 3), easy=True))


def mask_rcnn_synthetic_rle() -> MaskRCNNRecipe:
    """A small Mask R-CNN by RLE on drawn scenes of several people, from random weights, on a CPU."""
    return MaskRCNNRecipe(
        people=drawn_pictures, model=partial(mask_rcnn, options=replace(SMALL, **BY_MAPS)), loss=rle_and_cells,
        outside="mask",
        backbone="resnet18", weights="random",
        short=(88, 96), test_short=96, longest=128, batch_size=8, epochs=6, workers=0, precision="auto",
        lr=1e-3, weight_decay=0.05, schedule="one_cycle", validate_every=2,
    )  # fmt: skip


def mask_rcnn_synthetic_heatmap() -> MaskRCNNRecipe:
    """The same network, scenes and budget with the heatmap head."""
    return replace(mask_rcnn_synthetic_rle(), model=partial(mask_rcnn, head="heatmap", options=SMALL), loss=CellLoss)


def mask_rcnn_synthetic_rle_heatmaps_first() -> MaskRCNNRecipe:
    """Heatmaps first, as the paper's author says; then RLE from their network, maps and all."""
    return replace(mask_rcnn_synthetic_rle(), first=drawn_heatmaps_first, epochs=4)


def drawn_heatmaps_first(recipe: MaskRCNNRecipe) -> MaskRCNNRecipe:
    """The heatmap recipe for drawn scenes, on the same scenes and machine; half as long again as what follows."""
    return before_rle(recipe, mask_rcnn_synthetic_heatmap())
