"""What `eval`, `predict` and `inspect` take for each task, beside the options that every task has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from logpose.core.config import Options
from logpose.tasks.task import CalibrateOptions, EvalOptions, InspectOptions, PredictOptions

__all__ = [
    "LOOKS",
    "BoundaryCalibrateOptions",
    "BoundaryEvalOptions",
    "BoundaryInspectOptions",
    "BoundaryPredictOptions",
    "DetectionCalibrateOptions",
    "DetectionEvalOptions",
    "DetectionPredictOptions",
    "LiftingCalibrateOptions",
    "LiftingEvalOptions",
    "LiftingPredictOptions",
    "PeopleEvalOptions",
    "PeopleInspectOptions",
    "PeoplePredictOptions",
    "PoseCalibrateOptions",
    "PoseEvalOptions",
    "PoseInspectOptions",
    "PosePredictOptions",
    "WrappingCalibrateOptions",
    "WrappingEvalOptions",
    "WrappingPredictOptions",
]

LOOKS = 4
"""How often an image without boxes is looked at, unless another number is given."""
Score = Literal["sum", "product", "box", "oks"]


@dataclass(kw_only=True)
class ImageOptions(Options):
    """Files of images: what every command takes that reads them."""

    page: int | None = None
    """Page of files with several (TIFF, GIF, animations), counted from 0 (0)."""
    max_pixels: int | None = None
    """Images with more pixels are left out, from their header (268 million)."""


@dataclass(kw_only=True)
class AnnotationOptions(ImageOptions):
    """Labelled people in images: what `eval` and `inspect` take."""

    images: Path | None = None
    """Folder of the images, if not beside the annotations."""
    category: str | None = None
    """Name of the category, in a file in which several have keypoints of their own; A,B: each of these; all: each."""
    depth: bool = False
    """Keypoints are x, y, z, v, with the depth z in millimetres, relative to the root joint or not."""


@dataclass(kw_only=True)
class PeopleInspectOptions(AnnotationOptions, InspectOptions):
    """Labelled people in images: options of `logpose inspect`."""


@dataclass(kw_only=True)
class PoseInspectOptions(PeopleInspectOptions):
    """The same, and the labels that a model finds unlikely."""

    model: Path | None = None
    """Checkpoint of a pose model: list the labels that are least likely by its density, and what is probably wrong."""
    save_json: Path | None = None
    """With --model: write the people with something wrong, their labels corrected, as COCO results; `convert-labels`
    makes tasks of them."""
    second: Path | None = None
    """Labels of the same images by somebody else: estimate the sigmas of OKS of each joint from both."""
    device: str = "auto"
    """Device of --model: cpu, cuda, cuda:1, mps, auto."""


@dataclass(kw_only=True)
class PeopleEvalOptions(AnnotationOptions, EvalOptions):
    """Models of people in images: options of `logpose eval`."""

    part: Literal["val", "train", "all"] | None = None
    """Part of the data; unless given, a folder's validation part (held out, where it has one file), what was held out
    of a file that the model was trained on, and all of another."""
    save_json: Path | None = None
    """Write a COCO results file, with the official keys."""


@dataclass(kw_only=True)
class PoseEvalOptions(PeopleEvalOptions):
    """The same of one person's crop."""

    boxes: Path | None = None
    """Detected boxes to predict in (a COCO detections file); the labelled ones unless given."""
    flip_test: bool | None = None
    """Average with the prediction on the mirrored crop: unless given, where left and right joints are known."""
    score: Score = "sum"
    """Score of a person: sum, the box's + mean + maximum confidence of the joints (the paper's released code);
    product, the box's × mean confidence of the joints above 0.2; oks, the box's × the OKS expected from sigma; box, the
    box's."""


@dataclass(kw_only=True)
class DetectionEvalOptions(PeopleEvalOptions):
    """The same of whole images."""

    score: Score = "box"
    """Score of a person: box, the box's; sum, the box's + mean + maximum confidence of the joints; product, the box's ×
    mean confidence of the joints above 0.2; oks, the box's × the OKS expected from sigma."""


