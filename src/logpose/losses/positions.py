"""What the basic design claims (Eq. 3 and 4): a flow that acts on positions, not on errors.

There z is Gaussian around mu with the scale sigma, and the joint lies at x = f(z). So the density depends on where it
is, not on its error alone: moments and regions are each joint's own, and are read off draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from logpose.flows import RealNVP
from logpose.losses.fixed import gaussian_log_prob
from logpose.losses.likelihood import Distribution
from logpose.losses.numerics import exact, fixed_randomness

__all__ = ["FlowedPositions", "flowed_log_prob"]

DRAWS = 4096
"""Positions of every joint from which moments and regions are read: levels are met to about 1 %."""


def flowed_log_prob(
    flow: RealNVP, mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"], x: Float[Tensor, "B K D"]
) -> Float[Tensor, "B K"]:
    """log N(f^-1(x); mu, sigma) + log |det df^-1/dx| (Eq. 4 without its minus)."""
    z, log_det = flow.inverse(x.flatten(0, 1))
    log_z = gaussian_log_prob((z.view_as(mu) - mu) / sigma).sum(dim=-1) - sigma.log().sum(dim=-1)
    return log_z + log_det.view(x.shape[:2])


class FlowedPositions(Distribution):
    """The distribution of every joint of a batch under the basic design."""

    @torch.no_grad()
    def sample(self, count: int) -> Float[Tensor, "S B K D"]:
        """`count` positions of every joint."""
        assert isinstance(self.loss.flow, RealNVP)
        with exact(self.mu.device):
            mu, scale = self.loss.widened(self.mu, self.scale)
            z = mu + scale * torch.randn(count, *mu.shape, device=mu.device, dtype=mu.dtype)
            parts = torch.split(z.flatten(0, 2), 2**18)  # the flow's memory is its own, and little more
            return torch.cat([self.loss.flow(part) for part in parts]).view(z.shape)

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
    def region(self, level: float) -> FlowedRegion:  # type: ignore[override]  # a threshold for each joint
        """The smallest region of every joint that holds the share `level` of its probability.

        Raises:
            ValueError: if `level` is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, got {level:g}")
        log_p = self.log_prob(self._draws())
        return FlowedRegion(self, log_p.quantile(1 - level, dim=0))


@dataclass(frozen=True)
class FlowedRegion:
    """Where each joint's density is above its threshold."""

    distribution: FlowedPositions
    threshold: Float[Tensor, "B K"]
    """Least log-density of a position inside."""

    @torch.no_grad()
    def contains(self, x: Float[Tensor, "*S B K D"]) -> Bool[Tensor, "*S B K"]:
        """Whether each joint's position `x`, or each of several, lies in its region."""
        return self.distribution.log_prob(x) >= self.threshold
