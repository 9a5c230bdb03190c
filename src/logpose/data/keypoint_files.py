"""Files of keypoints that are to be lifted into space, brought to the joints of the model that lifts them.

Three kinds are read: COCO's annotation and results files, each row a pose by itself; the 2-D files of VideoPose3D,
`positions_2d`; and archives of NumPy with `keypoints` (T, K, 2), pixels, and `size`, height and width of the image.
The last have no joint names; where their number fits several layouts, the layout must be given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, H36M, H36M_LIFTING, HUMANEVA, LSP, MPII, Skeleton
from logpose.data.archive import of_cameras, printable, read_archive
from logpose.data.joint_names import derived_joints
from logpose.data.json_files import read_json, whole
from logpose.data.pose_tables import IMAGE_SIZES, KEPT
from logpose.data.problems import FARTHEST, Problem

__all__ = ["KeypointFile", "KeypointSequence", "Layout", "read_keypoints"]

Layout = Literal["model", "coco", "mpii", "lsp", "h36m", "humaneva"]
"""The layout of joints in a file without names: the model's, or that of a data set."""

LAYOUTS = {"coco": (COCO,), "mpii": (MPII,), "lsp": (LSP,), "h36m": (H36M_LIFTING, H36M), "humaneva": (HUMANEVA,)}
RESULTS, ARCHIVES = (COCO, MPII, LSP), (COCO, H36M_LIFTING, HUMANEVA, MPII, LSP)
"""Layouts, besides the model's, that lists of results may have, and archives."""
LEAST = 10.0
"""Pixels: where all keypoints lie closer to the image's corner, they are no pixels but shares of its sides."""


@dataclass(frozen=True, slots=True, eq=False)
class KeypointSequence:
    """Keypoints of one person in frames that follow each other; or in a single image."""

    name: str
    """Within its file: "annotation 3", "S1, Walking 1, camera 0"."""
    keypoints: Float[np.ndarray, "T K 2"]
    """Pixels."""
    size: tuple[int, int]
    """(H, W) of the image."""
    image_id: int | str | None = None
    """Of the image, in COCO's files."""

    def __len__(self) -> int:
        return len(self.keypoints)


@dataclass(frozen=True, slots=True, eq=False)
class KeypointFile:
    """What a file of keypoints holds."""

    sequences: list[KeypointSequence]
    problems: list[Problem]
    """Poses and sequences that were left out: keypoints are missing."""
    derived: dict[str, str]
    """Of joints that the file does not have: the joints whose midpoint replaces them."""
    guessed: str | None = None
    """The layout inferred from the number of joints; None where the file or the user gives it, or it is the model's."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What `read_keypoints` was asked for."""

    file: Path
    skeleton: Skeleton
    size: tuple[int, int] | None
    layout: Layout | None


def read_keypoints(
    file: str | Path, skeleton: Skeleton, size: tuple[int, int] | None = None, layout: Layout | None = None
) -> KeypointFile:
    """The keypoints of a file, of the joints that a model needs.

    Args:
        file: JSON in COCO's form, or `.npz` (see above).
        skeleton: the model's.
        size: (H, W) of the images, where the file does not give it. Human3.6M's and HumanEva's are known.
        layout: whose joints they are, where the file does not name them. Their number may determine it, and in
            VideoPose3D's files the left and right joints; where several fit, it must be given.

    Raises:
        InputError: if it is no such file, a row is malformed, joints are missing, or the size of an image is unknown.
    """
    file = Path(file)
    wanted = _Wanted(file, skeleton, size, layout)
    if size is not None and not all(1 <= side < FARTHEST for side in size):
        raise InputError(f"image height and width must be >= 1 pixel, got {size[0]} and {size[1]}")
    if file.is_dir():
        raise InputError(f"{file}: a folder; expected a file of keypoints (COCO .json or .npz)")
    if file.suffix == ".npz":
        found = _of_archive(wanted)
    elif file.suffix == ".json":
        found = _of_json(wanted)
    else:
        what = "not a file of keypoints" if file.exists() else "no such file"
        raise InputError(f"{file}: {what}; expected COCO .json or .npz")
    if not found.sequences:
        first = f"; the first of {len(found.problems)} left out: {found.problems[0]}" if found.problems else ""
        raise InputError(f"{file}: no complete poses{first}")
    _check_pixels(file, found.sequences)
    return found


