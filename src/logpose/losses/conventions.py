"""Classes of `RLELoss` whose formula is not Eq. 8: the formulas of codes in use, and the basic design.

`RLELoss(convention="released")` and the like make them. The codes' formulas are written term by term, to fine-tune
their checkpoints or to compare with them. Both count log G once per dimension and log sigma twice, sum over joints and
dimensions, and divide by the number of images. In D dimensions that is D times Eq. 8 with a wider Q, plus a constant,
but for log sigma, which counts 2 / D as much as in a likelihood: fully in two dimensions, too little in three, where
sigma is pushed upwards.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from logpose.core.structures import ErrorDistribution
from logpose.flows import Density, PlainRealNVP
from logpose.flows.composed import Mirrored
from logpose.flows.simple import gaussian_log_prob, laplace_log_prob
from logpose.losses.forms import FormOfRLE
from logpose.losses.rle import RLELoss

__all__ = ["BasicRLELoss", "MmposeRLELoss", "ReleasedRLELoss", "form"]


class CodeRLELoss(RLELoss):
    """Base of the codes' losses: the value that training minimises is the code's, all else is of its likelihood.

    In `dle` mode the formula has no Q, and log sigma has 1 / D of a likelihood's weight.
    """

    supported: ClassVar[dict[str, tuple[int, ...]]]
    """The bases that the code has, and the D that it was written for with each."""

    takes_correlation = False  # terms count more than once, and the codes have none

    @property
    def error_flow(self) -> Density:
        """The flow mirrored: the codes evaluate it at (mu - label) / sigma, which is minus the error."""
        return Mirrored(self.flow)

    @abstractmethod
    def q_scale(self) -> float:
        """Scale of the Q with which the formula is D times Eq. 8 (log sigma's share apart), in units of sigma."""

    @abstractmethod
    def minus_log_q(self, error: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
        """The term that stands for -log Q, per dimension, without log sigma."""

    def joint_log_prob(
        self, mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"], x: Float[Tensor, "B K D"], fresh: bool = False
    ) -> Float[Tensor, "B K"]:
        """As of every likelihood loss; with `fresh`, minus what the code minimises."""
        if not fresh:
            return super().joint_log_prob(mu, sigma, x)
        error = (x - mu) / (sigma + 1e-9)
        log_sigma = sigma.log()
        nll = log_sigma - self.g.log_prob(error.flatten(0, 1)).view(mu.shape[:2])[..., None]  # once per dimension
        if self.mode == "rle":
            nll = nll + log_sigma + self.minus_log_q(error)
        return -nll.sum(dim=-1)

    def reduce(self, nll: Float[Tensor, "B K"], weight: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        """The sum over joints, divided by the number of images."""
        return (nll * weight).sum() / max(len(nll), 1)

    def check_options(self, with_s: bool | None, reweighting: float | None, symmetric: bool | None) -> None:
        """As of Eq. 8, and a ValueError for a base or D that the code does not have."""
        super().check_options(with_s, reweighting, symmetric)
        if self.dim not in self.supported.get(self.base, ()):
            raise ValueError(f"the {self.convention} code has no {self.base} base in {self.dim} dimensions")


class ReleasedRLELoss(CodeRLELoss):
    """The paper's released code: a Laplace exponent |e| / sqrt(2), with a Gaussian's constant."""

    forms: ClassVar = {"released": ("rle", "dle")}
    supported: ClassVar = {"laplace": (2, 3)}

    def q_scale(self) -> float:
        """D sqrt(2)."""
        return self.dim * math.sqrt(2)

    def minus_log_q(self, error: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
        """|e| / sqrt(2) + log sqrt(2 pi)."""
        return 0.5 * math.log(2 * math.pi) + error.abs() / math.sqrt(2)


class MmposeRLELoss(CodeRLELoss):
    """mmpose's: a Laplace density of scale 1, or a standard Gaussian."""

    forms: ClassVar = {"mmpose": ("rle", "dle")}
    supported: ClassVar = {"laplace": (2,), "gaussian": (2,)}

    def q_scale(self) -> float:
        """D of a Laplace density, sqrt(D) of a Gaussian: both densities to the power 1 / D."""
        return float(self.dim) if self.base == "laplace" else math.sqrt(self.dim)

    def minus_log_q(self, error: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
        """Minus the log-density of the base."""
        return -(laplace_log_prob if self.base == "laplace" else gaussian_log_prob)(error)


class BasicRLELoss(RLELoss):
    """The basic design (Eq. 3 and 4): z is Gaussian around mu with the scale sigma, and the joint lies at x = f(z).

    The paper calls it not feasible in practice; it is here because the paper's argument for RLE begins with it. Errors
    have no density of their own: there are no regions and no draws.
    """

    forms: ClassVar = {"normalized": ("basic",), "paper": ("basic",)}
    flow: PlainRealNVP

    def check_options(self, with_s: bool | None, reweighting: float | None, symmetric: bool | None) -> None:
        """As of Eq. 8, and a ValueError for a flow that has no inverse."""
        super().check_options(with_s, reweighting, symmetric)
        flow: Density = self.flow
        if not isinstance(flow, PlainRealNVP):
            kind = type(flow).__name__
            raise ValueError(f"basic mode inverts the flow, which only a RealNVP can: {kind}")  # noqa: TRY004

    def joint_log_prob(
        self, mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"], x: Float[Tensor, "B K D"], fresh: bool = False
    ) -> Float[Tensor, "B K"]:
        """log P of Eq. 4."""
        del fresh
        z, log_det = self.flow.inverse(x.flatten(0, 1))
        log_z = gaussian_log_prob((z.view_as(mu) - mu) / sigma).sum(dim=-1) - sigma.log().sum(dim=-1)
        return log_z + log_det.view(x.shape[:2])

    def error_distribution(self) -> ErrorDistribution:
        """Unknown (NaN)."""
        return ErrorDistribution.unknown(self.dim).to(self.device)

    def error_draws(self, count: int) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N"]]:
        """Not defined.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("in basic mode the flow acts on positions: errors have no density of their own")


def form(loss: type[FormOfRLE], convention: str, mode: str) -> type[FormOfRLE]:
    """Of `RLELoss`, the class with the formula of a convention and a mode; any other class as it is.

    Where there is none `RLELoss` remains, which refuses the options.
    """
    others = (ReleasedRLELoss, MmposeRLELoss, BasicRLELoss) if loss is RLELoss else ()
    return next((other for other in others if mode in other.forms.get(convention, ())), loss)
