"""The integral of Q G, which is 1 / s: random points and their density (importance sampling of Eq. 15)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.flows import Density, DistributionDensity, PlainRealNVP, SimpleDensity
from logpose.flows.composed import Mirrored
from logpose.flows.packed import CHUNK
from logpose.flows.simple import gaussian_log_prob

__all__ = ["Proposal", "log_mean", "proposal", "random_side"]

WIDTHS = (1.0, 0.5, 0.25, 0.125, 0.0625)
"""Scales, relative to Q's, of the densities that are sampled where the flow's own draws cannot be relied on."""
FEW_DIMENSIONS = 3
"""Up to which ½ (Q + G) is enough: of a trained flow half of its points have weight there, in eight a 300th."""
TEMPERATURES, NARROWED = (1.0, 0.7, 0.5), (1.0, 0.5, 0.25)
"""Standard deviations of the flow's noise, and scales relative to Q's, of the densities sampled in more dimensions."""


class Halves(NamedTuple):
    """½ (Q + G): the weights Q G / ½ (Q + G) are at most twice the smaller of the two densities."""

    flow: Density
    q: SimpleDensity
    share: float

    def sample(self, count: int, like: Tensor) -> Float[Tensor, "N D"]:  # noqa: ARG002
        """`count` points."""
        with torch.no_grad():
            of_flow = self.flow.sample(round(count / 2 * (1 - self.share)))
            return torch.cat([self.q.sample(count - len(of_flow), of_flow), of_flow])

    def log_density(self, points: Tensor, log_q: Tensor, log_g: Tensor) -> Tensor:  # noqa: ARG002
        """Log-density of the proposal at the points, given those of Q and G."""
        return torch.logaddexp(log_q, log_g) - math.log(2)


class Narrowed(NamedTuple):
    """Q and G and narrower versions of both: in many dimensions draws of Q or G hardly ever lie where Q G is large.

    G is made narrower in the flow's noise: z of N(0, t²) instead of N(0, 1) is mapped to x = f(z).
    """

    flow: PlainRealNVP
    q: SimpleDensity

    @staticmethod
    def counts(total: int) -> list[int]:
        """How many of the points are drawn from each of the densities."""
        parts = len(TEMPERATURES) + len(NARROWED)
        return [total // parts + (part < total % parts) for part in range(parts)]

    def sample(self, count: int, like: Tensor) -> Float[Tensor, "N D"]:
        """Four times `count` points."""
        with torch.no_grad():
            counts = self.counts(4 * count)
            temperatures = zip(TEMPERATURES, counts, strict=False)
            noise = torch.cat([t * torch.randn(n, self.q.dim).to(like) for t, n in temperatures])
            widths = zip(NARROWED, counts[len(TEMPERATURES) :], strict=True)
            of_q = [self.q.scaled(width).sample(n, like) for width, n in widths]
            return torch.cat([*[self.flow(part) for part in torch.split(noise, CHUNK)], *of_q])

    def log_density(self, points: Tensor, log_q: Tensor, log_g: Tensor) -> Tensor:  # noqa: ARG002
        """Log-density of the proposal at the points."""
        with torch.no_grad():
            pairs = [self.flow.inverse(part) for part in torch.split(points, CHUNK)]
            z, log_det = (torch.cat(part) for part in zip(*pairs, strict=True))
            each = [gaussian_log_prob(z, t).sum(dim=-1) + log_det for t in TEMPERATURES]
            each += [self.q.scaled(width).log_prob(points) for width in NARROWED]
            share = points.new_tensor(self.counts(len(points))) / len(points)
            return (torch.stack(each, dim=-1) + share.log()).logsumexp(dim=-1)


class Widths(NamedTuple):
    """Q and narrower versions of it: needs nothing of the flow but its density.

    Some flows' draws accumulate at ±10, where a search for their inverse ends (zuko's Gaussianization and NAF).
    """

    q: SimpleDensity

    def sample(self, count: int, like: Tensor) -> Float[Tensor, "N D"]:
        """`count` points."""
        with torch.no_grad():
            width = like.new_tensor(WIDTHS)[torch.arange(count, device=like.device) % len(WIDTHS)]
            return self.q.sample(count, like) * width[:, None]

    def log_density(self, points: Tensor, log_q: Tensor, log_g: Tensor) -> Tensor:  # noqa: ARG002
        """Log-density of the proposal at the points."""
        each = [self.q.scaled(width).log_prob(points) for width in WIDTHS]
        return torch.stack(each).logsumexp(dim=0) - math.log(len(WIDTHS))


Proposal = Halves | Narrowed | Widths
"""Random points, of the device and dtype of `like`, and their density."""


def proposal(flow: Density, q: SimpleDensity, share: float) -> Proposal:
    """What to sample for the integral of Q G, G being the flow with a share of Q."""
    if isinstance(flow.density if isinstance(flow, Mirrored) else flow, DistributionDensity):
        return Widths(q)
    if isinstance(flow, PlainRealNVP) and q.dim > FEW_DIMENSIONS:
        return Narrowed(flow, q)
    return Halves(flow, q, share)


def log_mean(log_weight: Float[Tensor, "N"]) -> Float[Tensor, ""]:
    """Logarithm of the mean of importance weights: of Q G over the proposal, an estimate of the integral of Q G."""
    return log_weight.logsumexp(dim=0) - math.log(len(log_weight))


def random_side(x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """Each point or its opposite, with equal probability."""
    return x.where(torch.rand_like(x[:, :1]) < 0.5, -x)
