"""Tables of labels that DeepLabCut writes: a CSV file with a header of several rows, or pandas' HDF5 of the same.

In the header are scorer, individual (in projects of several animals), body part and coordinate of each column; a row is
an image. HDF5 files are read by h5py, which executes nothing: pandas unpickles objects that such a file has.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.core.errors import InputError
from logpose.data.problems import Problem

__all__ = ["LabelTable", "read_table"]

LEVELS = ("scorer", "individuals", "bodyparts", "coords")
MISSING = {"", "nan"}  # cells of body parts that are not labelled
LARGEST = 2**28  # bytes of an array; a small file may declare more than a machine has memory for


@dataclass
class LabelTable:
    """The labels of a file."""

    scorer: str
    points: list[tuple[str, str]]
    """Individual ("" where the project has but one) and body part, of each point of an image."""
    rows: dict[str, tuple[str, Float[np.ndarray, "P C"]]] = field(default_factory=dict)
    """By the name of the image, with slashes: where the row stands, and pixels, NaN where a point is not labelled; of
    predictions these and the likelihood."""
    problems: list[Problem] = field(default_factory=list)
    """Rows that are left out."""


def read_table(file: str | Path, predictions: bool = False) -> LabelTable:
    """The labels of a file, or predictions of DeepLabCut, by its suffix: `.csv` or `.h5`.

    Raises:
        InputError: if it is no such table, or one of predictions (of labels, if these are meant), of several scorers,
            or with a body part twice; if it is HDF5, and h5py is not installed.
    """
    file = Path(file)
    coords = ("x", "y", "likelihood") if predictions else ("x", "y")
    return _of_csv(file, coords) if file.suffix.lower() == ".csv" else _of_hdf5(file, coords)


def _of_csv(file: Path, wanted: Sequence[str]) -> LabelTable:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: not a CSV file ({error})") from error
    heads = {row[0]: row for _, row in rows[: len(LEVELS)] if row and row[0] in LEVELS}
    if not {"scorer", "bodyparts", "coords"} <= heads.keys():
        raise InputError(f"{file}: not DeepLabCut's labels (expected rows scorer, bodyparts and coords, with commas)")
    coords = heads["coords"]
    first = next((i for i, cell in enumerate(coords) if i and cell), len(coords))
    if any(len(row) != len(coords) for row in heads.values()) or first == len(coords):
        raise InputError(f"{file}: the rows of the header are not of one length, or name no coordinates")
    columns = [tuple(heads[level][i] if level in heads else "" for level in LEVELS) for i in range(first, len(coords))]
    scorer, points, order = _points(file, columns, wanted)
    table = LabelTable(scorer, points)
    for line, row in rows[len(heads) :]:
        where = f"{file}: line {line}"
        if not any(row):
            continue
        if len(row) != len(coords):
            table.problems.append(Problem(where, f"a row must have {len(coords)} cells", f"got {len(row)}"))
            continue
        cells = [cell.strip() for cell in row[first:]]
        try:
            values = [float("nan" if cell.lower() in MISSING else cell) for cell in cells]
        except ValueError as error:
            table.problems.append(Problem(where, "coordinates must be numbers", str(error)))
            continue
        _add(table, where, "/".join(row[:first]), np.array(values)[order])
    return table


def _of_hdf5(file: Path, wanted: Sequence[str]) -> LabelTable:
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{file}: reading HDF5 needs h5py: pip install 'logpose-keypoints[deeplabcut]'") from error
    try:
        with h5py.File(file, "r") as opened:
            frame = _frame(opened)
            columns = _index(frame, "block0_items")
            names = _index(frame, "axis1")
            values = _array(frame, "block0_values")
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not a readable table of DeepLabCut ({error!s:.120}); use the CSV file") from error
    heads = {level: [column[i] for column in columns[1]] for i, level in enumerate(columns[0])}
    if not {"scorer", "bodyparts", "coords"} <= heads.keys() or values.shape != (len(names[1]), len(columns[1])):
        raise InputError(f"{file}: not DeepLabCut's labels (levels {', '.join(columns[0])}); use the CSV file")
    keys = [tuple(heads[level][i] if level in heads else "" for level in LEVELS) for i in range(len(columns[1]))]
    scorer, points, order = _points(file, keys, wanted)
    table = LabelTable(scorer, points)
    for i, (name, row) in enumerate(zip(names[1], values.astype(np.float64), strict=True)):
        _add(table, f"{file}: row {i}", "/".join(name), row[order])
    return table


def _frame(opened: Any) -> Any:
    """The only table of a file, of numbers only, as pandas writes it in its fixed format."""
    import h5py

    names = [name for name in opened if isinstance(opened.get(name, getlink=True), h5py.HardLink)]
    frames = [opened[name] for name in names if "block0_values" in opened[name]]
    if len(frames) != 1 or frames[0].attrs.get("nblocks") != 1:
        raise ValueError("no single table of numbers")
    return frames[0]


def _index(frame: Any, name: str) -> tuple[list[str], list[tuple[str, ...]]]:
    """An index of pandas: the names of its levels, and its entries."""
    if f"{name}_nlevels" not in frame.attrs:
        values = _array(frame, name)
        return [""], [(value.decode(),) for value in values.tolist()]
    count = min(int(frame.attrs[f"{name}_nlevels"]), len(LEVELS))
    names, levels = [], []
    for i in range(count):
        words = [word.decode() for word in _array(frame, f"{name}_level{i}").tolist()]
        codes = _array(frame, f"{name}_label{i}")
        if len(codes) and not (codes.min() >= 0 and codes.max() < len(words)):
            raise ValueError(f"{name} has entries that are missing")
        level = frame[f"{name}_level{i}"].attrs.get("name", b"")
        names.append(level.decode() if isinstance(level, bytes) else str(level))
        levels.append([words[code] for code in codes.tolist()])
    return names, list(zip(*levels, strict=True))


def _array(frame: Any, name: str) -> np.ndarray:
    """A dataset of numbers or bytes that is in the file itself; pickled objects are neither."""
    import h5py

    link = frame.get(name, getlink=True)
    found = frame[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise ValueError(f"{name} is not in the file")
    if found.dtype.kind not in "fiuS" or found.nbytes > LARGEST:
        raise ValueError(f"{name} is no array of numbers or names")
    return np.asarray(found[...])


def _points(
    file: Path, columns: Sequence[tuple[str, ...]], wanted: Sequence[str]
) -> tuple[str, list[tuple[str, str]], list[list[int]]]:
    """The scorer, the points that columns give, and of each point the columns of its wanted coordinates."""
    coords = {coordinate for *_, coordinate in columns}
    if "likelihood" in coords and "likelihood" not in wanted:
        raise InputError(f"{file}: predictions of DeepLabCut (with likelihoods), not labels (CollectedData_NAME.csv)")
    scorers = list(dict.fromkeys(scorer for scorer, *_ in columns))
    if len(scorers) > 1:
        raise InputError(f"{file}: labels of {len(scorers)} scorers ({', '.join(scorers)}); keep one")
    keys = [(individual, part, coordinate) for _, individual, part, coordinate in columns]
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice:
        raise InputError(f"{file}: {' '.join(twice[0]).strip()} has several columns")
    place = {key: i for i, key in enumerate(keys)}
    points = list(dict.fromkeys(key[:2] for key in keys))
    if coords != {*wanted} or len(keys) != len(wanted) * len(points):
        names = " and ".join(wanted) if len(wanted) == 2 else ", ".join(wanted)
        raise InputError(f"{file}: each body part needs columns {names}, got {', '.join(sorted(coords))}")
    return scorers[0], points, [[place[*point, coordinate] for coordinate in wanted] for point in points]


def _add(table: LabelTable, where: str, image: str, positions: Float[np.ndarray, "P C"]) -> None:
    """Add a row, or what is wrong with it."""
    name = image.replace("\\", "/")
    half = np.isnan(positions[:, :2]).sum(axis=1) == 1
    if half.any():
        part = " ".join(table.points[int(np.flatnonzero(half)[0])]).strip()
        table.problems.append(Problem(where, "a body part with only one of x and y", part))
    elif name in table.rows:
        table.problems.append(Problem(where, "its image has a row already", name))
    else:
        table.rows[name] = where, positions
