"""Messages of one sentence, of a library's error, a field's flag, a path where there is nothing; loggers made quiet."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path

__all__ = ["difference", "first_line", "flag", "missing", "only_errors"]


def first_line(error: BaseException) -> str:
    """The first line of an error's message; of one without a message the name of its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def flag(field: str) -> str:
    """The flag of a field, as people write it: --batch-size."""
    return "--" + field.replace("_", "-")


def difference(names: Sequence[str], others: Sequence[str]) -> str:
    """The first of some names, counted from 1, that is not what others have in its place."""
    pairs = enumerate(zip_longest(names, others), start=1)
    number, own, other = next((i, a, b) for i, (a, b) in pairs if a != b)
    if own is None:
        return f"number {number}, {other!r}, is missing"
    if other is None:
        return f"number {number}, {own!r}, is one too many"
    return f"number {number} is {own!r}, not {other!r}"


def missing(path: str | Path) -> str:
    """That there is no file or folder at a path; and why, where it is a device, an address, or a pattern of names."""
    if Path(path).exists():
        return f"{path}: is no regular file"
    name, why = str(path), ""
    if re.match("[a-z][a-z0-9+]+:/", name):
        why = "; addresses are not opened: download it first"
    elif set(name) & set("*?"):
        why = "; a pattern in quotation marks is not replaced by the files it matches"
    return f"{name}: no such file or folder{why}"


@contextmanager
def only_errors(logger: str | None) -> Iterator[None]:
    """A context in which a logger reports errors only; the root for None."""
    quiet = logging.getLogger(logger)
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        yield
    finally:
        quiet.setLevel(level)
