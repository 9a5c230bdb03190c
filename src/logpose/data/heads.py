"""Heads of MPII's people, which PCKh measures by: the ground truth of HRNet's and mmpose's evaluation.

`mpii_gt_val.mat` (HRNet: `gt_valid.mat`) has the people of an annotation file in that file's order: `headboxes_src`
(2×2×N: corner, x and y, person) and, where they are there, `pos_gt_src` (16×2×N: the joints in pixels, counted from 1)
and `jnt_missing` (16×N: 1 for a joint that is not labelled, and not counted).
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from logpose.core.errors import InputError
from logpose.core.skeletons import MPII
from logpose.data.matlab import has_variable, read_matlab

__all__ = ["heads_file", "read_heads"]

log = logging.getLogger("logpose")

NAMES = ("mpii_gt_val.mat", "gt_valid.mat")
"""What mmpose and HRNet call the file."""
HEAD_SHARE = 0.6
"""Of the diagonal of the head's box: the size of the head that PCKh measures by (the benchmark's own evaluation)."""
APART = 0.5
"""Pixels by which the same joint may differ in two files, one of which was rounded."""


def heads_file(folder: str | Path) -> Path | None:
    """The file of heads in a folder; None where there is none."""
    folder = Path(folder)
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def read_heads(
    file: str | Path, labels: str | Path, joints: Float[np.ndarray, "N 16 2"], first: int | None
) -> Float[np.ndarray, "N 16"] | None:
    """The size of the head by which each joint of each person is measured.

    Args:
        file: the file of heads.
        labels: the annotation file, to be named where the two do not fit.
        joints: in pixels, of every row of the annotation file in its order; NaN where there is no label.
        first: what `joints` count an image's first pixel as; None where that is not known (0 or 1).

    Returns:
        in pixels; NaN where the joint does not count, because of `jnt_missing`, because `pos_gt_src` is not finite
        there, or because the head has no box. None if the file is of another number of people, which is warned of.

    Raises:
        InputError: if the file cannot be read, a variable is not as above, `pos_gt_src` has other joints than `joints`
            (heads in another order would go unnoticed), or counts pixels from another number.
    """
    file = Path(file)
    labels = Path(labels)
    boxes = _variable(file, "headboxes_src", (2, 2), "2×2×N (corner, x and y, person)")
    count = boxes.shape[2]
    if count != len(joints):
        log.warning("%s: heads of %d people, %s has %d; not used", file, count, labels.name, len(joints))
        return None
    counted = np.ones((count, len(MPII)), dtype=bool)
    if has_variable(file, "jnt_missing"):
        missing = _variable(file, "jnt_missing", (len(MPII),), f"16×{count} (joint, person)", count)
        if not np.isin(missing, (0, 1)).all():
            raise InputError(f"{file}: jnt_missing must be 0 or 1")
        counted &= missing.T == 0
    if has_variable(file, "pos_gt_src"):
        places = _variable(file, "pos_gt_src", (len(MPII), 2), f"16×2×{count} (joint, x and y, person)", count)
        truth = places.transpose(2, 0, 1)
        counted &= np.isfinite(truth).all(axis=2)
        _check_joints(file, labels, truth, joints, counted, first)
    sizes = HEAD_SHARE * np.linalg.norm(boxes[1] - boxes[0], axis=0)
    sizes = np.where(np.isfinite(sizes) & (sizes > 0), sizes, np.nan)
    return np.where(counted, sizes[:, None], np.nan)


def _variable(file: Path, name: str, sides: tuple[int, ...], expected: str, count: int | None = None) -> np.ndarray:
    """An array whose last axis is that of people, its others as they must be."""
    array = read_matlab(file, name)
    if array.ndim == len(sides):
        array = array[..., None]  # MATLAB drops the axis of a single person
    if array.shape != (*sides, array.shape[-1] if count is None else count):
        shape = "×".join(map(str, array.shape))
        raise InputError(f"{file}: {name} must be {expected}, got {shape}")
    return array


def _check_joints(
    file: Path,
    labels: Path,
    truth: Float[np.ndarray, "N 16 2"],
    joints: Float[np.ndarray, "N 16 2"],
    counted: Bool[np.ndarray, "N 16"],
    first: int | None,
) -> None:
    """Refuse joints that are not those of the file; as `read_heads`."""
    compared = counted & np.isfinite(joints).all(axis=2)
    if not compared.any():
        return
    apart = truth - joints
    # The file counts from 1: all joints are where it has them, or all one pixel before.
    found = 0 if np.median(apart[compared]) > APART else 1
    others = compared & (np.abs(apart - (1 - found)) > APART).any(axis=2)
    if others.any():
        person = np.flatnonzero(others.any(axis=1))[0]
        raise InputError(f"{file}: joints of person {person} are not those of {labels.name}")
    if first is None and found == 1:
        log.warning("%s: counts pixels from 1, not from 0 as COCO does; taken as it stands, a pixel off", labels)
    if first is not None and found != first:
        raise InputError(f"{file}: pixels from 1, {labels.name} has pixels from {found}; shift its joints by one pixel")
