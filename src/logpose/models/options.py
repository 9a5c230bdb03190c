"""Options of the detectors' networks. Recipes have them, so this module imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from logpose.core.config import Configurable
from logpose.core.errors import InputError

__all__ = ["Coordinates", "MaskRCNNOptions", "PointSetOptions"]

Coordinates = Literal["average", "cells", "maps"]
"""What a regression head reads mu from, see `regions.RegressionHead`."""


@dataclass(frozen=True)
class MaskRCNNOptions(Configurable):
    """Options of the network, its training and its inference. Two numbers are those of training and of inference."""

    channels: int = 256
    """Of the pyramid."""
    anchor_sizes: tuple[int, ...] = (32, 64, 128, 256, 512)
    """Sides of the anchors of its five levels, pixels of the input."""
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Height over width of anchors."""
    rpn_iou_thresholds: tuple[float, float] = (0.7, 0.3)
    """Intersection over union with a person above which an anchor is positive, and below which it is negative."""
    rpn_pre_nms_top_n: tuple[int, int] = (2000, 1000)
    """Proposals of each level before non-maximum suppression."""
    rpn_post_nms_top_n: tuple[int, int] = (1500, 1000)
    """Proposals of an image after it."""
    samples_per_image: tuple[int, int] = (256, 512)
    """Anchors, and proposals, of each image that losses are computed on."""
    detections_per_image: int = 100
    """Most people that are detected in an image."""
    box_head_width: int = 1024
    """Of the hidden layers of the box head."""
    keypoint_head_channels: tuple[int, ...] = (512,) * 8
    """Channels of the convolutions of the keypoint head."""
    coordinates: Coordinates = "average"
    """What the regression head reads coordinates from: see `RegressionHead`."""
    sharpness: float = 1.0
    """Of the mean of cells: see `RegressionHead`."""
    with_logits: bool = False
    """Whether the maps that coordinates are read from are given to the loss too, for `WithHeatmaps(cells=True)`."""
    roi_scale: float = 1.0
    """Side of the region that keypoints are predicted in, relative to the box's; 1 is published."""
    min_map_size: int = 0
    """Least size, in cells, that heatmaps are upsampled to before their maxima are taken. 0, published, takes a cell
    for each pixel of the region, which makes the maps of people below 56 pixels coarser."""
    outside: Literal["supervise", "mask"] = "supervise"
    """Labelled joints outside a proposal's region: "supervise" keeps them, and the head learns to extrapolate; "mask"
    leaves them out. Heatmaps cannot represent them."""
    frozen: bool | None = None
    """Whether the backbone's normalisation, stem and first stage stay as pretrained. None: yes, unless a recipe starts
    from weights with no normalisation to keep."""
    norm_eps: float = 1e-5
    """Of the frozen normalisation."""

    def __post_init__(self) -> None:
        for name, allowed in (("coordinates", get_args(Coordinates)), ("outside", ("supervise", "mask"))):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} is one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        values = {name: np.atleast_1d(getattr(self, name)) for name in POSITIVE}
        positive, negative = self.rpn_iou_thresholds
        fine = {name: value.size > 0 and value.min() > 0 for name, value in values.items()} | {
            "anchor_sizes": len(self.anchor_sizes) == 5 and min(self.anchor_sizes) > 0,
            "rpn_iou_thresholds": 1 >= positive >= negative >= 0,
            "min_map_size": self.min_map_size >= 0,
        }
        if wrong := next((name for name in fine if not fine[name]), None):
            raise InputError(f"Mask R-CNN cannot have {wrong} of {getattr(self, wrong)}")
        if self.with_logits and self.coordinates == "average":
            raise InputError("with_logits needs coordinates from cells or maps")


POSITIVE = (
    *("channels", "anchor_sizes", "aspect_ratios", "rpn_pre_nms_top_n", "rpn_post_nms_top_n", "samples_per_image"),
    *("detections_per_image", "box_head_width", "keypoint_head_channels", "sharpness", "roi_scale"),
)
"""Options that are above 0, each of their values."""


@dataclass(frozen=True)
class PointSetOptions(Configurable):
    """Options of the network, its training and its inference; defaults are the published ones unless noted."""

    channels: int = 256
    """Width of levels, towers and the branch of maps."""
    depth: int = 4
    """Convolutions of a tower."""
    thresholds: tuple[tuple[float, float], ...] = ((0.5, 0.4), (0.99, 0.89))
    """Of each stage: the least similarity of positive anchors, and that below which anchors are negative."""
    forced: int = 9
    """The most similar anchors of each person, which are positive in any case."""
    scale: float = 16.0
    """Diagonal of an anchor in strides of its level; also the unit of joints' distances."""
    pose_weight: float | None = None
    """Of the joints' loss, a sum over each positive anchor's joints. None: 10 times the typical sigma (geometric mean),
    which keeps the gradient of mu from growing; without sigma the published 10."""
    maps_weight: float = 0.05
    """Of the losses of the branch of maps; 0 leaves the branch out, and with it snapping."""
    offsets_weight: float = 10.0
    """Of its offsets, within that."""
    background: float = 0.1
    """Weight of a map's cells outside all bumps."""
    snap: bool = True
    """Whether joints are put at the nearest peak of their map; sigma stays the regression's."""
    least_peak: float = 0.0
    """Least height of such a peak, of 1; where there is none, a joint stays where it was regressed."""
    farthest: float | None = None
    """Largest distance of such a peak, in units of the anchor; any unless given."""
    scales: tuple[float, ...] = (1.0,)
    """Factors by which each input is enlarged; detections of all of them are merged."""
    least_score: float = 0.001
    """Of a candidate."""
    candidates: int = 1000
    """Most candidates of each level, before non-maximum suppression."""
    nms: float = 0.5
    """OKS above which people are the same."""
    most: int = 100
    """Most people in an image."""

    def __post_init__(self) -> None:
        least = min(self.channels, self.depth, self.forced + 1, self.candidates, self.most, len(self.thresholds))
        shares = (*(share for pair in self.thresholds for share in pair), self.least_score, self.nms, self.background)
        if least < 1 or not all(0 <= share <= 1 for share in shares):
            raise InputError(f"counts must be 1 or more, similarities and scores in [0, 1]; got {self}")
        if any(negative > positive for positive, negative in self.thresholds):
            raise InputError(f"what is positive cannot be negative too: thresholds are {self.thresholds}")
        weights = (self.maps_weight, self.offsets_weight, self.pose_weight or 0.0)
        if not (0 <= self.least_peak <= 1 and (self.farthest is None or self.farthest > 0)):
            raise InputError(f"least_peak is in [0, 1] and farthest above 0; got {self}")
        if not (self.scale > 0 and min(weights) >= 0 and self.scales and min(self.scales) > 0):
            raise InputError(f"scales must be above 0 and weights not below; got {self}")
