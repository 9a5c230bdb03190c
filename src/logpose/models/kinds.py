"""The models that a checkpoint may be of."""

from __future__ import annotations

from logpose.models.attention import AttentionModel
from logpose.models.boundary import BoundaryModel
from logpose.models.heatmap import HeatmapModel, IntegralModel
from logpose.models.lifting import LiftingModel
from logpose.models.mask_rcnn import MaskRCNN
from logpose.models.movenet_pose import MoveNet
from logpose.models.point_set import PointSetAnchors
from logpose.models.pose_model import Model
from logpose.models.regression import RegressionModel
from logpose.models.wrapper import KeypointWrapper

__all__ = ["MODELS"]

MODELS: tuple[type[Model], ...] = (
    *(
        RegressionModel,
        AttentionModel,
        HeatmapModel,
        IntegralModel,
        MoveNet,
        MaskRCNN,
        PointSetAnchors,
        LiftingModel,
        BoundaryModel,
        KeypointWrapper,
    ),
)
"""All models that a checkpoint may be of, by their `kind`."""
