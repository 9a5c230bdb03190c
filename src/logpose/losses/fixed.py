"""Losses whose density is fixed: L1, L2 (constant scale), Laplace, Gaussian (learned scale). Table 7 of the paper.

|error| claims a Laplace density of constant scale, error² a Gaussian. Given a sigma for every joint, the same
densities become losses that learn how sure to be.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from logpose.losses.likelihood import LikelihoodLoss
from logpose.losses.numerics import FARTHEST, exact, joint_weight

__all__ = ["Gaussian", "L1Loss", "L2Loss", "Laplace", "gaussian_log_prob", "laplace_log_prob"]


def laplace_log_prob(error: Float[Tensor, "*N D"], scale: Tensor | float = 1.0) -> Float[Tensor, "*N D"]:
    """Log-density of a Laplace distribution around 0: exp(-|e| / b) / 2b, in each dimension."""
    return -error.abs() / scale - torch.as_tensor(2 * scale, dtype=error.dtype).log()


def gaussian_log_prob(error: Float[Tensor, "*N D"], scale: Tensor | float = 1.0) -> Float[Tensor, "*N D"]:
    """Log-density of a Gaussian around 0 with standard deviation `scale`, in each dimension."""
    return -0.5 * (error / scale).square() - torch.as_tensor(scale * math.sqrt(2 * math.pi), dtype=error.dtype).log()


def laplace_like(count: int, dim: int, like: Tensor) -> Float[Tensor, "N D"]:
    """Draws of a Laplace distribution of scale 1: a difference of two exponential ones."""
    pairs = torch.empty(2, count, dim, device=like.device, dtype=like.dtype).exponential_()
    return pairs[0] - pairs[1]


def gaussian_like(count: int, dim: int, like: Tensor) -> Float[Tensor, "N D"]:
    """Draws of a standard Gaussian."""
    return torch.randn(count, dim, device=like.device, dtype=like.dtype)


BASES = {"laplace": (laplace_log_prob, laplace_like), "gaussian": (gaussian_log_prob, gaussian_like)}
"""Log-density and draws of each density that can be Q."""


class _Fixed(LikelihoodLoss):
    """A density without parameters of its own."""

    anchor: Tensor
    symmetric = True

    def __init__(self, dim: int = 2) -> None:
        super().__init__(dim)
        self.register_buffer("anchor", torch.zeros(()), persistent=False)  # tells device and dtype of draws


class Laplace(_Fixed):
    """Laplace density with learned scale: L = sum_d log(2 sigma_d) + |label_d - mu_d| / sigma_d."""

    def error_log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density of a product of unit Laplace densities."""
        return laplace_log_prob(error).sum(dim=-1)

    def error_draws(self, count: int) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """Independent unit Laplace errors, equally weighted."""
        error = laplace_like(count, self.dim, self.anchor)
        return error, error.new_full((count,), 1 / count)


class Gaussian(_Fixed):
    """Gaussian density, learned scale (Eq. 2): L = sum_d log(sqrt(2 pi) sigma_d) + (label_d - mu_d)² / 2 sigma_d²."""

    def error_log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density of a standard Gaussian."""
        return gaussian_log_prob(error).sum(dim=-1)

    def error_draws(self, count: int) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """Independent standard Gaussian errors, equally weighted."""
        error = gaussian_like(count, self.dim, self.anchor)
        return error, error.new_full((count,), 1 / count)


class _ConstantScale(LikelihoodLoss):
    """A density of one scale for all joints and pictures. What is minimised does not depend on that scale.

    The scale is followed in a buffer while training (a running mean of the errors), so that a model trained by L1
    or L2 can still be asked for its log-likelihood, standard deviation and regions; before any training that is NaN.
    """

    moment: Tensor
    learns_sigma = False
    symmetric = True
    momentum = 0.02
    """Share of the newest batch in the running mean: about the last 50 batches count."""

    def __init__(self, dim: int = 2) -> None:
        super().__init__(dim)
        # Running mean of |error| or error² per dimension; 0 until the first batch.
        self.register_buffer("moment", torch.zeros(dim))

    def _seen(self) -> Float[Tensor, "D"]:
        """The running mean; NaN, which is known to nobody, of dimensions that had no label yet."""
        return self.moment.where(self.moment > 0, float("nan"))

    def _distance(self, error: Tensor) -> Tensor:
        """What is charged for an error, per dimension."""
        raise NotImplementedError

    def forward(
        self,
        mu: Float[Tensor, "B K D"],
        sigma: Float[Tensor, "B K D"],
        target: Float[Tensor, "B K D"],
        weight: Float[Tensor, "B K"] | Float[Tensor, "B K D"] | None = None,
    ) -> Float[Tensor, ""]:
        """As of every loss; in space, x and y of a joint without a depth are charged (as `MixedRLELoss` does)."""
        if self.dim != 3:
            return super().forward(mu, sigma, target, weight)
        with exact(mu.device):
            mu, _, target = self.widened(mu, sigma, target)
            plane = joint_weight(target[..., :2], weight if weight is None or weight.ndim == 2 else weight[..., :2])
            each = torch.stack([plane, plane, joint_weight(target, weight)], dim=-1).to(mu.dtype)
            return self.of_each(mu, target, each)

    def of_each(
        self, mu: Float[Tensor, "B K D"], target: Float[Tensor, "B K D"], weight: Float[Tensor, "B K D"]
    ) -> Float[Tensor, ""]:
        """The same where every dimension counts by itself; labels are not looked at where the weight is 0."""
        return self._reduce(mu, mu, torch.where(weight > 0, target.clamp(-FARTHEST, FARTHEST), mu.detach()), weight)

    def _reduce(self, mu: Tensor, _: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        weight = weight if weight.ndim == 3 else weight[..., None]
        total = weight.sum(dim=(0, 1))
        mean = (self._distance(target - mu) * weight).sum(dim=(0, 1)) / total.clamp_min(torch.finfo(weight.dtype).tiny)
        if self.training:
            with torch.no_grad():
                known = (total > 0) & mean.isfinite()  # a step that overflowed, and is left out, must not stay in it
                step = torch.where(self.moment > 0, self.momentum, 1.0) * known
                self.moment.lerp_(mean.where(known, 0).to(self.moment.dtype), step.to(self.moment.dtype))
        return mean.sum()


class L1Loss(_ConstantScale):
    """Direct regression by L1 (Table 1): L = sum_d |label_d - mu_d|; claims a Laplace density of constant scale."""

    def _distance(self, error: Tensor) -> Tensor:
        return error.abs()

    def error_log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density of a Laplace distribution whose scale is the mean |error| seen in training."""
        return laplace_log_prob(error, self.moment).sum(dim=-1)

    def error_draws(self, count: int) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """Independent Laplace errors, equally weighted."""
        error = laplace_like(count, self.dim, self.moment) * self._seen()
        return error, error.new_full((count,), 1 / count)


class L2Loss(_ConstantScale):
    """Direct regression by L2 (Table 7): L = sum_d (label_d - mu_d)²; claims a Gaussian of constant variance."""

    def _distance(self, error: Tensor) -> Tensor:
        return error.square()

    def error_log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Log-density of a Gaussian whose variance is the mean error² seen in training."""
        return gaussian_log_prob(error, self.moment.sqrt()).sum(dim=-1)

    def error_draws(self, count: int) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """Independent Gaussian errors, equally weighted."""
        error = gaussian_like(count, self.dim, self.moment) * self._seen().sqrt()
        return error, error.new_full((count,), 1 / count)
