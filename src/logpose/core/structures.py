"""What packages pass to each other: a batch of crops, a prediction, the evaluation of predictions (and `samples`).

Axis legend, used in every shape of the project:

    B  images, or crops of one person each, in a batch
    K  joints (keypoints) of a skeleton
    D  dimensions of a joint's position (2 in an image, 3 in space)
    H  rows of an image        W  columns of an image
    N  points, of no particular joint

Coordinates. *Image coordinates* are pixels of the original image, (x, y), pixel centres at whole numbers.
*Crop coordinates* are what networks predict: a pixel (x, y) of an H×W crop is (x / W - 0.5, y / H - 0.5), so the
crop is [-0.5, 0.5] (the paper, §4.1; its released code). Depth is relative to the root joint: millimetres beside
image coordinates, units of 2,000 mm beside crop coordinates; NaN of a joint that is labelled in the image only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, distributed, nn

from logpose.core.calibration import LEVELS

__all__ = [
    "LEVELS",
    "Batch",
    "ErrorDistribution",
    "Evaluator",
    "Inputs",
    "KeypointLoss",
    "LossDict",
    "Origin",
    "OutputType",
    "Prediction",
    "Tensors",
]

Row = TypeVar("Row")

OutputType = Literal[
    "coordinates",
    "heatmaps",
    "coordinates and heatmaps",
    "heatmap logits",
    "coordinates and heatmap logits",
    "row logits",
]
"""What a model outputs in training and a loss is computed from: mu and sigma; a heatmap of each joint; both; logits
over the pixels of a heatmap; these and mu and sigma; or, for each boundary in a column, logits over its rows."""

Origin = Literal["auto", "logpose", "released", "mmpose", "heatmaps", "movenet"]
"""The code that wrote a checkpoint; "heatmaps" is SimplePose's and HRNet's own, or mmpose's of their models."""


Moved = TypeVar("Moved", bound="Tensors")


class Tensors:
    """Base of dataclasses whose fields are tensors, lists of `Tensors` or None, which move to a device together."""

    __slots__ = ()

    def to(self: Moved, device: torch.device | str, non_blocking: bool = False) -> Moved:
        """The same batch on another device."""
        return self._each(lambda part: part.to(device, non_blocking=non_blocking))

    def pin_memory(self: Moved) -> Moved:
        """The same batch in page-locked memory (the hook that `DataLoader(pin_memory=True)` looks for)."""
        return self._each(lambda part: part.pin_memory())

    def _each(self: Moved, change: Callable[[Any], Any]) -> Moved:
        def changed(part: Any) -> Any:
            return part if part is None else [*map(change, part)] if isinstance(part, list) else change(part)

        return type(self)(*(changed(getattr(self, field.name)) for field in fields(self)))  # type: ignore[arg-type]


class Inputs(Tensors):
    """Base of batches whose first field is the input of the model."""

    __slots__ = ()

    @property
    def inputs(self) -> Any:
        """The input of the model, a tensor."""
        return getattr(self, fields(self)[0].name)  # type: ignore[arg-type]  # a dataclass


@dataclass(slots=True)
class Batch(Inputs):
    """Crops ready for a model, with their labels and the maps back to their images."""

    images: UInt8[Tensor, "B 3 H W"]
    """RGB; models normalise pixels themselves."""
    target: Float[Tensor, "B K D"]
    """Crop coordinates; undefined where `weight` is 0."""
    weight: Float[Tensor, "B K"]
    """How much each label counts: 0 not at all, 1 fully."""
    to_image: Float[Tensor, "B 2 3"]
    """Affine map from pixels of the crop to image coordinates."""
    index: Int64[Tensor, "B"]
    """Row of the data set each crop was cut from."""
    visible: Float[Tensor, "B K"] | None = None
    """1 where a joint is labelled as visible and in the crop, 0 where it is hidden or has no label."""


@dataclass(slots=True)
class ErrorDistribution(Tensors):
    """Summary of the distribution of the standardised error (label - mu) / sigma that a loss has learned.

    Inference needs no more of a learned density: its first two moments, and the radii of its regions.
    """

    mean: Float[Tensor, "D"]
    """Mean of the standardised error; zero for every symmetric density."""
    std: Float[Tensor, "D"]
    """Standard deviation of the standardised error."""
    radius: Float[Tensor, "L"]
    """For each of `LEVELS`, the r of the ellipse sum_d ((e_d - mean_d) / std_d)^2 <= r^2 with that probability."""
    bands: Float[Tensor, "L D"] | None = None
    """The same of each dimension alone, |e_d - mean_d| / std_d <= r_d; None where only the ellipse is stored."""

    @staticmethod
    def unknown(dim: int) -> ErrorDistribution:
        """That of a model trained without a likelihood: mean 0, standard deviation and radii NaN."""
        nan = float("nan")
        return ErrorDistribution(torch.zeros(dim), torch.full((dim,), nan), torch.full((len(LEVELS),), nan))

    def radius_at(self, level: float) -> float:
        """Radius, in standard deviations, of the ellipse with the probability `level` (0.05 … 0.99).

        Raises:
            ValueError: for a level outside the range of `LEVELS`.
        """
        return float(_at_level(level, self.radius[:, None])[0])

    def bands_at(self, level: float) -> Float[np.ndarray, "D"]:
        """Half the width, in standard deviations, of each dimension's own band with the probability `level`.

        Raises:
            ValueError: for a level outside the range of `LEVELS`, or if no bands are stored.
        """
        if self.bands is None:
            raise ValueError(f"no band of level {level:g} is stored")
        return _at_level(level, self.bands)


