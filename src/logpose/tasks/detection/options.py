"""What the commands take for detection models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from logpose.tasks.pose.options import PeopleEvalOptions, PeoplePredictOptions
from logpose.tasks.task import InspectOptions

__all__ = ["DetectionEvalOptions", "DetectionInspectOptions", "DetectionPredictOptions"]


@dataclass(kw_only=True)
class DetectionEvalOptions(PeopleEvalOptions):
    """Options of `logpose eval` of detection models."""

    score: Literal["sum", "product", "box", "oks"] = "box"
    """Score of a person: box, the box's; sum, the box's + mean + maximum confidence of the joints; product, the box's ×
    mean confidence of the joints above 0.2; oks, the box's × the OKS expected from sigma."""


@dataclass(kw_only=True)
class DetectionPredictOptions(PeoplePredictOptions):
    """Options of `logpose predict` of detection models."""

    score: Literal["sum", "product", "box", "oks"] = "box"
    """Score of a person, as for `logpose eval`."""


@dataclass(kw_only=True)
class DetectionInspectOptions(InspectOptions):
    """Options of `logpose inspect` of labelled people in whole images."""

    images: Path | None = None
    """Folder of the images, if not beside the annotations."""
    category: str | None = None
    """Name of the category, in a COCO file in which several have keypoints of their own."""
