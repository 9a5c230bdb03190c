"""JSON files from outside, and checks of their values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.core.errors import InputError

__all__ = ["numbers", "read_json", "whole"]


def read_json(path: str | Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: if it is missing, empty, or not JSON; the message gives line and column.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    text = path.read_bytes()
    if not text.strip():
        raise InputError(f"{path}: empty file")
    try:
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not JSON (not UTF-8 text: {error.reason})") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise InputError(f"{path}: unreadable JSON ({error})") from error


def whole(value: Any) -> int | None:
    """An id: the value if it is an integer, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def numbers(values: Any, count: int) -> Float[np.ndarray, "N"] | None:
    """So many numbers of a JSON list as an array; None if it holds another number of values, or anything else."""
    if not isinstance(values, list) or len(values) != count:
        return None
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:  # an integer of hundreds of digits
        return None
