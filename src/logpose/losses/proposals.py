"""The integral of Q G, which is 1 / s: random points and their density (importance sampling of Eq. 15)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.flows import Density, DistributionDensity, Mirrored, PlainRealNVP, SimpleDensity
from logpose.flows.packed import CHUNK
from logpose.flows.simple import gaussian_log_prob

__all__ = ["Product", "Proposal", "log_mean"]

WIDTHS = (1.0, 0.5, 0.25, 0.125, 0.0625)
"""Scales, relative to Q's, of the densities that are sampled where the flow's own draws cannot be relied on."""
FEW_DIMENSIONS = 3
"""Up to which ½ (Q + G) is enough: of a trained flow half of its points have weight there, in eight a 300th."""
TEMPERATURES, NARROWED = (1.0, 0.7, 0.5), (1.0, 0.5, 0.25)
"""Standard deviations of the flow's noise, and scales relative to Q's, of the densities sampled in more dimensions."""


class Proposal(ABC):
    """Random points of a known density.

    Args:
        flow: G without its share of Q.
        q: Q.
        share: of Q in G.

    Attributes:
        times: number of points drawn for each that is asked for.
    """

    times: ClassVar[int] = 1

    def __init__(self, flow: Density, q: SimpleDensity, share: float) -> None:
        self.flow, self.q, self.share = flow, q, share

    @abstractmethod
    def sample(self, count: int, like: Tensor) -> Float[Tensor, "N D"]:
        """`count` times `times` points, of the device and dtype of `like`."""

    @abstractmethod
    def log_density(
        self, points: Float[Tensor, "N D"], log_q: Float[Tensor, "N"], log_g: Float[Tensor, "N"]
    ) -> Float[Tensor, "N"]:
        """Log-density of the proposal at the points, given those of Q and G."""


class _Halves(Proposal):
    """½ (Q + G): the weights Q G / ½ (Q + G) are at most twice the smaller of the two densities."""

    def sample(self, count: int, like: Tensor) -> Float[Tensor, "N D"]:  # noqa: ARG002
        with torch.no_grad():
            of_flow = self.flow.sample(round(count / 2 * (1 - self.share)))
            return torch.cat([self.q.sample(count - len(of_flow), of_flow), of_flow])

    def log_density(self, points: Tensor, log_q: Tensor, log_g: Tensor) -> Tensor:  # noqa: ARG002
        return torch.logaddexp(log_q, log_g) - math.log(2)


class _Narrowed(Proposal):
    """Q and G and narrower versions of both: in many dimensions draws of Q or G hardly ever lie where Q G is large.

    G is made narrower in the flow's noise: z of N(0, t²) instead of N(0, 1) is mapped to x = f(z).
    """

    times = 4

    def __init__(self, flow: PlainRealNVP, q: SimpleDensity, share: float) -> None:
        super().__init__(flow, q, share)
        self.realnvp = flow
        self.narrowed = [SimpleDensity(q.base, q.dim, q.scale * factor) for factor in NARROWED]

    def _counts(self, count: int) -> list[int]:
        parts = len(TEMPERATURES) + len(NARROWED)
        return [count // parts + (part < count % parts) for part in range(parts)]

    def sample(self, count: int, like: Tensor) -> Float[Tensor, "N D"]:
        with torch.no_grad():
            counts = self._counts(self.times * count)
            temperatures = zip(TEMPERATURES, counts, strict=False)
            noise = torch.cat([t * torch.randn(n, self.q.dim).to(like) for t, n in temperatures])
            of_q = [q.sample(n, like) for q, n in zip(self.narrowed, counts[len(TEMPERATURES) :], strict=True)]
            return torch.cat([*[self.realnvp(part) for part in torch.split(noise, CHUNK)], *of_q])

    def log_density(self, points: Tensor, log_q: Tensor, log_g: Tensor) -> Tensor:  # noqa: ARG002
        with torch.no_grad():
            pairs = [self.realnvp.inverse(part) for part in torch.split(points, CHUNK)]
            z, log_det = (torch.cat(part) for part in zip(*pairs, strict=True))
            each = [gaussian_log_prob(z, t).sum(dim=-1) + log_det for t in TEMPERATURES]
            each += [q.log_prob(points) for q in self.narrowed]
            share = points.new_tensor(self._counts(len(points))) / len(points)
            return (torch.stack(each, dim=-1) + share.log()).logsumexp(dim=-1)


class _Widths(Proposal):
    """Q and narrower versions of it: needs nothing of the flow but its density.

    Some flows of other libraries invert themselves by a search that ends at ±10 (zuko's Gaussianization and neural
    autoregressive ones): their draws accumulate there, where their own density is about 0.
    """

    def sample(self, count: int, like: Tensor) -> Float[Tensor, "N D"]:
        with torch.no_grad():
            width = like.new_tensor(WIDTHS)[torch.arange(count, device=like.device) % len(WIDTHS)]
            return self.q.sample(count, like) * width[:, None]

    def log_density(self, points: Tensor, log_q: Tensor, log_g: Tensor) -> Tensor:  # noqa: ARG002
        each = [SimpleDensity(self.q.base, self.q.dim, self.q.scale * width).log_prob(points) for width in WIDTHS]
        return torch.stack(each).logsumexp(dim=0) - math.log(len(WIDTHS))


class Product:
    """The product Q G, and weighted points that follow it.

    Args:
        flow: the flow in G.
        q: Q.
        g: G.
        share: of Q in G.
        mirrored: whether G evaluates the flow at minus the error.
    """

    def __init__(self, flow: Density, q: SimpleDensity, g: Density, share: float, mirrored: bool) -> None:
        self.q, self.g = q, g
        side = Mirrored(flow) if mirrored else flow
        if isinstance(flow, DistributionDensity):
            self.proposal: Proposal = _Widths(side, q, share)
        elif isinstance(flow, PlainRealNVP) and q.dim > FEW_DIMENSIONS:
            self.proposal = _Narrowed(flow, q, share)
        else:
            self.proposal = _Halves(side, q, share)

    def log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """log Q + log G, which is not normalised."""
        return self.q.log_prob(error) + self.g.log_prob(error)

    def with_points(
        self, error: Float[Tensor, "N D"], count: int
    ) -> tuple[Float[Tensor, "N"], Float[Tensor, "M D"], Float[Tensor, "M"]]:
        """`log_prob` of errors, and random points with their log importance weights: all in one pass of the flow."""
        points = self.proposal.sample(count, error)
        both = torch.cat([error, points])
        log_q, log_g = self.q.log_prob(both), self.g.log_prob(both)
        log_qg, rest = log_q + log_g, slice(len(error), None)
        log_r = self.proposal.log_density(points, log_q[rest], log_g[rest]).detach()
        return log_qg[: len(error)], points, log_qg[rest] - log_r

    def points(self, count: int, like: Tensor) -> tuple[Float[Tensor, "M D"], Float[Tensor, "M"]]:
        """Random points with their log importance weights, of the device and dtype of `like`."""
        _, points, log_weight = self.with_points(like.new_empty(0, self.q.dim), count)
        return points, log_weight


def log_mean(log_weight: Float[Tensor, "N"]) -> Float[Tensor, ""]:
    """Logarithm of the mean of importance weights: of Q G over the proposal, an estimate of the integral of Q G."""
    return log_weight.logsumexp(dim=0) - math.log(len(log_weight))
