"""RLE of one dimension at a time: what lies along D axes is told by D independent laws, all of one shape.

Where the D numbers of a joint are no place in a space, but D things that are each labelled or not (the boundaries of a
retina in one column), a density of all at once says more than is known, and cannot learn from some of them. So each has
the one-dimensional law P, scaled by a sigma of its own:

    L = sum_d log sigma_d - log P((label_d - mu_d) / sigma_d),    P = s Q G on the line
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.flows import GaussianMixture
from logpose.losses.likelihood import LikelihoodLoss
from logpose.losses.rle import RLELoss

__all__ = ["FactorsRLELoss"]


class FactorsRLELoss(LikelihoodLoss):
    """RLE whose density is a product over dimensions; dimensions without a label or weight are left out one by one.

    Args:
        dim: D.
        components: of the mixture of Gaussians that is G on the line, where a RealNVP has nothing to keep.
        base: Q.
        symmetric: whether an error and its opposite are claimed to be equally likely.
    """

    needs_all_dimensions: ClassVar[bool] = False

    def __init__(
        self,
        dim: int = 2,
        components: int = 16,
        base: Literal["laplace", "gaussian"] = "laplace",
        symmetric: bool = True,
    ) -> None:
        super().__init__(dim)
        self.factor = RLELoss(GaussianMixture(components), dim=1, base=base, symmetric=symmetric)
        self.components, self.base, self.symmetric = components, base, symmetric

    def config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        return {name: getattr(self, name) for name in ("dim", "components", "base", "symmetric")}

    def error_log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """The sum of the factors' log-densities."""
        return self.factor.error_log_prob(error.reshape(-1, 1)).view(error.shape).sum(dim=-1)

    def error_draws(self, count: int) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """Points whose dimensions are drawn apart from each other, equally weighted."""
        error, weight = self.factor.error_draws(4 * count)
        # A product of weights over dimensions would leave few points that count; resampled, all count alike.
        drawn = error[torch.multinomial(weight, count * self.dim, replacement=True)].view(count, self.dim)
        return drawn, torch.full_like(drawn[:, 0], 1 / count)

    def forward(
        self,
        mu: Float[Tensor, "B K D"],
        sigma: Float[Tensor, "B K D"],
        target: Float[Tensor, "B K D"],
        weight: Float[Tensor, "B K"] | Float[Tensor, "B K D"] | None = None,
    ) -> Float[Tensor, ""]:
        """D times the mean over labelled dimensions of all joints, by weight; 0 when nothing is labelled.

        Args:
            mu: predicted positions.
            sigma: predicted scales, > 0, in the units of mu.
            target: labels; dimensions in which they are not finite, or their weight is 0, are never looked at.
            weight: how much each joint counts, or each dimension of it.
        """
        self.check_shapes(mu, sigma, target)
        if weight is not None:
            weight = (weight if weight.ndim == 3 else weight[..., None].expand(target.shape)).reshape(len(mu), -1)
        each: list[Tensor] = [x.reshape(len(mu), -1, 1) for x in (mu, sigma, target)]
        loss: Tensor = self.factor(*each, weight)
        return self.dim * loss
