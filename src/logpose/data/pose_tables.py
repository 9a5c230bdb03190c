"""The tables of VideoPose3D's files: subjects, their actions, and arrays of frames × joints, checked.

`positions_3d` is {subject: {action: (T, K, 3)}}, `positions_2d` is {subject: {action: [(T, K, 2) of each camera]}}.
"""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.core.errors import InputError, UnknownSubjectError
from logpose.core.skeletons import H36M_LIFTING, HUMANEVA, Skeleton
from logpose.core.space import relative
from logpose.data.archive import printable
from logpose.data.coco import FARTHEST, Problem
from logpose.data.json_files import whole

__all__ = [
    "KEPT",
    "PICTURES",
    "SKELETONS",
    "Table",
    "check_pixels",
    "check_symmetry",
    "checked",
    "chosen",
    "fingerprints",
    "joints_of",
    "person",
    "sequences_of",
    "table_of",
]

Table = dict[str, dict[str, Any]]
"""Subjects, and of each its actions."""

SKELETONS = {15: HUMANEVA, 17: H36M_LIFTING, 32: H36M_LIFTING}
"""By number of joints; of Human3.6M's 32 those of `KEPT` are taken."""
KEPT = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""The joints that VideoPose3D leaves of Human3.6M's 32; the others never move, or lie where another is."""
PICTURES = {15: (480, 640), 17: (1000, 1000), 32: (1000, 1000)}
"""(H, W) of HumanEva's pictures and Human3.6M's (some of which have two rows more), by number of joints."""
LARGEST = 10.0
"""Metres from the root that no joint is at; farther ones are in another unit."""


def table_of(file: Path, content: dict[str, Any], name: str) -> Table:
    """One of a file's tables; what is in it is not looked at.

    Raises:
        InputError: if there is no such table, or nothing in it.
    """
    table = content.get(name)
    if not isinstance(table, dict) or not all(isinstance(actions, dict) for actions in table.values()):
        there = printable(", ".join(content)) or "nothing"
        raise InputError(f"{file}: has no table {name} of subjects and their actions, as VideoPose3D's; it has {there}")
    if not any(table.values()):
        raise InputError(f"{file}: its table {name} has no subject with an action")
    return {str(subject): {str(action): held for action, held in table[subject].items()} for subject in table}


def sequences_of(table: Table, subjects: Iterable[str]) -> Iterator[tuple[str, str, Any]]:
    """Subject, action, and what the table holds of them."""
    return ((subject, action, table[subject][action]) for subject in subjects for action in table[subject])


def person(subject: str) -> str:
    """Who a subject is: "S1" of "Train/S1"."""
    return subject.rpartition("/")[2]


