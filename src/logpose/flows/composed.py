"""Densities made of others, each of which changes one thing; RLE's G is composed of them."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.flows.density import Density

__all__ = ["Clamped", "LogDensity", "Mirrored", "Mixture", "Symmetric"]


@runtime_checkable
class LogDensity(Protocol):
    """What can be evaluated: the half of a `Density` that is needed of these."""

    def log_prob(self, x: Float[Tensor, "N D"], /) -> Float[Tensor, "N"]:
        """Log-density at each point, in nats."""
        ...


class Clamped(NamedTuple):
    """A density evaluated within ±`reach` only: a flow overflows at points that are further out.

    Beyond, its logarithm falls by `slope` per unit. Without a slope it is constant: it needs a Q that falls.
    """

    density: LogDensity
    reach: float
    slope: float = 0.0

    def log_prob(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density at each point."""
        near = x.clamp(-self.reach, self.reach)
        log_p = self.density.log_prob(near)
        return log_p - self.slope * (x - near).abs().sum(dim=-1) if self.slope else log_p


class Mixture(NamedTuple):
    """`1 - share` parts of a density and `share` parts of another."""

    density: LogDensity
    other: LogDensity
    share: float

    def log_prob(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density at each point."""
        log_p, log_other = self.density.log_prob(x), self.other.log_prob(x)
        return torch.logaddexp(log_p + math.log1p(-self.share), log_other + math.log(self.share))


class Mirrored(NamedTuple):
    """The density of -x."""

    density: Density

    def log_prob(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density at each point."""
        return self.density.log_prob(-x)

    def sample(self, count: int) -> Float[Tensor, "N D"]:
        """`count` independent draws."""
        return -self.density.sample(count)


class Symmetric(NamedTuple):
    """½ (G(x) + G(-x)): its mean is exactly 0."""

    density: LogDensity

    def log_prob(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density at each point."""
        return torch.logaddexp(self.density.log_prob(x), self.density.log_prob(-x)) - math.log(2)
