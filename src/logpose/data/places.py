"""Where a data set's pictures lie, or how they are numbered: told by more than the first of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["LOOKED_FOR", "coco_folder", "most_found"]

LOOKED_FOR = 50
"""Files that are looked for: one that is missing decides nothing, and looking for all would take long."""

Choice = TypeVar("Choice")


def most_found(choices: Sequence[Choice], files: Callable[[Choice], Iterable[Path]]) -> Choice:
    """The choice by which most of a data set's first files are there; the first of those that are equal.

    Args:
        choices: folders, numbers of digits, …; at least one.
        files: called with a choice: the files that would then be there. The first `LOOKED_FOR` are looked for.
    """
    # Not Path.is_file, which raises where a name is longer than any file's may be.
    return max(choices, key=lambda choice: sum(map(os.path.isfile, islice(files(choice), LOOKED_FOR))))


def coco_folder(file: str | Path, rows: Sequence[Any]) -> Path:
    """The folder beside a COCO file that has most of its first pictures."""
    file = Path(file)
    names = [row["file_name"] for row in rows if isinstance(row, dict) and isinstance(row.get("file_name"), str)]
    split = file.stem.rsplit("_", maxsplit=1)[-1]
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    places = [
        root / split,
        root / split.replace("test-dev", "test"),
        root / "images" / split,
        root / "images",
        root,
        file.parent,
    ]
    return most_found(places, lambda place: (place / name for name in names))
