"""Recipes for Mask R-CNN with a keypoint head: Table 2(c) on COCO, one for small data sets, and synthetic people.

The schedule is detectron2's for its keypoint R-CNN (SGD, 0.02 for 16 images, × 0.1 at two milestones). There are two
readings of the paper: 270,000 steps from ImageNet weights (its first version, according to a reader), or 180,000 steps
after heatmap pre-training, according to its author (`--pretrain heatmap --steps 180000 --milestones 120000 160000`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from logpose.models import MaskRCNNOptions
from logpose.recipes.renamed import old_presets
from logpose.recipes.synthetic import refuse_data
from logpose.tasks.detection.recipe import DetectionRecipe, MaskRCNNRecipe, mask_rcnn

if TYPE_CHECKING:
    from logpose.data.image_sets import ImageSet

__all__ = ["mask_rcnn_resnet18_rle", "mask_rcnn_resnet50_rle", "mask_rcnn_synthetic_rle"]

SMALL = MaskRCNNOptions(
    frozen=False, channels=64, anchor_sizes=(16, 28, 40, 64, 96), aspect_ratios=(1.0, 2.0, 3.5),
    rpn_iou_thresholds=(0.5, 0.3), box_head_width=256, keypoint_head_channels=(64, 64, 64, 64),
    samples_per_image=(32, 32), rpn_pre_nms_top_n=(100, 100), rpn_post_nms_top_n=(100, 100), detections_per_image=80,
    roi_scale=1.25, min_map_size=112,
)  # fmt: skip
"""A network that trains on a CPU, with anchors as slender as standing people. The keypoint head's regions are a quarter
larger than the boxes: a sixteenth of the joints lies closer to a box's edge than the centre of the outermost cell."""
MIDDLING = MaskRCNNOptions(
    channels=128, box_head_width=512, keypoint_head_channels=(256, 256, 256, 256), anchor_sizes=(16, 32, 64, 128, 256),
    roi_scale=1.25, min_map_size=112,
)  # fmt: skip
"""A network for small data sets. With four convolutions an average over 14×14 cells holds too little about positions,
so with RLE mu is the mean of the maps in both."""

SCENES, VAL_SCENES = 3200, 300


def mask_rcnn_resnet50_rle() -> MaskRCNNRecipe:
    """Mask R-CNN with RLE, ResNet-50, 270,000 steps of 16 images (Table 2c: 66.7 AP; --head heatmap: 66.0)."""
    return MaskRCNNRecipe(
        model=mask_rcnn, batch_size=16, steps=270_000, milestones=(210_000, 250_000), optimizer="sgd", lr=0.02,
        weight_decay=1e-4, warmup_steps=1000, warmup_start=0.001, validate_every=4,
    )  # fmt: skip


def mask_rcnn_resnet18_rle() -> MaskRCNNRecipe:
    """Mask R-CNN with RLE, ResNet-18, 320 pixels, ImageNet weights: for small data sets."""
    return MaskRCNNRecipe(
        model=partial(mask_rcnn, options=MIDDLING), mu_from="maps", outside="mask", backbone="resnet18",
        short=(256, 288, 320, 352, 384), test_short=320, longest=640, batch_size=8, epochs=100,
        lr=5e-4, weight_decay=0.05, schedule="one_cycle", validate_every=5,
    )  # fmt: skip


def synthetic_scenes(recipe: DetectionRecipe, part: str) -> ImageSet:
    """Images of one to three synthetic people of the easy kind; those of "val" are others than those of "train"."""
    from logpose.data.image_sets import whole_images
    from logpose.data.synthetic import SyntheticPeople

    refuse_data(recipe, "mask_rcnn_resnet18_rle or point_set_resnet18_rle")
    count, seed = (SCENES, 11) if part == "train" else (VAL_SCENES, 12)
    return whole_images(SyntheticPeople(count, seed, size=(96, 96), people=(1, 3), easy=True))


def mask_rcnn_synthetic_rle() -> MaskRCNNRecipe:
    """Mask R-CNN with RLE on synthetic scenes, a small network, random weights: trains on a CPU."""
    return MaskRCNNRecipe(
        people=synthetic_scenes, model=partial(mask_rcnn, options=SMALL), mu_from="maps", outside="mask",
        backbone="resnet18", weights="random",
        short=(88, 96), test_short=96, longest=128, batch_size=8, epochs=6, workers=0, precision="auto",
        lr=1e-3, weight_decay=0.05, schedule="one_cycle", validate_every=2,
    )  # fmt: skip


__getattr__ = old_presets(globals())
