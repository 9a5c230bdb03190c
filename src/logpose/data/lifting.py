"""Poses to be lifted from the picture into space, in VideoPose3D's files: Human3.6M, HumanEva, anything written alike.

`data_3d_NAME.npz` holds `positions_3d`, {subject: {action: (T, K, 3)}} in metres in the world, whose z axis points up;
`data_2d_NAME_gt.npz` holds `positions_2d`, {subject: {action: [(T, K, 2) in pixels, of each camera]}}, and `metadata`.
There are no cameras in them. Positions and pixels tell where they stood (`cameras.recovered`), and where there are no
pixels, cameras are placed around the person (`cameras.placed_around`).
"""

from __future__ import annotations

import difflib
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int

from logpose.cameras import (
    FARTHEST_MEDIAN,
    PICTURE,
    Camera,
    check_upright,
    placed_around,
    recovered,
    reprojection_errors,
)
from logpose.data.archive import of_cameras, printable, read_archive
from logpose.data.coco import FARTHEST, Problem, whole
from logpose.skeletons import H36M_LIFTING, HUMANEVA, Skeleton
from logpose.structures import InputError

__all__ = ["LiftingPoses", "PoseSequence", "action_group", "open_poses", "relative", "screen"]

SKELETONS = {15: HUMANEVA, 17: H36M_LIFTING, 32: H36M_LIFTING}
"""By number of joints; of Human3.6M's 32 those of `KEPT` are taken."""
KEPT = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""The joints that VideoPose3D leaves of Human3.6M's 32; the others never move, or lie where another is."""
PICTURES = {15: (480, 640), 17: (1000, 1000), 32: (1000, 1000)}
"""(H, W) of HumanEva's pictures and Human3.6M's (some of which have two rows more), by number of joints."""
LARGEST = 10.0
"""Metres from the root that no joint is at; farther ones are in another unit."""
LOOKED_AT = 2000
"""Frames that a camera is recovered from, evenly over all sequences."""


class _Take(NamedTuple):
    """One sequence as one camera saw it, in the world."""

    subject: str
    action: str
    camera: int
    positions: Float[np.ndarray, "T K 3"]
    keypoints: Float[np.ndarray, "T K 2"]


@dataclass(slots=True, eq=False)
class PoseSequence:
    """Frames of one person that one camera saw in a row."""

    subject: str
    """As in the file: "S1", "Train/S1"."""
    action: str
    """As in the file: "Walking 1 chunk0"."""
    camera_index: int
    """Which of the cameras, from 0."""
    keypoints: Float32[np.ndarray, "T K 2"]
    """Pixels."""
    positions: Float32[np.ndarray, "T K 3"]
    """Metres in the camera's frame."""
    camera: Camera
    """What took it."""
    size: tuple[int, int]
    """(H, W) of the picture."""

    def __len__(self) -> int:
        return len(self.positions)


def screen(keypoints: Float[np.ndarray, "*N 2"], size: tuple[int, int]) -> Float[np.ndarray, "*N 2"]:
    """Screen-normalised keypoints, x in [-1, 1] and y to the same scale: X / w * 2 - [1, h / w] (VideoPose3D).

    Args:
        keypoints: pixels.
        size: (H, W) of the picture.
    """
    height, width = size
    normalised: Float[np.ndarray, "*N 2"] = keypoints / width * 2 - np.array([1, height / width], keypoints.dtype)
    return normalised


def relative(positions: Float[np.ndarray, "*N K 3"], root: int = 0) -> Float[np.ndarray, "*N K 3"]:
    """Positions relative to one joint, whose own become 0."""
    from_root: Float[np.ndarray, "*N K 3"] = positions - positions[..., root : root + 1, :]
    return from_root


def action_group(action: str) -> str:
    """What an action's figures are listed under: "Walking 1 chunk0" and "Walking 2" under "walking"."""
    return re.sub(r"(\s+chunk\d+|\s+\d+)*\s*$", "", action.lower()) or action.lower()


