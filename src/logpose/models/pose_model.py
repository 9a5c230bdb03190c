"""What every model carries: the skeleton, the crop size, the pixel normalisation, and the law of its errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from logpose import geometry
from logpose.geometry import PADDING
from logpose.models.backbones import IMAGENET_MEAN, IMAGENET_STD
from logpose.skeletons import Skeleton
from logpose.structures import ErrorLaw, InputError, Material, Prediction

__all__ = ["PoseModel", "SigmaHead"]

SIGMA_FLOOR = 1e-6
"""Least sigma, in crop coordinates (0.0002 pixels of 192): keeps its logarithm finite where the sigmoid underflows."""


COARSEST = 32
"""Pixels to a cell of the features of ResNets, and of an HRNet's coarsest branch."""


class SigmaHead(nn.Linear):
    """Sigma of every joint from averaged features: a linear layer and a sigmoid, so it lies in (0, 1) of the crop."""

    def __init__(self, channels: int, joints: int, dim: int) -> None:
        super().__init__(channels, joints * dim)
        self.dim = dim
        small_start(self)

    def forward(self, pooled: Float[Tensor, "B C"]) -> Float[Tensor, "B K D"]:
        """The scale of each joint along each dimension."""
        logits = super().forward(pooled).view(len(pooled), self.out_features // self.dim, self.dim)
        return SIGMA_FLOOR + (1 - SIGMA_FLOOR) * logits.sigmoid()


def small_start(layer: nn.Linear) -> None:
    """Start with a small gain: the first predictions are the crop's centre and sigma = 1/2, whatever the features."""
    nn.init.xavier_uniform_(layer.weight, gain=0.01)
    nn.init.zeros_(layer.bias)


class PoseModel(nn.Module, ABC):
    """Base of the models: crops in, `Prediction` out.

    Args:
        skeleton: the joints that are predicted.
        size: (H, W) of the crops it is made for.
        dim: D.
        padding: how much larger than a person's box the region is that its crops show.
        pixel_mean: subtracted from each channel (RGB in [0, 1]).
        pixel_std: what the difference is divided by.

    Raises:
        InputError: if there can be no such crops.

    Attributes:
        gives: what a loss can learn from.
    """

    gives: Material = "places"
    pixel_mean: Tensor
    pixel_std: Tensor
    law_mean: Tensor
    law_std: Tensor
    law_radius: Tensor

    def __init__(
        self,
        skeleton: Skeleton,
        size: tuple[int, int],
        dim: int = 2,
        padding: float = PADDING,
        pixel_mean: tuple[float, float, float] = IMAGENET_MEAN,
        pixel_std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        if not (all(1 <= side <= 8192 for side in size) and 0 < padding < 100 and dim >= 1):
            raise InputError(
                f"a model needs crops of 1 to 8,192 pixels a side, a padding above 0 and a dimension or more, "
                f"got {size}, {padding:g} and {dim}"
            )
        self.skeleton, self.size, self.dim, self.padding = skeleton, size, dim, padding
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(3, 1, 1))
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(3, 1, 1))
        law = ErrorLaw.unknown(dim)
        self.register_buffer("law_mean", law.mean)
        self.register_buffer("law_std", law.std)
        self.register_buffer("law_radius", law.radius)

    @property
    def law(self) -> ErrorLaw:
        """The density of standardised errors that the model was trained with, summarised."""
        return ErrorLaw(self.law_mean, self.law_std, self.law_radius)

    @torch.no_grad()
    def set_law(self, law: ErrorLaw) -> None:
        """Keep what the loss has learned of the errors, so that the loss itself can be dropped."""
        self.law_mean.copy_(law.mean)
        self.law_std.copy_(law.std)
        self.law_radius.copy_(law.radius)

    def normalised(self, images: UInt8[Tensor, "B 3 H W"] | Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Pixels as the backbone wants them, from 8-bit values or floats in [0, 1]."""
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        return (pixels - self.pixel_mean) / self.pixel_std

    @abstractmethod
    def forward(self, images: UInt8[Tensor, "B 3 H W"] | Float[Tensor, "B 3 H W"]) -> Prediction:
        """Predict every joint of every crop."""

    def _check_cells(self) -> None:
        """Refuse sizes of which a map's cells are not whole pixels, or an HRNet's branches do not fit each other."""
        if any(side % COARSEST for side in self.size):
            raise InputError(f"this network takes crops of multiples of {COARSEST} pixels a side, not {self.size}")

    def flip_average(self, prediction: Prediction, mirrored: Prediction) -> Prediction:
        """Flip test: what a prediction on crops and one on the mirrored crops say together."""
        return geometry.flip_average(prediction, mirrored, self.skeleton, self.size[1])

    def common_config(self) -> dict[str, Any]:
        """What every model's `config` tells."""
        return {
            "backbone": getattr(getattr(self, "backbone", None), "name", None),
            "skeleton": self.skeleton.to_dict(),
            "size": list(self.size),
            "padding": self.padding,
        }

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Plain values from which `checkpoint.build_model` makes the model again."""
