"""Keypoint regression by maximum likelihood: a network predicts where each joint is and how uncertain it is.

>>> from logpose import Finder, Lifter, Predictor, Segmenter
>>> poses = Predictor("best.ckpt")("photo.jpg")  # .keypoints and .sigma in pixels, .scores
>>> poses = Finder("detector.ckpt")("photo.jpg")  # the same for every person that a detector finds in the image
>>> poses = Lifter("lifting.ckpt")(keypoints, size=(1000, 1000))  # .joints_mm and .sigma_mm
>>> boundaries = Segmenter("boundaries.ckpt")(scan)  # .rows, .sigma and .band in rows of the scan
"""

from typing import TYPE_CHECKING

from logpose.core import moved
from logpose.core.lazy import lazy

if TYPE_CHECKING:
    from logpose.core.skeletons import Skeleton
    from logpose.core.structures import Prediction
    from logpose.flows import RealNVP
    from logpose.losses import RLELoss
    from logpose.tasks.boundaries.predict import Segmenter
    from logpose.tasks.detection.predict import Finder
    from logpose.tasks.lifting.predict import Lifter
    from logpose.tasks.pose.predict import Predictor
    from logpose.training.checkpoint import load_model
else:
    # Imported on first use: `logpose --help` must not wait for torch.
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "core.skeletons": ("Skeleton",),
            "core.structures": ("Prediction",),
            "flows": ("RealNVP",),
            "losses": ("RLELoss",),
            "tasks.boundaries.predict": ("Segmenter",),
            "tasks.detection.predict": ("Finder",),
            "tasks.lifting.predict": ("Lifter",),
            "tasks.pose.predict": ("Predictor",),
            "training.checkpoint": ("load_model",),
        },
        packages=[
            "core",
            "data",
            "export",
            "flows",
            "losses",
            "metrics",
            "models",
            "recipes",
            "report",
            "runtime",
            "tasks",
            "training",
        ],
    )

__all__ = ["Finder", "Lifter", "Prediction", "Predictor", "RLELoss", "RealNVP", "Segmenter", "Skeleton", "load_model"]

__version__ = "0.1.0"

moved.install()
