"""`logpose convert-labels`: labels, or predictions, in the format of another tool."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar, Literal

from logpose.core.config import Options
from logpose.core.errors import InputError

if TYPE_CHECKING:
    from logpose.data.label_conversion import Conversion

__all__ = ["ConvertLabelsOptions", "run"]

log = logging.getLogger("logpose")


@dataclass(kw_only=True)
class ConvertLabelsOptions(Options):
    """Write labels in another format, with copies of their images; or predictions, as what a person corrects."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("source", "out")

    source: Path
    """Labels in any format that --data takes; or what `logpose predict --save-json` wrote."""
    out: Path
    """Folder to make."""
    to: Literal["coco", "yolo", "label-studio", "cvat"]
    """Format. Predictions are written for label-studio and cvat."""
    images: Path | None = None
    """Folder of the images; of predictions, what they were predicted on: a folder, or a COCO file that lists images."""
    category: str | None = None
    """Of several with joints of their own, the name of one, several names (A,B), or all."""
    model: Path | None = None
    """Of predictions: the model that made them, a checkpoint, whose joints they have."""


def run(options: ConvertLabelsOptions) -> int:
    """Write the folder, and print what was written and what was not; returns the exit code.

    Raises:
        InputError: if the labels cannot be read, or the folder is not empty.
    """
    from logpose.core.files import refuse_taken
    from logpose.data.label_conversion import converted, is_predictions, labels_of
    from logpose.data.problems import log_problems

    refuse_taken(options.out)
    options.out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{options.out.name}.frames-", dir=options.out.absolute().parent) as frames:
        if is_predictions(options.source):
            conversion = _predictions(options)
        elif options.model is not None:
            raise InputError(f"--model: {options.source} has labels, not predictions")
        else:
            conversion = labels_of(options.source, options.images, options.category, frames)
        log_problems(conversion)
        converted(conversion, options.out, options.to)
    for note in conversion.content.notes:
        log.warning("%s", note)
    written = conversion.read - conversion.left_out.total()
    what = "predictions" if conversion.predictions else "people"
    print(f"wrote {options.out}: {written} of {conversion.read} {what}, {len(conversion.content.images)} images")
    for reason, count in conversion.left_out.items():
        if count:
            print(f"  left out {count}: {reason}")
    return 0


def _predictions(options: ConvertLabelsOptions) -> Conversion:
    """What a file of predictions has, on the images and with the joints that the options name."""
    from logpose.data.label_conversion import predictions_of
    from logpose.training.checkpoint import load_model

    if options.model is None or options.images is None:
        raise InputError(f"{options.source}: has predictions; --images and --model name what they were made of")
    if options.to not in ("label-studio", "cvat"):
        raise InputError(f"{options.source}: has predictions, which are no labels; --to label-studio or --to cvat")
    return predictions_of(options.source, options.images, load_model(options.model).skeleton)
