"""Detectors: whole images in, several people out, each with a box and joints."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int, Int64, UInt8
from torch import Tensor
from torch.nn import functional

from logpose.core import geometry
from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.structures import KeypointLoss, LossDict, Prediction
from logpose.data.scenes import MULTIPLE, SceneBatch
from logpose.models.backbone import IMAGENET_MEAN, IMAGENET_STD
from logpose.models.pose_model import Model, PixelStatistics

__all__ = [
    "Detections",
    "Detector",
    "best_of_levels",
    "box_intersections",
    "box_iou",
    "box_maps",
    "in_boxes",
    "nobody",
    "scaled",
]

UNIT = (1, 1)
"""(H, W) of an instance's own frame: its crop coordinates are a "crop" of one pixel."""


@dataclass(slots=True)
class Detections:
    """The people detected in one input: N of them, best first."""

    boxes: Float[Tensor, "N 4"]
    """x0, y0, x1, y1 in pixels of the input."""
    box_scores: Float[Tensor, "N"]
    """Score of each box, in [0, 1]."""
    prediction: Prediction
    """Of N instances, each in crop coordinates of its own."""
    to_input: Float[Tensor, "N 2 3"]
    """Affine map from an instance's own frame, a "crop" of 1×1 pixels, to pixels of the input: for `from_crop`."""
    positions: Float[Tensor, "N K 2"] | None = None
    """Of joints, pixels of the input, of models that snap them: elsewhere than at the prediction's mean."""

    def __len__(self) -> int:
        return len(self.boxes)

    def keypoints(self) -> Float[Tensor, "N K 2"]:
        """Positions of the joints, pixels of the input."""
        if self.positions is not None:
            return self.positions
        return geometry.from_crop(self.prediction.mean, self.to_input, UNIT)

    def spread(self) -> Float[Tensor, "N K 2"]:
        """Standard deviation of every joint, pixels of the input; NaN where no likelihood was learned."""
        return geometry.spread_in_image(self.prediction.std, self.to_input, UNIT)

    def chosen(self, rows: Int[Tensor, "M"] | Bool[Tensor, "N"]) -> Detections:
        """Some of them."""

        def of(part: Any, *names: str) -> dict[str, Any]:
            return {name: None if (value := getattr(part, name)) is None else value[rows] for name in names}

        kept = replace(self.prediction, **of(self.prediction, "mu", "sigma", "confidence", "maps"))
        return replace(self, prediction=kept, **of(self, "boxes", "box_scores", "to_input", "positions"))


