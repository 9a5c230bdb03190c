"""Losses of a fixed density: L1, L2 (constant scale), Laplace, Gaussian (learned scale). Table 7 of the paper.

|error| is the negative log-density of a Laplace distribution of constant scale, error² that of a Gaussian. With a sigma
for every joint, the same densities become losses that learn an uncertainty.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.flows.simple import Base, SimpleDensity
from logpose.losses.base import LikelihoodLoss
from logpose.losses.numerics import LARGEST_COORDINATE, autocast_disabled, joint_weight, without_correlation

__all__ = ["Gaussian", "L1Loss", "L2Loss", "Laplace"]


class _Simple(LikelihoodLoss):
    """A simple density of errors."""

    base: ClassVar[Base]
    symmetric = True

    def error_scale(self) -> Float[Tensor, "D"] | float:
        """Scale of the density of errors, per dimension."""
        return 1.0

    def error_log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density of standardised errors."""
        return SimpleDensity(self.base, self.dim, self.error_scale()).log_prob(error)

    def error_draws(self, count: int) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """Independent errors, equally weighted."""
        error = SimpleDensity(self.base, self.dim, self.error_scale()).sample(count, self.anchor)
        return error, error.new_full((count,), 1 / count)


class Laplace(_Simple):
    """Laplace density with learned scale: L = sum_d log(2 sigma_d) + |label_d - mu_d| / sigma_d."""

    base = "laplace"


class Gaussian(_Simple):
    """Gaussian density, learned scale (Eq. 2): L = sum_d log(sqrt(2 pi) sigma_d) + (label_d - mu_d)² / 2 sigma_d²."""

    base = "gaussian"


class _ConstantScale(_Simple):
    """A density of one scale for all joints and images. What is minimised does not depend on that scale.

    While training, a buffer follows the scale, so that models trained by L1 or L2 have a log-likelihood, standard
    deviations and regions too; before any training they are NaN.
    """

    moment: Tensor
    learns_sigma = False
    momentum = 0.02
    """Share of the newest batch in the running mean: about the last 50 batches count."""

    def __init__(self, dim: int = 2) -> None:
        super().__init__(dim)
        # Running mean of |error| or error² per dimension; 0 until the first batch.
        self.register_buffer("moment", torch.zeros(dim))

    def error_scale(self) -> Float[Tensor, "D"]:
        """The mean |error|, or the root of the mean error², in training; NaN for dimensions without a label so far."""
        moment = self.moment.where(self.moment > 0, float("nan"))
        return moment if self.base == "laplace" else moment.sqrt()

    def forward(
        self,
        mu: Float[Tensor, "B K D"],
        sigma: Float[Tensor, "B K D"],
        target: Float[Tensor, "B K D"],
        weight: Float[Tensor, "B K"] | Float[Tensor, "B K D"] | None = None,
        correlation: Float[Tensor, "B K"] | None = None,
    ) -> Float[Tensor, ""]:
        """As of every likelihood loss; in space, x and y count of a joint without depth (as in `MixedRLELoss`)."""
        without_correlation(self, correlation)
        with autocast_disabled(mu.device):
            mu, _, target = self.upcast(mu, sigma, target)
            each = joint_weight(target, weight)[..., None]
            if self.dim == 3:
                flat = weight if weight is None or weight.ndim == 2 else weight[..., :2]
                plane = joint_weight(target[..., :2], flat)[..., None]
                each = torch.cat([plane, plane, each], dim=-1)
            return self.of_each(mu, target, each.to(mu.dtype))

    def of_each(
        self, mu: Float[Tensor, "B K D"], target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K #D"]
    ) -> Float[Tensor, ""]:
        """The loss where every dimension counts by itself; labels of weight 0 have no effect."""
        target = torch.where(weight > 0, target.clamp(-LARGEST_COORDINATE, LARGEST_COORDINATE), mu.detach())
        error = target - mu
        each = error.abs() if self.base == "laplace" else error.square()
        total = weight.sum(dim=(0, 1))
        mean = (each * weight).sum(dim=(0, 1)) / total.clamp_min(torch.finfo(weight.dtype).tiny)
        if self.training:
            with torch.no_grad():
                known = (total > 0) & mean.isfinite()  # a step that overflowed must not stay in the mean
                step = torch.where(self.moment > 0, self.momentum, 1.0) * known
                self.moment.lerp_(mean.where(known, 0).to(self.moment.dtype), step.to(self.moment.dtype))
        return mean.sum()


class L1Loss(_ConstantScale):
    """Direct regression by L1 (Table 1): L = sum_d |label_d - mu_d|; a Laplace density of constant scale."""

    base = "laplace"


class L2Loss(_ConstantScale):
    """Direct regression by L2 (Table 7): L = sum_d (label_d - mu_d)²; a Gaussian density of constant variance."""

    base = "gaussian"
