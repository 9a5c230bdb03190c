"""Losses, each a density of the error of a keypoint, called alike: `loss(mu, sigma, target, weight)`."""

from typing import TYPE_CHECKING

from logpose.core.lazy import lazy

if TYPE_CHECKING:
    from logpose.losses.base import Distribution, LikelihoodLoss, PoseLoss, loss_from_config
    from logpose.losses.conventions import BasicRLELoss, MmposeRLELoss, ReleasedRLELoss
    from logpose.losses.factors import FactorsRLELoss
    from logpose.losses.fixed import Gaussian, L1Loss, L2Loss, Laplace
    from logpose.losses.heatmap import CellLoss, HeatmapLoss, WithHeatmaps
    from logpose.losses.mixed import MixedRLELoss
    from logpose.losses.rle import RLELoss
    from logpose.losses.rows import RowsLoss
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "base": ("Distribution", "LikelihoodLoss", "PoseLoss", "loss_from_config"),
            "conventions": ("BasicRLELoss", "MmposeRLELoss", "ReleasedRLELoss"),
            "factors": ("FactorsRLELoss",),
            "fixed": ("Gaussian", "L1Loss", "L2Loss", "Laplace"),
            "heatmap": ("CellLoss", "HeatmapLoss", "WithHeatmaps"),
            "mixed": ("MixedRLELoss",),
            "rle": ("RLELoss",),
            "rows": ("RowsLoss",),
        },
    )

__all__ = [
    "BasicRLELoss",
    "CellLoss",
    "Distribution",
    "FactorsRLELoss",
    "Gaussian",
    "HeatmapLoss",
    "L1Loss",
    "L2Loss",
    "Laplace",
    "LikelihoodLoss",
    "MixedRLELoss",
    "MmposeRLELoss",
    "PoseLoss",
    "RLELoss",
    "ReleasedRLELoss",
    "RowsLoss",
    "WithHeatmaps",
    "loss_from_config",
]
