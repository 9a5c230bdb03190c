"""Residual log-likelihood estimation: the density of the error is learned while the network learns mu and sigma.

The standardised error e = (label - mu) / sigma has the density P(e) = s Q(e) G(e) (Eq. 7): Q simple and roughly right
(Laplace or Gaussian), G a normalizing flow that learns what Q misses, and s the constant that makes the product a
density (Eq. 15). The loss is minus the log-density of the label (Eq. 8; `LikelihoodLoss.joint_log_prob`):

    L = sum_d log sigma_d - log P(e),    log P(e) = log s + log Q(e) + log G(e)

log Q reaches mu and sigma without passing through the flow: the paper's "gradient shortcut".
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from logpose.core.moved import renamed_arguments
from logpose.flows import Density, RealNVP, SimpleDensity, as_density
from logpose.flows.composed import Clamped, LogDensity, Mixture, Symmetric
from logpose.losses.cache import with_fresh_gradient
from logpose.losses.forms import Base, Convention, FormOfRLE, Mode
from logpose.losses.proposals import log_mean, proposal, random_side

__all__ = ["RLELoss"]

DRAWS, FINE_DRAWS = 512, 32_768  # points at which s is estimated: at every training step, and for reported densities
SHARE = 1 / 1024  # of Q in `normalized`: without it wrong labels drive G to where Q is 0, and s cannot be estimated
MEDIAN = math.log(2) / 4  # sigma is regularised to at most four times the Laplace scale with the errors' median
REACH = 1e4  # sigmas: flows overflow at points that are further out, and are evaluated within


class RLELoss(FormOfRLE):
    """The paper's loss, in its modes and in the forms that are in use.

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
        gradient_reweighting: of `normalized`, power of sigma that mu's gradient is multiplied by (1); 0 for none.
        symmetric: whether `normalized` makes G so (True). For skewed errors False: their mean is then reported, not mu.

    Raises:
        ValueError: if the flow is of another dimension, or the convention has no such base or mode.
    """

    forms: ClassVar = {"normalized": ("rle", "dle"), "paper": ("rle", "dle")}

    @renamed_arguments(balance="gradient_reweighting")
    def __init__(
        self,
        flow: Density | nn.Module | torch.distributions.Distribution | None = None,
        dim: int = 2,
        base: Base = "laplace",
        convention: Convention = "normalized",
        mode: Mode = "rle",
        with_s: bool | None = None,
        gradient_reweighting: float | None = None,
        symmetric: bool | None = None,
    ) -> None:
        super().__init__(dim)
        self.base, self.convention, self.mode = base, convention, mode
        self.flow = RealNVP(dim) if flow is None else as_density(flow, dim)
        self.check_options(with_s, gradient_reweighting, symmetric)
        normal = convention == "normalized" and mode == "rle"
        self.with_s, self.symmetric = normal or bool(with_s), normal and symmetric is not False
        self.share, self.scale_regulariser = (SHARE, MEDIAN) if normal else (0.0, None)
        self.gradient_reweighting = float(normal) if gradient_reweighting is None else gradient_reweighting
        self.q = SimpleDensity(base, dim, self.q_scale())
        self.anchor = next(self.parameters(), self.anchor).detach().new_zeros(())

    def q_scale(self) -> float:
        """Scale of Q, in units of sigma."""
        return 2.0 if self.share else 1.0

    @property
    def g(self) -> LogDensity:
        """G before it is made symmetric: the flow, and in `normalized` a little of Q."""
        # In `dle` mode there is no Q whose gradient leads back from far out.
        flow = Clamped(self.error_flow, REACH, slope=1.0 if self.mode == "dle" else 0.0)
        return Mixture(flow, self.q, self.share) if self.share else flow

    def error_log_prob(self, error: Float[Tensor, "N D"], fresh: bool = False) -> Float[Tensor, "N"]:
        """log P(e) of Eq. 8, normalised in every convention; in `dle` mode of Eq. 5.

        Args:
            error: standardised errors.
            fresh: as training needs it: s from new points, in the same pass of the flow, and of a symmetric G a random
                side; `paper` has no s then. If False, `cached_log_s`.
        """
        if self.mode == "dle":
            return self.g.log_prob(error)
        if fresh and self.with_s:
            log_qg, _, log_weight = self.with_points(random_side(error) if self.symmetric else error, DRAWS)
            log_s: Tensor | float = -log_mean(log_weight)
        else:
            g = Symmetric(self.g) if self.symmetric else self.g
            log_qg, log_s = self.q.log_prob(error) + g.log_prob(error), 0.0 if fresh else self.cached_log_s()
        return log_qg + log_s

    def fresh_log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """log P(e) as training needs it."""
        return self.error_log_prob(error, fresh=True)

    def with_points(
        self, error: Float[Tensor, "N D"], count: int
    ) -> tuple[Float[Tensor, "N"], Float[Tensor, "M D"], Float[Tensor, "M"]]:
        """log Q(e) + log G(e), and random points with their log importance weights: all in one pass of the flow."""
        source = proposal(self.error_flow, self.q, self.share)
        points = source.sample(count, error)
        both = torch.cat([error, points])
        log_q, log_g = self.q.log_prob(both), self.g.log_prob(both)
        log_qg, rest = log_q + log_g, slice(len(error), None)
        log_r = source.log_density(points, log_q[rest], log_g[rest]).detach()
        return log_qg[: len(error)], points, log_qg[rest] - log_r

    def log_s(self, count: int = FINE_DRAWS) -> Float[Tensor, ""]:
        """log s = -log of the integral of Q G (Eq. 15), estimated from `count` random points; differentiable."""
        return -log_mean(self.with_points(self.anchor.new_empty(0, self.dim), count)[2])

    def cached_log_s(self) -> Float[Tensor, ""]:
        """log s from `FINE_DRAWS` fixed points, estimated once and cached; differentiable."""
        return with_fresh_gradient(self.cached("log s", self.log_s), list(self.parameters()), lambda: self.log_s(DRAWS))

    def error_draws(self, count: int) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """Points with importance weights; in `dle` mode draws of G, equally weighted."""
        if self.mode == "dle":
            points = self.error_flow.sample(count)
            return points, torch.full_like(points[:, 0], 1 / count)
        _, points, log_weight = self.with_points(self.anchor.new_empty(0, self.dim), count)
        return random_side(points) if self.symmetric else points, log_weight.softmax(dim=0)
