"""Networks that say where joints are; none of them knows a loss."""

from logpose.models.backbones import create_backbone, load_backbone_weights
from logpose.models.boundary import BoundaryModel
from logpose.models.heatmap import HeatmapModel, IntegralModel
from logpose.models.hrnet import HRNet
from logpose.models.lifting import LiftingModel
from logpose.models.pose_model import KeypointModel, PoseModel
from logpose.models.regression import RegressionModel
from logpose.models.resnet import ResNet

__all__ = [
    "BoundaryModel",
    "HRNet",
    "HeatmapModel",
    "IntegralModel",
    "KeypointModel",
    "LiftingModel",
    "PoseModel",
    "RegressionModel",
    "ResNet",
    "create_backbone",
    "load_backbone_weights",
]
