"""Densities made elsewhere, as a loss wants them: zuko's flows, distributions of torch, anything alike."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from logpose.flows.density import Density

__all__ = ["DistributionDensity", "as_density"]


REACHES = (10.0, 5.0, 2.5, 1.0)


class DistributionDensity(nn.Module):
    """A density that is given by a `torch.distributions.Distribution` on R^D.

    Args:
        source: the distribution, or a module that makes one when it is called without arguments, as all of zuko's
            flows do (`zuko.flows.NSF(features=2)`): its parameters are then learned.
    """

    def __init__(self, source: nn.Module | Distribution) -> None:
        super().__init__()
        self.source = source

    def distribution(self) -> Any:
        """The distribution as the parameters now have it."""
        return self.source if isinstance(self.source, Distribution) else self.source()

    def log_prob(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density at each point, in nats.

        Some flows have no number for points far out (zuko's Gaussianization says -inf from about 5 on, in float32).
        Such points are drawn in, to 10, 5, … from the origin in each dimension, until there is one, and charged for
        the way: the density falls off beyond as a Laplace one does.
        """
        made, given = self.distribution(), x
        density: Tensor = made.log_prob(x)
        for reach in REACHES:
            lost = ~density.detach().isfinite()
            if not lost.any():
                break
            x = torch.where(lost[:, None], x.clamp(-reach, reach), x)
            density = made.log_prob(x)
        return density - (given - x).abs().sum(dim=-1)

    def sample(self, count: int) -> Float[Tensor, "N D"]:
        """`count` independent draws."""
        drawn: Tensor = self.distribution().sample((count,))
        return drawn


def as_density(source: Density | nn.Module | Distribution, dim: int) -> Density:
    """What is given as a `Density`: itself where it has `log_prob` and `sample(count)`, else in a thin shell.

    Args:
        source: a density, a torch distribution over vectors (its parameters are left as they are), or a module that
            makes one when it is called.
        dim: D of the points that it is to be of.

    Raises:
        TypeError: if it is none of these.
        ValueError: if it is of other points, or does not answer as a density does.
    """
    density = _wrapped(source)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            points = density.sample(3)
            heights = density.log_prob(points)
            shapes = tuple(points.shape), tuple(heights.shape)
        except Exception as error:
            raise ValueError(
                f"{type(source).__name__} does not answer as a density: {type(error).__name__}: {error}"
            ) from error
    if shapes != ((3, dim), (3,)):
        wanted = f"sample(3) of shape (3, {dim}) and log_prob of these of shape (3,)"
        raise ValueError(
            f"{type(source).__name__} is no density in {dim} dimensions: {wanted} are needed, not {shapes}"
        )
    return density


def _wrapped(source: Density | nn.Module | Distribution) -> Density:
    if isinstance(source, Distribution):
        if len(source.event_shape) != 1:
            raise TypeError(f"a density on R^D is needed, this distribution's events are {tuple(source.event_shape)}")
        return DistributionDensity(source)
    if isinstance(source, Density):
        return source
    if isinstance(source, nn.Module):
        with torch.no_grad():
            made = source()
        if isinstance(made, Distribution) and len(made.event_shape) == 1:
            return DistributionDensity(source)
    raise TypeError(
        f"{type(source).__name__} is no density: it needs log_prob((N, D)) -> (N,) and sample(count) -> (count, D), "
        "or must make a torch distribution over vectors when it is called without arguments"
    )
