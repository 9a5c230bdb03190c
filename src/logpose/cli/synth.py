"""`logpose synth`: synthetic people as a COCO keypoint data set."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from logpose.core.config import Options
from logpose.core.errors import InputError

__all__ = ["SynthOptions", "run"]


@dataclass(kw_only=True)
class SynthOptions(Options):
    """Write synthetic people as a COCO keypoint data set."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("out",)

    out: Path
    """Folder to make."""
    train: int = 2000
    """Number of images of the training part."""
    val: int = 200
    """Number of images of the validation part."""
    size: tuple[int, int] = (240, 180)
    """Height and width of the images, in pixels."""
    people: tuple[int, int] = (1, 3)
    """Fewest and most people in an image."""
    noise: bool = False
    """Noise on the labels of the training part."""
    easy: bool = False
    """Everybody stands, walks or runs, faces the camera and is fully visible."""
    seed: int = 0
    """Seed of the people."""


def run(options: SynthOptions) -> int:
    """Write the data set; returns the exit code.

    Raises:
        InputError: if a number cannot be, or the folder is not empty.
    """
    from logpose.data.synthetic import LabelNoise, SyntheticPeople, write_coco

    fewest, most = options.people
    if min(options.train, options.val) < 1 or not 1 <= fewest <= most <= 20 or min(options.size) < 32:
        raise InputError("synth needs an image or more in each part, 1 to 20 people in one, 32 pixels a side")
    if options.seed < 0:
        raise InputError(f"--seed must be at least 0, got {options.seed}")
    parts = {
        part: SyntheticPeople(
            count, seed=2 * options.seed + i, size=options.size, people=options.people, easy=options.easy,
            noise=LabelNoise() if options.noise and part == "train" else None,
        )
        for i, (part, count) in enumerate((("train", options.train), ("val", options.val)))
    }  # fmt: skip
    write_coco(parts, options.out)
    print(f"wrote {options.out}; look at it with: logpose inspect {options.out}", file=sys.stderr)
    return 0