@dataclass(kw_only=True)
class PoseCalibrateOptions(CalibrateOptions, PoseEvalOptions):
    """Models of one person's crop: options of `logpose calibrate`."""

    flip_test: bool | None = False
    """Average with the prediction on the mirrored crop; the default is that of `predict`."""


@dataclass(kw_only=True)
class DetectionCalibrateOptions(CalibrateOptions, DetectionEvalOptions):
    """The same of whole images."""


@dataclass(kw_only=True)
class PeoplePredictOptions(ImageOptions, PredictOptions):
    """Models of people in images: options of `logpose predict`."""

    images: Path | None = None
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
    """The same of one person's crop."""

    boxes: Path | None = None
    """Boxes of people: detections, or a file of labels (COCO annotations, …); without, one person is looked for."""
    detector: Path | None = None
    """Boxes of a detector instead: a checkpoint of a detection model, or torchvision/NAME, one trained on COCO."""
    looks: int = LOOKS
    """How often an image without boxes is looked at: as a whole, then in the box of the joints found before; 1: each
    image is a person's crop."""
    box_category: int | None = None
    """category_id of the --boxes to take; of labels, unless given, that with the model's joints."""
    category: str | None = None
    """Of a model of several categories: the name of that of all people, where --boxes do not give each one's."""
    score: Score = "sum"
    """Score of a person, as for `logpose eval`."""
    nms: bool = False
    """Of people detected in several boxes keep the best, as `logpose eval` does."""
    flip_test: bool = False
    """Average with the prediction on the mirrored crop: a little better, half as fast; the default of `eval`."""
    focal: tuple[float, ...] | None = None
    """3-D: focal length in pixels, or two, along x and y; the image's diagonal unless given."""
    centre: tuple[float, float] | None = None
    """3-D: principal point x y in pixels; the image's centre unless given."""
    root_depth: float | None = None
    """3-D: distance from the camera to each person's root along its axis, millimetres; unless given, where the limbs
    are as long as those of an adult 1,700 mm tall."""


@dataclass(kw_only=True)
class DetectionPredictOptions(PeoplePredictOptions):
    """The same of whole images."""

    score: Score = "box"
    """Score of a person, as for `logpose eval`."""


@dataclass(kw_only=True)
class LiftingEvalOptions(EvalOptions):
    """Lifting models: options of `logpose eval`."""

    data: Path
    """Poses in space: VideoPose3D's data_3d_NAME.npz."""
    keypoints: Path | None = None
    """data_2d_NAME_gt.npz; unless given the one beside the data, or the projections into synthetic cameras."""
    detected: Path | None = None
    """A detector's keypoints of the same frames, in the same form, to lift instead; --keypoints give the cameras."""
    subjects: tuple[str, ...] | None = None
    """Names of subjects, or Val for all of Val/…; unless given, all that the model was not trained on."""
    picture: tuple[int, int] | None = None
    """Height and width of the keypoints' images, in pixels; Human3.6M's or HumanEva's unless given."""
    cameras: int | None = None
    """Number of synthetic cameras around a sequence without keypoints (4)."""
    camera_seed: int | None = None
    """Seed of their positions (0)."""
    flip_test: bool = True
    """Average with the prediction on the mirrored keypoints."""


@dataclass(kw_only=True)
class LiftingCalibrateOptions(CalibrateOptions, LiftingEvalOptions):
    """Lifting models: options of `logpose calibrate`."""

    flip_test: bool = False
    """Average with the prediction on the mirrored keypoints; the default is that of `predict`."""


@dataclass(kw_only=True)
class LiftingPredictOptions(PredictOptions):
    """Lifting models: options of `logpose predict`."""

    inputs: tuple[Path, ...]
    """Files of keypoints: COCO annotations or results, VideoPose3D's data_2d_NAME.npz, .npz with keypoints (frames ×
    joints × 2) and size (height, width)."""
    picture: tuple[int, int] | None = None
    """Height and width of the keypoints' images, in pixels, where their file does not hold it."""
    skeleton: Literal["model", "coco", "mpii", "lsp", "h36m", "humaneva"] | None = None
    """Skeleton of a file that does not name its joints; needed where several have as many (COCO's, Human3.6M's)."""
    flip_test: bool = False
    """Average with the prediction on the mirrored keypoints: a little better, half as fast; the default of `eval`."""
    save_images: Path | None = None
    """Folder for images of keypoints with the pose in space beside them; at most 50, evenly spaced."""


