"""Poses to be lifted from the image into space, in VideoPose3D's files: Human3.6M, HumanEva, anything written alike.

`data_3d_NAME.npz` has `positions_3d`, {subject: {action: (T, K, 3)}} in metres in the world, whose z axis points up;
`data_2d_NAME_gt.npz` has `positions_2d`, {subject: {action: [(T, K, 2) in pixels, of each camera]}}, and `metadata`.
The files have no cameras. They are recovered from positions and pixels (`resection.recovered`); where there are no
pixels, cameras are placed around the person (`cameras.placed_around`).

Detected keypoints of the same frames, `data_2d_NAME_….npz` of the same form, can be the network's input instead;
they are too inaccurate to recover cameras from.
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
from logpose.data import pose_tables
from logpose.data.archive import of_cameras, read_archive
from logpose.data.pose_tables import IMAGE_SIZES, SKELETONS, Table, Unalike, checked, person, sequences_of, table_of
from logpose.data.problems import Problem, refuse
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

LOOKED_AT = 2000  # frames that a camera is recovered from, evenly over all sequences
MOST_UNSURE = 0.003
"""Metres that labels may be off because of a recovered camera's uncertainty; the paper's gain is 2.7 mm."""
FARTHEST_DETECTED = 0.1
"""Of a person's extent in the image: the largest median error of detected keypoints. Detectors err by less."""


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

    def sequence(self, camera: Camera, size: tuple[int, int]) -> PoseSequence:
        """The same in the camera's frame."""
        positions = camera.to_camera(self.positions).astype(np.float32)
        keypoints = (self.keypoints if self.detected is None else self.detected).astype(np.float32)
        return PoseSequence(self.subject, self.action, self.camera, keypoints, positions, camera, size)


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
    """Screen-normalised keypoints of pixels in images of (H, W), x in [-1, 1], y to the same scale (VideoPose3D)."""
    height, width = size
    return np.asarray(keypoints / width * 2 - np.array([1, height / width], keypoints.dtype))


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
        size: (H, W) of the images of the 2-D file; None takes HumanEva's (480, 640) or Human3.6M's (1000, 1000).
        cameras: how many are placed around each sequence.
        seed: of their places.
        detected: a further 2-D file, of the same frames, whose keypoints are `inputs`; cameras come from `file_2d`.

    Attributes:
        skeleton: Human3.6M's 17 joints or HumanEva's 15.
        subjects: their names; `fingerprints` identify them across files.
        sequences: each sequence in each camera.
        problems: sequences and cameras that were left out.
        inputs: screen-normalised keypoints of all N frames (`screen`).
        targets: metres, relative to the root joint, in the camera's frame.
        sequence: which of `sequences` each frame is of; they are in order.
        groups: of each frame the action, without its number (`action_group`).

    Raises:
        UnknownSubjectError: if the file has none of a name in `subjects`.
        InputError: if a file is missing, is not such a file or leaves nothing, or `detected` is of other frames.
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
        detected: str | Path | None = None,
    ) -> None:
        self.file = file = Path(file)
        self.file_2d, self.detected = (None if path is None else Path(path) for path in (file_2d, detected))
        self.problems: list[Problem] = []
        if detected is not None and file_2d is None:
            raise InputError(f"{detected}: needs the exact {_beside(file).name} too, to recover cameras from")
        world = table_of(file, read_archive(file), "positions_3d")
        self.subjects = pose_tables.chosen(file, list(world), subjects)
        self.fingerprints = pose_tables.fingerprints(world, self.subjects)
        self._joints = pose_tables.joints_of(file, world)
        self.skeleton = SKELETONS[self._joints]
        if self.file_2d is None:
            self.sequences = list(self._placed(world, cameras, seed))
        else:
            self.sequences = list(self._seen(self.file_2d, world, size or IMAGE_SIZES[self._joints]))
        refuse(self.sequences, self.problems, strict=False, nobody=f"{file}: no usable sequences")
        lengths = [len(sequence) for sequence in self.sequences]
        self.inputs = np.concatenate([screen(sequence.keypoints, sequence.size) for sequence in self.sequences])
        self.targets = np.concatenate([relative(each.positions, self.skeleton.root) for each in self.sequences])
        self.sequence = np.repeat(np.arange(len(lengths)), lengths)
        self._first = np.cumsum([0, *lengths])
        self.groups = [group for s in self.sequences for group in [action_group(s.action)] * len(s)]

    def __len__(self) -> int:
        return len(self.inputs)

    def window(self, indices: Int[np.ndarray, "B"], frames: int) -> Float32[np.ndarray, "B T K 2"]:
        """Keypoints of the frames around each index in its own sequence, whose first and last are repeated.

        Raises:
            ValueError: if the number of frames is even, so that none is in the middle.
        """
        sequence = self.sequence[indices]
        first, last = self._first[sequence], self._first[sequence + 1] - 1
        return windows_around(self.inputs, np.asarray(indices), first, last, frames)

    def _placed(self, world: Table, cameras: int, seed: int) -> Iterator[PoseSequence]:
        """The chosen sequences, projected by cameras placed around each."""
        right = list(self._right(world, self.subjects))
        head, *ankles = map(self.skeleton.joints.index, ("head", "l_ankle", "r_ankle"))
        check_upright(str(self.file), [body for *_, body in right], head, ankles)
        for subject, action, positions in right:
            rng = np.random.default_rng((seed, zlib.crc32(f"{subject}/{action}".encode())))
            for i, camera in enumerate(placed_around(positions, cameras, rng)):
                keypoints = camera.project(camera.to_camera(positions))
                yield _Take(subject, action, i, positions, keypoints).sequence(camera, IMAGE_SIZE)

    def _right(self, world: Table, subjects: Sequence[str]) -> Iterator[tuple[str, str, np.ndarray]]:
        """Subject, action and positions of what is right; `problems` has what is wrong with the chosen ones."""
        for subject, action, array in sequences_of(world, subjects):
            positions = checked(f"{self.file}: {subject}, {action}", array, self._joints, 3)
            if not isinstance(positions, Problem):
                yield subject, action, positions
            elif subject in self.subjects:
                self.problems.append(positions)

    def _seen(self, file: Path, world: Table, size: tuple[int, int]) -> Iterator[PoseSequence]:
        """The chosen sequences with the 2-D file's pixels and recovered cameras."""
        seen = self._pixels(file)
        people = {person(subject) for subject in self.subjects}
        takes = list(self._takes(file, world, seen, [name for name in world if person(name) in people]))
        pose_tables.check_pixels(file, [(take.keypoints, size) for take in takes])
        mine = [take for take in takes if take.subject in self.subjects]
        if self.detected is not None:
            mine = list(self._detected(self.detected, mine, seen))
        cameras: dict[tuple[str, int], Camera | None] = {}
        for take in mine:
            key = (person(take.subject), take.camera)
            if key not in cameras:
                cameras[key] = self._camera(file, key, takes, size)
            if (camera := cameras[key]) is None:
                continue
            median = float(np.median(reprojection_errors(camera, take.positions, take.keypoints)))
            if median <= FARTHEST_MEDIAN:
                yield take.sequence(camera, size)
            else:
                kind = "keypoints far from the projected positions"
                self.problems.append(Problem(take.where(file), kind, f"{median:.1f} px off in the median"))

    def _pixels(self, file: Path) -> Table:
        """The table of a 2-D file of these joints."""
        content = read_archive(file)
        pose_tables.check_symmetry(file, content.get("metadata"), self.skeleton)
        return table_of(file, content, "positions_2d")

    def _takes(self, file: Path, world: Table, seen: Table, subjects: Sequence[str]) -> Iterator[_Take]:
        """All that is right of some subjects in each camera, likewise."""
        for subject, action, positions in self._right(world, subjects):
            where, views = f"{file}: {subject}, {action}", seen.get(subject, {}).get(action)
            found: list[np.ndarray | Problem] = [Problem(where, "no keypoints")]
            if of_cameras(views) and len(views):
                frames = len(positions)
                found = [checked(f"{where}, camera {i}", v, self._joints, 2, frames) for i, v in enumerate(views)]
            for i, keypoints in enumerate(found):
                if not isinstance(keypoints, Problem):
                    yield _Take(subject, action, i, positions, keypoints)
                elif subject in self.subjects:
                    self.problems.append(keypoints)

    def _detected(self, file: Path, takes: Sequence[_Take], seen: Table) -> Iterator[_Take]:
        """The same takes with what was detected of them; wrong ones become problems, a file of others is refused."""
        table = self._pixels(file)
        for take in takes:
            where, views = take.where(file), table.get(take.subject, {}).get(take.action)
            count, there = len(seen[take.subject][take.action]), len(views) if of_cameras(views) else 0
            if not of_cameras(views) or there != count:
                cameras = f"{there} cameras, expected {count} as in {self.file_2d}"
                raise InputError(f"{file}: {take.subject}, {take.action}: {cameras}")
            keypoints = checked(where, views[take.camera], self._joints, 2, len(take.positions))
            if isinstance(keypoints, Unalike):
                raise InputError(f"{keypoints}; expected the frames and joints of {self.file_2d}")
            if isinstance(keypoints, Problem):
                self.problems.append(keypoints)
                continue
            apart = float(np.median(np.linalg.norm(keypoints - take.keypoints, axis=-1)))
            extent = float(np.median(np.linalg.norm(np.ptp(take.keypoints, axis=1), axis=-1)))
            if apart <= FARTHEST_DETECTED * extent:
                yield take._replace(detected=keypoints)
            else:
                kind = f"keypoints far from those of {self.file_2d}"
                self.problems.append(Problem(where, kind, f"{apart:.0f} px off in the median"))

    def _camera(self, file: Path, key: tuple[str, int], takes: Sequence[_Take], size: tuple[int, int]) -> Camera | None:
        """The camera of one person with one number, from all its sequences; None, and a problem, if there is none."""
        own = [take for take in takes if (person(take.subject), take.camera) == key]
        step = -(-sum(len(take.positions) for take in own) // LOOKED_AT)
        positions = np.concatenate([take.positions[::step] for take in own])
        keypoints = np.concatenate([take.keypoints[::step] for take in own])
        try:
            camera = recovered(positions.reshape(-1, 3), keypoints.reshape(-1, 2), size)
        except InputError as error:
            detail = str(error)
        else:
            off = axis_error(camera, positions, keypoints, *self.skeleton.root)
            if off <= MOST_UNSURE:
                return camera
            detail = f"labels would be off by about {1000 * off:.0f} mm"
        kind = "cannot be recovered; detected keypoints go to --detected, beside exact ones"
        self.problems.append(Problem(f"{file}: camera {key[1]} of {key[0]}", kind, detail))
        return None


def exact_keypoints(file: str | Path, named: str | Path | None = None) -> Path | None:
    """The 2-D file that is named or, unless one is, lies beside the 3-D file (data_2d_NAME_gt.npz), if one does."""
    beside = _beside(Path(file))
    return Path(named) if named else beside if beside.is_file() else None


def _beside(file: Path) -> Path:
    return file.parent / f"{file.stem.replace('data_3d_', 'data_2d_')}_gt.npz"


def subject_fingerprints(file: str | Path) -> dict[str, str]:
    """Names and `LiftingPoses.fingerprints` of all subjects of a 3-D file.

    Raises:
        InputError: if it is no such file.
    """
    world = table_of(file, read_archive(file), "positions_3d")
    return pose_tables.fingerprints(world, world)


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
    return LiftingPoses(file, exact_keypoints(file, file_2d), subjects, size, cameras, seed, detected)
