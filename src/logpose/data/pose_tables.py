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
from logpose.core.json_files import whole
from logpose.core.skeletons import H36M_LIFTING, HUMANEVA, Skeleton
from logpose.core.space import relative
from logpose.data.archive import printable
from logpose.data.problems import FARTHEST, Problem

__all__ = [
    "IMAGE_SIZES",
    "KEPT",
    "SKELETONS",
    "Table",
    "Unalike",
    "check_pixels",
    "check_symmetry",
    "checked",
    "chosen",
    "fingerprints",
    "joints_of",
    "mirror_pairs",
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
IMAGE_SIZES = {15: (480, 640), 17: (1000, 1000), 32: (1000, 1000)}
"""(H, W) of HumanEva's images and Human3.6M's (some of which have two rows more), by number of joints."""
LEAST = 10.0  # pixels: where all keypoints lie closer to the image's corner, they are no pixels but shares of its sides
LARGEST = 10.0  # metres from the root within which all joints lie; larger values are in another unit


class Unalike(Problem):
    """An array of other frames or joints than the rest of its file: wrong in the whole file, not in one sequence."""


def table_of(file: str | Path, content: dict[str, Any], name: str) -> Table:
    """One of a file's tables; its arrays are not checked.

    Raises:
        InputError: if there is no such table, or nothing in it.
    """
    table = content.get(name)
    if not isinstance(table, dict) or not all(isinstance(actions, dict) for actions in table.values()):
        there = printable(", ".join(content)) or "nothing"
        raise InputError(f"{file}: needs {name}, a table of subjects and their actions as in VideoPose3D; got {there}")
    if not any(table.values()):
        raise InputError(f"{file}: {name} is empty")
    return {str(subject): {str(action): held for action, held in table[subject].items()} for subject in table}


def sequences_of(table: Table, subjects: Iterable[str]) -> Iterator[tuple[str, str, Any]]:
    """Subject, action, and what the table holds of them."""
    return ((subject, action, table[subject][action]) for subject in subjects for action in table[subject])


def person(subject: str) -> str:
    """The person of a subject: "S1" of "Train/S1"."""
    return subject.rpartition("/")[2]


def chosen(file: str | Path, there: list[str], wanted: Sequence[str] | None) -> list[str]:
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
            raise UnknownSubjectError(f"{file}: no subject {name!r} among {printable(', '.join(there))}{hint}")
    prefixes = [name for name in wanted if name not in there]
    return [subject for subject in there if subject in wanted or subject.partition("/")[0] in prefixes]


def fingerprints(table: Table, subjects: Iterable[str]) -> dict[str, str]:
    """A hash of each subject's 3-D poses, by which the same person is recognised in another file."""
    words = {}
    for subject in subjects:
        digest = hashlib.blake2b(digest_size=8)
        for action in sorted(table[subject]):
            held = table[subject][action]
            if isinstance(held, np.ndarray) and not held.dtype.hasobject:
                digest.update(f"{action} {held.dtype} {held.shape}".encode() + held.tobytes())
            else:  # not used for training
                digest.update(f"{action} {type(held).__name__}".encode())
        words[subject] = digest.hexdigest()
    return words


def joints_of(file: str | Path, world: Table) -> int:
    """The number of joints that the poses in space, or most of them, have.

    Raises:
        InputError: if they are none of `SKELETONS`.
    """
    arrays = [found for *_, found in sequences_of(world, world) if isinstance(found, np.ndarray) and found.ndim == 3]
    if not arrays:
        raise InputError(f"{file}: positions_3d must hold arrays of frames × joints × 3")
    joints = Counter(int(array.shape[1]) for array in arrays).most_common(1)[0][0]
    if joints not in SKELETONS:
        raise InputError(f"{file}: poses of {joints} joints, expected 15 (HumanEva), 17 or 32 (Human3.6M)")
    return joints


def checked(where: str, found: Any, joints: int, dim: int, frames: int | None = None) -> np.ndarray | Problem:
    """An array of a table, (T, K, dim) of the skeleton's joints, or what is wrong with it.

    `where` is file and place in it, `joints` how many the file has. Frames beyond `frames` are cut off: in the image
    there must be as many as in space.
    """
    if not isinstance(found, np.ndarray) or found.ndim != 3 or found.shape[2] != dim:
        shape = "×".join(map(str, found.shape)) if isinstance(found, np.ndarray) else type(found).__name__
        return Unalike(where, f"not an array of frames × joints × {dim}", shape)
    array = found[:, KEPT] if found.shape[1] == 32 else found
    if array.shape[1] != len(SKELETONS[joints]):
        return Unalike(where, "another number of joints", f"{found.shape[1]}, expected {joints}")
    if len(array) < (frames or 1):
        return Unalike(where, "too few frames", f"{len(array)}, expected {frames or 1}")
    array = array[:frames].astype(np.float64 if array.dtype.kind != "f" else array.dtype, copy=False)
    wrong = ~np.isfinite(array).all(axis=(1, 2))
    if wrong.any():
        first = int(wrong.argmax())
        return Problem(where, "frames that are not finite", f"{wrong.sum()} of {len(array)}, first {first}")
    if np.abs(array).max() >= FARTHEST or (dim == 3 and np.abs(relative(array, [0])).max() > LARGEST):
        kind = f"joints more than {LARGEST:g} m from the root; expected metres" if dim == 3 else ""
        return Problem(where, kind or f"keypoints beyond ±{FARTHEST:g} pixels")
    return array


def mirror_pairs(file: str | Path, metadata: Any) -> list[tuple[int, int]] | None:
    """The left and right joints that mirror each other, as the `metadata` of a 2-D file has them; None without any.

    Raises:
        InputError: if they are not a list of left and one of right joints.
    """
    if not isinstance(metadata, dict) or "keypoints_symmetry" not in metadata:
        return None
    try:
        left, right = metadata["keypoints_symmetry"]
        return list(zip(map(int, left), map(int, right), strict=True))
    except (TypeError, ValueError, OverflowError) as error:
        got = printable(metadata["keypoints_symmetry"], 200)
        raise InputError(f"{file}: keypoints_symmetry is {got}, expected a list of left and one of right") from error


def check_symmetry(file: str | Path, metadata: Any, skeleton: Skeleton) -> None:
    """Check that the left and right joints of a 2-D file are the skeleton's.

    Raises:
        InputError: if they are not.
    """
    given = mirror_pairs(file, metadata)
    named = sorted((a, b) if skeleton.joints[a].startswith("l_") else (b, a) for a, b in skeleton.pairs)
    if given is not None and sorted(given) != named and whole(metadata.get("num_joints")) != 32:
        got, wanted = printable(metadata["keypoints_symmetry"], 200), [list(side) for side in zip(*named, strict=True)]
        raise InputError(f"{file}: keypoints_symmetry is {got}, expected {wanted} for {len(skeleton)} joints")


def check_pixels(file: str | Path, views: Sequence[tuple[Float[np.ndarray, "_ K 2"], tuple[int, int]]]) -> None:
    """Check that most keypoints lie in their images of (H, W), and not in a corner of a few pixels.

    Raises:
        InputError: if they do not.
    """
    if not views:
        return
    x, y = np.median([np.median(keypoints.reshape(-1, 2), axis=0) / size[::-1] for keypoints, size in views], axis=0)
    if not (0 <= x < 1 and 0 <= y < 1) or max(np.abs(keypoints).max() for keypoints, _ in views) < LEAST:
        height, width = views[0][1]
        image = f"an image {width} pixels wide and {height} high"
        raise InputError(f"{file}: keypoints around ({x * width:.4g}, {y * height:.4g}) are not pixels of {image}")
