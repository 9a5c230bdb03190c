"""Boundaries of one B-scan in a CSV file, from the top down.

A column for each boundary under a heading with its name, and a line for each column of the picture; or, without
headings, a line for each boundary. Rows are counted from 0; an empty cell or `nan` is no label. Cells are separated by
commas, tabs or semicolons; beside semicolons a comma may stand for the point in a number.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from logpose.core.errors import InputError
from logpose.data.scans import RETINA

__all__ = ["read_boundaries"]

LONGEST = 2**26  # bytes


def read_boundaries(
    table: str | Path, size: tuple[int, ...], picture: str
) -> tuple[Float[np.ndarray, "D W"], tuple[str, ...]]:
    """The rows of boundaries in each column of a B-scan, NaN where there is no label, and their names.

    Eight boundaries without names have those of the retina.

    Args:
        table: the CSV file.
        size: (height, width) of the B-scan.
        picture: name of its file, for messages.

    Raises:
        InputError: if the file cannot be read, or is not of such a picture.
    """
    table = Path(table)
    if table.stat().st_size > LONGEST:
        raise InputError(f"{table}: too large to be read")
    try:
        text = table.read_text(encoding="utf-8-sig")
        reader = csv.reader(text.splitlines(), delimiter=_delimiter(text))
        numbered = [(reader.line_num, line) for line in reader if line]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{table}: not a CSV file ({error})") from error
    first = numbered[0][1] if numbered else []
    headed = any(_number(cell) is None for cell in first)
    names = tuple(cell.strip() for cell in first) if headed else ()
    rows = _numbers(table, numbered[1:] if headed else numbered)
    height, width = size
    if headed:
        if rows.shape != (width, len(names)):
            lines_told = "1 line" if len(rows) == 1 else f"{len(rows)} lines"
            told = f"{lines_told} of numbers below the headings, and {picture} is {width} pixels wide"
            raise InputError(f"{table}: {told}")
        rows = rows.T
    elif rows.shape[1] != width:
        told = f"and without headings a line is a boundary: {picture} is {width} pixels wide"
        raise InputError(f"{table}: lines of {rows.shape[1]} numbers, {told}")
    if not all(names or ("x",)):
        raise InputError(f"{table}: column {names.index('') + 1} has no name: an index has no place among boundaries")
    if len(rows) < 2:
        raise InputError(f"{table}: holds one boundary; it must hold two or more")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{table}: two columns are named {twice}")
    plain = RETINA.joints if len(rows) == len(RETINA) else tuple(f"boundary {i + 1}" for i in range(len(rows)))
    outside = np.argwhere((rows < 0) | (rows > height - 1))
    if len(outside):
        boundary, column = (int(i) for i in outside[0])
        at = f"{(names or plain)[boundary]} is in row {rows[boundary, column]:g} of {height}"
        raise InputError(f"{table}: column {column} of the picture: {at}")
    return rows, names or plain


def _numbers(table: Path, lines: Sequence[tuple[int, Sequence[str]]]) -> Float[np.ndarray, "L C"]:
    """The cells of lines, each with its number in the file, that are alike in length."""
    width = len(lines[0][1]) if lines else 0
    if not width:
        raise InputError(f"{table}: holds no numbers")
    found = np.empty((len(lines), width))
    for i, (number, line) in enumerate(lines):
        if len(line) != width:
            raise InputError(f"{table}: line {number} has {len(line)} cells, others {width}")
        for j, cell in enumerate(line):
            value = _number(cell)
            if value is None:
                raise InputError(f"{table}: line {number}: {cell.strip()!r:.40} is not a number")
            found[i, j] = value
    return found


def _delimiter(text: str) -> str:
    """What separates cells: semicolons where a table has them, as spreadsheets write that have commas in numbers."""
    return ";" if ";" in text else "\t" if "\t" in text else ","


def _number(cell: str) -> float | None:
    """What a cell says: a finite number, NaN where it is empty or says so; None if it is something else."""
    text = cell.strip().replace(",", ".")
    if text.lower() in ("", "nan"):
        return float("nan")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