def _check_pixels(file: Path, sequences: Sequence[KeypointSequence]) -> None:
    """Check that most people lie in their image, and not in a corner of a few pixels."""
    middles = np.array([np.median(s.keypoints.reshape(-1, 2), axis=0) / s.size[::-1] for s in sequences])
    x, y = np.median(middles, axis=0)
    furthest = max(float(np.abs(s.keypoints).max()) for s in sequences)
    if not (0 <= x < 1 and 0 <= y < 1) or furthest < LEAST:
        height, width = sequences[0].size
        raise InputError(
            f"{file}: keypoints around ({x * width:.4g}, {y * height:.4g}) are not pixels of an image {width} pixels "
            f"wide and {height} high"
        )


class _Joints:
    """How to get the model's joints from those of a file."""

    def __init__(self, wanted: _Wanted, source: Skeleton) -> None:
        try:
            self.ways = derived_joints(source, wanted.skeleton)
        except InputError as error:
            raise InputError(f"{wanted.file}: {error}") from error
        self.used = sorted({joint for way in self.ways for joint in way})
        self.source = source
        self.derived = {
            name: " and ".join(source.joints[joint] for joint in way)
            for name, way in zip(wanted.skeleton.joints, self.ways, strict=True)
            if len(way) > 1
        }

    def guessed(self, wanted: _Wanted, named: Skeleton | None = None) -> str | None:
        """See `KeypointFile.guessed`; `named` has the joints that the file names."""
        if named is not None or wanted.layout is not None or self.source.joints == wanted.skeleton.joints:
            return None
        return _named(self.source)

    def __call__(self, keypoints: Float[np.ndarray, "T J 2"]) -> Float[np.ndarray, "T K 2"]:
        return np.stack([keypoints[:, list(way)].mean(axis=1) for way in self.ways], axis=1)


def _layout(
    wanted: _Wanted, count: int, known: Iterable[Skeleton], pairs: Iterable[Sequence[int]] | None = None
) -> Skeleton:
    """Whose joints these are.

    Args:
        wanted: the model's, and the user's layout.
        count: of the joints in the file.
        known: candidates besides the model's, unless the user gives one.
        pairs: those that mirror each other, if the file has them.
    """
    known = [wanted.skeleton, *known]
    if wanted.layout is not None:
        known = [wanted.skeleton] if wanted.layout == "model" else list(LAYOUTS[wanted.layout])
    fitting = {skeleton.joints: skeleton for skeleton in known if len(skeleton) == count}
    if pairs is not None:
        given = {frozenset(pair) for pair in pairs}
        fitting = {k: s for k, s in fitting.items() if {frozenset(pair) for pair in s.pairs} == given}
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    if fitting:
        own = wanted.skeleton.joints
        choice = " or ".join(f"--skeleton {'model' if s.joints == own else _named(s)}" for s in fitting.values())
        raise InputError(f"{wanted.file}: {count} joints without names; give {choice}")
    if wanted.layout is not None:
        raise InputError(f"{wanted.file}: {count} joints do not fit --skeleton {wanted.layout}")
    sets = ", ".join(str(length) for length in sorted({len(skeleton) for skeleton in known}))
    raise InputError(f"{wanted.file}: {count} joints; known are {sets}")


def _named(skeleton: Skeleton) -> str:
    """The name of a known layout."""
    return next(name for name, known in LAYOUTS.items() if skeleton.joints in {each.joints for each in known})


def _of_json(wanted: _Wanted) -> KeypointFile:
    content = read_json(wanted.file)
    if isinstance(content, list):
        return _rows(wanted, content, None, {})
    lists = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in lists):
        raise InputError(f"{wanted.file}: expected COCO annotations or results")
    named = [row for row in content["categories"] if isinstance(row, dict) and row.get("keypoints")]
    if len(named) != 1:
        raise InputError(f"{wanted.file}: one category must list keypoints, {len(named)} do")
    try:
        source = Skeleton.from_category(named[0])
    except InputError as error:
        raise InputError(f"{wanted.file}: {error}") from error
    images: dict[Any, Mapping[str, Any]] = {}
    for i, image in enumerate(content["images"]):
        if not isinstance(image, dict) or whole(image.get("id")) is None:
            raise InputError(f"{wanted.file}: image {i}: needs an integer id")
        images[image["id"]] = image
    rows = [
        row if not isinstance(row, dict) or (row.get("category_id") == named[0].get("id")) else None
        for row in content["annotations"]
    ]
    return _rows(wanted, rows, source, images)


