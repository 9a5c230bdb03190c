"""What heads share: layers in full precision, sigma and correlation from their logits, the prediction of them."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from logpose.core.errors import InputError
from logpose.core.structures import ErrorDistribution, Prediction

__all__ = ["SigmaHead", "checked_correlation", "correlation_of", "exactly", "prediction_of", "sigma_of", "small_start"]

SIGMA_FLOOR = 1e-6
"""Least sigma, in crop coordinates (0.0002 pixels of 192): keeps its logarithm finite where the sigmoid underflows."""
MOST_CORRELATED = 0.98
"""Largest correlation of errors along x and y: the shorter axis of an ellipse is a tenth of the longer."""


def exactly(layer: nn.Module, inputs: Tensor) -> Any:
    """A layer in its weights' precision also under autocast: in half, positions would come in coarse steps."""
    with torch.autocast(inputs.device.type, enabled=False):
        return layer(inputs.to(next(layer.parameters()).dtype))


def small_start(layer: nn.Linear) -> None:
    """Start with a small gain: the first predictions are the crop's centre and sigma = 1/2, whatever the features."""
    nn.init.xavier_uniform_(layer.weight, gain=0.01)
    nn.init.zeros_(layer.bias)


class SigmaHead(nn.Linear):
    """Sigma of every joint from averaged features: a linear layer and a sigmoid, so it lies in (0, 1) of the crop."""

    def __init__(self, channels: int, joints: int, dim: int) -> None:
        super().__init__(channels, joints * dim)
        self.dim = dim
        small_start(self)

    def forward(self, pooled: Float[Tensor, "B C"]) -> Float[Tensor, "B K D"]:
        """The scale of each joint along each dimension."""
        return sigma_of(super().forward(pooled).unflatten(1, (self.out_features // self.dim, self.dim)))  # type: ignore[no-untyped-call]


def sigma_of(logits: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
    """Sigma from its logits, in (0, 1)."""
    return SIGMA_FLOOR + (1 - SIGMA_FLOOR) * logits.sigmoid()


def correlation_of(logits: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
    """A correlation from its logits, in (-1, 1) and never so close to an end that a covariance is singular."""
    return MOST_CORRELATED * logits.tanh()


def checked_correlation(correlated: bool, predicts_sigma: bool, dim: int) -> bool:
    """Whether a correlation is predicted.

    Raises:
        InputError: if it is without sigma, or in other than two dimensions.
    """
    if correlated and not (predicts_sigma and dim == 2):
        raise InputError(f"a correlation needs sigma and two dimensions, got {dim}, sigma {predicts_sigma}")
    return correlated


def prediction_of(
    mu: Float[Tensor, "B K D"],
    sigma: Tensor | None,
    error_distribution: ErrorDistribution,
    maps: Tensor | None = None,
    **more: Tensor | None,
) -> Prediction:
    """Mu and sigma, with confidences of 1 - sigma; where sigma is not predicted, both are 1 everywhere.

    `more` are further fields of the prediction.
    """
    if sigma is None:
        sigma = torch.ones_like(mu)
        return Prediction(mu, sigma, sigma.mean(dim=-1), error_distribution, maps, **more)
    return Prediction(mu, sigma, 1 - sigma.mean(dim=-1), error_distribution, maps, **more)
