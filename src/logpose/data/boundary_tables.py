"""Boundaries of one B-scan in a CSV file, from the top down.

A column for each boundary under a header with its name, and a line for each column of the image; or, without
a header, a line for each boundary. Rows are counted from 0; an empty cell or `nan` is no label. Cells are separated by
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
    table: str | Path, size: tuple[int, ...], image: str
) -> tuple[Float[np.ndarray, "D W"], tuple[str, ...]]:
    """The rows of boundaries in each column of a B-scan, NaN where there is no label, and their names.

    Eight boundaries without a header have the names of the retina's. `size` is the (height, width) of the B-scan,
    `image` the name of its file, for messages.

    Raises:
        InputError: if the file cannot be read, or does not fit the image.
    """
    table = Path(table)
    if table.stat().st_size > LONGEST:
        raise InputError(f"{table}: more than {LONGEST:,} bytes")
    try:
        text = table.read_text(encoding="utf-8-sig")
        # Spreadsheets that have commas in numbers separate cells by semicolons.
        reader = csv.reader(text.splitlines(), delimiter=next((mark for mark in ";\t" if mark in text), ","))
        numbered = [(reader.line_num, line) for line in reader if line]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{table}: not a CSV file ({error})") from error
    first = numbered[0][1] if numbered else []
    headed = any(_number(cell) is None for cell in first)
    names = tuple(cell.strip() for cell in first) if headed else ()
    rows = _numbers(table, numbered[1:] if headed else numbered)
    height, width = size
    lines, values = rows.shape
    rows = rows.T if headed else rows
    if rows.shape != (len(names) if headed else lines, width):
        got = f"{lines} lines of numbers below the header" if headed else f"lines of {values} numbers"
        hint = "" if headed else "; without a header a line is a boundary"
        raise InputError(f"{table}: {got}, expected {width} (the width of {image}{hint})")
    if not all(names or ("x",)):
        raise InputError(f"{table}: column {names.index('') + 1} has no name; remove it if it is an index")
    if len(rows) < 2:
        raise InputError(f"{table}: one boundary, expected two or more")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{table}: two columns are named {twice}")
    plain = RETINA.joints if len(rows) == len(RETINA) else tuple(f"boundary {i + 1}" for i in range(len(rows)))
    outside = np.argwhere((rows < 0) | (rows > height - 1))
    if len(outside):
        boundary, column = (int(i) for i in outside[0])
        at = f"{(names or plain)[boundary]} in row {rows[boundary, column]:g}, expected 0 to {height - 1}"
        raise InputError(f"{table}: image column {column}: {at}")
    return rows, names or plain


def _numbers(table: Path, lines: Sequence[tuple[int, Sequence[str]]]) -> Float[np.ndarray, "L C"]:
    """The cells of lines, each with its number in the file, that are alike in length."""
    width = len(lines[0][1]) if lines else 0
    if not width:
        raise InputError(f"{table}: holds no numbers")
    found = np.empty((len(lines), width))
    for i, (number, line) in enumerate(lines):
        if len(line) != width:
            raise InputError(f"{table}: line {number} has {len(line)} cells, expected {width}")
        for j, cell in enumerate(line):
            value = _number(cell)
            if value is None:
                raise InputError(f"{table}: line {number}: {cell.strip()!r:.40} is not a number")
            found[i, j] = value
    return found


def _number(cell: str) -> float | None:
    """The value of a cell: a finite number, NaN where it is empty or "nan"; None if it is anything else."""
    text = cell.strip().replace(",", ".")
    if text.lower() in ("", "nan"):
        return float("nan")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
