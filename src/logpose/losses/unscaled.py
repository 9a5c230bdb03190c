"""RLE whose shortcut is not divided by sigma: what the code of SRNet has left of the two-stage experiments.

    L = sum_d log sigma_d - log G(e) + sum_d |label_d - mu_d|

The last term pulls mu like plain L1, however sure the network is, and teaches sigma nothing. So what is claimed of the
standardised error e is the flow's density alone, as under DLE (Eq. 5).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from logpose.flows import Density
from logpose.losses.rle import RLELoss

__all__ = ["UnscaledRLELoss"]


class UnscaledRLELoss(RLELoss):
    """DLE with L1 beside it (SRNet's repository, `L1GaussianRegressionNewFlow`).

    Args:
        flow: the density G, whatever `flows.as_density` takes; a RealNVP when None.
        dim: D of the joints.
        shortcut: how much L1 counts, in nats for a unit of the labels. Beside the flow's gradient, which goes with
            1 / sigma, the code's 1 is little where sigma is (of poses in metres a twenty-fifth, at 4 cm); of the order
            of 1 / sigma the two pull alike.

    Raises:
        ValueError: if the flow is of another dimension, or the shortcut is below 0.
    """

    def __init__(self, flow: Density | nn.Module | None = None, dim: int = 3, shortcut: float = 1.0) -> None:
        super().__init__(flow, dim, convention="paper", mode="dle")
        if not shortcut >= 0:
            raise ValueError(f"shortcut must be 0 or more, got {shortcut:g}")
        self.shortcut = shortcut

    def config(self) -> dict[str, Any]:
        """The arguments that make this loss again, the flow's under "flow"."""
        return {"dim": self.dim, "shortcut": self.shortcut, "flow": super().config()["flow"]}

    def _charge(self, mu: Tensor, sigma: Tensor, target: Tensor) -> Tensor:
        return super()._charge(mu, sigma, target) + self.shortcut * (target - mu).abs().sum(dim=-1)
