"""RLE in space, learned from joints of which some have no depth: photographs labelled in 2-D beside motion capture."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.losses.likelihood import LikelihoodLoss
from logpose.losses.numerics import LEAST_SIGMA, balanced, bounded, exact, joint_weight, settled
from logpose.losses.rle import RLELoss

__all__ = ["MixedRLELoss"]


ALIKE = ("base", "convention", "mode", "with_s", "balance", "symmetric")


class MixedRLELoss(LikelihoodLoss):
    """For each joint the labelled dimensions decide which density speaks (the paper's 3-D system; its `RLELoss3D`).

    A joint whose three dimensions have weight is charged by the loss in `space`; one of which only x and y have, by the
    loss in the `plane`, which never sees its depth. What is claimed of a prediction is what `space` claims; of a joint
    that only `plane` learned from, the spread is told by another flow than the one that sigma was fitted with.

    Args:
        space: of three dimensions.
        plane: of two, alike but for its flow; one like `space` when None.

    Raises:
        ValueError: if the dimensions are others, or the losses are not alike.
    """

    def __init__(self, space: RLELoss | None = None, plane: RLELoss | None = None) -> None:
        super().__init__(dim=3)
        self.space = RLELoss(dim=3) if space is None else space
        alike = {name: getattr(self.space, name) for name in ALIKE}
        self.plane = RLELoss(dim=2, **alike) if plane is None else plane
        if (self.space.dim, self.plane.dim) != (3, 2) or alike != {n: getattr(self.plane, n) for n in ALIKE}:
            raise ValueError(f"the losses must be of 3 and 2 dimensions and alike in {', '.join(ALIKE)}")
        self.symmetric = self.space.symmetric

    def config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        return {"space": self.space.config(), "plane": self.plane.config()}

    def error_log_prob(self, error: Float[Tensor, "N 3"]) -> Float[Tensor, "N"]:
        """Log-density of errors in space."""
        return self.space.error_log_prob(error)

    def error_draws(self, count: int) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N"]]:
        """Points and weights that stand for the density in space."""
        return self.space.error_draws(count)

    def forward(
        self,
        mu: Float[Tensor, "B K 3"],
        sigma: Float[Tensor, "B K 3"],
        target: Float[Tensor, "B K 3"],
        weight: Float[Tensor, "B K"] | Float[Tensor, "B K 3"] | None = None,
    ) -> Float[Tensor, ""]:
        """Mean over joints with a label in the plane or in space, by weight; see `LikelihoodLoss.forward`.

        A dimension counts as labelled where its weight is above 0 and its label is finite.
        """
        with exact(mu.device):
            mu, sigma, target = self.widened(mu, sigma.clamp_min(LEAST_SIGMA), target)
            whole = joint_weight(target, weight).to(mu.dtype)
            flat = weight if weight is None or weight.ndim == 2 else weight[..., :2]
            flat = joint_weight(target[..., :2], flat).to(mu.dtype) * (whole == 0)
            mu = balanced(mu, sigma, whole + flat, self.space.balance)
            deep = settled(target, whole, mu)
            in_space = self.space._charge(mu, sigma, deep) + bounded(mu, sigma, deep, whole, self.space.median)
            shown, spread = mu[..., :2], sigma[..., :2]
            seen = settled(target[..., :2], flat, shown)
            in_plane = self.plane._charge(shown, spread, seen) + bounded(shown, spread, seen, flat, self.plane.median)
            return self.space._mean(torch.where(whole > 0, in_space, in_plane), whole + flat)
