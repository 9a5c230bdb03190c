"""Regions of Label Studio: what an annotator drew, from the results of an annotation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.core.json_files import numbers
from logpose.data.problems import FARTHEST, Problem

__all__ = ["Region", "owners", "regions_of"]

HIDDEN = {"hidden", "occluded", "invisible", "not visible"}
"""Choices of a keypoint (per region) that mean a joint that is labelled and hidden, COCO's v = 1."""
LABELS = {
    "keypoint": ("keypointlabels", "labels"),
    "rectangle": ("rectanglelabels", "labels"),
    "other": ("polygonlabels", "ellipselabels", "brushlabels", "labels"),
}
"""Where the values of a region of a shape have its labels."""
NEAR = 0.25  # of a rectangle's size, by which a joint without a parent may lie outside


@dataclass
class Region:
    """What an annotator drew: a keypoint, a rectangle, or another shape."""

    where: str
    shape: str
    value: dict[str, Any]
    parent: str
    size: tuple[Any, Any]
    labels: list[str] = field(default_factory=list)

    def point(self) -> Float[np.ndarray, "2"]:
        """In pixels."""
        return np.array([self.value[key] / 100 * side for key, side in zip("xy", self.size, strict=True)])

    def box(self) -> list[float]:
        """The box that holds a rectangle, which is rotated about its corner, clockwise, in pixels."""
        angle = np.deg2rad(self.value.get("rotation") or 0)
        right, down = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        width, height = (self.value[key] / 100 * side for key, side in zip(("width", "height"), self.size, strict=True))
        corners = self.point() + np.array([0 * right, width * right, height * down, width * right + height * down])
        return [float(value) for value in (*corners.min(axis=0), *np.ptp(corners, axis=0))]

    @property
    def is_hidden(self) -> bool:
        """Whether a choice of the region (per region) is one of `HIDDEN`."""
        choices = self.value.get("choices")
        return isinstance(choices, list) and any(str(choice).lower() in HIDDEN for choice in choices)


def regions_of(where: str, rows: Sequence[Any]) -> tuple[dict[str, Region], list[Problem], Counter[str]]:
    """The regions of an annotation by id. Results of one id, as a shape, its labels and its choices, are one.

    A relation of a keypoint and a region of another shape makes this its parent, where it has none.

    Args:
        where: of the annotation, for messages.
        rows: its `result`.

    Returns:
        the regions, what is wrong with others, and how many results are no regions, by what they are.
    """
    regions: dict[str, Region] = {}
    problems: list[Problem] = []
    counts: Counter[str] = Counter()
    related: dict[str, set[str]] = {}
    for i, row in enumerate(rows):
        place = f"{where}, result {i}"
        value = row.get("value") if isinstance(row, dict) else None
        shape = _shape(value) if isinstance(value, dict) else None
        if not isinstance(row, dict):
            problems.append(Problem(place, "not a JSON object"))
            continue
        if row.get("type") == "relation":
            ends = str(row.get("from_id")), str(row.get("to_id"))
            for one, other in (ends, ends[::-1]):
                related.setdefault(one, set()).add(other)
            continue
        key = str(row.get("id", f"result {i}"))
        if not isinstance(value, dict) or shape is None:
            if isinstance(value, dict) and key in regions:  # choices, or a text, of a region
                regions[key].value |= value
            else:
                counts["results that are no regions"] += 1
            continue
        size = row.get("original_width"), row.get("original_height")
        fault = _fault(row, shape, value, size)
        if key in regions and any(regions[key].value.get(name) != value.get(name) for name in "xy"):
            fault = "two regions of one id"
        if fault is not None:
            got = {name: value[name] for name in ("x", "y", "width", "height") if name in value}
            problems.append(Problem(place, fault, str(got)))
            continue
        place = f"{place} ({key})" if "id" in row else place
        region = regions.setdefault(key, Region(place, shape, {}, str(row.get("parentID")), size))
        region.value |= value
        words: list[Any] = next((value[name] for name in LABELS[shape] if isinstance(value.get(name), list)), [])
        region.labels += [str(word) for word in words if str(word) not in region.labels]
    for key, others in related.items():
        shapes = [other for other in sorted(others) if other in regions and regions[other].shape != "keypoint"]
        if key in regions and regions[key].shape == "keypoint" and regions[key].parent not in regions and shapes:
            if len(shapes) > 1:
                problems.append(Problem(regions.pop(key).where, "a keypoint with relations to several regions"))
            else:
                regions[key].parent = shapes[0]
    return regions, problems, counts


def owners(
    region: Region, regions: Mapping[str, Region], boxes: Mapping[str, Float[np.ndarray, "4"]]
) -> Sequence[str | None]:
    """The regions that a keypoint may belong to, by id.

    Its parent, which is no keypoint; else the rectangles that it lies in, or within a quarter of their size; [None] in
    an image without rectangles.

    Args:
        region: the keypoint.
        regions: of its annotation.
        boxes: of the rectangles among them, x, y, width, height in pixels.
    """
    key, passed = region.parent, set[str]()
    while key in regions and key not in passed:
        if regions[key].shape != "keypoint":
            return [key]
        passed.add(key)
        key = regions[key].parent
    if not boxes:
        return [None]
    point, around = region.point(), list[str]()
    for margin in (0, NEAR):
        around = around or [
            key
            for key, box in boxes.items()
            if ((box[:2] - margin * box[2:] <= point) & (point <= box[:2] + (1 + margin) * box[2:])).all()
        ]
    return around


def _shape(value: dict[str, Any]) -> str | None:
    """The shape of a region by the keys of its value; None where it has none."""
    if "radiusX" in value or {"points", "rle", "vertices", "sequence"} & value.keys():
        return "other"
    if "height" in value or "rectanglelabels" in value:
        return "rectangle"
    return "keypoint" if "x" in value or "keypointlabels" in value else None


def _fault(row: dict[str, Any], shape: str, value: dict[str, Any], size: tuple[Any, Any]) -> str | None:
    """Why the place of a region in its image is not known."""
    if row.get("image_rotation"):  # versions of Label Studio differ in what is rotated with the image
        return "its image was rotated in Label Studio (image_rotation); rotate the file instead"
    if row.get("item_index"):
        return "a region of another image of its task (item_index)"
    if shape == "other":
        return None
    sides = numbers([*size], 2)
    if sides is None or not (sides > 0).all() or sides.max() > FARTHEST:
        return "needs original_width and original_height"
    keys = ("x", "y", "width", "height", "rotation") if shape == "rectangle" else ("x", "y")
    found = numbers([value.get(key) or 0 if key == "rotation" else value.get(key) for key in keys], len(keys))
    if found is None or not (np.abs(found) <= FARTHEST).all():
        return f"{', '.join(keys)} must be finite numbers, in per cent"
    return None
