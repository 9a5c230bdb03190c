"""`LabelContent`: the labels of a file of any tool, as the lists of a COCO file; readers make it, writers take it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.core.errors import InputError
from logpose.data.problems import Problem, held_out

__all__ = ["HDF5", "LabelContent", "add_joints", "box_around", "hold_out", "leave_out_if_wrong", "text_lines"]

HDF5 = b"\x89HDF\r\n\x1a\n"
"""The first bytes of such a file."""
SLENDER = 0.25  # least width or height of a box around joints, as a share of the other side


@dataclass(kw_only=True)
class LabelContent:
    """The labels of a file, or folder, as COCO's `images`, `annotations` and `categories`.

    Every row of the source is an annotation, or in `problems`, or counted in `counts`. Annotations are checked by
    `CocoKeypoints`, so that a reader passes on what it finds.
    """

    folder: Path
    """That names of images are relative to, where nobody names another."""
    images: list[dict[str, Any]] = field(default_factory=list)
    """With `id`, `file_name`, relative to `folder` or absolute, and where known `width` and `height` in pixels."""
    annotations: list[dict[str, Any]] = field(default_factory=list)
    """With `id`, `image_id`, `category_id`, `keypoints` (x, y, v in pixels) and `bbox` (x, y, width, height)."""
    categories: list[dict[str, Any]] = field(default_factory=list)
    """With `id`, `name`, `keypoints`, and what `Skeleton.from_category` takes besides."""
    places: list[str] = field(default_factory=list)
    """Of each annotation, where it stands: "labels/0001.txt: line 3"."""
    parts: dict[int, str] = field(default_factory=dict)
    """The part ("train", "val" or another) that an image is of, by id, where the source has parts of its own."""
    problems: list[Problem] = field(default_factory=list)
    """Rows that are no annotations, and why."""
    notes: list[str] = field(default_factory=list)
    """What else was changed in reading, a sentence each."""
    counts: Counter[str] = field(default_factory=Counter)
    """Rows that were passed over, by reason: "of other annotators"."""


def box_around(joints: Float[np.ndarray, "K 3"]) -> list[float] | None:
    """The tight box of a person's labelled joints, as COCO has it: x, y, width, height in pixels.

    A side below a quarter of the other is made so long. None where fewer than two joints lie apart.

    Args:
        joints: x, y in pixels, and v, above 0 where they are labelled.
    """
    points = joints[joints[:, 2] > 0, :2]
    if len(points) < 2 or not np.isfinite(points).all() or not np.ptp(points, axis=0).any():
        return None
    extent = np.ptp(points, axis=0)
    extent = np.maximum(extent, SLENDER * extent.max())
    low = (points.min(axis=0) + points.max(axis=0) - extent) / 2
    return [float(value) for value in (*low, *(extent + 1))]  # to the last pixel's far side


def add_joints(content: LabelContent, image: int, category: int, where: str, joints: Float[np.ndarray, "K 3"]) -> None:
    """Add an object whose format has no boxes, with the one of `box_around`; it is counted if it has none."""
    box = box_around(joints)
    if box is None and np.isfinite(joints).all():
        content.counts["with too few labelled joints"] += 1
        return
    row = {"id": len(content.annotations) + 1, "image_id": image, "category_id": category, "bbox": box}
    content.annotations.append(row | {"keypoints": joints.ravel().tolist()})
    content.places.append(where)


def hold_out(content: LabelContent) -> None:
    """Move some images of the part "train" to "val", as `held_out` chooses them."""
    labelled = {row["image_id"] for row in content.annotations if any(row.get("keypoints", [])[2::3])}
    train = [row["id"] for row in content.images if content.parts.get(row["id"]) == "train"]
    chosen = held_out([i for i in train if i in labelled], [i for i in train if i not in labelled])
    content.parts |= dict.fromkeys(chosen, "val")


def leave_out_if_wrong(content: LabelContent) -> None:
    """Take out the last image, whose rows were all wrong, as it is no image without people."""
    number = content.images[-1]["id"]
    if not content.annotations or content.annotations[-1]["image_id"] != number:
        content.images.pop()
        content.parts.pop(number, None)


def text_lines(file: str | Path) -> Sequence[str]:
    """The lines of a text file, whatever ends them.

    Raises:
        InputError: if it is not UTF-8 or cannot be read.
    """
    file = Path(file)
    try:
        return file.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
