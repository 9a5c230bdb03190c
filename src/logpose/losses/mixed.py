"""RLE in space, learned from joints some of which have no depth: photographs labelled in 2-D beside motion capture."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.losses.base import LikelihoodLoss
from logpose.losses.heuristics import reweight_gradient
from logpose.losses.numerics import LEAST_SIGMA, autocast_disabled, joint_weight, masked, without_correlation
from logpose.losses.rle import RLELoss

__all__ = ["MixedRLELoss"]

ALIKE = ("base", "convention", "mode", "with_s", "gradient_reweighting", "symmetric")
"""Arguments that both losses must share."""


class MixedRLELoss(LikelihoodLoss):
    """The labelled dimensions of each joint determine its density (the paper's 3-D system; its `RLELoss3D`).

    A joint whose three dimensions have weight has the loss `space`; one of which only x and y have, the loss `plane`,
    which does not depend on depth. The predictive distribution is that of `space`, also for joints without depth.

    Args:
        space: of three dimensions.
        plane: of two, alike but for its flow; one like `space` when None.

    Raises:
        ValueError: if the losses have other dimensions, or differ in other arguments.
    """

    nested: ClassVar = {"space": RLELoss.from_config, "plane": RLELoss.from_config}

    def __init__(self, space: RLELoss | None = None, plane: RLELoss | None = None) -> None:
        super().__init__(dim=3)
        self.space = RLELoss(dim=3) if space is None else space
        alike = {name: getattr(self.space, name) for name in ALIKE}
        self.plane = RLELoss(dim=2, **alike) if plane is None else plane
        if (self.space.dim, self.plane.dim) != (3, 2) or alike != {n: getattr(self.plane, n) for n in ALIKE}:
            raise ValueError(f"the losses must be of 3 and 2 dimensions and alike in {', '.join(ALIKE)}")
        self.symmetric = self.space.symmetric

    def error_log_prob(self, error: Float[Tensor, "N 3"]) -> Float[Tensor, "N"]:
        """Log-density of errors in space."""
        return self.space.error_log_prob(error)

    def error_draws(self, count: int) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N"]]:
        """A weighted sample of the density in space."""
        return self.space.error_draws(count)

    def forward(
        self,
        mu: Float[Tensor, "B K 3"],
        sigma: Float[Tensor, "B K 3"],
        target: Float[Tensor, "B K 3"],
        weight: Float[Tensor, "B K"] | Float[Tensor, "B K 3"] | None = None,
        correlation: Float[Tensor, "B K"] | None = None,
    ) -> Float[Tensor, ""]:
        """Mean over joints with a label in the plane or in space, by weight; see `LikelihoodLoss.forward`."""
        without_correlation(self, correlation)
        with autocast_disabled(mu.device):
            mu, sigma, target = self.upcast(mu, sigma.clamp_min(LEAST_SIGMA), target)
            whole = joint_weight(target, weight).to(mu.dtype)
            flat = weight if weight is None or weight.ndim == 2 else weight[..., :2]
            flat = joint_weight(target[..., :2], flat).to(mu.dtype) * (whole == 0)
            mu = reweight_gradient(mu, sigma, whole + flat, self.space.gradient_reweighting)
            in_space = self.space.joint_losses(mu, sigma, masked(target, whole, mu), whole)
            mu, sigma, target = mu[..., :2], sigma[..., :2], target[..., :2]
            in_plane = self.plane.joint_losses(mu, sigma, masked(target, flat, mu), flat)
            return self.space.reduce(torch.where(whole > 0, in_space, in_plane), whole + flat)
