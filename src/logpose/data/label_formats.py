"""Formats of label files beside COCO's, MPII's and LSP's: which a file or folder has, and its reader."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from logpose.data.label_content import LabelContent

__all__ = ["FORMATS", "format_of", "read_labels"]

FORMATS: dict[str, str] = {
    "YOLO": "logpose.data.yolo",
    "CVAT": "logpose.data.cvat",
    "LabelMe": "logpose.data.labelme",
    "Label Studio": "logpose.data.label_studio",
    "DeepLabCut": "logpose.data.deeplabcut",
    "SLEAP": "logpose.data.sleap",
}
"""The module that reads a format, by the format's name. It has `reads(path) -> bool`, which looks at no more than names
and a file's beginning, and `read(path) -> LabelContent`. The first that reads a path does."""


def format_of(path: str | Path) -> str | None:
    """The name of the format that a file or folder has; None where it is none of `FORMATS`."""
    found: Callable[[str], Any] = importlib.import_module
    return next((name for name, module in FORMATS.items() if found(module).reads(Path(path))), None)


def read_labels(path: str | Path, name: str, frames: str | Path | None = None) -> LabelContent:
    """The labels of a file or folder of a format.

    Args:
        path: the file or folder.
        name: the format's name.
        frames: a folder for the images of a format that has them in a video or in the file itself (by its module's
            `extract_frames`); without one, such files are refused.

    Raises:
        InputError: if it cannot be read at all; what is wrong with a row is in `problems`.
    """
    module = importlib.import_module(FORMATS[name])
    content: LabelContent
    if frames is not None and hasattr(module, "extract_frames"):
        content = module.extract_frames(path, frames)
    else:
        content = module.read(Path(path))
    return content
