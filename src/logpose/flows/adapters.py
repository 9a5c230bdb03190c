"""Adapters of other libraries' densities: flows of zuko, distributions of torch and the like."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from logpose.flows.density import Density

__all__ = ["DistributionDensity", "as_density"]


REACHES = (10.0, 5.0, 2.5, 1.0)
"""Where points are clamped to, in turn, until their log-density is finite."""


class DistributionDensity(nn.Module):
    """The density of a `torch.distributions.Distribution` on R^D.

    Args:
        source: the distribution, or a module that returns one when it is called without arguments, as all of zuko's
            flows do (`zuko.flows.NSF(features=2)`): its parameters are then learned.
    """

    def __init__(self, source: nn.Module | Distribution) -> None:
        super().__init__()
        self.source = source

    def distribution(self) -> Any:
        """The distribution at the current values of the parameters."""
        return self.source if isinstance(self.source, Distribution) else self.source()

    def log_prob(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density at each point, in nats.

        Where a flow returns -inf far out (zuko's Gaussianization from about 5 on, in float32), it is evaluated at the
        point clamped to ±10, 5, …, the first at which it is finite, and decays from there as a Laplace density does.
        """
        distribution, near = self.distribution(), x
        log_p: Tensor = distribution.log_prob(near)
        for reach in REACHES:
            infinite = ~log_p.detach().isfinite()
            if not infinite.any():
                break
            near = torch.where(infinite[:, None], near.clamp(-reach, reach), near)
            log_p = distribution.log_prob(near)
        return log_p - (x - near).abs().sum(dim=-1)

    def sample(self, count: int) -> Float[Tensor, "N D"]:
        """`count` independent draws."""
        points: Tensor = self.distribution().sample((count,))
        return points


def as_density(source: Density | nn.Module | Distribution, dim: int) -> Density:
    """A source as a `Density`: unchanged if it has `log_prob` and `sample(count)`, else as a `DistributionDensity`.

    Args:
        source: a density, a torch distribution over vectors (its parameters are not learned), or a module that returns
            one when it is called.
        dim: D, the number of dimensions of its points.

    Raises:
        TypeError: if it is none of these.
        ValueError: if its points are not of D dimensions, or its methods return tensors of other shapes.
    """
    density, name = _wrapped(source), type(source).__name__
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            points = density.sample(3)
            shapes = tuple(points.shape), tuple(density.log_prob(points).shape)
        except Exception as error:
            raise ValueError(f"{name} is no density: {type(error).__name__}: {error}") from error
    if shapes != ((3, dim), (3,)):
        raise ValueError(
            f"{name} is no density in {dim} dimensions: sample(3) and log_prob of these have shapes "
            f"{shapes[0]} and {shapes[1]}, expected (3, {dim}) and (3,)"
        )
    return density


def _wrapped(source: Density | nn.Module | Distribution) -> Density:
    if isinstance(source, Distribution):
        distribution: Any = source
    elif isinstance(source, Density):
        return source
    else:
        with torch.no_grad():
            distribution = source() if isinstance(source, nn.Module) else None
    if isinstance(distribution, Distribution) and len(distribution.event_shape) == 1:
        return DistributionDensity(source)
    raise TypeError(
        f"{type(source).__name__} is no density: it needs log_prob((N, D)) -> (N,) and sample(count) -> (count, D), "
        "or must return a torch distribution over vectors when it is called without arguments"
    )
