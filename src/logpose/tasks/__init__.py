"""The tasks, and how the task of a model or of a name is found."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from logpose.core.errors import InputError
from logpose.core.user_files import attribute_of_file
from logpose.tasks.boundaries.task import BoundaryTask
from logpose.tasks.detection.task import DetectionTask
from logpose.tasks.lifting.task import LiftingTask
from logpose.tasks.pose.task import PoseTask
from logpose.tasks.task import Task
from logpose.tasks.wrapping.task import WrappingTask
from logpose.training.run_folder import BEST, LAST

__all__ = ["TASKS", "Task", "find_task", "task_of", "task_that_opens"]

TASKS: tuple[Task, ...] = (PoseTask(), DetectionTask(), LiftingTask(), BoundaryTask(), WrappingTask())
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

    Raises:
        InputError: if the data are a checkpoint, or the folder of a run.
    """
    if _is_model(Path(data)):
        raise InputError(
            f"{data}: is a trained model or its run, no labelled data; `logpose eval {data} DATA` measures it"
        )
    return next((task for task in reversed(TASKS) if task.opens(data)), TASKS[0])


def _is_model(path: Path) -> bool:
    """Whether a path is a checkpoint, the folder of a converted one, or that of a run."""
    if path.is_dir():
        return any((path / name).is_file() for name in (BEST, LAST, "model.safetensors"))
    if not (path.is_file() and zipfile.is_zipfile(path)):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/data.pkl") for name in archive.namelist())
