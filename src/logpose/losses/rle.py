"""Residual log-likelihood estimation: the density of the error is learned while the network learns mu and sigma.

The standardised error e = (label - mu) / sigma is claimed to have the density P(e) = s Q(e) G(e) (Eq. 7): Q simple and
right in the rough (Laplace or Gaussian), G a normalizing flow that learns what Q misses, and s the constant that makes
the product a density (Eq. 15). The loss is minus the log-density of the label (Eq. 8):

    L = sum_d log sigma_d - log Q(e) - log G(e) - log s

log Q reaches mu and sigma without passing through the flow: the paper's "gradient shortcut".
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from logpose.flows import Density, RealNVP, as_density
from logpose.losses.conventions import DIMENSIONS, base_width, code_charge
from logpose.losses.fixed import BASES
from logpose.losses.likelihood import Distribution, LikelihoodLoss
from logpose.losses.positions import FlowedPositions, flowed_log_prob

__all__ = ["RLELoss"]

DRAWS, FINE_DRAWS = 512, 32_768  # points at which s is estimated: at every training step, and once for claims
MEDIAN = math.log(2) / 4  # sigma is at most four times the scale of a Laplace density with the median of the errors
FLOOR = 1 / 1024  # share of Q in the normalized G: else garbage labels drive G to where Q is nothing, and s is lost


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
        balance: `normalized` multiplies mu's gradient by this power of sigma (`likelihood.balanced`); 0 does not.
        symmetric: whether `normalized` makes G so. Skewed errors need False: their mean is then reported, not mu.

    Raises:
        ValueError: if the flow is of another dimension, or the convention never had such a base or mode.
    """

    def __init__(
        self,
        flow: Density | nn.Module | torch.distributions.Distribution | None = None,
        dim: int = 2,
        base: Literal["laplace", "gaussian"] = "laplace",
        convention: Literal["normalized", "paper", "released", "mmpose"] = "normalized",
        mode: Literal["rle", "dle", "basic"] = "rle",
        balance: float = 1.0,
        symmetric: bool = True,
    ) -> None:
        super().__init__(dim)
        self.flow = RealNVP(dim) if flow is None else as_density(flow)
        self.base, self.convention, self.mode = base, convention, mode
        self.claim: type[Distribution] = FlowedPositions if mode == "basic" else Distribution
        self.balance = balance if convention == "normalized" and mode == "rle" else 0.0
        self.copies = convention in ("released", "mmpose")
        self.floor, self.median = (FLOOR, MEDIAN) if convention == "normalized" and mode == "rle" else (0.0, None)
        self.symmetric = symmetric and self.floor > 0
        if getattr(self.flow, "dim", dim) != dim or (mode == "basic" and not isinstance(self.flow, RealNVP)):
            raise ValueError(f"{mode} mode in {dim} dimensions cannot use this flow: {self.flow}")
        if self.copies and (dim not in DIMENSIONS.get((convention, base), ()) or mode == "basic"):
            raise ValueError(f"the {convention} code has no {mode} mode with a {base} base in {dim} dimensions")
        self.width = base_width(convention, base, dim)

    def config(self) -> dict[str, Any]:
        """The arguments that make this loss again, the flow's under "flow" (None if it cannot tell them)."""
        plain = {name: getattr(self, name) for name in ("dim", "base", "convention", "mode", "balance", "symmetric")}
        return {**plain, "flow": self.flow.config() if isinstance(self.flow, RealNVP) else None}

    def _log_q(self, error: Tensor) -> Tensor:
        return BASES[self.base][0](error, self.width).sum(dim=-1)

    def _log_g(self, error: Tensor) -> Tensor:
        error = error.clamp(-1e4, 1e4)  # farther out G stays constant and only Q falls: all labels' losses are finite
        log_g = self.flow.log_prob(-error if self.copies else error)
        if not self.floor:
            return log_g
        return torch.logaddexp(log_g + math.log1p(-self.floor), self._log_q(error) + math.log(self.floor))

    def _either_side(self, error: Tensor) -> Tensor:
        # Half the work of both. Until the flow is symmetric it is charged more on average (Jensen), so that it gets so.
        return error.where(torch.rand_like(error[:, :1]) < 0.5, -error) if self.symmetric else error

    @torch.no_grad()
    def _proposal(self, count: int) -> Tensor:
        """Points from ½ (Q + G), half from each factor: whichever is the narrower, importance weights stay bounded."""
        of_flow = self.flow.sample(round(count / 2 * (1 - self.floor))) * (-1.0 if self.copies else 1.0)
        return torch.cat([BASES[self.base][1](count - len(of_flow), self.dim, of_flow) * self.width, of_flow])

    def _densities(self, error: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """log Q G of the errors, and the log importance weights Q G / ½ (Q + G) of the points: one pass of the flow."""
        log_q, log_g = (log(torch.cat([error, points])) for log in (self._log_q, self._log_g))
        log_proposal = torch.logaddexp(log_q, log_g).detach() - math.log(2)
        return (log_q + log_g)[: len(error)], (log_q + log_g - log_proposal)[len(error) :]

    def log_s(self, count: int = FINE_DRAWS) -> Float[Tensor, ""]:
        """log s = -log of the integral of Q G (Eq. 15), estimated on `count` random points; differentiable."""
        return math.log(count) - self._densities(*self._proposal(count).tensor_split([0]))[1].logsumexp(dim=0)

    def error_log_prob(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """log P(e): of Q G s, or of G alone in `dle` mode; normalised in every convention. s is settled, see `kept`."""
        if self.mode == "dle":
            return self._log_g(error)
        sides = torch.stack([self._log_g(side) for side in ([error, -error] if self.symmetric else [error])])
        return self._log_q(error) + sides.logsumexp(dim=0) - math.log(len(sides)) + self.kept("log_s", self.log_s)

    def error_draws(self, count: int) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """Points with importance weights; in `dle` mode plain draws of the flow."""
        if self.mode == "basic":
            raise NotImplementedError("in basic mode the flow acts on positions: errors have no density of their own")
        if self.mode == "dle":
            points = self.flow.sample(count) * (-1.0 if self.copies else 1.0)
            return points, torch.full_like(points[:, 0], 1 / count)
        points = self._proposal(count)
        return self._either_side(points), self._densities(points[:0], points)[1].softmax(dim=0)

    def _log_prob(self, mu: Tensor, sigma: Tensor, x: Tensor) -> Tensor:
        if self.mode == "basic" and isinstance(self.flow, RealNVP):
            return flowed_log_prob(self.flow, mu, sigma, x)
        return super()._log_prob(mu, sigma, x)

    def _charge(self, mu: Tensor, sigma: Tensor, target: Tensor) -> Tensor:
        if self.copies:
            return code_charge(self.convention, self.base, self.mode, self._log_g, mu, sigma, target)
        if self.mode != "rle" or (self.floor and not torch.is_grad_enabled()):
            return super()._charge(mu, sigma, target)
        error = ((target - mu) / sigma).flatten(0, 1)
        if self.floor:  # what is learned from needs an s with its gradient; what is only told (above), one that stays
            log_qg, log_weight = self._densities(self._either_side(error), self._proposal(DRAWS))
            log_p = log_qg + math.log(DRAWS) - log_weight.logsumexp(dim=0)
        else:
            log_p = self._log_q(error) + self._log_g(error)
        return sigma.log().sum(dim=-1) - log_p.view(mu.shape[:2])

    def _mean(self, charge: Tensor, weight: Tensor) -> Tensor:
        return (charge * weight).sum() / max(len(charge), 1) if self.copies else super()._mean(charge, weight)
