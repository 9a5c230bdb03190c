"""Residual log-likelihood estimation: the density of the error is learned while the network learns mu and sigma.

The standardised error e = (label - mu) / sigma has the density P(e) = s Q(e) G(e) (Eq. 7): Q simple and roughly right
(Laplace or Gaussian), G a normalizing flow that learns what Q misses, and s the constant that makes the product a
density (Eq. 15). The loss is minus the log-density of the label (Eq. 8; `LikelihoodLoss.joint_log_prob`):

    L = sum_d log sigma_d - log P(e),    log P(e) = log s + log Q(e) + log G(e)

log Q reaches mu and sigma without passing through the flow: the paper's "gradient shortcut".
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from logpose.core.moved import renamed_arguments
from logpose.flows import Density, PlainRealNVP, RealNVP, SimpleDensity, as_density
from logpose.losses.cache import with_fresh_gradient
from logpose.losses.conventions import CODES, Base, Convention, ConventionLoss, Mode, check_options
from logpose.losses.proposals import log_mean, proposal, random_side

__all__ = ["RLELoss"]

DRAWS, FINE_DRAWS = 512, 32_768  # points at which s is estimated: at every training step, and for reported densities
SHARE = 1 / 1024  # of Q in `normalized`: without it wrong labels drive G to where Q is 0, and s cannot be estimated
MEDIAN = math.log(2) / 4  # sigma is regularised to at most four times the Laplace scale with the errors' median
REACH = 1e4  # sigmas: flows overflow at points that are further out, and are evaluated within


class RLELoss(ConventionLoss):
    """The paper's loss, in its three modes and in the forms that are in use.

    Args:
        flow: the density G, whatever `flows.as_density` takes; a RealNVP when None.
        dim: D of the joints.
        base: Q, of scale 1 in `paper`, of 2 in `normalized` (G can remove tails, but not add any).
        convention: which formula exactly.
            `normalized`: a proper density. s is estimated at every step, by new points (between fixed ones the flow
            could hide probability); G is made symmetric, ½ (G(e) + G(-e)), so that mu is the expected position, with a
            little of Q. Training evaluates a random side of each error, and uses both `losses.heuristics`.
            `paper`: Eq. 8 without s or symmetry. `released`, `mmpose`: what those codes compute (`losses.conventions`).
        mode: `rle` (Eq. 8), `dle` (Eq. 5: P = G alone) or `basic` (Eq. 4: the flow acts on positions, not on errors).
        with_s: of `paper`, whether log s is in the loss (Table 17); `normalized` always has it, the codes never.
        gradient_reweighting: of `normalized`, power of sigma that mu's gradient is multiplied by; 0 for none.
        symmetric: whether `normalized` makes G so. For skewed errors False: their mean is then reported, not mu.

    Raises:
        ValueError: if the flow is of another dimension, or the convention has no such base or mode.
    """

    @renamed_arguments(balance="gradient_reweighting")
    def __init__(
        self,
        flow: Density | nn.Module | torch.distributions.Distribution | None = None,
        dim: int = 2,
        base: Base = "laplace",
        convention: Convention = "normalized",
        mode: Mode = "rle",
        with_s: bool | None = None,
        gradient_reweighting: float = 1.0,
        symmetric: bool = True,
    ) -> None:
        super().__init__(dim)
        check_options(dim, base, convention, mode, with_s, gradient_reweighting)
        self.flow = RealNVP(dim) if flow is None else as_density(flow, dim)
        if mode == "basic" and not isinstance(self.flow, PlainRealNVP):
            raise ValueError(f"basic mode inverts the flow, which only a RealNVP can: {type(self.flow).__name__}")
        self.base, self.convention, self.mode, self.code = base, convention, mode, CODES.get((convention, base))
        normal = convention == "normalized" and mode == "rle"
        self.with_s, self.symmetric = normal or bool(with_s), normal and symmetric
        self.share, self.scale_regulariser = (SHARE, MEDIAN) if normal else (0.0, None)
        self.gradient_reweighting = gradient_reweighting if normal else 0.0
        self.q = SimpleDensity(base, dim, self.code.q_scale(dim) if self.code else 2.0 if normal else 1.0)
        self.anchor = next(self.parameters(), self.anchor).detach().new_zeros(())

    def log_g(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """log G(e), before G is made symmetric."""
        near = error.clamp(-REACH, REACH)
        log_g = self.flow.log_prob(-near if self.code else near)
        if self.mode == "dle":  # where there is no Q, a gradient must lead back from far out
            log_g = log_g - (error - near).abs().sum(dim=-1)
        if self.share:
            log_q = self.q.log_prob(error)
            log_g = torch.logaddexp(log_g + math.log1p(-self.share), log_q + math.log(self.share))
        return log_g

    def error_log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """log P(e), normalised in every convention: s is estimated once and cached."""
        log_g = self.log_g(error)
        if self.mode == "dle":
            return log_g
        if self.symmetric:
            log_g = torch.logaddexp(log_g, self.log_g(-error)) - math.log(2)
        parameters = list(self.parameters())
        log_s = with_fresh_gradient(self.cached("log s", self.log_s), parameters, lambda: self.log_s(DRAWS))
        return self.q.log_prob(error) + log_g + log_s

    def fresh_log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """log P(e) as training needs it: with a new estimate of s, of a random side of each error; or without s."""
        if self.mode == "dle":
            return self.log_g(error)
        if not self.with_s:
            return self.q.log_prob(error) + self.log_g(error)
        log_qg, _, log_weight = self.with_points(random_side(error) if self.symmetric else error, DRAWS)
        return log_qg - log_mean(log_weight)

    def with_points(
        self, error: Float[Tensor, "N D"], count: int
    ) -> tuple[Float[Tensor, "N"], Float[Tensor, "M D"], Float[Tensor, "M"]]:
        """log Q(e) + log G(e), and random points with their log importance weights: all in one pass of the flow."""
        source = proposal(self.flow, self.q, self.share, mirrored=self.code is not None)
        points = source.sample(count, error)
        both = torch.cat([error, points])
        log_q, log_g = self.q.log_prob(both), self.log_g(both)
        log_qg, rest = log_q + log_g, slice(len(error), None)
        log_r = source.log_density(points, log_q[rest], log_g[rest]).detach()
        return log_qg[: len(error)], points, log_qg[rest] - log_r

    def log_s(self, count: int = FINE_DRAWS) -> Float[Tensor, ""]:
        """log s = -log of the integral of Q G (Eq. 15), estimated from `count` random points; differentiable."""
        return -log_mean(self.with_points(self.anchor.new_empty(0, self.dim), count)[2])

    def error_draws(self, count: int) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """Points with importance weights; in `dle` mode draws of G, equally weighted.

        Raises:
            NotImplementedError: in `basic` mode, in which errors have no density of their own.
        """
        if self.mode == "basic":
            raise NotImplementedError("in basic mode the flow acts on positions: errors have no density of their own")
        if self.mode == "dle":
            points = self.flow.sample(count)
            return -points if self.code else points, torch.full_like(points[:, 0], 1 / count)
        _, points, log_weight = self.with_points(self.anchor.new_empty(0, self.dim), count)
        return random_side(points) if self.symmetric else points, log_weight.softmax(dim=0)
