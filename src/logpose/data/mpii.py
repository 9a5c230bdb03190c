"""MPII Human Pose in either form, as HRNet and mmpose have it and as the paper's released code has it.

HRNet's are lists of people. An entry is {image, center, scale, joints, joints_vis}: the person's rough centre, height
over 200 pixels, and sixteen joints, all counted from 1 as in MATLAB. The released code's `annot_mpii.json` is COCO's
form with MPII's joints. What PCKh measures by is in a file of its own beside either (`data.heads`).
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.core.errors import InputError
from logpose.core.skeletons import MPII
from logpose.core.structures import Sample
from logpose.data.coco import HOLD_OUT, CocoKeypoints, of_part
from logpose.data.heads import heads_file, read_heads
from logpose.data.images import check_image, most_found
from logpose.data.joint_names import short_names
from logpose.data.json_files import read_json, whole
from logpose.data.problems import FARTHEST, Problem, refuse

__all__ = ["MpiiOfCoco", "MpiiPeople"]

log = logging.getLogger("logpose")

PERSON = 200.0
"""Pixels of a person of scale 1."""
LOWERED = 15.0
"""Pixels, times the scale, by which a person's box lies below the given centre (HRNet's and mmpose's data sets)."""
OTHER_NAMES = {"pelv": "pelvis", "thrx": "thorax", "throax": "thorax", "neck": "upper_neck", "head": "head_top"}
"""Joints as COCO's form names them, the released code's or (with a slip of the pen) that of a script much copied."""


class MpiiPeople:
    """The people of such a list.

    Args:
        file: the JSON file.
        images: the folder with its images; when None, `images` beside the file or its folder, or the folder itself,
            whichever has most of the first.
        strict: refuse the file if any row is wrong.
        part: of the images, those "train" or "val" (every tenth) when one file has to serve as both; None takes all.

    Attributes:
        skeleton: MPII's 16 joints.
        problems: rows that were left out.
        counts: how many rows the file holds, and how many have no labels.
        head_sizes: (N, 16) pixels, by which PCKh measures each joint, from the file of heads beside it (NaN where the
            joint does not count, see `data.heads`); None without one of as many people.

    Raises:
        InputError: if the file is missing, is not such a file, has no labelled people, or (`strict`) has a wrong row;
            if the file of heads is wrong, or has other people's.
    """

    def __init__(
        self, file: str | Path, images: str | Path | None = None, strict: bool = False, part: str | None = None
    ) -> None:
        file = Path(file)
        images = None if images is None else Path(images)
        content = read_json(file)
        if not isinstance(content, list):
            raise InputError(f"{file}: expected a list of people, as in MPII files")
        if not content:
            raise InputError(f"{file}: an empty list; expected MPII people or a COCO annotation file")
        self.file, self.skeleton = file, MPII
        names = [str(row.get("image")) if isinstance(row, dict) else "" for row in content]
        self.image_folder = images or _image_folder(file, names)
        self.problems: list[Problem] = []
        self.counts: Counter[str] = Counter()
        numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
        heads = heads_file(file.parent)
        sizes = None
        if heads is not None:
            sizes = read_heads(heads, file, np.array([_labelled(row) for row in content]), first=1)
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
        self.head_sizes = None if sizes is None else sizes[kept]
        refuse(self.samples, self.problems, strict, f"{file}: no labelled people{of_part(part)}")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def _person(self, i: int, row: Any, number: int) -> Sample | Problem | None:
        where = f"{self.file}: person {i}"
        if isinstance(row, dict) and {"bbox", "image_id"} <= row.keys():
            return Problem(where, "a detection, not a labelled person; detections go to --boxes")
        if not isinstance(row, dict) or not {"image", "center", "scale", "joints", "joints_vis"} <= row.keys():
            return Problem(where, "needs image, center, scale, joints and joints_vis")
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
    """MPII's people in a COCO keypoint file (the released code's `annot_mpii.json`), with the sizes of their heads.

    Args:
        file: the JSON file; as are the others, those of `CocoKeypoints`.

    Attributes:
        head_sizes: as those of `MpiiPeople`: the file of heads has the file's annotations in their order. None, too,
            where its joints are not MPII's sixteen, or annotations share an id.

    Raises:
        InputError: as `CocoKeypoints`; if the file of heads is wrong, or has other people's.
    """

    def _read_more(self, content: dict[str, Any]) -> None:
        self.head_sizes: Float[np.ndarray, "N 16"] | None = None
        heads = heads_file(self.file.parent)
        if heads is None or short_names(self.skeleton, OTHER_NAMES) != MPII.joints:
            return
        rows = content["annotations"]
        sizes = read_heads(heads, self.file, np.array([_labelled_of_coco(row) for row in rows]), first=None)
        if sizes is None:
            return
        ids = [whole(row.get("id")) if isinstance(row, dict) else None for row in rows]
        places = {i if number is None else number: i for i, number in enumerate(ids)}
        if len(places) != len(rows):
            log.warning("%s: annotations of %s share an id, so whose head is whose is not known", heads, self.file.name)
            return
        self.head_sizes = sizes[[places[sample.id] for sample in self.samples]]


def _image_folder(file: Path, names: list[str]) -> Path:
    """The folder that has most of the first images."""
    places = [file.parent / "images", file.parent.parent / "images", file.parent]
    images = [name for name in dict.fromkeys(names) if name]
    return most_found(places, lambda place: (place / name for name in images))


def _labelled(row: Any) -> Float[np.ndarray, "16 2"]:
    """Joints of a row of a list; NaN where there is no label, or the row is wrong (which is reported elsewhere)."""
    try:
        joints = np.array(row["joints"], dtype=np.float64).reshape(len(MPII), 2)
        visible = np.array(row["joints_vis"], dtype=np.float64).reshape(len(MPII), 1)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        return np.full((len(MPII), 2), np.nan)
    return np.where(visible > 0, joints, np.nan)


def _labelled_of_coco(row: Any) -> Float[np.ndarray, "16 2"]:
    """The same of an annotation of a COCO file."""
    try:
        triplets = np.array(row["keypoints"], dtype=np.float64).reshape(len(MPII), 3)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        return np.full((len(MPII), 2), np.nan)
    return np.where(triplets[:, 2:] > 0, triplets[:, :2], np.nan)
