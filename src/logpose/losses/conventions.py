"""The formulas of the codes in use, term by term, for whoever fine-tunes their checkpoints or compares with them.

Both count log G once per dimension and log sigma twice, sum over joints and dimensions, and divide by the number of
images. In D dimensions that is D times Eq. 8 with a wider Q, plus a constant, but for log sigma, which counts 2 / D as
much as a likelihood's would: fully in two dimensions, too little in three, where sigma is pushed upwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from logpose.losses.fixed import gaussian_log_prob, laplace_log_prob

__all__ = ["DIMENSIONS", "FLOOR", "MEDIAN", "Base", "Convention", "Mode", "base_width", "check_choice", "code_charge"]

Base = Literal["laplace", "gaussian"]
Convention = Literal["normalized", "paper", "released", "mmpose"]
Mode = Literal["rle", "dle", "basic"]

FLOOR = 1 / 1024
"""Share of Q in the normalized G: else garbage labels drive G to where Q is nothing, and s is lost."""
MEDIAN = math.log(2) / 4
"""Of the normalized: sigma is at most four times the scale of a Laplace density with the median of the errors. (It
learns from either side of each error, which is half the work of both: until the flow is symmetric that is charged more
on average, by Jensen's inequality, so that it gets so.)"""
DIMENSIONS = {("released", "laplace"): (2, 3), ("mmpose", "laplace"): (2,), ("mmpose", "gaussian"): (2,)}
"""(convention, base) that there are, and the D that each code was written for."""


def check_choice(dim: int, base: str, convention: str, mode: str, with_s: bool | None, balance: float) -> None:
    """Refuse what there is no formula for: a misspelt word must not choose another one. It may come from a file.

    Raises:
        ValueError: naming the word.
    """
    for name, word, choice in (("base", base, Base), ("convention", convention, Convention), ("mode", mode, Mode)):
        if word not in get_args(choice):
            raise ValueError(f"{name} must be one of {', '.join(get_args(choice))}, got {word!r}")
    if convention in ("released", "mmpose") and (dim not in DIMENSIONS.get((convention, base), ()) or mode == "basic"):
        raise ValueError(f"the {convention} code has no {mode} mode with a {base} base in {dim} dimensions")
    choices = {("normalized", "rle"): (None, True), ("paper", "rle"): (None, False, True)}
    if with_s not in choices.get((convention, mode), (None, False)):
        raise ValueError(f"with_s={with_s}: s stands in Eq. 8 (convention paper or normalized, mode rle) only")
    if not (math.isfinite(balance) and balance >= 0):
        raise ValueError(f"balance must be a finite power of sigma, 0 or more, got {balance}")


def base_width(convention: str, base: str, dim: int) -> float:
    """Scale of Q, in units of sigma; of the codes that with which theirs is D times Eq. 8 (log sigma's share apart)."""
    if convention in ("paper", "normalized"):
        return 1.0 if convention == "paper" else 2.0  # wide beside the errors: G can take away tails, but not add any
    if base == "gaussian":
        return math.sqrt(dim)
    return dim * math.sqrt(2) if convention == "released" else float(dim)


def code_charge(
    convention: str,
    base: str,
    mode: str,
    log_g: Callable[[Float[Tensor, "N D"]], Float[Tensor, "N"]],
    mu: Float[Tensor, "B K D"],
    sigma: Float[Tensor, "B K D"],
    target: Float[Tensor, "B K D"],
) -> Float[Tensor, "B K"]:
    """What each joint is charged, number for number as the code does; its loss is their sum, divided by B.

    Args:
        convention: whose code, `released` or `mmpose`.
        base: Q, `laplace` or `gaussian`.
        mode: with Q (`rle`) or without (`dle`; log sigma then has 1 / D of a likelihood's weight, as in those codes).
        log_g: log-density of the flow at minus the error, which is how both codes ask it.
        mu: predicted positions.
        sigma: predicted scales.
        target: labels, finite everywhere.
    """
    error = (target - mu) / (sigma + 1e-9)
    log_sigma = sigma.log()
    charge = log_sigma - log_g(error.flatten(0, 1)).view(mu.shape[:2])[..., None]  # log G once per dimension
    if mode == "rle" and convention == "released":
        # log(sigma sqrt(2 pi)) + |d| / (sqrt(2) sigma): a Laplace exponent under a Gaussian's constant.
        charge = charge + log_sigma + 0.5 * math.log(2 * math.pi) + error.abs() / math.sqrt(2)
    elif mode == "rle":
        density = laplace_log_prob if base == "laplace" else gaussian_log_prob
        charge = charge + log_sigma - density(error)
    return charge.sum(dim=-1)
