"""The options of a command whose flags depend on a task: which task it is, and what that task takes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from logpose.cli.flags import (
    dashed,
    first_word,
    flag_names,
    help_text,
    normalised,
    parse_options,
    refuse_unknown,
    wants_help,
)
from logpose.core.errors import InputError
from logpose.core.options import Options
from logpose.tasks import TASKS, find_task
from logpose.tasks.task import Task

__all__ = ["Chosen", "TaskCommand"]

S = TypeVar("S")


@dataclass(frozen=True)
class Chosen(Generic[S]):
    """A task, what it was chosen by, and its options."""

    task: Task
    subject: S
    options: Any


@dataclass(frozen=True)
class TaskCommand(Generic[S]):
    """A command of which each task has options of its own."""

    name: str
    description: str
    common: type[Options]
    """Options that it has in any case."""
    of: Callable[[Task], type[Options]]
    """Those of a task, derived from `common`."""
    find: Callable[[Path, Task | None], tuple[Task, S]]
    """Of the command's first word, and the task that --task names: the task, and what the command goes on with."""
    noun: str
    """What a task's flags are options of: "models", "data"."""

    def parse(self, words: Sequence[str]) -> Chosen[S]:
        """The task that the words name or imply, and its options.

        Raises:
            InputError: if a flag is unknown, or another task's; and whatever `find` raises.
        """
        named = _named_task(normalised(words, [self.common]))
        tasks = (named,) if named else TASKS
        every = [self.common, *map(self.of, tasks)]
        words = normalised(words, every)
        first = first_word(words, every)
        if wants_help(words):
            self._help(first, named)
        refuse_unknown(words, [*every, *map(self.of, TASKS)], self.name)
        if first is None:
            own = all(_has(self.common, name) for name in flag_names(words))
            parse_options(self.common, words if own else [], self.name, self.description)  # reports what is missing
        assert first is not None
        task, subject = self.find(Path(first), named)
        self._refuse_others(words, task, first)
        return Chosen(task, subject, parse_options(self.of(task), words, self.name, self.description))

    def _help(self, first: str | None, named: Task | None) -> None:
        """Print the options, of the task alone where it is known, and end the process."""
        if first is not None and named is None:
            named = self.find(Path(first), None)[0]
        groups = [
            (f"{task.name} {self.noun} ({task.description})", self.of(task)) for task in ((named,) if named else TASKS)
        ]
        print(help_text(self.common, self.name, self.description, groups), end="")
        sys.exit(0)

    def _refuse_others(self, words: Sequence[str], task: Task, first: str) -> None:
        """Refuse flags that only other tasks have."""
        wrong = [name for name in dict.fromkeys(flag_names(words)) if not _has(self.of(task), name)]
        if wrong:
            others = [other.name for other in TASKS if any(_has(self.of(other), name) for name in wrong)]
            an_option, it = ("an option", "it") if len(wrong) == 1 else ("options", "them")
            own = f"not {an_option} of {task.name} {self.noun} ({first})"
            raise InputError(f"{' and '.join(map(dashed, wrong))}: {own}; {' and '.join(others)} {self.noun} take {it}")


def _has(options: type[Options], flag: str) -> bool:
    """Whether a dataclass has a flag, or the switch that it turns off."""
    names = set(options.__dataclass_fields__) - set(options.POSITIONAL)
    return flag in names or flag.removeprefix("no_") in names


def _named_task(words: Sequence[str]) -> Task | None:
    """The task of --task."""
    for i, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == "--task":
            value = value if equals else next(iter(words[i + 1 :]), "")
            return find_task(value)
    return None
