"""The summary of a density of standardised errors: moments, and radii of the regions of `LEVELS`."""

from __future__ import annotations

import logging

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.core.structures import LEVELS, ErrorDistribution

__all__ = ["ERROR_DRAWS", "moments_and_radii", "weighted_quantile"]

log = logging.getLogger("logpose")

ERROR_DRAWS = 32_768
"""Errors from which a density's moments and radii are estimated: a relative error of about 0.7 % in each."""
FEW_DRAWS = 300
"""Effective sample size below which a warning is logged: a relative error of 4 % and more."""


def moments_and_radii(
    error: Float[Tensor, "N D"], weight: Float[Tensor, "N"], symmetric: bool, name: str
) -> ErrorDistribution:
    """The summary of a weighted sample of standardised errors that inference keeps of a density.

    Args:
        error: the sample.
        weight: of each error, with a sum of 1.
        symmetric: whether the density is known to be symmetric, so that its mean is exactly 0.
        name: of the loss, for the warning that is logged where few errors have all the weight.
    """
    if (effective := float(1 / weight.square().sum())) < FEW_DRAWS:
        log.warning("%s: standard deviations and regions have an effective sample size of %.0f only", name, effective)
    if symmetric:
        error, weight = torch.cat([error, -error]), torch.cat([weight, weight]) / 2
    mean = (weight[:, None] * error).sum(dim=0)
    std = (weight[:, None] * (error - mean).square()).sum(dim=0).sqrt()
    apart = ((error - mean) / std).abs()
    bands = torch.stack([weighted_quantile(along, weight, LEVELS) for along in apart.unbind(dim=-1)], dim=-1)
    return ErrorDistribution(mean, std, weighted_quantile(apart.square().sum(dim=-1).sqrt(), weight, LEVELS), bands)


def weighted_quantile(
    values: Float[Tensor, "N"], weight: Float[Tensor, "N"], levels: tuple[float, ...]
) -> Float[Tensor, "L"]:
    """The values below which the given shares of the total weight lie."""
    order = values.argsort()
    below = weight[order].cumsum(0)
    wanted = torch.tensor(levels, device=below.device, dtype=below.dtype) * below[-1]
    return values[order][torch.searchsorted(below, wanted).clamp_max(len(values) - 1)]
