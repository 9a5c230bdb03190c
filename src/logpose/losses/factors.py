"""RLE of one dimension at a time: the density of D numbers is a product of D one-dimensional ones of one shape.

A joint density cannot learn from quantities of which some have no label (the boundaries of a retina in one column). So
each has the one-dimensional density P, scaled by a sigma of its own:

    L = sum_d log sigma_d - log P((label_d - mu_d) / sigma_d),    P = s Q G on the line
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.flows import GaussianMixture
from logpose.flows.simple import Base
from logpose.losses.base import LikelihoodLoss
from logpose.losses.numerics import without_correlation
from logpose.losses.rle import RLELoss

__all__ = ["FactorsRLELoss"]


class FactorsRLELoss(LikelihoodLoss):
    """RLE whose density is a product over dimensions; those without a label or weight are left out one by one.

    Args:
        dim: D.
        components: number of Gaussians in the mixture that is G (on the line a RealNVP has no dimension to keep).
        base: Q.
        symmetric: whether G is made symmetric; for skewed errors False.
    """

    needs_all_dimensions: ClassVar[bool] = False

    def __init__(self, dim: int = 2, components: int = 16, base: Base = "laplace", symmetric: bool = True) -> None:
        super().__init__(dim)
        self.factor = RLELoss(GaussianMixture(components), dim=1, base=base, symmetric=symmetric)
        self.components, self.base, self.symmetric = components, base, symmetric

    def error_log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """The sum of the factors' log-densities."""
        return self.factor.error_log_prob(error.reshape(-1, 1)).view(error.shape).sum(dim=-1)

    def error_draws(self, count: int) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """Points whose dimensions are drawn independently, equally weighted."""
        error, weight = self.factor.error_draws(4 * count)
        # With products of weights over dimensions few points would have weight; resampled, all have the same.
        points = error[torch.multinomial(weight, count * self.dim, replacement=True)].view(count, self.dim)
        return points, torch.full_like(points[:, 0], 1 / count)

    def forward(
        self,
        mu: Float[Tensor, "B K D"],
        sigma: Float[Tensor, "B K D"],
        target: Float[Tensor, "B K D"],
        weight: Float[Tensor, "B K"] | Float[Tensor, "B K D"] | None = None,
        correlation: Float[Tensor, "B K"] | None = None,
    ) -> Float[Tensor, ""]:
        """D times the mean over labelled dimensions of all joints, by weight, of each joint or of each dimension."""
        without_correlation(self, correlation)
        self.check_shapes(mu, sigma, target)
        if weight is not None:
            weight = (weight if weight.ndim == 3 else weight[..., None].expand(target.shape)).reshape(len(mu), -1)
        each: list[Tensor] = [x.reshape(len(mu), -1, 1) for x in (mu, sigma, target)]
        loss: Tensor = self.factor(*each, weight)
        return self.dim * loss