def _rows(
    wanted: _Wanted, rows: Sequence[Any], source: Skeleton | None, images: Mapping[Any, Mapping[str, Any]]
) -> KeypointFile:
    """Each row's pose; 0 marks joints that are not labelled in annotations, which have a `source` that names them.

    In results 0, 0, 0 marks those that were not found; a score of 0 alone does not.
    """
    kind = "row" if source is None else "annotation"
    joints = None if source is None else _Joints(wanted, source)
    sequences: list[KeypointSequence] = []
    problems: list[Problem] = []
    for i, row in enumerate(rows):
        where = f"{wanted.file}: {kind} {i}"
        if row is None:
            continue
        if not isinstance(row, dict) or not isinstance(row.get("image_id"), int | str):
            raise InputError(f"{where}: needs image_id")
        if row.get("iscrowd"):
            continue
        triplets = _triplets(where, row.get("keypoints"), None if joints is None else len(joints.source))
        if joints is None:
            joints = _Joints(wanted, _layout(wanted, len(triplets), RESULTS))
        missing = [j for j in joints.used if not triplets[j, 2 if source else 0 :].any()]
        if missing:
            name = printable(joints.source.joints[missing[0]])
            problems.append(Problem(where, f"a required joint is not {'labelled' if source else 'detected'}", name))
            continue
        used = triplets[joints.used, :2]
        if not np.isfinite(used).all() or np.abs(used).max() > FARTHEST:
            raise InputError(f"{where}: keypoints must be finite and within ±{FARTHEST:g} pixels")
        size = _image_size(wanted, where, None if source is None else images.get(row["image_id"], {}))
        pose = joints(triplets[None, :, :2])
        sequences.append(KeypointSequence(f"{kind} {i}", pose, size, row["image_id"]))
    derived, guessed = (joints.derived, joints.guessed(wanted, source)) if joints else ({}, None)
    return KeypointFile(sequences, problems, derived, guessed)


