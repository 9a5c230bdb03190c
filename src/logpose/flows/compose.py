"""Densities made of others. They hold no parameters: those are their parts'."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.flows.density import Density, NamedDensity, density_from_config

__all__ = ["Clamped", "Mirrored", "Mixture", "Symmetric", "random_side"]


class _Composed(NamedDensity):
    """A density made of another one, an argument `density`."""

    nested: ClassVar = {"density": density_from_config, "other": density_from_config}


class Mirrored(_Composed):
    """G(-x).

    Args:
        density: G.
    """

    def __init__(self, density: Density) -> None:
        self.density = density

    def log_prob(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density at each point, in nats."""
        return self.density.log_prob(-x)

    def sample(self, count: int) -> Float[Tensor, "N D"]:
        """`count` independent draws."""
        return -self.density.sample(count)


class Symmetric(_Composed):
    """½ (G(x) + G(-x)): its mean is 0.

    Args:
        density: G.
    """

    def __init__(self, density: Density) -> None:
        self.density = density

    def log_prob(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density at each point, in nats."""
        return torch.logaddexp(self.density.log_prob(x), self.density.log_prob(-x)) - math.log(2)

    def sample(self, count: int) -> Float[Tensor, "N D"]:
        """`count` independent draws."""
        return random_side(self.density.sample(count))


class Mixture(_Composed):
    """(1 - share) G(x) + share H(x).

    Args:
        density: G.
        other: H.
        share: between 0 and 1.
    """

    def __init__(self, density: Density, other: Density, share: float = 1 / 1024) -> None:
        self.density, self.other, self.share = density, other, share

    def log_prob(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density at each point, in nats."""
        log_g, log_h = self.density.log_prob(x), self.other.log_prob(x)
        return torch.logaddexp(log_g + math.log1p(-self.share), log_h + math.log(self.share))

    def sample(self, count: int) -> Float[Tensor, "N D"]:
        """`count` independent draws."""
        points = self.density.sample(count)
        of_other = torch.rand(count, 1, device=points.device) < self.share
        return torch.where(of_other, self.other.sample(count).to(points), points)


class Clamped(_Composed):
    """G, evaluated within ±`reach` in each dimension: flows overflow at points that are far out.

    Args:
        density: G.
        reach: beyond it the density stays constant (which is enough in a product with another
            density), or decays.
        decays: whether it falls off as a Laplace density there, so that its gradient leads back.
    """

    def __init__(self, density: Density, reach: float = 1e4, decays: bool = False) -> None:
        self.density, self.reach, self.decays = density, reach, decays

    def log_prob(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density at each point, in nats."""
        near = x.clamp(-self.reach, self.reach)
        log_g = self.density.log_prob(near)
        return log_g - (x - near).abs().sum(dim=-1) if self.decays else log_g

    def sample(self, count: int) -> Float[Tensor, "N D"]:
        """`count` independent draws of G."""
        return self.density.sample(count)


def random_side(x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """Each point or its opposite, with equal probability."""
    return x.where(torch.rand_like(x[:, :1]) < 0.5, -x)
