"""Where a data set's pictures lie, or how they are numbered: told by more than the first of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

__all__ = ["LOOKED_FOR", "most_found"]

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
