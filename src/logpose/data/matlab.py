"""Arrays of numbers from MATLAB files."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from logpose.core.errors import InputError

__all__ = ["matlab_sizes", "read_matlab"]

LARGEST = 2**28  # numbers in a variable that is read: three times the Duke set's


def matlab_sizes(file: str | Path) -> dict[str, tuple[int, ...]]:
    """The shape of every variable of a MATLAB file, from its headers; nothing else of it is read.

    Raises:
        InputError: if the file is missing or cannot be read.
    """
    from scipy.io import whosmat  # type: ignore[import-untyped]

    return {name: tuple(int(side) for side in shape) for name, shape, _ in _read(Path(file), whosmat)}


def read_matlab(file: str | Path, name: str) -> np.ndarray:
    """A numeric array of a MATLAB file (version 7 or older), in double precision.

    Raises:
        InputError: if the file is missing or cannot be read, has no such variable, or it is not numbers, or
            more than `LARGEST` of them.
    """
    from scipy.io import loadmat

    size = matlab_sizes(file).get(name, ())
    if math.prod(size) > LARGEST:
        raise InputError(f"{file}: {name} is {'×'.join(map(str, size))}, more than {LARGEST:,} numbers")
    content = _read(Path(file), lambda file: loadmat(file, variable_names=[name]))
    if name not in content:
        raise InputError(f"{file}: no variable {name!r}")
    array = np.asarray(content[name])
    if array.dtype.kind not in "buif":
        raise InputError(f"{file}: {name} must be an array of numbers")
    return array.astype(np.float64)


def _read(file: Path, read: Callable[[Path], Any]) -> Any:
    """What a reader of SciPy's returns."""
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    try:
        return read(file)
    except NotImplementedError as error:
        raise InputError(f"{file}: a MATLAB 7.3 file; save it with -v7") from error
    except Exception as error:  # a hostile file can make its reader fail in any way
        raise InputError(f"{file}: not a readable MATLAB file ({type(error).__name__}: {error})") from error
