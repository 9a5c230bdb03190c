"""MPII Human Pose in either form, as HRNet and mmpose have it and as the paper's released code has it.

HRNet's are lists of people. An entry is {image, center, scale, joints, joints_vis}: the person's rough centre, height
over 200 pixels, and sixteen joints, all counted from 1 as in MATLAB. The released code's `annot_mpii.json` is COCO's
form with MPII's joints.

Beside either may lie `mpii_gt_val.mat` (HRNet: `gt_valid.mat`) with the heads by which PCKh normalises: the people of
the annotation file in its order, `headboxes_src` (2×2×N: corner, x and y, person) and, optionally, `pos_gt_src`
(16×2×N: the joints in pixels, counted from 1) and `jnt_missing` (16×N: 1 for a joint that is not counted).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.core.errors import InputError
from logpose.core.json_files import read_json, whole
from logpose.core.samples import Sample
from logpose.core.skeletons import MPII, short_names
from logpose.data.coco import CocoKeypoints
from logpose.data.images import check_image, image_folder
from logpose.data.matlab import matlab_sizes, read_matlab
from logpose.data.problems import FARTHEST, PeopleFile, Problem, in_part, of_part, refuse

__all__ = ["MpiiOfCoco", "MpiiPeople", "heads_file", "read_heads"]

log = logging.getLogger("logpose")

PERSON = 200.0  # pixels of a person of scale 1
LOWERED = 15.0
"""Pixels, times the scale, by which a person's box lies below the given centre (HRNet's and mmpose's data sets)."""
OTHER_NAMES = {"pelv": "pelvis", "thrx": "thorax", "throax": "thorax", "neck": "upper_neck", "head": "head_top"}
"""Joints as COCO's form names them, the released code's or (with a slip of the pen) that of a script much copied."""
HEADS = ("mpii_gt_val.mat", "gt_valid.mat")  # names of the file of heads, mmpose's and HRNet's
HEAD_SHARE = 0.6  # of the diagonal of the head's box: the size of the head in PCKh (the benchmark's own evaluation)
APART = 0.5  # pixels by which the same joint may differ in two files, one of which was rounded


class MpiiPeople(PeopleFile):
    """The people of such a list. Arguments and errors as of `open_people`.

    Attributes:
        head_sizes: (N, 16) pixels, by which PCKh normalises the error of each joint (see `read_heads`); None without
            a file of heads of as many people.
    """

    def __init__(
        self, file: str | Path, images: str | Path | None = None, strict: bool = False, part: str | None = None
    ) -> None:
        file = Path(file)
        content = read_json(file)
        if not isinstance(content, list):
            raise InputError(f"{file}: expected a list of people, as in MPII files")
        if not content:
            raise InputError(f"{file}: an empty list; expected MPII people or a COCO annotation file")
        names = [str(row.get("image")) if isinstance(row, dict) else "" for row in content]
        super().__init__(file, MPII, images or image_folder(file, names))
        numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
        heads = heads_file(file.parent)
        sizes = None if heads is None else read_heads(heads, file, np.array([*map(_labelled, content)]), first=1)
        for i, row in enumerate(content):
            if in_part(number := numbers[names[i]], part):
                self.counts["annotations"] += 1
                self._add(self._person(i, row, number), "without labelled joints")
        self.counts["people"] = len(self.samples)
        self.head_sizes = None if sizes is None else sizes[[person.id for person in self.samples]]
        refuse(self.samples, self.problems, strict, f"{file}: no labelled people{of_part(part)}")

    def _person(self, i: int, row: Any, number: int) -> Sample | Problem | None:
        where = f"{self.file}: person {i}"
        if isinstance(row, dict) and {"bbox", "image_id"} <= row.keys():
            return Problem(where, "a detection, not a labelled person; detections go to --boxes")
        if not isinstance(row, dict) or not {"image", "center", "scale", "joints", "joints_vis"} <= row.keys():
            return Problem(where, "needs image, center, scale, joints and joints_vis")
        where += f" ({row['image']})"
        count = len(self.skeleton)
        try:
            scale = float(row["scale"])
            centre, joints, visible = (np.array(row[key], np.float64) for key in ("center", "joints", "joints_vis"))
        except (TypeError, ValueError, OverflowError):
            return Problem(where, "center, scale, joints and joints_vis must be numbers")
        if centre.shape != (2,) or joints.shape != (count, 2) or visible.shape != (count,):
            return Problem(where, f"center must be 2 numbers, joints {count} pairs and joints_vis {count} numbers")
        if not np.isin(visible, (0, 1)).all():
            return Problem(where, "joints_vis must be 0 or 1")
        labelled = joints[visible > 0]
        numbers = np.concatenate([centre, labelled.ravel(), [scale]])
        if not np.isfinite(numbers).all() or np.abs(numbers).max() > FARTHEST or scale <= 0:
            return Problem(where, f"numbers must be finite and within ±{FARTHEST:g} pixels, and scale > 0")
        if not len(labelled):
            return None
        if centre.max() < 0:  # MPII's own files have -1, -1 where it is unknown
            return Problem(where, "no center", f"got {centre[0]:g}, {centre[1]:g}")
        image = self.image_folder / str(row["image"])
        if fault := check_image(image):
            return Problem(where, fault, str(image))
        side = PERSON * scale
        middle = centre + np.array([0, LOWERED * scale]) - 1
        return Sample(
            image=image,
            box=np.array([*(middle - side / 2), side, side]),
            keypoints=np.where(visible[:, None] > 0, joints - 1, 0),
            visible=np.where(visible > 0, 2, 0).astype(np.int64),
            area=side**2,
            image_id=number,
            id=i,
        )


