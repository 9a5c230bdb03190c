"""Objects of single points, each with a joint's name, and a box, that an annotation tool has grouped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from logpose.data.label_content import LabelContent, box_around
from logpose.data.problems import Problem

__all__ = ["Point", "PointGroup", "add_group", "by_number"]


Point = tuple[str, float, float, int, str]
"""A joint's name, x, y in pixels, v as in COCO, and where it stands."""


@dataclass
class PointGroup:
    """The points and boxes of an object, as a file has them."""

    where: str
    """Where the first of them stands."""
    points: list[Point] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    """x, y, width, height in pixels."""


def add_group(
    content: LabelContent, image: int, group: PointGroup, joints: Sequence[str], category: int = 1, listed: str = ""
) -> None:
    """Add an object to the annotations, or to the problems where it is ambiguous; joints without a point have v = 0.

    The box is the one of the group, or else the tight box of its labelled joints.

    Args:
        content: what is added to.
        image: the image's id.
        group: the object.
        joints: the names of all joints.
        category: the id of its category.
        listed: where the names of joints stand, for messages.
    """
    triplets, place = np.zeros((len(joints), 3)), {name: joint for joint, name in enumerate(joints)}
    seen = set()
    for label, x, y, visible, where in group.points:
        if label not in place:
            content.problems.append(Problem(where, f"no such joint{listed and f' in {listed}'}", f"{label:.40}"))
            return
        if label in seen:
            kind = "two points of an object have the same label (are the objects of an image grouped?)"
            content.problems.append(Problem(where, kind, f"{label:.40}"))
            return
        seen.add(label)
        triplets[place[label]] = (x, y, visible) if visible else 0
    if len(group.boxes) > 1:
        content.problems.append(Problem(group.where, "an object has several boxes", f"{len(group.boxes)}"))
        return
    box = list(group.boxes[0]) if group.boxes else box_around(triplets)
    if box is None and triplets[:, 2].any():
        content.problems.append(Problem(group.where, "no box, and its labelled joints are one point"))
        return
    row = {"id": len(content.annotations), "image_id": image, "category_id": category, "iscrowd": 0}
    content.annotations.append(row | {"keypoints": triplets.ravel().tolist(), "bbox": box or [0, 0, 0, 0]})
    content.places.append(group.where)


def by_number(name: str) -> list[tuple[int, int, str]]:
    """A key to sort names by, in which "joint 2" comes before "joint 10"."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts]
