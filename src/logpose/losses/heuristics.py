"""Training heuristics of `normalized` RLE. They change gradients, not the value of the loss, and are no likelihood."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.losses.numerics import weighted_mean

__all__ = ["regularise_scale", "reweight_gradient"]


def reweight_gradient(
    mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"], weight: Float[Tensor, "B K"], power: float
) -> Float[Tensor, "B K D"]:
    """Gradient reweighting: the same mu, whose gradient is multiplied by (sigma / typical sigma) ** power.

    The gradient of a likelihood with respect to mu goes with 1 / sigma: joints of small sigma dominate, and those of
    large sigma are learned last (beta-NLL, Seitzer et al. 2022). With a power of 1 all joints weigh alike, as under L1.
    Typical is the batch's geometric mean, so that the gradient keeps its overall size.
    """
    if not power:
        return mu
    sigma = sigma.detach()
    typical = weighted_mean(sigma.log().mean(dim=-1), weight).exp()
    return mu.detach() + (mu - mu.detach()) * (sigma / typical) ** power


def regularise_scale(
    mu: Float[Tensor, "B K D"],
    sigma: Float[Tensor, "B K D"],
    target: Float[Tensor, "B K D"],
    weight: Float[Tensor, "B K"],
    median: float | None,
) -> Float[Tensor, "B K"] | float:
    """Scale regulariser: 0, with a gradient that lowers sigma where most errors are below `median` sigmas.

    A narrow density with a large sigma has the same likelihood as a wide one with a small sigma, so nothing else
    determines the size of sigma: it would stay close to where it started, and the flow would have to learn its width.
    """
    if median is None:
        return 0.0
    beyond = ((target - mu).abs() > median * sigma).to(sigma.dtype).detach()
    share = torch.stack([weighted_mean(of_dimension, weight) for of_dimension in beyond.unbind(dim=-1)])
    return ((1 - 2 * share).clamp_min(0) * (sigma.log() - sigma.log().detach())).sum(dim=-1)
