"""RLE whose shortcut is not divided by sigma: what SRNet's code contains of the two-stage experiments (Table 9).

    L = sum_d log sigma_d - log G(e) + sum_d |label_d - mu_d|

The gradient of the last term with respect to mu is that of plain L1, whatever sigma is, and sigma has none. So the
density of the standardised error e is that of the flow alone, as under DLE (Eq. 5).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from logpose.flows import Density
from logpose.losses.rle import RLELoss

__all__ = ["UnscaledRLELoss"]


class UnscaledRLELoss(RLELoss):
    """DLE with L1 beside it (SRNet's repository, `L1GaussianRegressionNewFlow`).

    Args:
        flow: the density G, whatever `flows.as_density` takes; a RealNVP when None.
        dim: D of the joints.
        shortcut: weight of L1, in nats for a unit of the labels. The gradient of the flow's term goes with 1 / sigma,
            beside which the code's 1 is small (of poses in metres a 25th, at 4 cm); at about 1 / sigma both are equal.

    Raises:
        ValueError: if the flow is of another dimension, or the shortcut is below 0.
    """

    def __init__(self, flow: Density | nn.Module | None = None, dim: int = 3, shortcut: float = 1.0) -> None:
        super().__init__(flow, dim, convention="paper", mode="dle")
        if not shortcut >= 0:
            raise ValueError(f"shortcut must be 0 or more, got {shortcut:g}")
        self.shortcut = shortcut

    def joint_losses(
        self,
        mu: Float[Tensor, "B K D"],
        sigma: Float[Tensor, "B K D"],
        target: Float[Tensor, "B K D"],
        weight: Float[Tensor, "B K"],
    ) -> Float[Tensor, "B K"]:
        """What training minimises of each joint."""
        nll = super().joint_losses(mu, sigma, target, weight)
        return nll + self.shortcut * (target - mu).abs().sum(dim=-1)