class LiftingPoses:
    """The frames of some subjects of a 3-D file, seen by each camera.

    With a 2-D file every person (a subject without its "Train/" or "Validate/") has a camera for each place in the
    file's lists, recovered from all of the person's sequences, whichever are chosen. Without, each sequence is seen
    by cameras of its own, which depend on the seed and its name only. A sequence that is wrong is left out whole: a
    window over frames must not have a gap.

    Args:
        file: the 3-D file.
        file_2d: the 2-D file; None places cameras.
        subjects: names, or what stands before their "/" ("Train" takes "Train/S1"); None takes all.
        size: (H, W) of the pictures of the 2-D file; by default HumanEva's (480, 640) for 15 joints, (1000, 1000) for
            Human3.6M's.
        cameras: how many are placed around each sequence.
        seed: of their places.
        root: the joint that `targets` are relative to.
        strict: refuse the files if any sequence is wrong.

    Attributes:
        skeleton: Human3.6M's 17 joints or HumanEva's 15.
        sequences: each sequence as each camera saw it.
        problems: sequences and cameras that were left out.
        inputs: screen-normalised keypoints of all N frames (`screen`).
        targets: metres, relative to the root joint, in the camera's frame.
        sequence: which of `sequences` each frame is of; they are in order.
        groups: of each frame the action, without its number (`action_group`).

    Raises:
        InputError: if a file is missing, is not such a file or leaves nothing, if there is no such subject, or
            (`strict`) if a sequence is wrong.
    """

    inputs: Float32[np.ndarray, "N K 2"]
    targets: Float32[np.ndarray, "N K 3"]
    sequence: Int[np.ndarray, "N"]

    def __init__(
        self,
        file: Path,
        file_2d: Path | None = None,
        subjects: Sequence[str] | None = None,
        size: tuple[int, int] | None = None,
        cameras: int = 4,
        seed: int = 0,
        root: int = 0,
        strict: bool = False,
    ) -> None:
        self.file, self.file_2d = file, file_2d
        self.problems: list[Problem] = []
        world = _table(file, read_archive(file), "positions_3d")
        self.subjects = _chosen(file, list(world), subjects)
        joints = _joints(file, world)
        self.skeleton = SKELETONS[joints]
        if not 0 <= root < len(self.skeleton):
            raise InputError(f"{file}: its skeleton has no joint {root}, which positions should be relative to")
        if file_2d is None:
            self.sequences = list(self._placed(world, joints, cameras, seed))
        else:
            self.sequences = list(self._seen(file_2d, world, joints, size or PICTURES[joints]))
        _refuse(self.sequences, self.problems, strict, file)
        lengths = [len(sequence) for sequence in self.sequences]
        self.inputs = np.concatenate([screen(sequence.keypoints, sequence.size) for sequence in self.sequences])
        self.targets = np.concatenate([relative(sequence.positions, root) for sequence in self.sequences])
        self.sequence = np.repeat(np.arange(len(lengths)), lengths)
        self._first = np.cumsum([0, *lengths])
        self.groups = [group for s in self.sequences for group in [action_group(s.action)] * len(s)]

    def __len__(self) -> int:
        return len(self.inputs)

    def window(self, indices: Int[np.ndarray, "B"], frames: int) -> Float32[np.ndarray, "B T K 2"]:
        """Keypoints of the frames around each index in its own sequence, whose first and last are repeated.

        Args:
            indices: of the frames in the middle.
            frames: T, odd.

        Raises:
            ValueError: if there would be no frame in the middle.
        """
        if frames < 1 or frames % 2 == 0:
            raise ValueError(f"a window has an odd number of frames, not {frames}")
        around = np.asarray(indices)[:, None] + np.arange(frames) - frames // 2
        sequence = self.sequence[indices][:, None]
        return self.inputs[np.clip(around, self._first[sequence], self._first[sequence + 1] - 1)]

    def _placed(self, world: dict[str, dict[str, Any]], joints: int, cameras: int, seed: int) -> Iterator[PoseSequence]:
        """The chosen sequences as cameras see them that are placed around each."""
        right: list[tuple[str, str, np.ndarray]] = []
        for subject, action, found in _sequences(world, self.subjects):
            positions = _checked(f"{self.file}: {subject}, {action}", found, joints, 3)
            if isinstance(positions, Problem):
                self.problems.append(positions)
            else:
                right.append((subject, action, positions))
        head, *ankles = map(self.skeleton.joints.index, ("head", "l_ankle", "r_ankle"))
        check_upright(str(self.file), [body for *_, body in right], head, ankles)
        for subject, action, positions in right:
            rng = np.random.default_rng((seed, zlib.crc32(f"{subject}/{action}".encode())))
            for i, camera in enumerate(placed_around(positions, cameras, rng)):
                take = _Take(subject, action, i, positions, camera.project(camera.to_camera(positions)))
                yield _sequence(take, camera, PICTURE)

    def _seen(
        self, file: Path, world: dict[str, dict[str, Any]], joints: int, size: tuple[int, int]
    ) -> Iterator[PoseSequence]:
        """The chosen sequences as the 2-D file's cameras saw them."""
        content = read_archive(file)
        seen = _table(file, content, "positions_2d")
        _check_symmetry(file, content.get("metadata"), self.skeleton)
        people = {_person(subject) for subject in self.subjects}
        takes = list(self._takes(file, world, seen, joints, [name for name in world if _person(name) in people]))
        _check_pixels(file, takes, size)
        cameras: dict[tuple[str, int], Camera | None] = {}
        for take in takes:
            if take.subject not in self.subjects:
                continue
            key = (_person(take.subject), take.camera)
            if key not in cameras:
                cameras[key] = self._camera(file, key, takes, size)
            if (camera := cameras[key]) is None:
                continue
            median = float(np.median(reprojection_errors(camera, take.positions, take.keypoints)))
            if median <= FARTHEST_MEDIAN:
                yield _sequence(take, camera, size)
            else:
                kind = "keypoints that are not where the camera shows the positions"
                where = f"{file}: {take.subject}, {take.action}, camera {take.camera}"
                self.problems.append(Problem(where, kind, f"{median:.1f} px off in the median"))

    def _takes(
        self,
        file: Path,
        world: dict[str, dict[str, Any]],
        seen: dict[str, dict[str, Any]],
        joints: int,
        subjects: Sequence[str],
    ) -> Iterator[_Take]:
        """All that is right of some subjects; of those that were chosen, `problems` tells what is wrong."""
        problems = []
        for subject, action, found in _sequences(world, subjects):
            positions = _checked(f"{self.file}: {subject}, {action}", found, joints, 3)
            views = seen.get(subject, {}).get(action)
            if isinstance(positions, Problem):
                problems.append((subject, positions))
                continue
            if not of_cameras(views) or not len(views):
                problems.append((subject, Problem(f"{file}: {subject}, {action}", "no keypoints of this sequence")))
                continue
            for i, view in enumerate(views):
                keypoints = _checked(f"{file}: {subject}, {action}, camera {i}", view, joints, 2, len(positions))
                if isinstance(keypoints, Problem):
                    problems.append((subject, keypoints))
                else:
                    yield _Take(subject, action, i, positions, keypoints)
        self.problems += [problem for subject, problem in problems if subject in self.subjects]

    def _camera(self, file: Path, key: tuple[str, int], takes: Sequence[_Take], size: tuple[int, int]) -> Camera | None:
        """The camera of one person with one number, from all its sequences; None, and a problem, if there is none."""
        own = [take for take in takes if (_person(take.subject), take.camera) == key]
        step = max(1, sum(len(take.positions) for take in own) // LOOKED_AT)
        positions = np.concatenate([take.positions[::step].reshape(-1, 3) for take in own])
        keypoints = np.concatenate([take.keypoints[::step].reshape(-1, 2) for take in own])
        try:
            return recovered(positions, keypoints, size)
        except InputError as error:
            self.problems.append(Problem(f"{file}: camera {key[1]} of {key[0]}", "cannot be recovered", str(error)))
            return None


def open_poses(
    file: Path,
    file_2d: Path | None = None,
    subjects: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    cameras: int = 4,
    seed: int = 0,
) -> LiftingPoses:
    """The frames of a 3-D file with the 2-D file that is named or, unless one is, lies beside it: data_2d_NAME_gt.npz.

    Arguments and errors as of `LiftingPoses`.
    """
    beside = file.with_name(file.stem.replace("data_3d_", "data_2d_") + "_gt.npz")
    return LiftingPoses(file, file_2d or (beside if beside.is_file() else None), subjects, size, cameras, seed)


def _sequence(take: _Take, camera: Camera, size: tuple[int, int]) -> PoseSequence:
    positions = camera.to_camera(take.positions).astype(np.float32)
    keypoints = take.keypoints.astype(np.float32)
    return PoseSequence(take.subject, take.action, take.camera, keypoints, positions, camera, size)


def _person(subject: str) -> str:
    """Who a subject is: "S1" of "Train/S1"."""
    return subject.rpartition("/")[2]


def _table(file: Path, content: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """Subjects and their actions."""
    table = content.get(name)
    if not isinstance(table, dict) or not table or not all(isinstance(actions, dict) for actions in table.values()):
        there = printable(", ".join(content)) or "nothing"
        raise InputError(f"{file}: has no table {name} of subjects and their actions, as VideoPose3D's; it has {there}")
    return {str(subject): {str(action): held for action, held in table[subject].items()} for subject in table}


def _sequences(world: dict[str, dict[str, Any]], subjects: Iterable[str]) -> Iterator[tuple[str, str, Any]]:
    return ((subject, action, world[subject][action]) for subject in subjects for action in world[subject])


def _chosen(file: Path, there: list[str], wanted: Sequence[str] | None) -> list[str]:
    """The subjects of these names, or before whose "/" one of them stands, in the file's order."""
    if wanted is None:
        return there
    parts = [*there, *(subject.partition("/")[0] for subject in there if "/" in subject)]
    for name in wanted:
        if name not in parts:
            near = difflib.get_close_matches(name, parts, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InputError(f"{file}: there is no subject {name!r} among {printable(', '.join(there))}{hint}")
    return [subject for subject in there if subject in wanted or subject.partition("/")[0] in wanted]


def _joints(file: Path, world: dict[str, dict[str, Any]]) -> int:
    """How many joints the poses have, or most of them."""
    arrays = [found for *_, found in _sequences(world, world) if isinstance(found, np.ndarray) and found.ndim == 3]
    if not arrays:
        raise InputError(f"{file}: positions_3d holds no arrays of frames × joints × 3")
    joints = Counter(int(array.shape[1]) for array in arrays).most_common(1)[0][0]
    if joints not in SKELETONS:
        raise InputError(f"{file}: has poses of {joints} joints; known are 15 (HumanEva), 17 and 32 (Human3.6M)")
    return joints


def _checked(where: str, found: Any, joints: int, dim: int, frames: int | None = None) -> np.ndarray | Problem:
    """An array (T, K, dim) of the skeleton's joints; of more `frames` than in space, as many as there."""
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
    if np.abs(array).max() >= FARTHEST or (dim == 3 and np.abs(relative(array)).max() > LARGEST):
        kind = f"joints {LARGEST:g} m from the root or {FARTHEST:g} m off; are they in metres?" if dim == 3 else ""
        return Problem(where, kind or f"keypoints {FARTHEST:g} pixels off or more")
    return array


def _check_symmetry(file: Path, metadata: Any, skeleton: Skeleton) -> None:
    """What the file says of left and right joints must be what the skeleton says."""
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


def _check_pixels(file: Path, takes: Sequence[_Take], size: tuple[int, int]) -> None:
    """Most keypoints must lie in the picture, and not in a picture of a few pixels."""
    if not takes:
        return
    middles = [np.median(take.keypoints.reshape(-1, 2), axis=0) for take in takes]
    x, y = np.median(middles, axis=0)
    if not (0 <= x < size[1] and 0 <= y < size[0]) or max(np.abs(take.keypoints).max() for take in takes) < 10:
        picture = f"a picture {size[1]} pixels wide and {size[0]} high"
        raise InputError(f"{file}: its keypoints lie about ({x:.4g}, {y:.4g}), which cannot be pixels of {picture}")


def _refuse(sequences: Sequence[PoseSequence], problems: Sequence[Problem], strict: bool, file: Path) -> None:
    if strict and problems:
        raise InputError(f"{problems[0]} (and {len(problems) - 1} more wrong sequences)")
    if not sequences:
        first = f"; the first of {len(problems)} wrong ones: {problems[0]}" if problems else ""
        raise InputError(f"{file}: no sequences to learn from{first}")
