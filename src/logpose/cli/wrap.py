"""`logpose wrap`: an uncertainty for the keypoints of any program, learned from its predictions and some labels."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from logpose.cli.task_options import check_levels
from logpose.core.calibration import PLURAL, Group
from logpose.core.config import Options
from logpose.core.errors import InputError
from logpose.core.processor import threads_beside

__all__ = ["WrapOptions", "run"]

log = logging.getLogger("logpose")


@dataclass(kw_only=True)
class WrapOptions(Options):
    """Learn how far off any program's keypoints are, from its predictions and some labelled people."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("predictions",)

    predictions: Path
    """COCO results, rows with covariances, DeepLabCut's table of predictions, or YOLO's folder, as for `audit`."""
    labels: Path
    """Labels of the same images, in any format that `train` takes; images that the program was not trained on."""
    out: Path
    """Folder to write the wrapper to; `logpose predict FOLDER PREDICTIONS` uses it."""
    mirrored: Path | None = None
    """What the same program predicts in the mirrored images, mirrored back: how far both are apart shows much."""
    refine: bool = False
    """Correct positions too; unless given they stay as they are."""
    level: tuple[float, ...] = (0.5, 0.9, 0.95)
    """Nominal levels of the regions."""
    group: Group = "image"
    """What is exchangeable: each image, person, or clip (folder of images)."""
    images: Path | None = None
    """Folder of the images, if not beside the labels."""
    category: str | None = None
    """Name of the category, in labels in which several have keypoints of their own."""
    seed: int = 0
    """Seed of weights and of the parts that are left out in turn."""
    json: bool = False
    """Print the figures as JSON."""


@threads_beside(workers=0)
def run(options: WrapOptions) -> int:
    """Write the wrapper, and print what it is worth; returns the exit code.

    Raises:
        InputError: if predictions or labels cannot be read, are of other joints or images, or are too few.
    """
    from logpose.core.files import refuse_taken
    from logpose.tasks.calibrate import measure
    from logpose.tasks.calibration_page import calibration_text
    from logpose.tasks.wrapping.recipe import wrap
    from logpose.training.checkpoint import save

    refuse_taken(options.out)
    if options.seed < 0:
        raise InputError(f"--seed must be at least 0, got {options.seed}")
    check_levels(options.level)
    found, comparison = wrap(
        options.predictions, options.labels, options.mirrored, refine=options.refine, levels=options.level,
        group=options.group, images=options.images, category=options.category, seed=options.seed,
    )  # fmt: skip
    model, loss = found.model, found.loss
    measured = measure(found.errors, model, loss, options.level, options.group)
    figures = comparison | measured.figures()
    kept = {"seed": options.seed, "predictions": options.predictions.name, "data": str(options.labels.resolve())}
    save(model, loss, options.out, recipe=kept, figures=figures)
    assert model.calibration is not None
    log.info("wrote %s, fitted to %d %s", options.out, model.calibration.groups, PLURAL[options.group])
    if options.json:
        print(json.dumps({"groups": model.calibration.groups, **figures}, indent=2))
        return 0
    print("of people that were left out:")
    for name, value in comparison.items():
        print(f"{name:24}{value:9.3f}")
    for line in calibration_text(measured):
        print(line)
    return 0