def _triplets(where: str, values: Any, count: int | None) -> Float[np.ndarray, "J 3"]:
    """The x, y, v or x, y, score of a row."""
    if not isinstance(values, list) or not values:
        raise InputError(f"{where}: needs keypoints")
    if len(values) % 3 or len(values) != 3 * (len(values) // 3 if count is None else count):
        raise InputError(f"{where}: keypoints has {len(values)} numbers, expected 3 for each joint")
    if not all(isinstance(value, int | float) for value in values):
        raise InputError(f"{where}: keypoints must be numbers")
    try:
        return np.array(values, dtype=np.float64).reshape(-1, 3)
    except OverflowError as error:  # an integer of hundreds of digits
        raise InputError(f"{where}: keypoints must be numbers") from error


def _image_size(wanted: _Wanted, where: str, image: Mapping[str, Any] | None) -> tuple[int, int]:
    """(H, W) of a row's image, from the file or else from the user."""
    if image is not None:
        if not image:
            raise InputError(f"{where}: no image with this image_id")
        return _size(image.get("height"), image.get("width")) or _known_size(wanted)
    return _known_size(wanted)


def _size(height: Any, width: Any) -> tuple[int, int] | None:
    """(H, W), if these are numbers of pixels."""
    rows, columns = whole(height), whole(width)
    if rows is None or columns is None or not 0 < min(rows, columns) <= max(rows, columns) < FARTHEST:
        return None
    return rows, columns


def _known_size(wanted: _Wanted, usual: tuple[int, int] | None = None) -> tuple[int, int]:
    size = wanted.size or usual
    if size is None:
        raise InputError(f"{wanted.file}: no image size; give --picture HEIGHT WIDTH")
    return size


def _of_archive(wanted: _Wanted) -> KeypointFile:
    content = read_archive(wanted.file)
    if "positions_2d" in content:
        return _of_views(wanted, content)
    array = content.get("keypoints")
    if array is None:
        there = printable(", ".join(content)) or "nothing"
        raise InputError(f"{wanted.file}: needs `keypoints` or `positions_2d`, got {there}")
    if fault := _fault(array):
        raise InputError(f"{wanted.file}: keypoints {fault}")
    joints = _Joints(wanted, _layout(wanted, array.shape[1], ARCHIVES))
    size = _sides(content["size"]) if "size" in content else _known_size(wanted)
    if size is None:
        raise InputError(f"{wanted.file}: size must be height and width in pixels")
    pose = joints(array.astype(np.float64))
    return KeypointFile([KeypointSequence("keypoints", pose, size)], [], joints.derived, joints.guessed(wanted))


def _sides(value: Any) -> tuple[int, int] | None:
    """(H, W) of an array or list of two numbers of pixels."""
    if isinstance(value, np.ndarray):
        value = value.reshape(-1).tolist() if value.size == 2 else ()
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    return _size(*(int(side) if isinstance(side, float) and side.is_integer() else side for side in value))


def _of_views(wanted: _Wanted, content: Mapping[str, Any]) -> KeypointFile:
    """Sequences of a file of VideoPose3D's."""
    metadata = content.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    videos = metadata.get("video_metadata")
    joints: dict[int, _Joints] = {}
    sequences: list[KeypointSequence] = []
    problems: list[Problem] = []
    for name, subject, view in _views(wanted.file, content["positions_2d"]):
        if fault := _fault(view):
            problems.append(Problem(f"{wanted.file}: {name}", "keypoints", fault))
            continue
        array = view[:, KEPT] if view.shape[1] == 32 else view
        count = array.shape[1]
        if (there := view.shape[1]) not in joints:
            known = (H36M_LIFTING,) if there == 32 else ARCHIVES
            pairs = H36M_LIFTING.pairs if there == 32 else _pairs(wanted.file, metadata)
            joints[there] = _Joints(wanted, _layout(wanted, count, known, pairs))
        usual = IMAGE_SIZES[count] if joints[there].source.joints in (H36M_LIFTING.joints, HUMANEVA.joints) else None
        size = _video_size(videos, subject) or _known_size(wanted, usual)
        sequences.append(KeypointSequence(name, joints[there](array.astype(np.float64)), size))
    derived = {name: way for each in joints.values() for name, way in each.derived.items()}
    unsaid = [each.guessed(wanted) for each in joints.values()] if _pairs(wanted.file, metadata) is None else []
    return KeypointFile(sequences, problems, derived, next(filter(None, unsaid), None))


def _views(file: Path, table: Any) -> Iterator[tuple[str, str, Any]]:
    """Name, subject and keypoints of each sequence as each camera saw it."""
    if not isinstance(table, dict) or not all(isinstance(actions, dict) for actions in table.values()):
        raise InputError(f"{file}: positions_2d must be {{subject: {{action: [views]}}}}, as in VideoPose3D")
    for subject, actions in table.items():
        for action, views in actions.items():
            if not of_cameras(views):
                raise InputError(f"{file}: {subject}, {action}: expected a list of one array per camera")
            for camera, view in enumerate(views):
                yield f"{subject}, {action}, camera {camera}", str(subject), view


def _pairs(file: Path, metadata: Mapping[str, Any]) -> list[tuple[int, int]] | None:
    """Joints that mirror each other, as in the file."""
    if "keypoints_symmetry" not in metadata:
        return None
    try:
        left, right = metadata["keypoints_symmetry"]
        return list(zip(map(int, left), map(int, right), strict=True))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{file}: keypoints_symmetry must be a list of left and one of right joints") from error


def _video_size(videos: Any, subject: str) -> tuple[int, int] | None:
    """(H, W) of a video, as in VideoPose3D's files of custom videos."""
    entry = videos.get(subject) if isinstance(videos, dict) else None
    return _size(entry.get("h"), entry.get("w")) if isinstance(entry, dict) else None


def _fault(array: Any) -> str:
    """What is wrong with keypoints of frames × joints × 2; empty if nothing is."""
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.shape[2] != 2 or not array.size:
        shape = "×".join(map(str, array.shape)) if isinstance(array, np.ndarray) else type(array).__name__
        return f"must be frames × joints × 2, got {shape}"
    wrong = ~np.isfinite(array).all(axis=(1, 2))
    if wrong.any():
        return f"not finite in {wrong.sum()} of {len(array)} frames, first in frame {int(wrong.argmax())}"
    return f"beyond ±{FARTHEST:g} pixels" if np.abs(array).max() > FARTHEST else ""
