"""Residual log-likelihood estimation: the density of the error is learned while the network learns mu and sigma.

The standardised error e = (label - mu) / sigma is claimed to have the density P(e) = s Q(e) G(e) (Eq. 7): Q simple and
right in the rough (Laplace or Gaussian), G a normalizing flow that learns what Q misses, and s the constant that makes
the product a density (Eq. 15). The loss is minus the log-density of the label (Eq. 8):

    L = sum_d log sigma_d - log Q(e) - log G(e) - log s

log Q reaches mu and sigma without passing through the flow: the paper's "gradient shortcut".
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from logpose.flows import Density, RealNVP, as_density
from logpose.losses.conventions import FLOOR, MEDIAN, Base, Convention, Mode, base_width, check_choice, code_charge
from logpose.losses.fixed import BASES
from logpose.losses.likelihood import Distribution, LikelihoodLoss
from logpose.losses.positions import FlowedPositions, flowed_log_prob
from logpose.losses.proposals import log_mean, proposal_for

__all__ = ["RLELoss"]

DRAWS, FINE_DRAWS = 512, 32_768  # points at which s is estimated: at every training step, and once for claims


class RLELoss(LikelihoodLoss):
    """The paper's loss, in its three modes and in the forms that are in use.

    Args:
        flow: the density G, whatever `flows.as_density` takes; a RealNVP when None.
        dim: D of the joints.
        base: Q, of unit scale in `paper`, of two in `normalized`.
        convention: which formula exactly.
            `normalized`: a proper density. s by importance sampling, afresh at every step (fixed points would let the
            flow hide mass between them); G the flow made symmetric, ½ (G(e) + G(-e)), so that mu is the expected
            position, with a little of Q; learned from either side of each error; sigma's size is `bounded`.
            `paper`: Eq. 8 without s or symmetry. `released`, `mmpose`: what those codes compute (`losses.conventions`).
        mode: `rle` (Eq. 8), `dle` (Eq. 5: P = G alone) or `basic` (Eq. 4: the flow acts on positions, not on errors).
        with_s: of `paper`, whether log s is in the loss (Table 17); `normalized` always has it, the codes never.
        balance: `normalized` multiplies mu's gradient by this power of sigma (`likelihood.balanced`); 0 does not.
        symmetric: whether `normalized` makes G so. Skewed errors need False: their mean is then reported, not mu.

    Raises:
        ValueError: if the flow is of another dimension, or the convention never had such a base or mode.
    """

    nowhere: Tensor

    def __init__(
        self,
        flow: Density | nn.Module | torch.distributions.Distribution | None = None,
        dim: int = 2,
        base: Base = "laplace",
        convention: Convention = "normalized",
        mode: Mode = "rle",
        with_s: bool | None = None,
        balance: float = 1.0,
        symmetric: bool = True,
    ) -> None:
        super().__init__(dim)
        check_choice(dim, base, convention, mode, with_s, balance)
        self.flow = RealNVP(dim) if flow is None else as_density(flow, dim)
        self.base, self.convention, self.mode = base, convention, mode
        self.claim: type[Distribution] = FlowedPositions if mode == "basic" else Distribution
        self.copies, normal = convention in ("released", "mmpose"), convention == "normalized" and mode == "rle"
        self.with_s, self.symmetric = normal or bool(with_s), normal and symmetric
        self.floor, self.median, self.balance = (FLOOR, MEDIAN, balance) if normal else (0.0, None, 0.0)
        if mode == "basic" and not isinstance(self.flow, RealNVP):
            raise ValueError(f"basic mode asks for points of noise, which only a RealNVP tells: {self.flow}")
        self.width, self.sign = base_width(convention, base, dim), -1.0 if self.copies else 1.0
        self.proposal = proposal_for(self.flow, dim)(base, self.width, self.floor, self.sign)
        own = next(iter(self.parameters()), torch.empty(0))
        self.register_buffer("nowhere", own.new_empty(0, dim), persistent=False)

    def config(self) -> dict[str, Any]:
        """The arguments that make this loss again, the flow's under "flow" (None if it cannot tell them)."""
        names = ("dim", "base", "convention", "mode", "with_s", "balance", "symmetric")
        flow = self.flow.config() if isinstance(self.flow, RealNVP) else None
        return {**{name: getattr(self, name) for name in names}, "flow": flow}

    def _log_q(self, error: Tensor) -> Tensor:
        return BASES[self.base][0](error, self.width).sum(dim=-1)

    def _log_g(self, error: Tensor) -> Tensor:
        near = error.clamp(-1e4, 1e4)  # farther out G stays constant and only Q falls: all labels' losses are finite
        log_g = self.flow.log_prob(self.sign * near)
        if not self.floor:  # nor is there a Q in `dle`, and there must be a way back from there
            return log_g - (error - near).abs().sum(dim=-1) if self.mode == "dle" else log_g
        return torch.logaddexp(log_g + math.log1p(-self.floor), self._log_q(error) + math.log(self.floor))

    def _either_side(self, error: Tensor) -> Tensor:
        return error.where(torch.rand_like(error[:, :1]) < 0.5, -error) if self.symmetric else error

    def _densities(self, error: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """log Q G of the errors; points with their log importance weights: all in one pass of the flow."""
        points = self.proposal.points(self.flow, self.proposal.times * count, error)
        log_q, log_g = (log(torch.cat([error, points])) for log in (self._log_q, self._log_g))
        log_r = self.proposal.log_density(self.flow, points, log_q[len(error) :], log_g[len(error) :]).detach()
        return (log_q + log_g)[: len(error)], points, (log_q + log_g)[len(error) :] - log_r

    def log_s(self, count: int = FINE_DRAWS) -> Float[Tensor, ""]:
        """log s = -log of the integral of Q G (Eq. 15), estimated on `count` random points; differentiable."""
        return -log_mean(self._densities(self.nowhere, count)[2])

    def error_log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """log P(e): of Q G s, or of G alone in `dle` mode; normalised in every convention. s is settled, see `kept`."""
        if self.mode == "dle":
            return self._log_g(error)
        sides = torch.stack([self._log_g(side) for side in ([error, -error] if self.symmetric else [error])])
        log_s = self.differentiable(self.kept("log_s", self.log_s), lambda: self.log_s(DRAWS))
        return self._log_q(error) + sides.logsumexp(dim=0) - math.log(len(sides)) + log_s

    def error_draws(self, count: int) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """Points with importance weights; in `dle` mode plain draws of the flow."""
        if self.mode == "basic":
            raise NotImplementedError("in basic mode the flow acts on positions: errors have no density of their own")
        if self.mode == "dle":
            points = self.sign * self.flow.sample(count)
            return points, torch.full_like(points[:, 0], 1 / count)
        _, points, log_weight = self._densities(self.nowhere, count)
        return self._either_side(points), log_weight.softmax(dim=0)

    def _log_prob(self, mu: Tensor, sigma: Tensor, x: Tensor) -> Tensor:
        if self.mode == "basic" and isinstance(self.flow, RealNVP):
            return flowed_log_prob(self.flow, mu, sigma, x)
        return super()._log_prob(mu, sigma, x)

    def _charge(self, mu: Tensor, sigma: Tensor, target: Tensor) -> Tensor:
        if self.copies:
            return code_charge(self.convention, self.base, self.mode, self._log_g, mu, sigma, target)
        if self.mode != "rle" or (self.with_s and not torch.is_grad_enabled()):
            return super()._charge(mu, sigma, target)
        error = ((target - mu) / sigma).flatten(0, 1)
        if self.with_s:  # what is learned from needs an s with its gradient; what is only told (above), one that stays
            log_qg, _, log_weight = self._densities(self._either_side(error), DRAWS)
            log_p = log_qg - log_mean(log_weight)
        else:
            log_p = self._log_q(error) + self._log_g(error)
        return sigma.log().sum(dim=-1) - log_p.view(mu.shape[:2])

    def _mean(self, charge: Tensor, weight: Tensor) -> Tensor:
        return (charge * weight).sum() / max(len(charge), 1) if self.copies else super()._mean(charge, weight)
