"""The options of a command whose flags depend on a task: which task it is, and what that task takes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from logpose.cli.flags import first_word, flag_names, help_text, normalised, parse_options
from logpose.cli.spelling import dashed
from logpose.core.config import Options
from logpose.core.errors import InputError
from logpose.core.processor import threads_beside, worker_processes
from logpose.tasks import TASKS, find_task
from logpose.tasks.task import Task

__all__ = ["Chosen", "TaskCommand", "check_levels", "check_outputs", "check_places", "evaluated", "open_checkpoint"]

FILES, FOLDERS = ("save_json", "save_npz", "report"), ("save_images",)
"""Names of options that are files, and folders, to write."""


class Chosen(NamedTuple):
    """A task, what it was chosen by, and its options."""

    task: Task
    subject: Any
    options: Any


def open_checkpoint(checkpoint: str | Path, task: Task | None, *, with_loss: bool) -> tuple[Task, Any]:
    """The task of a checkpoint, and its model; or its model and loss.

    Raises:
        InputError: if it cannot be read, or is of another task than the one that is given.
    """
    from logpose.tasks import task_of
    from logpose.training.checkpoint import load, load_model

    models = task.models if task else ()
    loaded: Any = load(checkpoint, models=models) if with_loss else load_model(checkpoint, models=models)
    model = loaded[0] if with_loss else loaded
    if task and task.name != model.task:
        raise InputError(f"--task {task.name}: {checkpoint} holds a {model.task} model")
    return task or task_of(model), loaded


def evaluated(task: Task, model: Any, loss: Any, options: Any) -> Any:
    """What a model predicts of labelled data: the task's evaluator.

    Raises:
        InputError: if the data or an option are not what they should be, or the model has diverged.
    """
    from logpose.core.device import choose_device
    from logpose.data.pages import reading_images

    device = choose_device(options.device)
    workers = worker_processes(options.workers, on_cpu=device.type == "cpu")
    with threads_beside(workers), reading_images(options):
        evaluator = task.evaluate(model, loss, replace(options, device=str(device), workers=workers))
    if not (evaluator.is_finite() and model.is_finite()):
        raise InputError(f"{options.checkpoint}: the model's predictions are not finite; it has diverged")
    return evaluator


def check_outputs(options: Any) -> list[Path]:
    """What a command's options ask to write; a folder in place of a file, or a file in place of one, is refused.

    Raises:
        InputError: naming it, or a batch that cannot be.
    """
    if options.batch_size is not None and options.batch_size < 1:
        raise InputError(f"--batch-size must be at least 1, got {options.batch_size}")
    outputs = {name: path for name in (*FILES, *FOLDERS) if (path := getattr(options, name, None)) is not None}
    inputs = [path for name, value in vars(options).items() if name not in (*outputs, "out") for path in _paths(value)]
    check_places(
        [path for name, path in outputs.items() if name in FILES],
        [path for name, path in outputs.items() if name in FOLDERS],
        inputs,
    )
    return list(outputs.values())


def check_levels(levels: Sequence[float]) -> None:
    """Refuse nominal levels that no density has regions of.

    Raises:
        InputError: if one is outside [0.05, 0.99], or there is none.
    """
    if not levels or not all(0.05 <= level <= 0.99 for level in levels):
        raise InputError("--level: from 0.05 to 0.99")


def check_places(files: Sequence[str | Path], folders: Sequence[str | Path], inputs: Sequence[str | Path]) -> None:
    """Refuse files to write that are folders, or inputs, or one another, and folders that are files.

    Raises:
        InputError: naming it.
    """
    places = [Path(path) for path in files]
    for path in places:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, not a file for results")
    for path in map(Path, folders):
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: is a file, not a folder for images")
    read = [Path(path).resolve() for path in inputs]
    if same := next((path for path in places if path.exists() and path.resolve() in read), None):
        raise InputError(f"{same}: is an input of this command, and would be overwritten")
    resolved = [path.resolve() for path in places]
    if twice := next((path for path, place in zip(places, resolved, strict=True) if resolved.count(place) > 1), None):
        raise InputError(f"{twice}: is to be written twice")


def _paths(value: Any) -> list[Path]:
    """The paths that an option gives, resolved."""
    return [each.resolve() for each in (value if isinstance(value, tuple) else (value,)) if isinstance(each, Path)]


@dataclass(frozen=True)
class TaskCommand:
    """A command of which each task has options of its own: those of `eval` are its `eval_options`."""

    name: str
    description: str
    find: Callable[[Path, Task | None], tuple[Task, Any]]
    """Of the command's first word, and the task that --task names: the task, and what the command goes on with."""
    noun: str
    """What a task's flags are options of: "models", "data"."""
    before: Callable[[str], str | None] = lambda _: None
    """Of a first word that `find` could not know: the word that is meant to stand before it."""

    def parse(self, words: Sequence[str]) -> Chosen:
        """The task that the words name or imply, and its options.

        Raises:
            InputError: if a flag is another task's; and whatever `find` raises.
        """
        of: Callable[[Any], type[Options]] = attrgetter(f"{self.name}_options")
        common = of(Task)
        named = _named_task(normalised(words, [common]))
        tasks = (named,) if named else TASKS
        every = [common, *map(of, tasks)]
        words = normalised(words, every)
        first = first_word(words, every)
        if first is not None and (meant := self.before(first)) is not None:
            words, first = [meant, *words], meant
        if not {"-h", "--help"}.isdisjoint(words):
            if first is not None and named is None:
                tasks = (self.find(Path(first), None)[0],)
            groups = [(f"{task.name} {self.noun} ({task.description})", of(task)) for task in tasks]
            print(help_text(common, self.name, self.description, groups), end="")
            sys.exit(0)
        if first is None:
            own = all(_has(common, name) for name in flag_names(words))
            parse_options(common, words if own else [], self.name, self.description)  # reports what is missing
        assert first is not None
        task, subject = self.find(Path(first), named)
        wrong = [name for name in dict.fromkeys(flag_names(words)) if not _has(of(task), name)]
        if others := [other.name for other in TASKS if any(_has(of(other), name) for name in wrong)]:
            flags = " and ".join(dashed(f"--{name}") for name in wrong)
            whose = " and ".join([*filter(None, [", ".join(others[:-1])]), others[-1]])
            raise InputError(f"{flags}: for {whose} {self.noun}, not for {task.name} {self.noun} ({first})")
        return Chosen(task, subject, parse_options(of(task), words, self.name, self.description))


def _has(options: type[Options], flag: str) -> bool:
    """Whether a dataclass has a flag, or the switch that it turns off."""
    return not {flag, flag.removeprefix("no_")}.isdisjoint(set(options.__dataclass_fields__) - {*options.POSITIONAL})


def _named_task(words: Sequence[str]) -> Task | None:
    """The task of --task."""
    for word, following in zip(words, [*words[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        if name == "--task":
            return find_task(value if equals else following)
    return None