def chosen(file: Path, there: list[str], wanted: Sequence[str] | None) -> list[str]:
    """The subjects of these names, or before whose "/" one of them stands, in the file's order; all for None.

    A name that a subject has is that subject's alone.

    Raises:
        UnknownSubjectError: if there is none of a name; the message suggests a similar one.
    """
    if wanted is None:
        return there
    parts = [*there, *(subject.partition("/")[0] for subject in there if "/" in subject)]
    for name in wanted:
        if name not in parts:
            near = difflib.get_close_matches(name, parts, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UnknownSubjectError(f"{file}: there is no subject {name!r} among {printable(', '.join(there))}{hint}")
    prefixes = [name for name in wanted if name not in there]
    return [subject for subject in there if subject in wanted or subject.partition("/")[0] in prefixes]


def fingerprints(table: Table, subjects: Iterable[str]) -> dict[str, str]:
    """Of each subject a word that is another's only if all its poses in space are the same."""
    words = {}
    for subject in subjects:
        told = hashlib.blake2b(digest_size=8)
        for action in sorted(table[subject]):
            held = table[subject][action]
            if isinstance(held, np.ndarray) and not held.dtype.hasobject:
                told.update(f"{action} {held.dtype} {held.shape}".encode() + held.tobytes())
            else:  # nothing is learned from it
                told.update(f"{action} {type(held).__name__}".encode())
        words[subject] = told.hexdigest()
    return words


def joints_of(file: Path, world: Table) -> int:
    """How many joints the poses in space have, or most of them.

    Raises:
        InputError: if they are none of `SKELETONS`.
    """
    arrays = [found for *_, found in sequences_of(world, world) if isinstance(found, np.ndarray) and found.ndim == 3]
    if not arrays:
        raise InputError(f"{file}: positions_3d holds no arrays of frames × joints × 3")
    joints = Counter(int(array.shape[1]) for array in arrays).most_common(1)[0][0]
    if joints not in SKELETONS:
        raise InputError(f"{file}: has poses of {joints} joints; known are 15 (HumanEva), 17 and 32 (Human3.6M)")
    return joints


def checked(where: str, found: Any, joints: int, dim: int, frames: int | None = None) -> np.ndarray | Problem:
    """An array of a table, if it can be learned from, and else what is wrong.

    Args:
        where: file and place in it, for the problem.
        found: what the table holds.
        joints: how many the file has.
        dim: 2 or 3.
        frames: how many are needed, in the picture as many as in space; those beyond are cut off.

    Returns:
        (T, K, dim), of the skeleton's joints.
    """
    if not isinstance(found, np.ndarray) or found.ndim != 3 or found.shape[2] != dim:
        told = "×".join(map(str, found.shape)) if isinstance(found, np.ndarray) else type(found).__name__
        return Problem(where, f"not an array of frames × joints × {dim}", told)
    array = found[:, KEPT] if found.shape[1] == 32 else found
    if array.shape[1] != len(SKELETONS[joints]):
        return Problem(where, "another number of joints", f"{found.shape[1]}, not {joints}")
    if len(array) < (frames or 1):
        return Problem(where, "too few frames", f"{len(array)}, where {frames or 1} are needed")
    array = array[:frames].astype(np.float64 if array.dtype.kind != "f" else array.dtype, copy=False)
    wrong = ~np.isfinite(array).all(axis=(1, 2))
    if wrong.any():
        first = int(wrong.argmax())
        return Problem(where, "frames that are not finite", f"{wrong.sum()} of {len(array)}, the first is {first}")
    if np.abs(array).max() >= FARTHEST or (dim == 3 and np.abs(relative(array, [0])).max() > LARGEST):
        kind = f"joints {LARGEST:g} m from the root or {FARTHEST:g} m off; are they in metres?" if dim == 3 else ""
        return Problem(where, kind or f"keypoints {FARTHEST:g} pixels off or more")
    return array


def check_symmetry(file: Path, metadata: Any, skeleton: Skeleton) -> None:
    """What a 2-D file says of left and right joints must be what the skeleton says.

    Raises:
        InputError: if it is not.
    """
    if (
        not isinstance(metadata, dict)
        or whole(metadata.get("num_joints")) == 32
        or "keypoints_symmetry" not in metadata
    ):
        return
    named = [(a, b) if skeleton.joints[a].startswith("l_") else (b, a) for a, b in skeleton.pairs]
    try:
        left, right = metadata["keypoints_symmetry"]
        right_order = sorted(zip(map(int, left), map(int, right), strict=True)) == sorted(named)
    except (TypeError, ValueError, OverflowError):
        right_order = False
    if not right_order:
        wanted = [list(side) for side in zip(*named, strict=True)]
        told = printable(metadata["keypoints_symmetry"], 200)
        raise InputError(f"{file}: has left and right joints {told}; those of {len(skeleton)} joints must be {wanted}")


def check_pixels(file: Path, views: Sequence[Float[np.ndarray, "_ K 2"]], size: tuple[int, int]) -> None:
    """Most keypoints must lie in the picture, and not in a picture of a few pixels.

    Raises:
        InputError: if they do not.
    """
    if not views:
        return
    middles = [np.median(view.reshape(-1, 2), axis=0) for view in views]
    x, y = np.median(middles, axis=0)
    if not (0 <= x < size[1] and 0 <= y < size[0]) or max(np.abs(view).max() for view in views) < 10:
        picture = f"a picture {size[1]} pixels wide and {size[0]} high"
        raise InputError(f"{file}: its keypoints lie about ({x:.4g}, {y:.4g}), which cannot be pixels of {picture}")
