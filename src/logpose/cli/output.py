"""What several commands share: figures as text, and outputs that are checked before any work."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from logpose.core.errors import InputError

__all__ = ["check_outputs", "print_figures"]

FILES, FOLDERS = ("save_json", "save_npz", "report"), ("save_images",)
"""Names of options that are files, and folders, to write."""


def check_outputs(options: Any) -> list[Path]:
    """What a command's options ask to write; a folder in place of a file, or a file in place of one, is refused.

    Raises:
        InputError: naming it.
    """
    outputs = {name: path for name in (*FILES, *FOLDERS) if (path := getattr(options, name, None)) is not None}
    for name, path in outputs.items():
        if name in FILES and path.is_dir():
            raise InputError(f"{path}: is a folder, not a file for results")
        if name in FOLDERS and path.exists() and not path.is_dir():
            raise InputError(f"{path}: is a file, not a folder for images")
    return list(outputs.values())


def print_figures(figures: Mapping[str, float], as_json: bool = False) -> None:
    """Print figures on stdout, a line for each, or as JSON, where those that are not known are null."""
    if as_json:
        print(json.dumps({k: None if math.isnan(v) else v for k, v in figures.items()}, indent=2))
        return
    width = max(map(len, figures), default=0)
    for name, value in figures.items():
        print(f"{name:{width}} {value:.4f}" if isinstance(value, float) else f"{name:{width}} {value}")
