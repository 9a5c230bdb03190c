"""What the commands take for boundary models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from logpose.tasks.task import EvalOptions, InspectOptions, PredictOptions

__all__ = ["BoundaryEvalOptions", "BoundaryInspectOptions", "BoundaryPredictOptions"]


@dataclass(kw_only=True)
class BoundaryEvalOptions(EvalOptions):
    """Options of `logpose eval` of boundary models."""

    data: Path
    """B-scans: a .mat file in the Duke layout, a folder of them, or a folder of images with CSV files of boundaries."""
    part: Literal["val", "train", "all"] | None = None
    """B-scans to evaluate: val, those that the model was not trained on, unless given."""
    grader: Literal[1, 2] | None = None
    """Grader whose labels count (1)."""
    columns: int | None = None
    """Number of columns in the middle of each scan to evaluate (the Duke protocol: 500); all unless given."""
    um_per_px: float | None = None
    """Height of a pixel in micrometres; unless given, what the file holds."""
    flip_test: bool = True
    """Average with the prediction on the mirrored scan."""
    save_images: Path | None = None
    """Folder for images of the scans with predicted boundaries, their bands and the labels."""


@dataclass(kw_only=True)
class BoundaryPredictOptions(PredictOptions):
    """Options of `logpose predict` of boundary models."""

    inputs: tuple[Path, ...]
    """B-scans: images, .mat files in the Duke layout, and folders of them."""
    um_per_px: float | None = None
    """Height of a pixel in micrometres; unless given, what the file holds."""
    flip_test: bool = False
    """Average with the prediction on the mirrored scan."""
    save_images: Path | None = None
    """Folder for images of the scans with boundaries and their 90 % bands."""


@dataclass(kw_only=True)
class BoundaryInspectOptions(InspectOptions):
    """Options of `logpose inspect` of B-scans."""

    grader: Literal[1, 2] | None = None
    """Grader whose labels count (1)."""
    um_per_px: float | None = None
    """Height of a pixel in micrometres; unless given, what the file holds."""
