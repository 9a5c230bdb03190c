"""The predictive distribution of the basic design (Eq. 3 and 4): a flow that acts on positions, not on errors.

z is Gaussian around mu with the scale sigma, and the joint lies at x = f(z). So its density depends on where it is, not
on the error alone: moments and regions are each joint's own, estimated from draws. The paper calls the design not
feasible in practice; it is here because the paper's argument for RLE begins with it (`--loss basic`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.flows import PlainRealNVP
from logpose.flows.simple import gaussian_log_prob
from logpose.losses.cache import fixed_randomness
from logpose.losses.distribution import Distribution, Region, check_level
from logpose.losses.numerics import autocast_disabled

__all__ = ["FlowedPositions", "flowed_log_prob"]

DRAWS = 4096
"""Positions of every joint from which moments and regions are estimated: levels are met to about 1 %."""


def flowed_log_prob(
    flow: PlainRealNVP, mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"], x: Float[Tensor, "B K D"]
) -> Float[Tensor, "B K"]:
    """log N(f^-1(x); mu, sigma) + log |det df^-1/dx| (minus Eq. 4)."""
    z, log_det = flow.inverse(x.flatten(0, 1))
    log_z = gaussian_log_prob((z.view_as(mu) - mu) / sigma).sum(dim=-1) - sigma.log().sum(dim=-1)
    return log_z + log_det.view(x.shape[:2])


@dataclass(frozen=True)
class FlowedPositions(Distribution):
    """The predictive distribution of every joint of a batch under the basic design."""

    flow: PlainRealNVP

    @torch.no_grad()
    def sample(self, count: int) -> Float[Tensor, "S B K D"]:
        """`count` positions of every joint."""
        with autocast_disabled(self.mu.device):
            mu, scale = self.loss.upcast(self.mu, self.scale)
            z = mu + scale * torch.randn(count, *mu.shape, device=mu.device, dtype=mu.dtype)
            parts = torch.split(z.flatten(0, 2), 2**18)  # bounds the memory that the flow needs
            return torch.cat([self.flow(part) for part in parts]).view(z.shape)

    def _draws(self) -> Float[Tensor, "S B K D"]:
        with fixed_randomness(self.loss.device):
            return self.sample(DRAWS)

    @property
    def mean(self) -> Float[Tensor, "B K D"]:
        """Expected position of every joint."""
        return self._draws().mean(dim=0)

    @property
    def std(self) -> Float[Tensor, "B K D"]:
        """Standard deviation of every joint's position."""
        return self._draws().std(dim=0)

    @torch.no_grad()
    def region(self, level: float) -> Region:
        """The smallest region of every joint that contains the share `level` of its probability.

        Raises:
            ValueError: if `level` is not between 0 and 1.
        """
        check_level(level)
        draws = self._draws()
        log_p = [  # of one image at a time, all of its draws at once
            replace(self, mu=mu.expand_as(x), scale=scale.expand_as(x)).log_prob(x)
            for mu, scale, x in zip(self.mu, self.scale, draws.unbind(dim=1), strict=True)
        ]
        return Region(self, torch.stack(log_p, dim=1).quantile(1 - level, dim=0))
