"""Losses, each a density of the error of a keypoint, called alike: `loss(mu, sigma, target, weight)`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from logpose.core.errors import UnknownKindError
from logpose.losses.base import Distribution, LikelihoodLoss, PoseLoss
from logpose.losses.conventions import BasicRLELoss, MmposeRLELoss, ReleasedRLELoss
from logpose.losses.factors import FactorsRLELoss
from logpose.losses.fixed import Gaussian, L1Loss, L2Loss, Laplace
from logpose.losses.heatmap import CellLoss, HeatmapLoss, WithHeatmaps
from logpose.losses.mixed import MixedRLELoss
from logpose.losses.rle import RLELoss
from logpose.losses.rows import RowsLoss

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

log = logging.getLogger("logpose")


def loss_from_config(config: Mapping[str, Any]) -> PoseLoss | None:
    """The loss that its `config` described, with new parameters.

    Args:
        config: plain values with the class as `kind`, also those of version 0.1; a kind of None is no loss.

    Returns:
        None if there is no loss, or it, or its flow, is of a class that is not of this package; then with a warning.

    Raises:
        InputError: if a key is no argument of its class.
        ValueError: if a value is not valid.
    """
    if config["kind"] is None:
        return None
    try:
        return PoseLoss.from_config(config)
    except UnknownKindError as error:
        log.warning("the loss cannot be restored, so there is no likelihood: %s", error)
        return None
