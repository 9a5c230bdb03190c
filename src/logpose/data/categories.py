"""Categories of a COCO keypoint file: those that name joints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from logpose.core.errors import InputError

__all__ = ["chosen_categories"]


def chosen_categories(path: str | Path, categories: Sequence[Any], wanted: str | None = None) -> list[dict[str, Any]]:
    """The categories that name joints: one, or several with the same joints.

    Animals often have a category for each species and one list of joints for all: they are trained as one class.

    Args:
        path: the annotation file, for messages.
        categories: its `categories`.
        wanted: name of the category to take, where several have joints; None takes all.

    Raises:
        InputError: if none has joints or the name wanted, or several have different ones.
    """
    path = Path(path)
    named = [row for row in categories if isinstance(row, dict) and row.get("keypoints")]
    names = ", ".join(str(row.get("name")) for row in named)
    if not named:
        raise InputError(f"{path}: no category lists keypoints")
    if wanted is not None:
        named = [row for row in named if row.get("name") == wanted]
        if not named:
            raise InputError(f"{path}: no category {wanted!r} with keypoints; choose from {names}")
    if any(row["keypoints"] != named[0]["keypoints"] for row in named):
        raise InputError(f"{path}: categories with different keypoints ({names}); choose one with --category NAME")
    return named
