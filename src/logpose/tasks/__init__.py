"""The four tasks, and how the task of a model or of a name is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from logpose.core.errors import InputError
from logpose.core.user_files import attribute_of_file
from logpose.tasks.boundaries.task import BoundaryTask
from logpose.tasks.detection.task import DetectionTask
from logpose.tasks.lifting.task import LiftingTask
from logpose.tasks.pose.task import PoseTask
from logpose.tasks.task import Task

__all__ = ["TASKS", "Task", "find_task", "task_of", "task_that_opens"]

TASKS: tuple[Task, ...] = (PoseTask(), DetectionTask(), LiftingTask(), BoundaryTask())
"""Every task of this package."""


def find_task(name: str) -> Task:
    """The task of a name, or of a file of one's own.

    Args:
        name: one of `TASKS`, or `path/to/file.py:NAME` of a `Task` object. Such a file is Python and is run.

    Raises:
        InputError: if there is none.
    """
    path, colon, attribute = name.rpartition(":")
    if colon and path.endswith(".py"):
        task = attribute_of_file(Path(path), attribute)
        if not isinstance(task, Task):
            raise InputError(f"{name}: not a task but {type(task).__name__}")
        return task
    known = {task.name: task for task in TASKS}
    if name not in known:
        raise InputError(f"--task {name}: expected {', '.join(known)}, or path/to/file.py:NAME")
    return known[name]


def task_of(model: Any) -> Task:
    """The task of a model.

    Raises:
        InputError: if it is none of `TASKS`.
    """
    task = next((task for task in TASKS if task.name == model.task), None)
    if task is None:
        raise InputError(f"a {model.task} model: no task of logpose; name it as --task path/to/file.py:NAME")
    return task


def task_that_opens(data: str | Path) -> Task:
    """The task that labelled data are for: the last that opens them, as a folder of B-scans may hold JSON files too.

    Where none opens them it is the first, whose reader reports what is wrong.
    """
    return next((task for task in reversed(TASKS) if task.opens(data)), TASKS[0])
