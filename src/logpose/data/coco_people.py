"""One person of a COCO file: keypoints, box and area of an annotation, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from logpose.core.json_files import numbers
from logpose.core.samples import Sample
from logpose.core.skeletons import Skeleton
from logpose.data.areas import segment_area
from logpose.data.label_content import box_around
from logpose.data.label_faults import are_relative, at_corner
from logpose.data.problems import FARTHEST, Problem

__all__ = ["Labels", "flags", "joints_of", "relative_depths", "with_last_pixel"]

LAST_PIXEL = 1
"""Pixels by which a sample's box is narrower and lower than the file's: it ends at the centre of its last pixel, as in
the released code (`_box`; `with_last_pixel` gives the file's extent)."""

AT_ROOT = 1.0  # millimetres of depth that a root may have in a file of depths relative to it


@dataclass(frozen=True)
class Labels:
    """The labels of one person."""

    keypoints: Float[np.ndarray, "K D"]
    """Pixels, and with depth millimetres, NaN where unknown; 0 where `visible` is 0."""
    visible: Int[np.ndarray, "K"]
    box: Float[np.ndarray, "4"]
    """Clipped to the image, to the centre of its last pixel."""
    area: float
    has_area: bool
    """Whether the area is the file's."""
    at_corner: int
    """Joints at exactly 0, 0, outside the box, which are taken as not labelled."""

    @classmethod
    def read(
        cls, row: dict[str, Any], where: str, count: int, size: tuple[Any, Any], depth: bool = False
    ) -> Labels | Problem:
        """Those of an annotation.

        Args:
            row: the annotation.
            where: it stands, for problems.
            count: of the joints.
            size: (width, height) of the image, as the file has them.
            depth: whether keypoints are x, y, z, v rather than x, y, v.
        """
        values, width, forms = row.get("keypoints"), 4 if depth else 3, {3: "x, y, v", 4: "x, y, z, v"}
        if not isinstance(values, list):
            return Problem(where, "no keypoints")
        if len(values) != width * count:
            kind = f"keypoints must have {width * count} numbers ({count} joints × {width})"
            other = {4 * count: "--depth reads", 3 * count: "without --depth they are"}.get(len(values))
            hint = f"; {other} {forms[7 - width]}" if other else ""
            return Problem(where, kind + hint, f"got {len(values)}")
        if (joints := joints_of(values, count, depth)) is None:
            return Problem(where, "keypoints must be numbers")
        visible, box = joints[:, -1], numbers(row.get("bbox"), 4)
        if "bbox" not in row:
            if (around := box_around(joints[:, [0, 1, -1]])) is None:
                return Problem(where, "no bbox, and none around fewer than two labelled joints")
            box = np.array(around)
        if not np.isfinite(joints[visible != 0][:, [0, 1, -1]]).all():
            return Problem(where, "keypoints must be finite")
        if np.abs(joints[visible != 0, :2]).max(initial=0) > FARTHEST:
            return Problem(where, f"keypoints beyond ±{FARTHEST:g} pixels")
        if not np.isin(visible, (0, 1, 2)).all():
            return Problem(where, "visibility flags must be 0, 1 or 2", f"got {sorted(set(visible) - {0, 1, 2})[0]:g}")
        if np.abs(np.nan_to_num(joints[visible != 0, 2:-1], posinf=np.inf)).max(initial=0) > FARTHEST:
            return Problem(where, f"depths beyond ±{FARTHEST:g} mm")
        if box is None or not np.isfinite(box).all() or np.abs(box).max() > FARTHEST:
            return Problem(where, "bbox must be four finite numbers x, y, width, height")
        if box[2] <= 0 or box[3] <= 0:
            return Problem(where, "bbox has no area", f"{[round(float(v), 2) for v in box]}")
        cleaned = _box(box, size)
        if cleaned is None:
            kind = "bbox of a pixel or less" if min(box[2:]) <= 1 else "bbox outside the image"
            hint = " (relative coordinates? expected pixels)" if np.abs(box).max() <= 1 else ""
            return Problem(where, kind + hint, f"{[round(float(v), 2) for v in box]}")
        if are_relative(joints[visible > 0, :2], box):
            kind = "keypoints within a pixel of the corner (relative coordinates? expected pixels)"
            return Problem(where, kind, f"the first labelled {joints[visible > 0, :2][0].tolist()}")
        if (corner := at_corner(joints[:, [0, 1, -1]], box)).any():
            visible = np.where(corner, 0, visible)
            if not visible.any():
                return Problem(where, "the only labelled joint is at 0, 0, outside its box")
        area, is_given = segment_area(row.get("area"), with_last_pixel(cleaned))
        keypoints = np.where(visible[:, None] > 0, joints[:, :-1], 0)
        return cls(keypoints, visible.astype(np.int64), cleaned, area, is_given, int(corner.sum()))


def joints_of(values: Any, count: int, depth: bool = False) -> Float[np.ndarray, "K C"] | None:
    """The x, y, v of so many joints, or x, y, z, v with `depth`; None if these are not as many numbers.

    A depth may be null: it is unknown (NaN).
    """
    width = 4 if depth else 3
    if depth and isinstance(values, list):
        values = [np.nan if i % 4 == 2 and value is None else value for i, value in enumerate(values)]
    found = numbers(values, width * count)
    return None if found is None else found.reshape(count, width)


def flags(values: Any, depth: bool = False) -> list[Any]:
    """The visibility flags of a row's keypoints."""
    return values[3::4] if depth and isinstance(values, list) else values[2::3] if isinstance(values, list) else []


def relative_depths(samples: Sequence[Sample], skeleton: Skeleton) -> int:
    """Make depths relative to each person's root, in place, unless they are: those of a file are of one kind.

    Of somebody whose root has no depth nothing can be subtracted: the depths are then unknown. Without root joints
    depths are taken as they are.

    Returns:
        how many people lose their depths so.
    """
    root = list(skeleton.root)
    if not root:
        return 0
    middle = [
        float(who.keypoints[root, 2].mean()) if (who.visible[root] > 0).all() else float("nan") for who in samples
    ]
    if not any(abs(depth) > AT_ROOT for depth in middle):  # NaN is not
        return 0
    for who, depth in zip(samples, middle, strict=True):
        who.keypoints[:, 2] -= depth
    return int(np.isnan(middle).sum())


def _box(box: Float[np.ndarray, "4"], size: tuple[Any, Any]) -> Float[np.ndarray, "4"] | None:
    """The box clipped to an image of (width, height), where known; None if nothing is left.

    Its far corner is x + w - 1, as in the released code.
    """
    x, y = max(0.0, box[0]), max(0.0, box[1])
    right, bottom = box[0] + max(box[2] - LAST_PIXEL, 0), box[1] + max(box[3] - LAST_PIXEL, 0)
    if all(isinstance(side, int | float) and side > 0 for side in size):
        right, bottom = min(size[0] - 1, right), min(size[1] - 1, bottom)
    return np.array([x, y, right - x, bottom - y]) if right > x and bottom > y else None


def with_last_pixel(box: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
    """The whole extent of a person, of the box of a `CocoKeypoints` sample, which ends at its last pixel's centre."""
    return np.asarray(box + np.array([0, 0, LAST_PIXEL, LAST_PIXEL]))
