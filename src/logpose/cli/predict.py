"""`logpose predict`: predictions of a checkpoint, whatever its task."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from logpose.cli.task_options import Chosen, TaskCommand, check_outputs, open_checkpoint
from logpose.core.errors import InputError
from logpose.core.processor import threads_beside

__all__ = ["parse", "run"]


def built_in_before(word: str) -> str | None:
    """The built-in model, if no checkpoint was given: the first word is an image, or a folder or list of images.

    Raises:
        InputError: if it is a folder of neither.
    """
    from logpose.data.images import SUFFIXES
    from logpose.models.weight_files import CONFIG, PERSON, TENSORS, built_in
    from logpose.tasks.pose.evaluate import is_json
    from logpose.training.built_in import note_built_in
    from logpose.training.run_folder import BEST, LAST

    path = Path(word)
    if path.is_dir():
        checkpoint = any((path / name).is_file() for name in (BEST, LAST, CONFIG, TENSORS))
        images = not checkpoint and any(file.suffix.lower() in SUFFIXES for file in path.rglob("*"))
        if not (checkpoint or images):
            raise InputError(f"{word}: a folder without a checkpoint and without images")
    else:
        images = path.suffix.lower() in SUFFIXES or (path.is_file() and is_json(path))
    if not images or (word in built_in() and not path.exists()):
        return None
    note_built_in()
    return PERSON


parse = TaskCommand(
    name="predict",
    description="Predict keypoints in images, poses in space of keypoints, or boundaries in B-scans. Where the first "
    "word is an image, or a folder or list of images, the built-in model predicts (`logpose models`). "
    "With a checkpoint before --help: the options of its task alone.",
    find=partial(open_checkpoint, with_loss=False),
    noun="models",
    before=built_in_before,
).parse
"""The task and the options that the words give."""


@threads_beside(workers=0)
def run(chosen: Chosen) -> int:
    """Print or write the predictions; returns the exit code.

    Raises:
        InputError: if an input or an option is not what it should be.
    """
    from logpose.core.device import choose_device
    from logpose.data.pages import reading_images
    from logpose.report.results import json_rows, write_arrays, write_json

    task, model, options = chosen
    outputs = check_outputs(options)
    with reading_images(options):
        predictions = task.predict(model, replace(options, device=str(choose_device(options.device))))
    if options.save_npz:
        write_arrays(options.save_npz, predictions.arrays())
    if options.save_json:
        write_json(options.save_json, (predictions.saved_rows or predictions.rows)())
    if options.json:
        sys.stdout.writelines(json_rows(predictions.rows()))
    elif not outputs:
        for line in predictions.text():
            print(line)
    for path in outputs:
        print(f"wrote {path}", file=sys.stderr)
    return 0
