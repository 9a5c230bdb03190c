"""`logpose predict`: predictions of a checkpoint, whatever its task."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from logpose.cli.task_options import Chosen, TaskCommand
from logpose.core.errors import InputError
from logpose.tasks.task import PredictOptions, Task

__all__ = ["parse", "run"]


def parse(words: Sequence[str]) -> Chosen[Any]:
    """The checkpoint's task, its model, and the options that the words give."""
    return COMMAND.parse(words)


def run(chosen: Chosen[Any]) -> int:
    """Print or write the predictions; returns the exit code.

    Raises:
        InputError: if an input or an option is not what it should be.
    """
    from logpose.cli.output import check_outputs
    from logpose.core.device import choose_device
    from logpose.report.results import json_rows, write_arrays, write_json

    task, model, options = chosen.task, chosen.subject, chosen.options
    if options.batch_size is not None and options.batch_size < 1:
        raise InputError(f"--batch-size must be at least 1, got {options.batch_size}")
    outputs = check_outputs(options)
    predictions = task.predict(model, replace(options, device=str(choose_device(options.device))))
    if options.save_npz:
        write_arrays(options.save_npz, predictions.arrays())
    if options.save_json:
        write_json(options.save_json, (predictions.saved_rows or predictions.rows)())
    if options.json:
        for text in json_rows(predictions.rows()):
            sys.stdout.write(text)
    elif not outputs:
        for line in predictions.text():
            print(line)
    for path in outputs:
        print(f"wrote {path}", file=sys.stderr)
    return 0


def _open(checkpoint: Path, task: Task | None) -> tuple[Task, Any]:
    """The task of a checkpoint, and its model."""
    from logpose.tasks import task_of
    from logpose.training.checkpoint import load_model

    model = load_model(checkpoint, models=task.models if task else ())
    if task and task.name != model.task:
        raise InputError(f"--task {task.name}: {checkpoint} holds a {model.task} model")
    return task or task_of(model), model


COMMAND = TaskCommand(
    name="predict",
    description="Predict keypoints in images, poses in space of keypoints, or boundaries in B-scans. "
    "With a checkpoint before --help: the options of its task alone.",
    common=PredictOptions,
    of=lambda task: task.predict_options,
    find=_open,
    noun="models",
)
