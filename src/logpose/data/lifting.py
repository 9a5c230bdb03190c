"""Poses to be lifted from the image into space, in VideoPose3D's files: Human3.6M, HumanEva, anything written alike.

`data_3d_NAME.npz` holds `positions_3d`, {subject: {action: (T, K, 3)}} in metres in the world, whose z axis points up;
`data_2d_NAME_gt.npz` holds `positions_2d`, {subject: {action: [(T, K, 2) in pixels, of each camera]}}, and `metadata`.
The files have no cameras. They are recovered from positions and pixels (`resection.recovered`); where there are no
pixels, cameras are placed around the person (`cameras.placed_around`).

Detected keypoints of the same frames, `data_2d_NAME_….npz` of the same form, can be the network's input instead.
It is too inaccurate to recover cameras from, so these still come from the exact pixels.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int

from logpose.core.cameras import IMAGE_SIZE, Camera, check_upright, placed_around, reprojection_errors
from logpose.core.errors import InputError
from logpose.core.space import relative
from logpose.data.archive import of_cameras, read_archive
from logpose.data.pose_tables import (
    IMAGE_SIZES,
    SKELETONS,
    Table,
    Unalike,
    check_pixels,
    check_symmetry,
    checked,
    chosen,
    fingerprints,
    joints_of,
    person,
    sequences_of,
    table_of,
)
from logpose.data.problems import Problem
from logpose.data.resection import FARTHEST_MEDIAN, axis_error, recovered
from logpose.data.windows import windows_around

__all__ = [
    "LiftingPoses",
    "PoseSequence",
    "action_group",
    "exact_keypoints",
    "open_poses",
    "screen",
    "subject_fingerprints",
]

LOOKED_AT = 2000
"""Frames that a camera is recovered from, evenly over all sequences."""
MOST_UNSURE = 0.003
"""Metres that labels may be off because of a recovered camera's uncertainty; the paper's gain is 2.7 mm."""
FARTHEST_DETECTED = 0.1
"""Of a person's extent in the image: the largest median error of detected keypoints. Detectors err by less."""


class _NoCamera(Problem):
    """A camera that cannot be recovered, or not well enough."""


class _Take(NamedTuple):
    """One sequence in the view of one camera, in world coordinates."""

    subject: str
    action: str
    camera: int
    positions: Float[np.ndarray, "T K 3"]
    keypoints: Float[np.ndarray, "T K 2"]
    detected: Float[np.ndarray, "T K 2"] | None = None

    def where(self, file: Path) -> str:
        """File and sequence, for messages."""
        return f"{file}: {self.subject}, {self.action}, camera {self.camera}"


@dataclass(slots=True, eq=False)
class PoseSequence:
    """Consecutive frames of one person in one camera."""

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
    """(H, W) of the image."""

    def __len__(self) -> int:
        return len(self.positions)


def screen(keypoints: Float[np.ndarray, "*N 2"], size: tuple[int, int]) -> Float[np.ndarray, "*N 2"]:
    """Screen-normalised keypoints, x in [-1, 1] and y to the same scale: X / w * 2 - [1, h / w] (VideoPose3D).

    Args:
        keypoints: pixels.
        size: (H, W) of the image.
    """
    height, width = size
    normalised: Float[np.ndarray, "*N 2"] = keypoints / width * 2 - np.array([1, height / width], keypoints.dtype)
    return normalised


def action_group(action: str) -> str:
    """What an action's figures are listed under: "Walking 1 chunk0" and "Walking 2" under "walking"."""
    return re.sub(r"(\s+chunk\d+|\s+\d+)*\s*$", "", action.lower()) or action.lower()


