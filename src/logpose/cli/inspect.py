"""`logpose inspect`: counts, label problems and a contact sheet of a data set, whatever its task."""

from __future__ import annotations

import json

from logpose.cli.task_options import Chosen, TaskCommand, check_places
from logpose.tasks import task_that_opens

__all__ = ["parse", "run"]

parse = TaskCommand(
    name="inspect",
    description="Counts, label problems and a contact sheet of a data set. With data before --help: the options of "
    "their task alone.",
    find=lambda data, task: (task or task_that_opens(data), None),
    noun="data",
).parse
"""The task and the options that the words give."""


def run(chosen: Chosen) -> int:
    """Print what the data hold; returns the exit code.

    Raises:
        InputError: if the data cannot be read, or an option is not what it should be.
    """
    from logpose.data.pages import reading_images
    from logpose.report.inspection import inspection_text

    written = getattr(chosen.options, "save_json", None)
    if written is not None:
        data, inside = chosen.options.data, written.resolve().is_relative_to(chosen.options.data.resolve())
        check_places([written], [], [written if inside else data, chosen.options.model or data])
    with reading_images(chosen.options):
        facts = chosen.task.inspect(chosen.options)
    print(json.dumps(facts, indent=2) if chosen.options.json else inspection_text(facts, chosen.task.inspection_text))
    return 0
