"""What RLE is in other conventions and modes than Eq. 8: the formulas of codes in use, and the basic design.

The codes' formulas are written term by term, to fine-tune their checkpoints or to compare with them. Both count log G
once per dimension and log sigma twice, sum over joints and dimensions, and divide by the number of images. In D
dimensions that is D times Eq. 8 with a wider Q, plus a constant, but for log sigma, which counts 2 / D as much as in
a likelihood: fully in two dimensions, too little in three, where sigma is pushed upwards.

In the basic design (Eq. 3 and 4) z is Gaussian around mu with the scale sigma, and the joint lies at x = f(z). The
paper calls it not feasible in practice; it is here because the paper's argument for RLE begins with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, get_args

from jaxtyping import Float
from torch import Tensor

from logpose.core.errors import UnknownKindError
from logpose.core.structures import ErrorDistribution
from logpose.flows import Density, NamedDensity, PlainRealNVP, density_from_config
from logpose.flows.simple import Base, gaussian_log_prob, laplace_log_prob
from logpose.losses.base import LikelihoodLoss

__all__ = ["CODES", "Base", "Code", "Convention", "ConventionLoss", "Mode", "check_options"]

Convention = Literal["normalized", "paper", "released", "mmpose"]
"""Which formula of the loss exactly, see `RLELoss`."""
Mode = Literal["rle", "dle", "basic"]
"""Which of the paper's designs, see `RLELoss`."""
Loss = TypeVar("Loss", bound="ConventionLoss")

RENAMED = {"balance": "gradient_reweighting"}
"""Arguments in checkpoints of version 0.1, and their names today."""


class Code(NamedTuple):
    """A code's loss with one base."""

    dimensions: tuple[int, ...]
    """The D that it was written for."""
    q_scale: Callable[[int], float]
    """By D, the scale of the Q with which the formula is D times Eq. 8 (log sigma's share apart), in units of sigma."""
    minus_log_q: Callable[[Tensor], Tensor]
    """The term that stands for -log Q, per dimension, without log sigma."""


CODES = {
    # The paper's released code: a Laplace exponent, and a Gaussian's constant.
    ("released", "laplace"): Code(
        (2, 3), lambda dim: dim * math.sqrt(2), lambda e: 0.5 * math.log(2 * math.pi) + e.abs() / math.sqrt(2)
    ),
    ("mmpose", "laplace"): Code((2,), float, lambda e: -laplace_log_prob(e)),
    ("mmpose", "gaussian"): Code((2,), math.sqrt, lambda e: -gaussian_log_prob(e)),
}
"""By convention and base."""


def check_options(dim: int, base: str, convention: str, mode: str, with_s: bool | None, reweighting: float) -> None:
    """Refuse combinations without a formula. Options may come from a file, so types do not exclude misspelt words.

    Raises:
        ValueError: naming the option.
    """
    for name, word, choice in (("base", base, Base), ("convention", convention, Convention), ("mode", mode, Mode)):
        if word not in get_args(choice):
            raise ValueError(f"{name} must be one of {', '.join(get_args(choice))}, got {word!r}")
    code = CODES.get((convention, base))
    if convention in ("released", "mmpose") and (code is None or dim not in code.dimensions or mode == "basic"):
        raise ValueError(f"the {convention} code has no {mode} mode with a {base} base in {dim} dimensions")
    choices = {("normalized", "rle"): (None, True), ("paper", "rle"): (None, False, True)}
    if with_s not in choices.get((convention, mode), (None, False)):
        raise ValueError(f"with_s={with_s}: s is part of Eq. 8 (convention paper or normalized, mode rle) only")
    if not (math.isfinite(reweighting) and reweighting >= 0):
        raise ValueError(f"gradient_reweighting must be a finite power of sigma, 0 or more, got {reweighting}")


class ConventionLoss(LikelihoodLoss):
    """Base of `RLELoss`: a likelihood loss, but for the conventions of codes and the basic design.

    Attributes:
        code: whose formula training minimises instead of the likelihood; None of a convention that is a likelihood.
        mode: in `dle`, log sigma has 1 / D of a likelihood's weight in the codes; in `basic`, errors have no density.
    """

    nested: ClassVar = {"flow": density_from_config}

    flow: Density
    mode: Mode
    code: Code | None

    def log_g(self, error: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """log G of errors; with a code, which evaluates the flow at minus the error, of the flow mirrored."""
        raise NotImplementedError

    def joint_log_prob(
        self, mu: Float[Tensor, "B K D"], sigma: Float[Tensor, "B K D"], x: Float[Tensor, "B K D"], fresh: bool = False
    ) -> Float[Tensor, "B K"]:
        """As of every likelihood loss; with `fresh`, minus what a code minimises."""
        if fresh and self.code:
            error = (x - mu) / (sigma + 1e-9)
            log_sigma = sigma.log()
            nll = log_sigma - self.log_g(error.flatten(0, 1)).view(mu.shape[:2])[..., None]  # once per dimension
            if self.mode == "rle":
                nll = nll + log_sigma + self.code.minus_log_q(error)
            return -nll.sum(dim=-1)
        if self.mode == "basic" and isinstance(self.flow, PlainRealNVP):  # Eq. 4
            z, log_det = self.flow.inverse(x.flatten(0, 1))
            log_z = gaussian_log_prob((z.view_as(mu) - mu) / sigma).sum(dim=-1) - sigma.log().sum(dim=-1)
            return log_z + log_det.view(x.shape[:2])
        return super().joint_log_prob(mu, sigma, x, fresh)

    def reduce(self, nll: Float[Tensor, "B K"], weight: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        """The loss of a batch from those of its joints: a code's is a sum, divided by the number of images."""
        return (nll * weight).sum() / max(len(nll), 1) if self.code else super().reduce(nll, weight)

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
