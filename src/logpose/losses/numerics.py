"""Arithmetic that losses share: which labels count, precision, weighted means."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "LARGEST_COORDINATE",
    "LEAST_SIGMA",
    "autocast_disabled",
    "joint_weight",
    "masked",
    "upcast",
    "weighted_mean",
    "whitened",
    "without_correlation",
]

LEAST_SIGMA = 1e-6
"""Smaller scales count as this: their logarithm and their inverse stay finite where a sigmoid underflows to 0."""
LARGEST_COORDINATE = 1e6
"""Labels are clamped to ± this (a million crops away): squares of any error stay finite."""


def joint_weight(
    target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"] | Float[Tensor, "B K D"] | None
) -> Float[Tensor, "B K"]:
    """Weight of each joint: the least of its dimensions'; 0 where that is negative, or it or the label is not finite.

    Raises:
        ValueError: if the weights are of another shape than joints or labels.
    """
    if weight is None:
        weight = target.new_ones(target.shape[:2])
    if weight.shape not in (target.shape, target.shape[:2]):
        raise ValueError(f"weight must be of shape (B, K) or (B, K, D), got {tuple(weight.shape)}")
    if weight.ndim == target.ndim:
        weight = weight.amin(dim=-1)
    return torch.where(target.isfinite().all(dim=-1) & weight.isfinite() & (weight > 0), weight, 0)


def upcast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor in a wider dtype; gradients, which go with 1 / sigma, are clamped on their way back to float16."""
    wide = tensor.to(dtype)
    if tensor.dtype == torch.float16 and wide.requires_grad:
        largest = torch.finfo(torch.float16).max
        wide.register_hook(lambda g: g.clamp(-largest, largest))  # type: ignore[no-untyped-call]
    return wide


def masked(
    target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"], mu: Float[Tensor, "B K D"]
) -> Float[Tensor, "B K D"]:
    """Labels, replaced by the prediction where the weight is 0 (0 times NaN would still be NaN), and clamped."""
    return torch.where((weight > 0)[..., None], target.clamp(-LARGEST_COORDINATE, LARGEST_COORDINATE), mu.detach())


def whitened(
    mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"], x: Float[Tensor, "B K D"], r: Float[Tensor, "B K"] | None
) -> tuple[Float[Tensor, "B K D"], Float[Tensor, "B K"] | float]:
    """Positions whose standardised errors about mu are L^-1 of those of `x`, and the logarithm of L's determinant.

    L = [[1, 0], [r, sqrt(1 - r²)]] is the Cholesky factor of the correlation r. Differentiable in all: a loss of the
    returned positions has the gradients of one of L^-1 ((x - mu) / sigma). With r None that is `x`, and 0.

    Raises:
        ValueError: if r is given in other than two dimensions.
    """
    if r is None:
        return x, 0.0
    if mu.shape[-1] != 2:
        raise ValueError(f"a correlation is of two dimensions, not of {mu.shape[-1]}")
    rest = (1 - r.square()).sqrt()
    along_x, along_y = ((x - mu) / sigma).unbind(dim=-1)
    error = torch.stack([along_x, (along_y - r * along_x) / rest], dim=-1)
    return mu + sigma * error, rest.log()


def without_correlation(loss: object, correlation: Tensor | None) -> None:
    """Refuse a correlation.

    Raises:
        ValueError: if one is given.
    """
    if correlation is not None:
        raise ValueError(f"{type(loss).__name__} has no correlation of errors along x and y")


def weighted_mean(values: Float[Tensor, "B K"], weight: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
    """Mean by weight; 0, with a gradient of 0, where all weights are."""
    return (values * weight).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)


def autocast_disabled(device: torch.device) -> torch.autocast:
    """A context without autocast: likelihoods are differences of large logarithms, and half precision loses them."""
    return torch.autocast(device.type, enabled=False)
