"""Files of results: JSON rows and NumPy arrays, each file whole or not there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.core.files import whole_file

__all__ = ["in_mm", "json_rows", "rounded", "rows_mm", "write_arrays", "write_json"]


def json_rows(rows: Iterable[Any]) -> Iterator[str]:
    """The text of a JSON list, piece by piece: that of a million poses need not be held."""
    before = "["
    for row in rows:
        yield before + json.dumps(row)
        before = ", "
    yield "]\n" if before != "[" else "[]\n"


def write_json(path: str | Path, rows: Iterable[Any]) -> None:
    """Write a JSON list of these rows, whole or not at all."""
    with whole_file(Path(path)) as file:
        for text in json_rows(rows):
            file.write(text.encode())


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a NumPy archive (`.npz`) of these arrays, whole or not at all."""
    with whole_file(Path(path)) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def rows_mm(values: Float[np.ndarray, "K 3"]) -> list[list[float]] | None:
    """Lengths in millimetres as rows of plain numbers, to a hundredth; None where they are not known."""
    return (np.round(values.astype(np.float64), 2) + 0.0).tolist() if np.isfinite(values).all() else None


def in_mm(row: Mapping[str, Any], joint: int) -> str:
    """A joint of a row's position in space, and its standard deviation where known, as text."""
    place = "  {:6d} {:6d} {:6d} mm".format(*map(round, row["joints_mm"][joint]))
    return place + ("  ± {:5.0f} {:5.0f} {:5.0f}".format(*row["sigma_mm"][joint]) if row["sigma_mm"] else "")


def rounded(values: np.ndarray) -> list[float]:
    """Numbers to a thousandth, as a flat list."""
    return [round(float(value), 3) for value in values.ravel()]
