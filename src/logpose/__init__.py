"""Keypoint regression by maximum likelihood: where each joint is, and how sure the network is.

>>> from logpose import Predictor
>>> poses = Predictor("best.ckpt")("photo.jpg")  # .keypoints and .sigma in pixels, .scores
>>> poses = Finder("detector.ckpt")("photo.jpg")  # the same of everybody in it, by a model that finds them itself
>>> poses = Lifter("lifting.ckpt")(keypoints, size=(1000, 1000))  # .joints_mm and .sigma_mm
>>> boundaries = Segmenter("boundaries.ckpt")(scan)  # .rows, .sigma and .band in the scan's own rows
"""

from logpose.core import moved
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Prediction
from logpose.flows import RealNVP
from logpose.losses import RLELoss
from logpose.tasks.boundaries.predict import Segmenter
from logpose.tasks.detection.predict import Finder
from logpose.tasks.lifting.predict import Lifter
from logpose.tasks.pose.predict import Predictor
from logpose.training.checkpoint import load_model

__all__ = ["Finder", "Lifter", "Prediction", "Predictor", "RLELoss", "RealNVP", "Segmenter", "Skeleton", "load_model"]

__version__ = "0.1.0"

moved.install()
