"""The predictive distribution of every joint: mu + scale × e, with e of the density of standardised errors."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from logpose.core.structures import LEVELS, ErrorDistribution
from logpose.losses.cache import fixed_randomness
from logpose.losses.numerics import LEAST_SIGMA, autocast_disabled, weighted_quantile

__all__ = ["ERROR_DRAWS", "Distribution", "ErrorDensity", "Region", "check_level", "moments_and_radii"]

log = logging.getLogger("logpose")

ERROR_DRAWS = 32_768
"""Errors from which a density's moments and radii are estimated: a relative error of about 0.7 % in each."""
FEW_DRAWS = 300
"""Effective sample size below which a warning is logged: a relative error of 4 % and more."""
SAMPLE_CHUNK = 2**18
"""Positions drawn at once, which bounds the memory that is needed beside the sample itself."""


@runtime_checkable
class ErrorDensity(Protocol):
    """What a predictive distribution needs of a loss."""

    @property
    def device(self) -> torch.device:
        """Device of its parameters."""
        ...

    def upcast(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Tensors of one shape (B, K, D), in the precision of the loss."""
        ...

    def log_prob(
        self, mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"], x: Float[Tensor, "B K D"]
    ) -> Float[Tensor, "B K"]:
        """Log-density of each joint at `x`."""
        ...

    def error_log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density of standardised errors."""
        ...

    def error_draws(self, count: int) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """A weighted sample of standardised errors."""
        ...

    def error_distribution(self) -> ErrorDistribution:
        """Moments and radii of the density of standardised errors."""
        ...


@dataclass(frozen=True)
class Distribution:
    """Independent joints at mu + scale × e, with e of the loss's density of standardised errors."""

    mu: Float[Tensor, "B K D"]
    scale: Float[Tensor, "B K D"]
    loss: ErrorDensity

    def log_prob(self, x: Float[Tensor, "*S B K D"]) -> Float[Tensor, "*S B K"]:
        """Log-density, in nats, of each joint at `x`, or at each of several positions, of the shape of a `sample`."""
        if x.ndim > self.mu.ndim:
            return torch.stack([self.log_prob(position) for position in x])
        return self.loss.log_prob(self.mu, self.scale, x)

    @torch.no_grad()
    def sample(self, count: int) -> Float[Tensor, "S B K D"]:
        """`count` positions of every joint."""
        wanted = count * self.mu[..., 0].numel()
        parts = []
        for start in range(0, wanted, SAMPLE_CHUNK):
            size = min(SAMPLE_CHUNK, wanted - start)
            with autocast_disabled(self.mu.device):
                error, weight = self.loss.error_draws(max(ERROR_DRAWS, 4 * size))
            # Resampling by weight turns a weighted sample into a plain one. With replacement: without it, points of
            # large weight would be used up and the sample would be too wide.
            parts.append(error[torch.multinomial(weight, size, replacement=True)])
        errors = torch.cat(parts) if parts else self.mu.new_empty(0)
        return self.mu + self.scale * errors.view(count, *self.mu.shape)

    @property
    def mean(self) -> Float[Tensor, "B K D"]:
        """Expected position of every joint."""
        return self.mu + self.scale * self.loss.error_distribution().mean

    @property
    def std(self) -> Float[Tensor, "B K D"]:
        """Standard deviation of every joint's position."""
        return self.scale * self.loss.error_distribution().std

    @torch.no_grad()
    def region(self, level: float) -> Region:
        """The smallest region of every joint that contains the share `level` of its probability.

        Raises:
            ValueError: if `level` is not between 0 and 1.
        """
        check_level(level)
        with autocast_disabled(self.mu.device), fixed_randomness(self.loss.device):
            error, weight = self.loss.error_draws(ERROR_DRAWS)
            threshold = weighted_quantile(self.loss.error_log_prob(error), weight, (1 - level,))
            (scale,) = self.loss.upcast(self.scale.clamp_min(LEAST_SIGMA))
        return Region(self, threshold - scale.log().sum(dim=-1))


@dataclass(frozen=True)
class Region:
    """Where each joint's density is above a threshold: the highest-density region of one level."""

    distribution: Distribution
    threshold: Float[Tensor, "B K"]
    """Least log-density of a position inside the region."""

    @torch.no_grad()
    def contains(self, x: Float[Tensor, "*S B K D"]) -> Bool[Tensor, "*S B K"]:
        """Whether each joint's position `x`, or each of several, lies in its region."""
        return self.distribution.log_prob(x) >= self.threshold


def check_level(level: float) -> None:
    """Refuse a level that is no share.

    Raises:
        ValueError: if `level` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level:g}")


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
