"""Every likelihood loss, with a flow that is no longer the identity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from logpose.flows import RealNVP
from logpose.losses import Gaussian, L1Loss, L2Loss, Laplace, LikelihoodLoss, RLELoss
from logpose.losses.cache import fixed_randomness

__all__ = ["LOSSES", "disturbed", "rle"]


def disturbed(seed: int = 0, amount: float = 0.25, dim: int = 2) -> RealNVP:
    """A small flow as training leaves it, the same for each seed."""
    with fixed_randomness(torch.device("cpu"), seed), torch.no_grad():
        flow = RealNVP(dim, 4, (8, 8))
        for parameter in flow.parameters():
            parameter.add_(amount * torch.randn_like(parameter))
    return flow


def rle(**options: Any) -> Callable[[], LikelihoodLoss]:
    return lambda: RLELoss(disturbed(), **options)


LOSSES: dict[str, Callable[[], LikelihoodLoss]] = {
    **{kind.__name__: kind for kind in (L1Loss, L2Loss, Laplace, Gaussian)},
    "normalized": rle(),
    "normalized, gaussian": rle(base="gaussian"),
    "paper": rle(convention="paper"),
    "released": rle(convention="released"),
    "mmpose": rle(convention="mmpose"),
    "mmpose, gaussian": rle(convention="mmpose", base="gaussian"),
    "dle": rle(mode="dle"),
    "basic": rle(mode="basic"),
}
