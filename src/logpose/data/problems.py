"""Rows of a file that are left out, and why: what every reader of labels reports them with."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from logpose.core.errors import InputError
from logpose.core.structures import Sample

__all__ = ["FARTHEST", "Problem", "log_problems", "refuse"]

log = logging.getLogger("logpose")

FARTHEST = 1e6
"""Pixels: the largest coordinate, and the largest side of an image; float32 still resolves tenths of a pixel there."""


@dataclass(frozen=True)
class Problem:
    """A row that cannot be learned from, and why."""

    where: str
    """File and row: "annotations.json: annotation 12 (id 345)"."""
    kind: str
    """What is wrong, in the same words for every such row."""
    detail: str = ""
    """What is wrong with this one."""

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}{f' ({self.detail})' if self.detail else ''}"


def refuse(samples: Sequence[Sample], problems: Sequence[Problem], strict: bool, nobody: str) -> None:
    """Refuse a file without a single usable row, with the message `nobody`, or, if `strict`, one with a wrong row.

    Raises:
        InputError: naming the first wrong row.
    """
    if strict and problems:
        raise InputError(f"{problems[0]} (and {len(problems) - 1} more wrong rows)")
    if not samples:
        first = f"; the first of {len(problems)} wrong rows: {problems[0]}" if problems else ""
        raise InputError(f"{nobody}{first}")


def log_problems(data: Any, prefix: str = "") -> None:
    """Log a warning for each kind of problem of a data set: how many rows were left out, and the first of them.

    Args:
        data: a data set; one without a `problems` attribute has none.
        prefix: start of each warning.
    """
    problems: Sequence[Problem] = getattr(data, "problems", ())
    for kind, count in Counter(problem.kind for problem in problems).items():
        first = next(problem for problem in problems if problem.kind == kind)
        log.warning("%s%d left out, %s; the first: %s", prefix, count, kind, first)
