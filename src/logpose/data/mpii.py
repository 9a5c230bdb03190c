"""MPII Human Pose as HRNet and mmpose have it: lists of people, and head boxes in a file of their own.

An entry is {image, center, scale, joints, joints_vis}: the person's rough centre, height over 200 pixels, and sixteen
joints, all counted from 1 as in MATLAB. (The other form, COCO's with MPII's joints, is read by `data.coco`.)
`mpii_gt_val.mat` (HRNet: `gt_valid.mat`) beside the list holds the head boxes that PCKh measures by.
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.data.coco import FARTHEST, HOLD_OUT, Problem, read_json, refuse
from logpose.data.images import check_image
from logpose.data.matlab import has_variable, read_matlab
from logpose.skeletons import MPII
from logpose.structures import InputError, Sample

__all__ = ["MpiiPeople"]

log = logging.getLogger("logpose")

PERSON = 200.0
"""Pixels of a person of scale 1."""
LOWERED = 15.0
"""Pixels, times the scale, by which a person's box lies below the given centre (HRNet's and mmpose's data sets)."""
HEAD_SHARE = 0.6
"""Of the diagonal of the head's box: the size of the head that PCKh measures by (the benchmark's own evaluation)."""
HEADS = ("mpii_gt_val.mat", "gt_valid.mat")
"""What mmpose and HRNet call the file of head boxes."""


class MpiiPeople:
    """The people of such a list.

    Args:
        file: the JSON file.
        images: the folder with its pictures; when None, `images` beside the file or its folder, or the folder itself.
        strict: refuse the file if any row is wrong.
        part: of the images, those "train" or "val" (every tenth) when one file has to serve as both; None takes all.

    Attributes:
        skeleton: MPII's 16 joints.
        problems: rows that were left out.
        counts: how many rows the file holds, and how many have no labels.
        head_sizes: pixels, of each person, from the file of head boxes beside it (NaN where a box is none); None
            without one of as many people.

    Raises:
        InputError: if the file is missing, is not such a file, holds nobody, or (`strict`) has a wrong row; if the head
            boxes are other people's.
    """

    def __init__(self, file: Path, images: Path | None = None, strict: bool = False, part: str | None = None) -> None:
        content = read_json(file)
        if not isinstance(content, list):
            raise InputError(f"{file}: not an MPII file, which is a list of people")
        if not content:
            raise InputError(f"{file}: an empty list, neither MPII's people nor a COCO annotation file")
        self.file, self.skeleton = file, MPII
        names = [str(row.get("image")) if isinstance(row, dict) else "" for row in content]
        self.image_folder = images or _image_folder(file, names)
        self.problems: list[Problem] = []
        self.counts: Counter[str] = Counter()
        numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
        heads = _head_sizes(file.parent, content)
        self.samples: list[Sample] = []
        kept = []
        for i, row in enumerate(content):
            number = numbers[names[i]]
            if part is not None and (number % HOLD_OUT == HOLD_OUT - 1) != (part == "val"):
                continue
            self.counts["annotations"] += 1
            person = self._person(i, row, number)
            if isinstance(person, Problem):
                self.problems.append(person)
            elif person is None:
                self.counts["without labelled joints"] += 1
            else:
                self.samples.append(person)
                kept.append(i)
        self.counts["people"] = len(self.samples)
        self.head_sizes = None if heads is None else heads[kept]
        refuse(self.samples, self.problems, strict, f"{file}: no labelled person to learn from")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def _person(self, i: int, row: Any, number: int) -> Sample | Problem | None:
        where = f"{self.file}: person {i}"
        if isinstance(row, dict) and {"bbox", "image_id"} <= row.keys():
            return Problem(where, "a detection or a result, not a labelled person (detected boxes go to --boxes)")
        if not isinstance(row, dict) or not {"image", "center", "scale", "joints", "joints_vis"} <= row.keys():
            return Problem(where, "a person needs image, center, scale, joints and joints_vis")
        where += f" ({row['image']})"
        count = len(self.skeleton)
        try:
            centre, scale = np.array(row["center"], dtype=np.float64), float(row["scale"])
            joints = np.array(row["joints"], dtype=np.float64)
            visible = np.array(row["joints_vis"], dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            return Problem(where, "center, scale, joints and joints_vis must be numbers")
        if centre.shape != (2,) or joints.shape != (count, 2) or visible.shape != (count,):
            return Problem(where, f"center must be 2 numbers, joints {count} pairs and joints_vis {count} numbers")
        if not np.isin(visible, (0, 1)).all():
            return Problem(where, "joints_vis must be 0 or 1")
        labelled = joints[visible > 0]
        numbers = np.concatenate([centre, labelled.ravel(), [scale]])
        if not np.isfinite(numbers).all() or np.abs(numbers).max() > FARTHEST or scale <= 0:
            return Problem(where, f"numbers not finite or beyond {FARTHEST:g} pixels, or a scale not above 0")
        if not len(labelled):
            return None
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


def _image_folder(file: Path, names: list[str]) -> Path:
    places = [file.parent / "images", file.parent.parent / "images", file.parent]
    return next((place for place in places if names and (place / names[0]).is_file()), places[0])


def _head_sizes(folder: Path, rows: list[Any]) -> Float[np.ndarray, "N"] | None:
    """Size of each person's head; None if there is no file of heads, or it is of another number of people.

    Where the file also says where the joints are, they must be the list's: heads in another order would go unnoticed.
    """
    file = next((folder / name for name in HEADS if (folder / name).is_file()), None)
    if file is None:
        return None
    boxes = read_matlab(file, "headboxes_src")
    boxes = boxes[..., None] if boxes.ndim == 2 else boxes  # MATLAB drops the axis of a single person
    if boxes.ndim != 3 or boxes.shape[:2] != (2, 2):
        shape = "×".join(map(str, boxes.shape))
        raise InputError(f"{file}: headboxes_src must be 2×2×N (corner, x and y, person), is {shape}")
    if boxes.shape[2] != len(rows):
        log.warning("%s: heads of %d people, the list has %d; not used", file, boxes.shape[2], len(rows))
        return None
    if has_variable(file, "pos_gt_src"):
        joints = read_matlab(file, "pos_gt_src").reshape(len(MPII), 2, -1)
        for i, row in enumerate(rows):
            try:
                labelled = np.array(row["joints_vis"]) > 0
                apart = np.abs(np.array(row["joints"], dtype=np.float64) - joints[..., i])[labelled]
            except (KeyError, TypeError, ValueError, IndexError, OverflowError):
                continue  # a wrong row, told as such
            if np.nanmax(apart, initial=0) > 1:
                raise InputError(f"{file}: person {i} has other joints there than in the list")
    sizes: Float[np.ndarray, "N"] = HEAD_SHARE * np.linalg.norm(boxes[1] - boxes[0], axis=0)
    return np.where(np.isfinite(sizes) & (sizes > 0), sizes, np.nan)