class Detector(PixelStatistics, Model):
    """Base of the models of whole images.

    Args:
        skeleton: the joints that are predicted.
        short: pixels of the short side that images are resized to, …
        longest: … unless their long side would become longer than this.
        pixel_mean, pixel_std: see `PoseModel`.

    Raises:
        InputError: if there can be no such images.

    Attributes:
        score_threshold: least score of a box that counts as a detection, unless another one is given.
        most: people that it finds in an image.
    """

    task = "detection"
    score_threshold: ClassVar[float] = 0.5

    def __init__(
        self,
        skeleton: Skeleton,
        short: int = 800,
        longest: int = 1333,
        pixel_mean: tuple[float, float, float] = IMAGENET_MEAN,
        pixel_std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        super().__init__(skeleton, dim=2)
        if not 32 <= short <= longest <= 8192:
            raise InputError(f"images have 32 to 8,192 pixels a side, short ≤ longest; got {short} and {longest}")
        self.short, self.longest = short, longest
        self.keep_statistics(pixel_mean, pixel_std)

    @abstractmethod
    def training_losses(self, batch: SceneBatch, loss: KeypointLoss) -> LossDict:
        """The losses of a batch: of detections, and, by the loss that is given, of joints."""

    @abstractmethod
    def detect(self, images: UInt8[Tensor, "B 3 H W"], sizes: Int64[Tensor, "B 2"]) -> list[Detections]:
        """The people in each image (RGB, sides multiples of 32, padded beyond each image's own H and W), best first."""

    def best(
        self,
        images: UInt8[Tensor, "1 3 H W"],  # noqa: ARG002
        sizes: Int64[Tensor, "1 2"],  # noqa: ARG002
        most: int,  # noqa: ARG002
    ) -> Detections:
        """The `most` best people in an image, with a score of 0 those that are not there: no shape depends on values.

        Detectors are exported by it; one of your own may be without.

        Raises:
            InputError: as `check_best`.
        """
        self.check_best()
        raise NotImplementedError

    def check_best(self) -> None:
        """Refuse what `best` does not compute.

        Raises:
            InputError: if there is no `best`, or shapes within this network depend on values.
        """
        if type(self).best is Detector.best:
            raise InputError(f"{type(self).__name__} is not exported: it has no `best`")

    @property
    def most(self) -> int:
        """Most people that it finds in an image."""
        return 100

    def run_layers(self, images: UInt8[Tensor, "1 3 H W"]) -> None:
        """Call each layer as often as for an image with one person, to count operations."""
        self(images)

    def predict(self, batch: SceneBatch, flip_test: bool | None = False) -> list[Detections]:
        """The people in each image of a batch, which do not depend on the other images: padding is cut off.

        Raises:
            InputError: if a flip test is asked for: there is none.
        """
        if flip_test:
            raise InputError("detectors have no flip test")
        found: dict[int, Detections] = {}
        extents = [(height, width) for height, width in (-(-batch.sizes // MULTIPLE) * MULTIPLE).tolist()]
        for height, width in dict.fromkeys(extents):
            rows = [row for row, extent in enumerate(extents) if extent == (height, width)]
            alike = self.detect(batch.images[rows, :, :height, :width], batch.sizes[rows])
            found |= zip(rows, alike, strict=True)
        each = [found[row] for row in range(len(extents))]
        return [replace(own, prediction=self.calibrated(own.prediction)) for own in each]

    def forward(self, images: UInt8[Tensor, "B 3 H W"]) -> list[Detections]:
        """The people in images that fill their inputs."""
        size = torch.tensor(images.shape[2:], device=images.device)
        return self.detect(images, size.expand(len(images), 2))

    def inputs(self, images: UInt8[Tensor, "B 3 H W"], sizes: Int64[Tensor, "B 2"]) -> Float[Tensor, "B 3 H W"]:
        """Normalised pixels, 0 beyond each image."""
        rows, columns = (torch.arange(side, device=images.device) for side in images.shape[2:])
        inside = (rows[:, None] < sizes[:, 0, None, None]) & (columns < sizes[:, 1, None, None])
        return self.normalised(images) * inside[:, None]

    @property
    def input_spec(self) -> str:
        """The size of its images."""
        return f"images whose short side has {self.short} pixels"

    def example_input(self) -> UInt8[Tensor, "1 3 H W"]:
        """A black image."""
        side = -(-self.short // 32) * 32
        return torch.zeros(1, 3, side, side, dtype=torch.uint8, device=self.pixel_mean.device)


def best_of_levels(
    scores: Float[Tensor, "A"], counts: Sequence[int], most: int
) -> tuple[Int64[Tensor, "M"], Bool[Tensor, "M"]]:
    """The `most` best of each of several levels, which lie one after another; of no shape that depends on values.

    Returns:
        rows, best first in each level, and whether they are there: a level may have fewer.
    """
    rows, there, start = [], [], 0
    for count in counts:
        best = functional.pad(scores[start : start + count], (0, most), value=-torch.inf).topk(most).indices
        rows.append(start + best.clamp_max(count - 1))
        there.append(best < count)
        start += count
    return torch.cat(rows), torch.cat(there)


def box_maps(boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N 2 3"]:
    """Affine maps from the own frames ("crops" of 1×1 pixels) of boxes x0, y0, x1, y1 to where they are."""
    maps = boxes.new_zeros(len(boxes), 2, 3)
    maps[:, 0, 0], maps[:, 1, 1] = (boxes[:, 2:] - boxes[:, :2]).unbind(dim=1)
    maps[:, :, 2] = boxes[:, :2]
    return maps


def scaled(boxes: Float[Tensor, "N 4"], factor: float) -> Float[Tensor, "N 4"]:
    """Boxes x0, y0, x1, y1 with sides longer by a factor, about their centres."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, factor * (boxes[:, 2:] - boxes[:, :2]) / 2
    return torch.cat([middle - half, middle + half], dim=1)


def in_boxes(points: Float[Tensor, "N K 2"], boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N K 2"]:
    """Crop coordinates of points, each row in the frame of its own box: the box is [-0.5, 0.5]."""
    extent = (boxes[:, 2:] - boxes[:, :2]).clamp_min(1e-3)
    return (points - boxes[:, None, :2]) / extent[:, None] - 0.5


def box_intersections(one: Float[Tensor, "N 4"], other: Float[Tensor, "M 4"]) -> Float[Tensor, "N M"]:
    """Area that every two boxes x0, y0, x1, y1 share."""
    top_left = torch.maximum(one[:, None, :2], other[None, :, :2])
    bottom_right = torch.minimum(one[:, None, 2:], other[None, :, 2:])
    return (bottom_right - top_left).clamp_min(0).prod(dim=2)


def box_iou(one: Float[Tensor, "N 4"], other: Float[Tensor, "M 4"]) -> Float[Tensor, "N M"]:
    """Intersection over union of every two boxes x0, y0, x1, y1; 0 where both have no area."""
    shared = box_intersections(one, other)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clamp_min(0).prod(dim=1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1][None] - shared
    return shared / union.clamp_min(torch.finfo(union.dtype).tiny)


def nobody(model: Detector) -> Detections:
    """No detections."""
    none = model.pixel_mean.new_zeros
    count = len(model.skeleton)
    prediction = Prediction(none(0, count, 2), none(0, count, 2), none(0, count), model.error_distribution)
    return Detections(none(0, 4), none(0), prediction, none(0, 2, 3))
