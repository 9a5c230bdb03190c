"""What the commands take for lifting models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from logpose.tasks.task import EvalOptions, InspectOptions, PredictOptions

__all__ = ["LiftingEvalOptions", "LiftingInspectOptions", "LiftingPredictOptions"]


@dataclass(kw_only=True)
class LiftingEvalOptions(EvalOptions):
    """Options of `logpose eval` of lifting models."""

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
class LiftingPredictOptions(PredictOptions):
    """Options of `logpose predict` of lifting models."""

    inputs: tuple[Path, ...]
    """Files of keypoints: COCO annotations or results, VideoPose3D's data_2d_NAME.npz, .npz with keypoints (frames ×
    joints × 2) and size (height, width)."""
    picture: tuple[int, int] | None = None
    """Height and width of the keypoints' images, in pixels, where their file does not hold it."""
    skeleton: Literal["model", "coco", "mpii", "lsp", "h36m", "humaneva"] | None = None
    """Skeleton of a file that does not name its joints; needed where several have as many (COCO's, Human3.6M's)."""
    flip_test: bool = False
    """Average with the prediction on the mirrored keypoints."""
    save_images: Path | None = None
    """Folder for images of keypoints with the pose in space beside them; at most 50, evenly spaced."""


@dataclass(kw_only=True)
class LiftingInspectOptions(InspectOptions):
    """Options of `logpose inspect` of poses in space."""
