"""What the commands take for pose models, and for every model of people in images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from logpose.tasks.task import EvalOptions, InspectOptions, PredictOptions

__all__ = [
    "PeopleEvalOptions",
    "PeoplePredictOptions",
    "PoseEvalOptions",
    "PoseInspectOptions",
    "PosePredictOptions",
]


@dataclass(kw_only=True)
class PeopleEvalOptions(EvalOptions):
    """Options of `logpose eval` of every model that is measured on labelled people in images."""

    part: Literal["val", "train", "all"] | None = None
    """Part of the data; unless given, a folder's validation part (held out, where it has one file), else all."""
    images: Path | None = None
    """Folder of the images, if not beside the annotations."""
    category: str | None = None
    """Name of the category, in a COCO file in which several have keypoints of their own."""
    save_json: Path | None = None
    """Write a COCO results file, with the official keys."""


@dataclass(kw_only=True)
class PoseEvalOptions(PeopleEvalOptions):
    """Options of `logpose eval` of pose models."""

    boxes: Path | None = None
    """Detected boxes to predict in (a COCO detections file); the labelled ones unless given."""
    flip_test: bool = True
    """Average with the prediction on the mirrored crop."""
    score: Literal["sum", "product", "box", "oks"] = "sum"
    """Score of a person: sum, the box's + mean + maximum confidence of the joints (the paper's released code);
    product, the box's × mean confidence of the joints above 0.2; oks, the box's × the OKS expected from sigma; box, the
    box's."""


@dataclass(kw_only=True)
class PeoplePredictOptions(PredictOptions):
    """Options of `logpose predict` of every model that takes images of people."""

    image_folder: Path | None = None
    """Folder of the images that a COCO file lists, if not beside it."""
    box_score: float | None = None
    """Lowest score of a box (0; of those of a --detector 0.5, of point-set anchors 0.3)."""
    save_json: Path | None = None
    """Write a COCO results file; where all inputs are COCO files that list images, with the official keys alone, as the
    test server takes them, else with sigma, box and what is in millimetres."""
    save_images: Path | None = None
    """Folder for images with the poses drawn in."""


@dataclass(kw_only=True)
class PosePredictOptions(PeoplePredictOptions):
    """Options of `logpose predict` of pose models."""

    boxes: Path | None = None
    """Boxes of people; without, an image is one person."""
    detector: Path | None = None
    """Checkpoint of a detection model: its boxes instead."""
    box_category: int | None = None
    """category_id of the --boxes to take."""
    score: Literal["sum", "product", "box", "oks"] = "sum"
    """Score of a person, as for `logpose eval`."""
    nms: bool = False
    """Of people detected in several boxes keep the best, as `logpose eval` does."""
    flip_test: bool = False
    """Average with the prediction on the mirrored crop."""
    focal: tuple[float, ...] | None = None
    """3-D: focal length in pixels, or two, along x and y; the image's diagonal unless given."""
    centre: tuple[float, float] | None = None
    """3-D: principal point x y in pixels; the image's centre unless given."""
    root_depth: float | None = None
    """3-D: distance from the camera to each person's root along its axis, millimetres; unless given, where the limbs
    are as long as those of an adult 1,700 mm tall."""


@dataclass(kw_only=True)
class PoseInspectOptions(InspectOptions):
    """Options of `logpose inspect` of labelled people."""

    images: Path | None = None
    """Folder of the images, if not beside the annotations."""
    category: str | None = None
    """Name of the category, in a COCO file in which several have keypoints of their own."""
    model: Path | None = None
    """Checkpoint of a pose model: list the labels that are least likely by its density."""
    device: str = "auto"
    """Device of --model: cpu, cuda, cuda:1, mps, auto."""
