"""Where the integral of Q G is looked at: points, and how densely they lie there (importance sampling of Eq. 15)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.flows import Density, DistributionDensity
from logpose.losses.fixed import BASES

__all__ = ["Proposal", "proposal_for"]

SHRUNK = (1.0, 0.5, 0.25, 0.125, 0.0625)
"""How wide, beside Q, the densities are whose points are taken where the flow's own cannot be trusted."""


class Proposal(ABC):
    """Random points with a known density.

    Args:
        base: Q, by its name among `fixed.BASES`.
        width: of Q.
        floor: share of Q in G.
        sign: -1 where G is asked at minus the error.
    """

    def __init__(self, base: str, width: float, floor: float, sign: float) -> None:
        self.log_prob, self.draws = BASES[base]
        self.width, self.floor, self.sign = width, floor, sign

    @abstractmethod
    def points(self, flow: Density, count: int, like: Float[Tensor, "M D"]) -> Float[Tensor, "N D"]:
        """`count` points, of the dimensions, on the device and in the precision of others."""

    @abstractmethod
    def log_density(
        self, points: Float[Tensor, "N D"], log_q: Float[Tensor, "N"], log_g: Float[Tensor, "N"]
    ) -> Float[Tensor, "N"]:
        """How densely points lie there, given the log-densities of Q and G."""


class _Halves(Proposal):
    """½ (Q + G): whichever is the narrower, weights Q G / ½ (Q + G) are at most twice the smaller of the two."""

    @torch.no_grad()
    def points(self, flow: Density, count: int, like: Float[Tensor, "M D"]) -> Float[Tensor, "N D"]:
        of_flow = self.sign * flow.sample(round(count / 2 * (1 - self.floor)))
        return torch.cat([self.draws(count - len(of_flow), like.shape[-1], of_flow) * self.width, of_flow])

    def log_density(self, points: Tensor, log_q: Tensor, log_g: Tensor) -> Float[Tensor, "N"]:  # noqa: ARG002
        return torch.logaddexp(log_q, log_g) - math.log(2)


class _Widths(Proposal):
    """Q, and Q made narrower step by step: asks nothing of the flow but its density.

    Some flows of other libraries invert themselves by a search that ends at ±10 (zuko's Gaussianization and neural
    autoregressive ones): their draws pile up there, where their density says that nothing is.
    """

    @torch.no_grad()
    def points(self, flow: Density, count: int, like: Float[Tensor, "M D"]) -> Float[Tensor, "N D"]:  # noqa: ARG002
        share = like.new_tensor(SHRUNK)[torch.arange(count, device=like.device) % len(SHRUNK)]
        return self.draws(count, like.shape[-1], like) * self.width * share[:, None]

    def log_density(self, points: Tensor, log_q: Tensor, log_g: Tensor) -> Float[Tensor, "N"]:  # noqa: ARG002
        each = [self.log_prob(points, self.width * share).sum(dim=-1) for share in SHRUNK]
        return torch.stack(each).logsumexp(dim=0) - math.log(len(SHRUNK))


def proposal_for(flow: Density) -> type[Proposal]:
    """The kind of proposal that suits a flow."""
    return _Widths if isinstance(flow, DistributionDensity) else _Halves
