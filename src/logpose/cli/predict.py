"""`logpose predict`: predictions of a checkpoint, whatever its task."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial

from logpose.cli.task_options import Chosen, TaskCommand, check_outputs, open_checkpoint
from logpose.core.processor import threads_beside

__all__ = ["parse", "run"]

parse = TaskCommand(
    name="predict",
    description="Predict keypoints in images, poses in space of keypoints, or boundaries in B-scans. "
    "With a checkpoint before --help: the options of its task alone.",
    find=partial(open_checkpoint, with_loss=False),
    noun="models",
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
