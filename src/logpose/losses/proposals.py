"""Where the integral of Q G is looked at: points, and how densely they lie there (importance sampling of Eq. 15)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.flows import Density, DistributionDensity, RealNVP
from logpose.flows.realnvp import CHUNK
from logpose.losses.fixed import BASES, gaussian_log_prob

__all__ = ["Proposal", "log_mean", "proposal_for"]

SHRUNK = (1.0, 0.5, 0.25, 0.125, 0.0625)
"""How wide, beside Q, the densities are whose points are taken where the flow's own cannot be trusted."""
FEW = 3
"""Dimensions up to which ½ (Q + G) is enough: of a trained flow half of its points count there, in eight a 300th."""
COOLED, NARROWED = (1.0, 0.7, 0.5), (1.0, 0.5, 0.25)
"""How far the flow's noise spreads, and how wide Q is, of what points are taken from in more dimensions."""


class Proposal(ABC):
    """Random points with a known density.

    Attributes:
        times: how many points it takes where one is asked for.

    Args:
        base: Q, by its name among `fixed.BASES`.
        width: of Q.
        floor: share of Q in G.
        sign: -1 where G is asked at minus the error.
    """

    times: ClassVar[int] = 1

    def __init__(self, base: str, width: float, floor: float, sign: float) -> None:
        self.log_prob, self.draws = BASES[base]
        self.width, self.floor, self.sign = width, floor, sign

    @abstractmethod
    def points(self, flow: Density, count: int, like: Float[Tensor, "M D"]) -> Float[Tensor, "N D"]:
        """`count` points, of the dimensions, on the device and in the precision of others."""

    @abstractmethod
    def log_density(
        self, flow: Density, points: Float[Tensor, "N D"], log_q: Float[Tensor, "N"], log_g: Float[Tensor, "N"]
    ) -> Float[Tensor, "N"]:
        """How densely these points lie there, given the log-densities of Q and G."""


class _Halves(Proposal):
    """½ (Q + G): whichever is the narrower, weights Q G / ½ (Q + G) are at most twice the smaller of the two."""

    @torch.no_grad()
    def points(self, flow: Density, count: int, like: Float[Tensor, "M D"]) -> Float[Tensor, "N D"]:
        of_flow = self.sign * flow.sample(round(count / 2 * (1 - self.floor)))
        return torch.cat([self.draws(count - len(of_flow), like.shape[-1], of_flow) * self.width, of_flow])

    def log_density(self, flow: Density, points: Tensor, log_q: Tensor, log_g: Tensor) -> Tensor:  # noqa: ARG002
        return torch.logaddexp(log_q, log_g) - math.log(2)


class _Narrowed(Proposal):
    """Q and G, and both made narrower: in many dimensions Q G lies where either alone hardly ever has a point.

    G is made narrower in the flow's noise: z of N(0, t²) instead of N(0, 1) is brought to x = f(z).
    """

    times = 4

    def _counts(self, count: int) -> list[int]:
        parts = len(COOLED) + len(NARROWED)
        return [count // parts + (part < count % parts) for part in range(parts)]

    @torch.no_grad()
    def points(self, flow: Density, count: int, like: Float[Tensor, "M D"]) -> Float[Tensor, "N D"]:
        assert isinstance(flow, RealNVP)
        counts, dim = self._counts(count), like.shape[-1]
        noise = [t * torch.randn(n, dim).to(like) for t, n in zip(COOLED, counts, strict=False)]
        of_q = [self.draws(n, dim, like) * q for q, n in zip(NARROWED, counts[len(COOLED) :], strict=True)]
        of_flow = self.sign * torch.cat([flow(part) for part in torch.split(torch.cat(noise), CHUNK)])
        return torch.cat([of_flow, self.width * torch.cat(of_q)])

    @torch.no_grad()
    def log_density(self, flow: Density, points: Tensor, log_q: Tensor, log_g: Tensor) -> Tensor:  # noqa: ARG002
        assert isinstance(flow, RealNVP)
        pairs = [flow.inverse(self.sign * part) for part in torch.split(points, CHUNK)]
        z, log_det = (torch.cat(part) for part in zip(*pairs, strict=True))
        each = [gaussian_log_prob(z, t).sum(dim=-1) + log_det for t in COOLED]
        each += [self.log_prob(points, self.width * q).sum(dim=-1) for q in NARROWED]
        share = points.new_tensor(self._counts(len(points))) / len(points)
        return (torch.stack(each, dim=-1) + share.log()).logsumexp(dim=-1)


class _Widths(Proposal):
    """Q, and Q made narrower step by step: asks nothing of the flow but its density.

    Some flows of other libraries invert themselves by a search that ends at ±10 (zuko's Gaussianization and neural
    autoregressive ones): their draws pile up there, where their density says that nothing is.
    """

    @torch.no_grad()
    def points(self, flow: Density, count: int, like: Float[Tensor, "M D"]) -> Float[Tensor, "N D"]:  # noqa: ARG002
        share = like.new_tensor(SHRUNK)[torch.arange(count, device=like.device) % len(SHRUNK)]
        return self.draws(count, like.shape[-1], like) * self.width * share[:, None]

    def log_density(self, flow: Density, points: Tensor, log_q: Tensor, log_g: Tensor) -> Tensor:  # noqa: ARG002
        each = [self.log_prob(points, self.width * share).sum(dim=-1) for share in SHRUNK]
        return torch.stack(each).logsumexp(dim=0) - math.log(len(SHRUNK))


def proposal_for(flow: Density, dim: int) -> type[Proposal]:
    """The kind of proposal that suits a flow in so many dimensions."""
    if isinstance(flow, DistributionDensity):
        return _Widths
    return _Narrowed if isinstance(flow, RealNVP) and dim > FEW else _Halves


def log_mean(log_weight: Float[Tensor, "N"]) -> Float[Tensor, ""]:
    """Logarithm of the mean of weights: of Q G over the density of the points, an estimate of the integral of Q G."""
    return log_weight.logsumexp(dim=0) - math.log(len(log_weight))
