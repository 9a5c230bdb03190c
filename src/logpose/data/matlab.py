"""MATLAB files: numbers out of them, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from logpose.core.errors import InputError

__all__ = ["has_variable", "matlab_sizes", "read_matlab"]


def has_variable(file: str | Path, name: str) -> bool:
    """Whether a MATLAB file that can be read holds a variable."""
    file = Path(file)
    from scipy.io import whosmat  # type: ignore[import-untyped]

    return any(found == name for found, *_ in whosmat(file))


def matlab_sizes(file: str | Path) -> dict[str, tuple[int, ...]]:
    """The shape of every variable of a MATLAB file, so far as its headers tell; nothing else of it is read.

    Raises:
        InputError: if the file is missing or cannot be read.
    """
    file = Path(file)
    from scipy.io import whosmat

    if not file.is_file():
        raise InputError(f"{file}: no such file")
    try:
        return {name: tuple(int(side) for side in shape) for name, shape, _ in whosmat(file)}
    except NotImplementedError as error:
        raise InputError(f"{file}: a MATLAB 7.3 file; save it with -v7 to have it read here") from error
    except Exception as error:  # whatever is wrong in a hostile file, the reader may fail in any way
        raise InputError(f"{file}: not a MATLAB file that can be read ({type(error).__name__}: {error})") from error


def read_matlab(file: str | Path, name: str) -> np.ndarray:
    """A numeric array of a MATLAB file (version 7 or older), in double precision.

    Args:
        file: the `.mat` file.
        name: of the variable.

    Raises:
        InputError: if the file is missing or cannot be read, has no such variable, or it is not numbers.
    """
    file = Path(file)
    from scipy.io import loadmat

    if not file.is_file():
        raise InputError(f"{file}: no such file")
    try:
        content = loadmat(file, variable_names=[name])
    except NotImplementedError as error:
        raise InputError(f"{file}: a MATLAB 7.3 file; save it with -v7 to have it read here") from error
    except Exception as error:  # whatever is wrong in a hostile file, the reader may fail in any way
        raise InputError(f"{file}: not a MATLAB file that can be read ({type(error).__name__}: {error})") from error
    if name not in content:
        raise InputError(f"{file}: has no variable {name!r}")
    array = np.asarray(content[name])
    if array.dtype.kind not in "buif":
        raise InputError(f"{file}: {name} is not an array of numbers")
    return array.astype(np.float64)
