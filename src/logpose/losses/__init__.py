"""Losses, each a claim about the density of a keypoint's error, called alike: `loss(mu, sigma, target, weight)`."""

from logpose.losses.factors import FactorsRLELoss
from logpose.losses.fixed import Gaussian, L1Loss, L2Loss, Laplace
from logpose.losses.heatmap import CellLoss, HeatmapLoss, WithHeatmaps
from logpose.losses.likelihood import Distribution, LikelihoodLoss, PoseLoss
from logpose.losses.mixed import MixedRLELoss
from logpose.losses.rle import RLELoss
from logpose.losses.rows import RowsLoss
from logpose.losses.unscaled import UnscaledRLELoss

__all__ = [
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
    "PoseLoss",
    "RLELoss",
    "RowsLoss",
    "UnscaledRLELoss",
    "WithHeatmaps",
]
