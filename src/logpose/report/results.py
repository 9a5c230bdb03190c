"""Files of results: JSON rows and NumPy arrays, each file whole or not there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from logpose.core.files import whole_file

__all__ = ["json_rows", "write_arrays", "write_json"]


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