@dataclass(kw_only=True)
class ScanOptions(ImageOptions):
    """B-scans: what every command takes."""

    um_per_px: float | None = None
    """Height of a pixel in micrometres; unless given, what the file holds."""


@dataclass(kw_only=True)
class LabelledScanOptions(ScanOptions):
    """Labelled B-scans: what `eval` and `inspect` take."""

    grader: Literal[1, 2] | None = None
    """Grader whose labels count (1)."""


@dataclass(kw_only=True)
class BoundaryInspectOptions(LabelledScanOptions, InspectOptions):
    """Labelled B-scans: options of `logpose inspect`."""


@dataclass(kw_only=True)
class BoundaryEvalOptions(LabelledScanOptions, EvalOptions):
    """Boundary models: options of `logpose eval`."""

    data: Path
    """B-scans: a .mat file in the Duke layout, a folder of them, or a folder of images with CSV files of boundaries."""
    part: Literal["val", "train", "all"] | None = None
    """B-scans to evaluate: val, those that the model was not trained on, unless given."""
    columns: int | None = None
    """Number of columns in the middle of each scan to evaluate (the Duke protocol: 500); all unless given."""
    flip_test: bool = True
    """Average with the prediction on the mirrored scan."""
    save_images: Path | None = None
    """Folder for images of the scans with predicted boundaries, their bands and the labels."""


@dataclass(kw_only=True)
class BoundaryCalibrateOptions(CalibrateOptions, BoundaryEvalOptions):
    """Boundary models: options of `logpose calibrate`."""

    flip_test: bool = False
    """Average with the prediction on the mirrored scan; the default is that of `predict`."""


@dataclass(kw_only=True)
class BoundaryPredictOptions(ScanOptions, PredictOptions):
    """Boundary models: options of `logpose predict`."""

    inputs: tuple[Path, ...]
    """B-scans: images, .mat files in the Duke layout, and folders of them."""
    flip_test: bool = False
    """Average with the prediction on the mirrored scan: a little better, half as fast; the default of `eval`."""
    save_images: Path | None = None
    """Folder for images of the scans with boundaries and their 90 % bands."""


@dataclass(kw_only=True)
class WrappingOptions(Options):
    """A program's predictions: what every command takes that reads them for a wrapper."""

    mirrored: Path | None = None
    """What the same program predicts in the mirrored images, mirrored back (x of an image's width W as W - 1 - x, left
    and right joints exchanged); for wrappers that were fitted with it."""
    images: Path | None = None
    """Folder of the images, if not beside the labels; needed for YOLO's predictions alone."""


@dataclass(kw_only=True)
class WrappingEvalOptions(WrappingOptions, EvalOptions):
    """Wrappers: options of `logpose eval`."""

    predictions: Path
    """What the program predicts in the labelled images, in a form that `audit` takes."""
    category: str | None = None
    """Name of the category, in labels in which several have keypoints of their own."""
    score: Score = "oks"
    """Score of a person: oks, the program's × the OKS expected from sigma; box, the program's."""
    save_json: Path | None = None
    """Write a COCO results file, with the official keys."""


@dataclass(kw_only=True)
class WrappingCalibrateOptions(CalibrateOptions, WrappingEvalOptions):
    """Wrappers: options of `logpose calibrate`."""


@dataclass(kw_only=True)
class WrappingPredictOptions(WrappingOptions, PredictOptions):
    """Wrappers: options of `logpose predict`."""

    inputs: tuple[Path, ...]
    """A program's predictions, in a form that `audit` takes: COCO results, DeepLabCut's table, YOLO's folder, ….
    COCO results are written again with sigma, radius and expected_oks in each row."""
