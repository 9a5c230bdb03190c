"""What all readers of annotation files share: their people, and the rows that are left out, with the reason."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from logpose.core.errors import InputError
from logpose.core.samples import Sample
from logpose.core.skeletons import Skeleton

__all__ = ["FARTHEST", "PeopleFile", "Problem", "by_kind", "held_out", "in_part", "log_problems", "of_part", "refuse"]

log = logging.getLogger("logpose")
Row = TypeVar("Row")

FARTHEST = 1e6
"""Pixels: the largest coordinate, and the largest side of an image; float32 still resolves tenths of a pixel there."""
HOLD_OUT = 10  # where a data set has no validation part, every tenth image is held out


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


class PeopleFile:
    """The people of an annotation file; base of the readers.

    Attributes:
        samples: the labelled people.
        problems: rows that were left out.
        notes: what else was changed in reading, a sentence each.
        counts: how many rows the file holds, and how many of them were passed over, by reason.
    """

    def __init__(self, file: str | Path, skeleton: Skeleton, image_folder: str | Path) -> None:
        self.file, self.skeleton, self.image_folder = Path(file), skeleton, Path(image_folder)
        self.samples: list[Sample] = []
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.counts: Counter[str] = Counter()

    @property
    def image_files(self) -> Iterable[Path]:
        """The image of each person."""
        return (sample.image for sample in self.samples if isinstance(sample.image, Path))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def _add(self, row: Sample | Problem | None, passed_over: str = "passed over") -> None:
        """Add the person of a row, or what is wrong with it; None counts as `passed_over`."""
        if isinstance(row, Problem):
            self.problems.append(row)
        elif row is None:
            self.counts[passed_over] += 1
        else:
            self.samples.append(row)


def in_part(number: int, part: str | None) -> bool:
    """Whether an image is in a part ("train", "val") of a file without parts, by its number; None takes all."""
    return part is None or (number % HOLD_OUT == HOLD_OUT - 1) == (part == "val")


def held_out(labelled: Sequence[Row], others: Sequence[Row] = ()) -> set[Row]:
    """Images of a file without parts that are held out: every tenth, counted apart; of two to nine labelled the last.

    Args:
        labelled: images with labels.
        others: images without.
    """
    tenth = slice(HOLD_OUT - 1, None, HOLD_OUT)
    return {*(labelled[tenth] or labelled[1:][-1:]), *others[tenth]}


def of_part(part: str | None, which: str = "every tenth image") -> str:
    """The end of a message about an empty part of a file: which rows are held out; empty for a whole file."""
    return f" in the part {part!r} ({which} is held out; --val-data names another file)" if part else ""


def refuse(samples: Sequence[Any], problems: Sequence[Problem], strict: bool, nobody: str) -> None:
    """Refuse a file without a single usable row, with the message `nobody`, or, if `strict`, one with a wrong row.

    Raises:
        InputError: naming the first wrong row.
    """
    if strict and problems:
        raise InputError(f"{problems[0]} (and {len(problems) - 1} more wrong rows)")
    if not samples:
        first = f"; the first of {len(problems)} wrong rows: {problems[0]}" if problems else ""
        raise InputError(f"{nobody}{first}")


def by_kind(problems: Sequence[Problem]) -> dict[str, list[Problem]]:
    """The problems of each kind."""
    groups: dict[str, list[Problem]] = {}
    for problem in problems:
        groups.setdefault(problem.kind, []).append(problem)
    return groups


def log_problems(data: Any, prefix: str = "") -> None:
    """Log a warning for each kind of problem of a data set: how many rows, and the first of them; and for each note."""
    for kind, problems in by_kind(getattr(data, "problems", ())).items():
        log.warning("%s%d left out, %s; the first: %s", prefix, len(problems), kind, problems[0])
    for note in getattr(data, "notes", ()):
        log.warning("%s%s", prefix, note)
