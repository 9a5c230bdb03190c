"""What several commands need: the device, figures as text, files of results that are whole or not there."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse import Namespace

from logpose.core.device import choose_device
from logpose.core.errors import InputError
from logpose.core.files import whole_file

__all__ = ["check_output", "device_named", "json_rows", "print_figures", "refuse_flags", "write_arrays", "write_json"]


def device_named(name: str) -> str:
    """The device of a --device flag; of "auto", a GPU if there is one.

    Raises:
        InputError: if there is no such device.
    """
    return str(choose_device(name))


def refuse_flags(given: Namespace, unset: Mapping[str, Any], why: str) -> None:
    """Refuse flags that the command has, but not for such a model.

    Args:
        given: the command's flags.
        unset: names of those that it may not have, and what they are unless they are given.
        why: what they are about, and what the model does.

    Raises:
        InputError: if one of them is given.
    """
    wrong = [f"--{name.replace('_', '-')}" for name, value in unset.items() if given[name] != value]
    if wrong:
        raise InputError(f"{' and '.join(wrong)}: {why}")


def print_figures(figures: Mapping[str, float], as_json: bool = False) -> None:
    """Figures on stdout, a line for each, or as JSON, where those that are not known are null."""
    if as_json:
        print(json.dumps({k: None if math.isnan(v) else v for k, v in figures.items()}, indent=2))
        return
    width = max(map(len, figures), default=0)
    for name, value in figures.items():
        print(f"{name:{width}} {value:.4f}" if isinstance(value, float) else f"{name:{width}} {value}")


def check_picture_folder(folder: Path | None) -> None:
    """Refuse, before any work, a folder for pictures that is a file.

    Raises:
        InputError: if it is.
    """
    if folder is not None and folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, not a folder for pictures")


def check_output(path: str | Path | None) -> None:
    """Refuse a folder where a file is to be written.

    Raises:
        InputError: if it is one.
    """
    path = None if path is None else Path(path)
    if path is not None and path.is_dir():
        raise InputError(f"{path}: is a folder, not a file for results")


def write_json(path: str | Path, rows: Iterable[Any]) -> None:
    """A JSON list of these rows, whole or not at all."""
    path = Path(path)
    with whole_file(path) as file:
        for text in json_rows(rows):
            file.write(text.encode())


def json_rows(rows: Iterable[Any]) -> Iterator[str]:
    """The text of a JSON list, piece by piece: that of a million poses need not be held."""
    before = "["
    for row in rows:
        yield before + json.dumps(row)
        before = ", "
    yield "]\n" if before != "[" else "[]\n"


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """An archive of NumPy (`.npz`) of these arrays, whole or not at all."""
    path = Path(path)
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
