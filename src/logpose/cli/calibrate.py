"""`logpose calibrate`: standard deviations and regions that hold on held-out labels, written into a checkpoint."""

from __future__ import annotations

import json
import logging
from functools import partial
from pathlib import Path

from logpose.cli.task_options import (
    Chosen,
    TaskCommand,
    check_levels,
    check_outputs,
    check_places,
    evaluated,
    open_checkpoint,
)
from logpose.core.calibration import PLURAL
from logpose.core.errors import InputError

__all__ = ["parse", "run"]

log = logging.getLogger("logpose")

WRITTEN = ("checkpoint", "out", "report", "save_json", "save_images")
"""Options that name what is written."""

parse = TaskCommand(
    name="calibrate",
    description="Calibrate the standard deviations of a checkpoint, and the radii of regions, on held-out labels. "
    "With a checkpoint before --help: the options of its task alone.",
    find=partial(open_checkpoint, with_loss=True),
    noun="models",
).parse
"""The task and the options that the words give."""


def run(chosen: Chosen) -> int:
    """Write the calibration into the checkpoint, and print what it changes; returns the exit code.

    Raises:
        InputError: if the data or an option are not what they should be, if there is too little to calibrate on, or the
            model was trained on it.
    """
    from logpose.data.pages import reading_images
    from logpose.tasks.calibrate import calibrate, measure
    from logpose.tasks.calibration_page import calibration_text, write_calibration_page
    from logpose.training.checkpoint import calibration_place, keep_calibration

    task, (model, loss), options = chosen
    check_levels(options.level)
    check_outputs(options)
    place = calibration_place(options.checkpoint, options.out)
    others = [value for name, value in vars(options).items() if isinstance(value, Path) and name not in WRITTEN]
    written = [value for value in (options.report, place if place.is_file() or options.out else None) if value]
    check_places(written, [], others)
    before, model.calibration = model.calibration, None
    evaluator = evaluated(task, model, loss, options)
    if task.has_learned(evaluator, options):
        raise InputError(f"{options.data}: the model was trained on some of it; calibrate on other data")
    group, by_size = options.group or task.default_group, options.by == "joint,size"
    errors = task.errors(evaluator, group)
    measured = measure(errors, model, loss, options.level, group, by_size)
    found = calibrate(errors, model, loss, options.level, group, by_size)
    with reading_images(options):
        task.save(evaluator, options)
    if options.report:
        write_calibration_page(options.report, options.checkpoint, options.data, measured, found, model.skeleton.joints)
        log.info("wrote %s", options.report)
    coverage = dict(zip(measured.levels, measured.coverage("after").tolist(), strict=True))
    target = keep_calibration(
        options.checkpoint, found, options.out, {f"coverage@{level:g}": share for level, share in coverage.items()}
    )
    log.info("wrote the calibration on %d %s into %s", found.groups, PLURAL[group], target)
    if before and options.out is None:
        log.info("it replaces the one on %d %s", before.groups, PLURAL[before.group])
    if options.json:
        print(json.dumps({"groups": found.groups, "group": group, **measured.figures()}, indent=2))
    else:
        for line in calibration_text(measured):
            print(line)
    return 0
