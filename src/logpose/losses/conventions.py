"""What RLE is in other conventions and modes than Eq. 8: the formulas of codes in use, and the basic design.

The codes' formulas are written term by term, to fine-tune their checkpoints or to compare with them. Both count log G
once per dimension and log sigma twice, sum over joints and dimensions, and divide by the number of images. In D
dimensions that is D times Eq. 8 with a wider Q, plus a constant, but for log sigma, which counts 2 / D as much as in
a likelihood: fully in two dimensions, too little in three, where sigma is pushed upwards.

In the basic design (Eq. 3 and 4) z is Gaussian around mu with the scale sigma, and the joint lies at x = f(z).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar, get_args

from jaxtyping import Float
from torch import Tensor

from logpose.core.errors import UnknownKindError
from logpose.core.structures import ErrorDistribution
from logpose.flows import Density, NamedDensity, PlainRealNVP, density_from_config
from logpose.flows.simple import FORMULAS, Base
from logpose.losses.base import LikelihoodLoss
from logpose.losses.distribution import Distribution
from logpose.losses.positions import FlowedPositions, flowed_log_prob

__all__ = ["Base", "CodeFormula", "Convention", "ConventionLoss", "Mode", "check_options", "code_formula"]

Convention = Literal["normalized", "paper", "released", "mmpose"]
Mode = Literal["rle", "dle", "basic"]
Loss = TypeVar("Loss", bound="ConventionLoss")

RENAMED = {"balance": "gradient_reweighting"}
"""Arguments in checkpoints of version 0.1, and their names today."""


class CodeFormula(ABC):
    """What a code minimises, number for number.

    Args:
        base: Q.
        mode: with Q (`rle`) or without (`dle`; log sigma then has 1 / D of a likelihood's weight, as in those codes).

    Attributes:
        dimensions: the bases that the code has, and the D that each was written for.
    """

    dimensions: ClassVar[dict[str, tuple[int, ...]]]

    def __init__(self, base: Base, mode: Mode) -> None:
        self.base, self.mode = base, mode

    @abstractmethod
    def q_scale(self, dim: int) -> float:
        """Scale of the Q, in units of sigma, with which the formula is D times Eq. 8 (log sigma's share apart)."""

    @abstractmethod
    def minus_log_q(self, error: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
        """The term that stands for -log Q, without log sigma."""

    def nll(
        self,
        g: Density,
        mu: Float[Tensor, "B K D"],
        sigma: Float[Tensor, "B K D"],
        target: Float[Tensor, "B K D"],
    ) -> Float[Tensor, "B K"]:
        """The loss of each joint.

        Args:
            g: the flow, mirrored: both codes evaluate it at minus the error.
            mu: predicted positions.
            sigma: predicted scales.
            target: labels, finite everywhere.
        """
        error = (target - mu) / (sigma + 1e-9)
        log_sigma = sigma.log()
        nll = log_sigma - g.log_prob(error.flatten(0, 1)).view(mu.shape[:2])[..., None]  # log G once per dimension
        if self.mode == "rle":
            nll = nll + log_sigma + self.minus_log_q(error)
        return nll.sum(dim=-1)

    def reduce(self, nll: Float[Tensor, "B K"], weight: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        """The loss of a batch: a sum over joints, divided by the number of images."""
        return (nll * weight).sum() / max(len(nll), 1)


class Released(CodeFormula):
    """The paper's released code. Its Q has a Laplace exponent and a Gaussian's constant."""

    dimensions: ClassVar = {"laplace": (2, 3)}

    def q_scale(self, dim: int) -> float:
        return dim * math.sqrt(2)

    def minus_log_q(self, error: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
        return 0.5 * math.log(2 * math.pi) + error.abs() / math.sqrt(2)


class MMPose(CodeFormula):
    """mmpose's `RLELoss`."""

    dimensions: ClassVar = {"laplace": (2,), "gaussian": (2,)}

    def q_scale(self, dim: int) -> float:
        return math.sqrt(dim) if self.base == "gaussian" else float(dim)

    def minus_log_q(self, error: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
        log_prob, _ = FORMULAS[self.base]
        return -log_prob(error)


CODES: dict[str, type[CodeFormula]] = {"released": Released, "mmpose": MMPose}


def code_formula(convention: Convention, base: Base, mode: Mode) -> CodeFormula | None:
    """The formula of a code's convention; None of those that are likelihoods as Eq. 8 defines them."""
    return CODES[convention](base, mode) if convention in CODES else None


def check_options(dim: int, base: str, convention: str, mode: str, with_s: bool | None, reweighting: float) -> None:
    """Refuse combinations without a formula. Options may come from a file, so types do not exclude misspelt words.

    Raises:
        ValueError: naming the option.
    """
    for name, word, choice in (("base", base, Base), ("convention", convention, Convention), ("mode", mode, Mode)):
        if word not in get_args(choice):
            raise ValueError(f"{name} must be one of {', '.join(get_args(choice))}, got {word!r}")
    if convention in CODES and (dim not in CODES[convention].dimensions.get(base, ()) or mode == "basic"):
        raise ValueError(f"the {convention} code has no {mode} mode with a {base} base in {dim} dimensions")
    choices = {("normalized", "rle"): (None, True), ("paper", "rle"): (None, False, True)}
    if with_s not in choices.get((convention, mode), (None, False)):
        raise ValueError(f"with_s={with_s}: s is part of Eq. 8 (convention paper or normalized, mode rle) only")
    if not (math.isfinite(reweighting) and reweighting >= 0):
        raise ValueError(f"gradient_reweighting must be a finite power of sigma, 0 or more, got {reweighting}")


class ConventionLoss(LikelihoodLoss):
    """Base of `RLELoss`: a likelihood loss, but for the conventions of codes and the basic design.

    Attributes:
        flow: the learned density.
        code: the formula that training minimises instead of the likelihood.
        mode: `basic` where the flow acts on positions: then errors have no density of their own.
    """

    nested: ClassVar = {"flow": density_from_config}

    flow: Density
    mode: Mode
    code: CodeFormula | None
    g: Density

    def joint_log_prob(
        self, mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"], x: Float[Tensor, "B K D"], fresh: bool = False
    ) -> Float[Tensor, "B K"]:
        """As of every likelihood loss; with `fresh`, minus what a code minimises."""
        if fresh and self.code:
            return -self.code.nll(self.g, mu, sigma, x)
        if self.mode == "basic" and isinstance(self.flow, PlainRealNVP):
            return flowed_log_prob(self.flow, mu, sigma, x)
        return super().joint_log_prob(mu, sigma, x, fresh)

    def reduce(self, nll: Float[Tensor, "B K"], weight: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        """The loss of a batch from those of its joints."""
        return self.code.reduce(nll, weight) if self.code else super().reduce(nll, weight)

    def distribution(self, mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"]) -> Distribution:
        """The predictive distribution of every joint."""
        if self.mode == "basic" and isinstance(self.flow, PlainRealNVP):
            self.check_shapes(mu, sigma)
            return FlowedPositions(mu, sigma, self, self.flow)
        return super().distribution(mu, sigma)

    def error_distribution(self) -> ErrorDistribution:
        """Moments and radii of the density of errors; unknown (NaN) in `basic` mode, in which they have none."""
        if self.mode == "basic":
            return ErrorDistribution.unknown(self.dim).to(self.device)
        return super().error_distribution()

    def argument(self, name: str) -> Any:
        """The value of a constructor argument; None for a flow of the user's own, which has no `config`."""
        value = getattr(self, name)
        return None if name == "flow" and not isinstance(value, NamedDensity) else value

    @classmethod
    def make(cls: type[Loss], config: Mapping[str, Any]) -> Loss:
        """The loss of a `config`, also of version 0.1.

        Raises:
            UnknownKindError: if the flow was of the user's own class.
        """
        if "flow" in config and config["flow"] is None:
            raise UnknownKindError(f"the flow of this {cls.__name__} is of a class that is not of this package")
        return super().make({RENAMED.get(name, name): value for name, value in config.items()})