class LiftingPoses:
    """The frames of some subjects of a 3-D file, in each camera.

    With a 2-D file every person (a subject without its "Train/" or "Validate/") has a camera for each place in the
    file's lists, recovered from all of the person's sequences, whichever are chosen. Without, each sequence has
    cameras of its own, which depend on the seed and its name only. A sequence that is wrong is left out whole: a
    window over frames must not have a gap.

    Args:
        file: the 3-D file.
        file_2d: the 2-D file; None places cameras.
        subjects: names, or what stands before their "/" ("Train" takes "Train/S1"); None takes all.
        size: (H, W) of the images of the 2-D file; by default HumanEva's (480, 640) for 15 joints, (1000, 1000) for
            Human3.6M's.
        cameras: how many are placed around each sequence.
        seed: of their places.
        root: the joint that `targets` are relative to.
        strict: refuse the files if any sequence is wrong.
        detected: a further 2-D file, of the same frames, whose keypoints are `inputs`; cameras come from `file_2d`.

    Attributes:
        skeleton: Human3.6M's 17 joints or HumanEva's 15.
        subjects: their names.
        fingerprints: of each subject, by which a model knows the subjects it was trained on.
        sequences: each sequence in each camera.
        problems: sequences and cameras that were left out.
        inputs: screen-normalised keypoints of all N frames (`screen`).
        targets: metres, relative to the root joint, in the camera's frame.
        sequence: which of `sequences` each frame is of; they are in order.
        groups: of each frame the action, without its number (`action_group`).

    Raises:
        UnknownSubjectError: if the file has none of a name in `subjects`.
        InputError: if a file is missing, is not such a file or leaves nothing, if what was detected is not of the same
            frames as `file_2d`, or (`strict`) if a sequence is wrong.
    """

    inputs: Float32[np.ndarray, "N K 2"]
    targets: Float32[np.ndarray, "N K 3"]
    sequence: Int[np.ndarray, "N"]

    def __init__(
        self,
        file: str | Path,
        file_2d: str | Path | None = None,
        subjects: Sequence[str] | None = None,
        size: tuple[int, int] | None = None,
        cameras: int = 4,
        seed: int = 0,
        root: int = 0,
        strict: bool = False,
        detected: str | Path | None = None,
    ) -> None:
        file = Path(file)
        file_2d = None if file_2d is None else Path(file_2d)
        detected = None if detected is None else Path(detected)
        self.file, self.file_2d, self.detected, self.root = file, file_2d, detected, root
        self.problems: list[Problem] = []
        if detected is not None and file_2d is None:
            raise InputError(f"{detected}: needs the exact {_beside(file).name} too, to recover cameras from")
        world = table_of(file, read_archive(file), "positions_3d")
        self.subjects = chosen(file, list(world), subjects)
        self.fingerprints = fingerprints(world, self.subjects)
        joints = joints_of(file, world)
        self.skeleton = SKELETONS[joints]
        if not 0 <= root < len(self.skeleton):
            raise InputError(f"{file}: no joint {root} as root in a skeleton of {len(self.skeleton)}")
        if file_2d is None:
            self.sequences = list(self._placed(world, joints, cameras, seed))
        else:
            self.sequences = list(self._seen(file_2d, world, joints, size or IMAGE_SIZES[joints]))
        _refuse(self.sequences, self.problems, strict, file)
        lengths = [len(sequence) for sequence in self.sequences]
        self.inputs = np.concatenate([screen(sequence.keypoints, sequence.size) for sequence in self.sequences])
        self.targets = np.concatenate([relative(sequence.positions, [root]) for sequence in self.sequences])
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
        sequence = self.sequence[indices]
        first, last = self._first[sequence], self._first[sequence + 1] - 1
        return windows_around(self.inputs, np.asarray(indices), first, last, frames)

    def _placed(self, world: Table, joints: int, cameras: int, seed: int) -> Iterator[PoseSequence]:
        """The chosen sequences, projected by cameras placed around each."""
        right: list[tuple[str, str, np.ndarray]] = []
        for subject, action, found in sequences_of(world, self.subjects):
            positions = checked(f"{self.file}: {subject}, {action}", found, joints, 3)
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
                yield _sequence(take, camera, IMAGE_SIZE)

    def _seen(self, file: Path, world: Table, joints: int, size: tuple[int, int]) -> Iterator[PoseSequence]:
        """The chosen sequences with the 2-D file's pixels and recovered cameras."""
        seen = self._pixels(file)
        people = {person(subject) for subject in self.subjects}
        takes = list(self._takes(file, world, seen, joints, [name for name in world if person(name) in people]))
        check_pixels(file, [take.keypoints for take in takes], size)
        mine = [take for take in takes if take.subject in self.subjects]
        if self.detected is not None:
            mine = list(self._detected(self.detected, mine, seen, joints))
        cameras: dict[tuple[str, int], Camera | None] = {}
        for take in mine:
            key = (person(take.subject), take.camera)
            if key not in cameras:
                cameras[key] = self._camera(file, key, takes, size)
            if (camera := cameras[key]) is None:
                continue
            median = float(np.median(reprojection_errors(camera, take.positions, take.keypoints)))
            if median <= FARTHEST_MEDIAN:
                yield _sequence(take, camera, size)
            else:
                kind = "keypoints far from the projected positions"
                self.problems.append(Problem(take.where(file), kind, f"{median:.1f} px off in the median"))

    def _pixels(self, file: Path) -> Table:
        """The table of a 2-D file of these joints."""
        content = read_archive(file)
        check_symmetry(file, content.get("metadata"), self.skeleton)
        return table_of(file, content, "positions_2d")

    def _takes(self, file: Path, world: Table, seen: Table, joints: int, subjects: Sequence[str]) -> Iterator[_Take]:
        """All that is right of some subjects; `problems` has what is wrong with the chosen ones."""
        problems = []
        for subject, action, found in sequences_of(world, subjects):
            positions = checked(f"{self.file}: {subject}, {action}", found, joints, 3)
            views = seen.get(subject, {}).get(action)
            if isinstance(positions, Problem):
                problems.append((subject, positions))
                continue
            if not of_cameras(views) or not len(views):
                problems.append((subject, Problem(f"{file}: {subject}, {action}", "no keypoints")))
                continue
            for i, view in enumerate(views):
                keypoints = checked(f"{file}: {subject}, {action}, camera {i}", view, joints, 2, len(positions))
                if isinstance(keypoints, Problem):
                    problems.append((subject, keypoints))
                else:
                    yield _Take(subject, action, i, positions, keypoints)
        self.problems += [problem for subject, problem in problems if subject in self.subjects]

    def _detected(self, file: Path, takes: Sequence[_Take], seen: Table, joints: int) -> Iterator[_Take]:
        """The same takes with what was detected of them; wrong ones go to `problems`.

        Raises:
            InputError: if the file has not the same subjects, actions, cameras, frames and joints.
        """
        table = self._pixels(file)
        for take in takes:
            where, views = take.where(file), table.get(take.subject, {}).get(take.action)
            count, there = len(seen[take.subject][take.action]), len(views) if of_cameras(views) else 0
            if not of_cameras(views) or there != count:
                cameras = f"{there} cameras, expected {count} as in {self.file_2d}"
                raise InputError(f"{file}: {take.subject}, {take.action}: {cameras}")
            found = checked(where, views[take.camera], joints, 2, len(take.positions))
            if isinstance(found, Unalike):
                raise InputError(f"{found}; expected the frames and joints of {self.file_2d}")
            if isinstance(found, Problem):
                self.problems.append(found)
                continue
            apart = float(np.median(np.linalg.norm(found - take.keypoints, axis=-1)))
            extent = float(np.median(np.linalg.norm(np.ptp(take.keypoints, axis=1), axis=-1)))
            if apart <= FARTHEST_DETECTED * extent:
                yield take._replace(detected=found)
            else:
                kind = f"keypoints far from those of {self.file_2d}"
                self.problems.append(Problem(where, kind, f"{apart:.0f} px off in the median"))

    def _camera(self, file: Path, key: tuple[str, int], takes: Sequence[_Take], size: tuple[int, int]) -> Camera | None:
        """The camera of one person with one number, from all its sequences; None, and a problem, if there is none."""
        own = [take for take in takes if (person(take.subject), take.camera) == key]
        step = -(-sum(len(take.positions) for take in own) // LOOKED_AT)
        positions = np.concatenate([take.positions[::step] for take in own])
        keypoints = np.concatenate([take.keypoints[::step] for take in own])
        where = f"{file}: camera {key[1]} of {key[0]}"
        try:
            camera = recovered(positions.reshape(-1, 3), keypoints.reshape(-1, 2), size)
        except InputError as error:
            self.problems.append(_NoCamera(where, "cannot be recovered", str(error)))
            return None
        off = axis_error(camera, positions, keypoints, self.root)
        if off <= MOST_UNSURE:
            return camera
        detail = f"labels would be off by about {1000 * off:.0f} mm"
        self.problems.append(_NoCamera(where, "cannot be recovered well enough", detail))
        return None


def exact_keypoints(file: str | Path, named: str | Path | None = None) -> Path | None:
    """The 2-D file that is named or, unless one is, lies beside the 3-D file (data_2d_NAME_gt.npz), if one does."""
    file = Path(file)
    named = None if named is None else Path(named)
    beside = _beside(file)
    return named or (beside if beside.is_file() else None)


def _beside(file: Path) -> Path:
    return file.parent / f"{file.stem.replace('data_3d_', 'data_2d_')}_gt.npz"


def subject_fingerprints(file: str | Path) -> dict[str, str]:
    """Names and `LiftingPoses.fingerprints` of all subjects of a 3-D file.

    Raises:
        InputError: if it is no such file.
    """
    file = Path(file)
    world = table_of(file, read_archive(file), "positions_3d")
    return fingerprints(world, world)


def open_poses(
    file: str | Path,
    file_2d: str | Path | None = None,
    subjects: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    cameras: int = 4,
    seed: int = 0,
    detected: str | Path | None = None,
) -> LiftingPoses:
    """The frames of a 3-D file with its `exact_keypoints`. Arguments and errors as of `LiftingPoses`."""
    file = Path(file)
    file_2d = None if file_2d is None else Path(file_2d)
    detected = None if detected is None else Path(detected)
    return LiftingPoses(file, exact_keypoints(file, file_2d), subjects, size, cameras, seed, detected=detected)


def _sequence(take: _Take, camera: Camera, size: tuple[int, int]) -> PoseSequence:
    positions = camera.to_camera(take.positions).astype(np.float32)
    keypoints = (take.keypoints if take.detected is None else take.detected).astype(np.float32)
    return PoseSequence(take.subject, take.action, take.camera, keypoints, positions, camera, size)


def _refuse(sequences: Sequence[PoseSequence], problems: Sequence[Problem], strict: bool, file: Path) -> None:
    if strict and problems:
        raise InputError(f"{problems[0]} (and {len(problems) - 1} more wrong sequences)")
    if not sequences:
        first = f"; the first of {len(problems)} wrong ones: {problems[0]}" if problems else ""
        if any(isinstance(problem, _NoCamera) for problem in problems):
            first += "; detected keypoints go to --detected, beside exact ones"
        raise InputError(f"{file}: no usable sequences{first}")
