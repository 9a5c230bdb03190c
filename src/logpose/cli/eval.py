"""`logpose eval`: measure a checkpoint on labelled data, whatever its task."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from functools import partial

from logpose.cli.task_options import Chosen, TaskCommand, check_outputs, evaluated, open_checkpoint

__all__ = ["parse", "print_figures", "run"]

log = logging.getLogger("logpose")

parse = TaskCommand(
    name="eval",
    description="Measure a checkpoint on a data set. With a checkpoint before --help: the options of its task alone.",
    find=partial(open_checkpoint, with_loss=True),
    noun="models",
).parse
"""The task and the options that the words give."""


def run(chosen: Chosen) -> int:
    """Print the figures, and write what the options ask for; returns the exit code.

    Raises:
        InputError: if the data or an option are not what they should be, or the model has diverged.
    """
    from logpose.data.pages import reading_images
    from logpose.report.evaluation import write_report

    task, (model, loss), options = chosen
    check_outputs(options)
    evaluator = evaluated(task, model, loss, options)
    with reading_images(options):
        task.save(evaluator, options)
        figures = evaluator.compute()
        if options.report:
            write_report(options.report, options.checkpoint, options.data, task.page(evaluator, figures), figures, loss)
            log.info("wrote %s", options.report)
    print_figures(figures, as_json=options.json)
    return 0


def known_or_null(figures: Mapping[str, float]) -> dict[str, float | None]:
    """Figures as JSON has them: it has no NaN."""
    return {name: None if math.isnan(value) else value for name, value in figures.items()}


def print_figures(figures: Mapping[str, float], as_json: bool = False) -> None:
    """Print figures on stdout, a line for each, or as JSON, where those that are not known are null."""
    if as_json:
        print(json.dumps(known_or_null(figures), indent=2))
        return
    width = max(map(len, figures), default=0)
    for name, value in figures.items():
        print(f"{name:{width}} {value:.4f}" if isinstance(value, float) else f"{name:{width}} {value}")