class MpiiOfCoco(CocoKeypoints):
    """MPII's people in a COCO keypoint file (the released code's `annot_mpii.json`). Arguments and errors as there.

    Attributes:
        head_sizes: as those of `MpiiPeople`. None, too, where the file's joints are not MPII's sixteen, or annotations
            share an id.
    """

    def _read_more(self, content: dict[str, Any]) -> None:
        self.head_sizes: Float[np.ndarray, "N 16"] | None = None
        heads = heads_file(self.file.parent)
        if heads is None or short_names(self.skeleton, OTHER_NAMES) != MPII.joints:
            return
        rows = content["annotations"]
        sizes = read_heads(heads, self.file, np.array([*map(_labelled, rows)]), first=None)
        if sizes is None:
            return
        ids = [whole(row.get("id")) if isinstance(row, dict) else None for row in rows]
        places = {i if number is None else number: i for i, number in enumerate(ids)}
        if len(places) != len(rows):
            log.warning("%s: annotations of %s share an id, so whose head is whose is not known", heads, self.file.name)
            return
        self.head_sizes = sizes[[places[sample.id] for sample in self.samples]]


def _labelled(row: Any) -> Float[np.ndarray, "16 2"]:
    """Joints of a row of either form; NaN where there is no label, or the row is wrong (reported elsewhere)."""
    try:
        in_list = "joints_vis" in row
        values = np.column_stack([row["joints"], row["joints_vis"]]) if in_list else row["keypoints"]
        triplets = np.array(values, dtype=np.float64).reshape(len(MPII), 3)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        return np.full((len(MPII), 2), np.nan)
    return np.where(triplets[:, 2:] > 0, triplets[:, :2], np.nan)


def heads_file(folder: str | Path) -> Path | None:
    """The file of heads in a folder; None where there is none."""
    return next((Path(folder) / name for name in HEADS if (Path(folder) / name).is_file()), None)


def read_heads(
    file: str | Path, labels: str | Path, joints: Float[np.ndarray, "N 16 2"], first: int | None
) -> Float[np.ndarray, "N 16"] | None:
    """The size of the head by which the error of each joint of each person is divided.

    Args:
        file: the file of heads.
        labels: the annotation file, for messages.
        joints: in pixels, of every row of the annotation file in its order; NaN where there is no label.
        first: what `joints` count an image's first pixel as; None where that is not known (0 or 1).

    Returns:
        in pixels; NaN where the joint does not count, or the head has no box. None if the file is of another number
        of people, which is warned of.

    Raises:
        InputError: if the file cannot be read, a variable is not as above, `pos_gt_src` has other joints than `joints`
            (heads in another order would go unnoticed), or counts pixels from another number.
    """
    file, labels = Path(file), Path(labels)
    boxes = _variable(file, "headboxes_src", (2, 2), "2×2×N (corner, x and y, person)")
    count = boxes.shape[2]
    if count != len(joints):
        log.warning("%s: heads of %d people, %s has %d; not used", file, count, labels.name, len(joints))
        return None
    there = matlab_sizes(file)
    counted = np.ones((count, len(MPII)), dtype=bool)
    if "jnt_missing" in there:
        missing = _variable(file, "jnt_missing", (len(MPII),), f"16×{count} (joint, person)", count)
        if not np.isin(missing, (0, 1)).all():
            raise InputError(f"{file}: jnt_missing must be 0 or 1")
        counted &= missing.T == 0
    if "pos_gt_src" in there:
        positions = _variable(file, "pos_gt_src", (len(MPII), 2), f"16×2×{count} (joint, x and y, person)", count)
        truth = positions.transpose(2, 0, 1)
        counted &= np.isfinite(truth).all(axis=2)
        compared = counted & np.isfinite(joints).all(axis=2)
        if compared.any():
            apart = truth - joints
            # The file counts from 1: all joints are where it has them, or all one pixel before.
            start = 0 if np.median(apart[compared]) > APART else 1
            others = compared & (np.abs(apart - (1 - start)) > APART).any(axis=2)
            if others.any():
                person = np.flatnonzero(others.any(axis=1))[0]
                raise InputError(f"{file}: joints of person {person} are not those of {labels.name}")
            if first is None and start == 1:
                message = "%s: counts pixels from 1, not from 0 as COCO does; taken as it stands, a pixel off"
                log.warning(message, labels)
            if first is not None and start != first:
                shift = f"{labels.name} has pixels from {start}; shift its joints by one pixel"
                raise InputError(f"{file}: pixels from 1, {shift}")
    sizes = HEAD_SHARE * np.linalg.norm(boxes[1] - boxes[0], axis=0)
    sizes = np.where(np.isfinite(sizes) & (sizes > 0), sizes, np.nan)
    return np.where(counted, sizes[:, None], np.nan)


def _variable(file: Path, name: str, sides: tuple[int, ...], expected: str, count: int | None = None) -> np.ndarray:
    """An array of these sides, and a last axis of people."""
    array = read_matlab(file, name)
    if array.ndim == len(sides):
        array = array[..., None]  # MATLAB drops the axis of a single person
    if array.shape != (*sides, array.shape[-1] if count is None else count):
        raise InputError(f"{file}: {name} must be {expected}, got {'×'.join(map(str, array.shape))}")
    return array