def _at_level(level: float, values: Float[Tensor, "L D"]) -> Float[np.ndarray, "D"]:
    """Values at a level, between those of `LEVELS`."""
    if not LEVELS[0] <= level <= LEVELS[-1]:
        raise ValueError(f"level must lie in [{LEVELS[0]:g}, {LEVELS[-1]:g}], got {level:g}")
    return np.array([np.interp(level, LEVELS, column) for column in values.detach().cpu().double().numpy().T])


@dataclass(slots=True)
class Prediction:
    """A model's prediction on a batch of crops. All coordinates are crop coordinates."""

    mu: Float[Tensor, "B K D"]
    """Location parameter of each joint, as the loss takes it."""
    sigma: Float[Tensor, "B K D"]
    """Scale parameter of each joint, > 0; all ones where the model does not predict one."""
    confidence: Float[Tensor, "B K"]
    """Confidence of each joint, for ranking: 1 - sigma averaged over dimensions (the paper's Eq. 9 per joint)."""
    error_distribution: ErrorDistribution
    """Summary of the learned distribution of (label - mu) / sigma."""
    maps: Float[Tensor, "B K h w"] | None = None
    """A heatmap of each joint, of models that output them, as the loss takes it."""
    correlation: Float[Tensor, "B K"] | None = None
    """r in (-1, 1) of models of a full covariance in the plane: (label - mu) / sigma is L e with e of the error
    distribution and L = [[1, 0], [r, sqrt(1 - r²)]], the Cholesky factor of a correlation; None: e itself. That of e,
    the same for all joints, is not kept of the error distribution, and so not in `std` and `error_correlation`."""
    visibility: Float[Tensor, "B K"] | None = None
    """Logit of the probability that a joint is labelled as visible, of models that predict it."""

    @property
    def mean(self) -> Float[Tensor, "B K D"]:
        """Expected position: mu + sigma * E[e]; mu itself where the error distribution is symmetric."""
        return self.mu + self.sigma * self._correlated(self.error_distribution.mean)

    @property
    def std(self) -> Float[Tensor, "B K D"]:
        """Standard deviation of the position: sigma times that of the standardised error."""
        own = self.error_distribution.std
        if self.correlation is None:
            return self.sigma * own
        along_y = (self.correlation * own[0]).square() + (1 - self.correlation.square()) * own[1].square()
        return self.sigma * torch.stack([own[0].expand_as(along_y), along_y.sqrt()], dim=-1)

    @property
    def error_correlation(self) -> Float[Tensor, "B K"]:
        """Correlation of the position's errors along x and y."""
        if self.correlation is None:
            return torch.zeros_like(self.mu[..., 0])
        return self.correlation * self.error_distribution.std[0] * self.sigma[..., 1] / self.std[..., 1]

    def _correlated(self, error: Float[Tensor, "D"]) -> Float[Tensor, "*B D"]:
        """L e."""
        if self.correlation is None:
            return error
        rest = (1 - self.correlation.square()).sqrt()
        return torch.stack([error[0].expand_as(rest), self.correlation * error[0] + rest * error[1]], dim=-1)

    def about(
        self, mean: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"], confidence: Float[Tensor, "B K"]
    ) -> Prediction:
        """The same error distribution about another expected position, `mean`: mu = mean - sigma * E[e]."""
        mu = mean - sigma * self._correlated(self.error_distribution.mean)
        return replace(self, mu=mu, sigma=sigma, confidence=confidence)


@runtime_checkable
class KeypointLoss(Protocol):
    """The loss of joints as models call it; they depend on nothing else of a loss."""

    def of_prediction(
        self, prediction: Prediction, target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """The loss of a batch, in the coordinates of the prediction; 0 if nothing is labelled or predicted."""
        ...


@dataclass(slots=True)
class LossDict:
    """The losses of a training batch, by name, and figures beside them."""

    losses: dict[str, Float[Tensor, ""]]
    """Losses to be added up; they are logged by name where there are several."""
    figures: dict[str, Float[Tensor, ""]] = field(default_factory=dict)
    """Values that are logged only, without a gradient."""

    @property
    def total(self) -> Float[Tensor, ""]:
        """The sum of the losses, which is minimised."""
        return torch.stack(list(self.losses.values())).sum()


class Evaluator(ABC, Generic[Row]):
    """Collects the predictions on a data set, batch by batch, and computes figures of them.

    Args:
        loss: the loss that the model was trained with, for the likelihood; None leaves that out.

    Attributes:
        rows: what is kept of each row of the data set, by its number.
    """

    def __init__(self, loss: nn.Module | None = None) -> None:
        self.loss = loss
        self.rows: dict[int, Row] = {}

    @abstractmethod
    def update(self, batch: Any, prediction: Any, /) -> None:
        """Collect the prediction on one batch."""

    def add(self, index: int, row: Row) -> None:
        """Keep what was collected of one row of the data set."""
        self.rows[index] = row

    def gather(self) -> None:
        """Merge what the processes of a distributed run have collected; each has all of it then."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return
        parts: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(parts, self.rows)
        self.rows = {}
        for part in parts:
            for index, row in part.items():
                self.add(index, row)

    @abstractmethod
    def is_finite(self) -> bool:
        """Whether all that was predicted is finite; sigma may be unknown."""

    @abstractmethod
    def compute(self, costly: bool = True) -> dict[str, float]:
        """Every figure, by name; those that take long only if `costly`."""
