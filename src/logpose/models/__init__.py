"""Networks that predict keypoints, poses and boundaries; none of them imports a loss."""

from logpose.models.backbones import create_backbone, load_backbone_weights
from logpose.models.boundary import BoundaryModel
from logpose.models.detector import Detections, Detector
from logpose.models.heatmap import HeatmapModel, IntegralModel
from logpose.models.hrnet import HRNet
from logpose.models.lifting import LiftingModel
from logpose.models.mask_rcnn import MaskRCNN, MaskRCNNOptions
from logpose.models.point_set import PointSetAnchors, PointSetOptions
from logpose.models.pose_model import KeypointModel, Model, PoseModel
from logpose.models.regression import RegressionModel
from logpose.models.resnet import ResNet

__all__ = [
    "MODELS",
    "BoundaryModel",
    "Detections",
    "Detector",
    "HRNet",
    "HeatmapModel",
    "IntegralModel",
    "KeypointModel",
    "LiftingModel",
    "MaskRCNN",
    "MaskRCNNOptions",
    "Model",
    "PointSetAnchors",
    "PointSetOptions",
    "PoseModel",
    "RegressionModel",
    "ResNet",
    "create_backbone",
    "load_backbone_weights",
]

MODELS: tuple[type[Model], ...] = (
    *(RegressionModel, HeatmapModel, IntegralModel, MaskRCNN, PointSetAnchors, LiftingModel, BoundaryModel),
)
"""All models that a checkpoint may be of, by their `kind`."""
