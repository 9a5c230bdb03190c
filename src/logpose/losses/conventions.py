"""The formulas of the codes in use, term by term, for whoever fine-tunes their checkpoints or compares with them.

Both count log G once per dimension and log sigma twice, sum over joints and dimensions, and divide by the number of
images. In two dimensions the two peculiarities cancel: each is twice Eq. 8 with a wider Q, plus a constant.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from logpose.losses.fixed import gaussian_log_prob, laplace_log_prob

__all__ = ["EQUIVALENT_WIDTH", "code_loss"]

EQUIVALENT_WIDTH = {
    ("released", "laplace"): 2 * math.sqrt(2),
    ("mmpose", "laplace"): 2.0,
    ("mmpose", "gaussian"): math.sqrt(2),
}
"""Scale of Q, in units of sigma, with which (convention, base) is twice Eq. 8 in two dimensions."""


def code_loss(
    convention: str,
    base: str,
    mode: str,
    log_g: Callable[[Float[Tensor, "N D"]], Float[Tensor, "N"]],
    mu: Float[Tensor, "B K D"],
    sigma: Float[Tensor, "B K D"],
    target: Float[Tensor, "B K D"],
    weight: Float[Tensor, "B K"],
) -> Float[Tensor, ""]:
    """The loss of a batch, number for number what the code computes.

    Args:
        convention: whose code, `released` or `mmpose`.
        base: Q, `laplace` or `gaussian`.
        mode: with Q (`rle`) or without (`dle`; log sigma then has half the weight of a likelihood, as in those codes).
        log_g: log-density of the flow at minus the error, which is how both codes ask it.
        mu: predicted positions.
        sigma: predicted scales.
        target: labels, finite everywhere.
        weight: of each joint.
    """
    error = (target - mu) / (sigma + 1e-9)
    log_sigma = sigma.log()
    charge = log_sigma - log_g(error.flatten(0, 1)).view(weight.shape)[..., None]  # log G once per dimension
    if mode == "rle" and convention == "released":
        # log(sigma sqrt(2 pi)) + |d| / (sqrt(2) sigma): a Laplace exponent under a Gaussian's constant.
        charge = charge + log_sigma + 0.5 * math.log(2 * math.pi) + error.abs() / math.sqrt(2)
    elif mode == "rle":
        density = laplace_log_prob if base == "laplace" else gaussian_log_prob
        charge = charge + log_sigma - density(error)
    return (charge * weight[..., None]).sum() / max(len(mu), 1)
