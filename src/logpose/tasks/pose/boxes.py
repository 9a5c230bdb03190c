"""Boxes of people to predict in, and the category of each, for models of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.data.categories import chosen_names
from logpose.data.inputs import Boxes, lies_outside
from logpose.data.problems import FARTHEST
from logpose.models.detector import box_iou

__all__ = ["box_categories", "box_of_joints", "category_id", "checked_boxes", "is_nobody", "overlap"]

LEAST_SIDE = 2.0
"""Of the box of joints, pixels."""
NOBODY = 0.25
"""Median standard deviation of the joints, of the longer side of their box, above which they are nobody's. Of joints
spread evenly over a square it is .29."""


def checked_boxes(boxes: Any, size: tuple[int, int], path: str | Path | None) -> Boxes:
    """Boxes with scores, and with their category if they have one; of none, the whole image.

    Args:
        boxes: x, y, width, height, and perhaps a score, or score and category id, of each.
        size: (H, W) of the image.
        path: of the image, for messages.

    Raises:
        InputError: naming the box that is none, or lies outside the image.
    """
    if boxes is None:
        return np.array([[0, 0, size[1], size[0], 1]], dtype=np.float64)
    where = f"{path}: " if path else ""
    if not isinstance(boxes, np.ndarray | Sequence | Tensor) or isinstance(boxes, str | bytes):
        raise InputError(f"{where}boxes are rows of x, y, width, height[, score], got {type(boxes).__name__}")
    found: list[np.ndarray] = []
    for i, box in enumerate(boxes):
        try:
            values = (
                box.detach().cpu().double().numpy() if isinstance(box, Tensor) else box
            )  # bfloat16, gradients, CUDA
            found.append(np.asarray(values, dtype=np.float64))
        except (TypeError, ValueError) as error:  # words; rows of other lengths
            raise InputError(f"{where}box {i} is not numbers: {box!r:.60}") from error
    forms: tuple[tuple[int], ...] = ((6,),) if found and found[0].shape == (6,) else ((4,), (5,))
    rows = np.empty((len(boxes), forms[-1][0]))
    for i, values in enumerate(found):
        given = values.tolist()
        if values.shape not in forms or not np.isfinite(values).all() or (values[2:4] <= 0).any():
            raise InputError(f"{where}box {i} is not x, y, width > 0, height > 0 and perhaps a score: {given}")
        if np.abs(values[:4]).max() > FARTHEST:
            raise InputError(f"{where}box {i} lies {FARTHEST:g} pixels off or more: {given}")
        if lies_outside(values[:4].tolist(), size[::-1]):
            raise InputError(f"{where}box {i} lies outside the image of {size[1]}×{size[0]} pixels: {given}")
        rows[i] = (*values, 1) if len(values) == 4 else values
    return rows


def box_of_joints(joints: Float[np.ndarray, "K 2"], size: tuple[int, int]) -> Float[np.ndarray, "4"]:
    """x, y, width, height of the smallest box of whole pixels around joints, within an image of size (H, W).

    Whole pixels: the next look at an image must not depend on the last digits of this one, which differ from processor
    to processor.
    """
    inside = np.array(size[::-1], dtype=np.float64)
    low = np.clip(np.floor(joints.min(axis=0)), 0, np.maximum(inside - LEAST_SIDE, 0))
    high = np.clip(np.ceil(joints.max(axis=0)), np.minimum(low + LEAST_SIDE, inside), inside)
    return np.concatenate([low, high - low])


def overlap(box: Float[np.ndarray, "*N"], other: Float[np.ndarray, "*M"]) -> float:
    """Intersection over union of two boxes that begin with x, y, width, height."""
    corners = (torch.from_numpy(np.concatenate([each[:2], each[:2] + each[2:4]]))[None] for each in (box, other))
    return float(box_iou(*corners))


def is_nobody(std: Float[np.ndarray, "K 2"], box: Float[np.ndarray, "*N"], most: float | None = None) -> bool:
    """Whether most joints are as uncertain, in the box that they were found in, as those of nobody; never if unknown.

    Args:
        std: standard deviations along x and y, pixels; NaN where they are not known.
        box: begins with x, y, width, height.
        most: the median deviation, of the box's longer side, of the least certain people (`Calibration.uncertain`);
            `NOBODY` unless given.
    """
    return bool(np.median(std.mean(axis=1)) > (NOBODY if most is None else most) * box[2:4].max())


def box_categories(
    skeleton: Skeleton, boxes: Boxes, default: int | None = None, path: str | Path | None = None
) -> Int[np.ndarray, "N"] | None:
    """Each box's category, for a model of several; None for another.

    Args:
        skeleton: the model's.
        boxes: as `checked_boxes` returns them, with or without a category.
        default: of boxes without.
        path: of their image, for messages.

    Raises:
        InputError: if a box has none, or one that the model does not predict.
    """
    where, has_own = f"{path}: " if path else "", boxes.shape[1] > 5
    if not skeleton.categories:
        if has_own:
            raise InputError(f"{where}boxes have a category, and this model predicts one kind of object")
        return None
    kinds = boxes[:, 5] if has_own else np.full(len(boxes), np.nan if default is None else default)
    wrong = np.flatnonzero(~np.isin(kinds, [category.id for category in skeleton.categories]))
    if len(wrong):
        names = ", ".join(f"{category.name} ({category.id})" for category in skeleton.categories)
        given = kinds[wrong[0]]
        what = f"box {wrong[0]} has " + ("no category" if np.isnan(given) else f"category {given:g}")
        raise InputError(f"{where}{what}: this model predicts {names}; give each box one of these, or one for all")
    return np.asarray(kinds.astype(np.int64))


def category_id(skeleton: Skeleton, category: str | int) -> int:
    """The id of a category of a model's skeleton, of its name or id.

    Raises:
        InputError: if the skeleton has no such category, or is of one kind of object.
    """
    if not skeleton.categories:
        raise InputError(f"category {category!r}: this model predicts one kind of object, {skeleton.name}")
    if isinstance(category, int):
        skeleton.of(category)  # raises if there is none
        return category
    ids = {each.name: each.id for each in skeleton.categories}
    names = chosen_names(category, list(ids), "the model has no category {!r}")
    if len(names) != 1:
        raise InputError(f"category {category!r}: one is needed for all boxes; choose from {', '.join(ids)}")
    return ids[names[0]]
