"""Networks that predict keypoints, poses and boundaries; none of them imports a loss."""

from typing import TYPE_CHECKING

from logpose.core.lazy import lazy

if TYPE_CHECKING:
    from logpose.models.attention import AttentionModel
    from logpose.models.backbones import create_backbone, load_backbone_weights
    from logpose.models.boundary import BoundaryModel
    from logpose.models.detector import Detections, Detector
    from logpose.models.heatmap import HeatmapModel, IntegralModel
    from logpose.models.hrnet import HRNet
    from logpose.models.kinds import MODELS
    from logpose.models.lifting import LiftingModel
    from logpose.models.mask_rcnn import MaskRCNN
    from logpose.models.movenet_pose import MoveNet
    from logpose.models.options import MaskRCNNOptions, PointSetOptions
    from logpose.models.point_set import PointSetAnchors
    from logpose.models.pose_model import KeypointModel, Model, PoseModel
    from logpose.models.regression import RegressionModel
    from logpose.models.resnet import ResNet
    from logpose.models.wrapper import KeypointWrapper
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "attention": ("AttentionModel",),
            "backbones": ("create_backbone", "load_backbone_weights"),
            "boundary": ("BoundaryModel",),
            "detector": ("Detections", "Detector"),
            "heatmap": ("HeatmapModel", "IntegralModel"),
            "hrnet": ("HRNet",),
            "kinds": ("MODELS",),
            "lifting": ("LiftingModel",),
            "mask_rcnn": ("MaskRCNN",),
            "movenet_pose": ("MoveNet",),
            "options": ("MaskRCNNOptions", "PointSetOptions"),
            "point_set": ("PointSetAnchors",),
            "pose_model": ("KeypointModel", "Model", "PoseModel"),
            "regression": ("RegressionModel",),
            "resnet": ("ResNet",),
            "wrapper": ("KeypointWrapper",),
        },
    )

__all__ = [
    "MODELS",
    "AttentionModel",
    "BoundaryModel",
    "Detections",
    "Detector",
    "HRNet",
    "HeatmapModel",
    "IntegralModel",
    "KeypointModel",
    "KeypointWrapper",
    "LiftingModel",
    "MaskRCNN",
    "MaskRCNNOptions",
    "Model",
    "MoveNet",
    "PointSetAnchors",
    "PointSetOptions",
    "PoseModel",
    "RegressionModel",
    "ResNet",
    "create_backbone",
    "load_backbone_weights",
]
