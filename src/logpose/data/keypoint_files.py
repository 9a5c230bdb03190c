"""Files of keypoints that are to be lifted into space, brought to the joints of the model that lifts them.

Three kinds are read: COCO's annotation and results files, each row a pose by itself; the 2-D files of VideoPose3D,
`positions_2d`; and archives of NumPy with `keypoints` (T, K, 2), pixels, and `size`, height and width of the image.
The last have no joint names; where their number fits several layouts, the layout must be given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from logpose.core.derived_joints import derived_joints
from logpose.core.errors import InputError
from logpose.core.json_files import numbers, read_json, whole
from logpose.core.skeletons import COCO, H36M, H36M_LIFTING, HUMANEVA, LSP, MPII, Skeleton
from logpose.data.archive import of_cameras, printable, read_archive
from logpose.data.pose_tables import IMAGE_SIZES, KEPT, check_pixels, mirror_pairs, sequences_of, table_of
from logpose.data.problems import FARTHEST, Problem

__all__ = ["KeypointFile", "KeypointSequence", "Layout", "read_keypoints"]

Layout = Literal["model", "coco", "mpii", "lsp", "h36m", "humaneva"]
"""The layout of joints in a file without names: the model's, or that of a data set."""

LAYOUTS = {"coco": (COCO,), "mpii": (MPII,), "lsp": (LSP,), "h36m": (H36M_LIFTING, H36M), "humaneva": (HUMANEVA,)}
RESULTS, ARCHIVES = (COCO, MPII, LSP), (COCO, H36M_LIFTING, HUMANEVA, MPII, LSP)
"""Layouts, besides the model's, that lists of results may have, and archives."""


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
    """The content of a file of keypoints."""

    sequences: list[KeypointSequence]
    problems: list[Problem]
    """Poses and sequences that were left out: keypoints are missing."""
    derived: dict[str, str]
    """Of joints that the file does not have: the joints whose midpoint replaces them."""
    guessed: str | None = None
    """The layout inferred from the number of joints; None where the file or the user gives it, or it is the model's."""


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
    wanted = _Wanted(Path(file), skeleton, size, layout)
    if size is not None and not all(1 <= side < FARTHEST for side in size):
        raise InputError(f"image height and width must be >= 1 pixel, got {size[0]} and {size[1]}")
    if wanted.file.is_dir():
        raise InputError(f"{file}: a folder; expected a file of keypoints (COCO .json or .npz)")
    if wanted.file.suffix == ".npz":
        content = _of_archive(wanted)
    elif wanted.file.suffix == ".json":
        content = _of_json(wanted)
    else:
        what = "not a file of keypoints" if wanted.file.exists() else "no such file"
        raise InputError(f"{file}: {what}; expected COCO .json or .npz")
    if not content.sequences:
        first = f"; the first of {len(content.problems)} left out: {content.problems[0]}" if content.problems else ""
        raise InputError(f"{file}: no complete poses{first}")
    check_pixels(file, [(sequence.keypoints, sequence.size) for sequence in content.sequences])
    return content


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The arguments of `read_keypoints`."""

    file: Path
    skeleton: Skeleton
    size: tuple[int, int] | None
    layout: Layout | None

    def image_size(self, own: tuple[int, int] | None, usual: tuple[int, int] | None = None) -> tuple[int, int]:
        """(H, W) of an image: its own, else the user's, else the usual one."""
        if (size := own or self.size or usual) is None:
            raise InputError(f"{self.file}: no image size; give --picture HEIGHT WIDTH")
        return size


class _Joints:
    """The model's joints from those of a file, which the file names if `named`."""

    def __init__(self, wanted: _Wanted, source: Skeleton, named: bool = False) -> None:
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
        known = named or wanted.layout is not None or source.joints == wanted.skeleton.joints
        self.guessed = None if known else _named(source)

    def __call__(self, keypoints: Float[np.ndarray, "T J 2"]) -> Float[np.ndarray, "T K 2"]:
        return np.stack([keypoints[:, list(way)].mean(axis=1) for way in self.ways], axis=1)


def _layout(
    wanted: _Wanted, count: int, known: Iterable[Skeleton], pairs: Iterable[Sequence[int]] | None = None
) -> Skeleton:
    """The layout of a file of `count` joints, of which `pairs` mirror each other, if it has them.

    `known` are the candidates besides the model's, unless the user gives one.
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
    category = named[0].get("id")
    rows = [None if isinstance(r, dict) and r.get("category_id") != category else r for r in content["annotations"]]
    return _rows(wanted, rows, source, images)


def _rows(
    wanted: _Wanted, rows: Sequence[Any], source: Skeleton | None, images: Mapping[Any, Mapping[str, Any]]
) -> KeypointFile:
    """Each row's pose; 0 marks joints that are not labelled in annotations, which have a `source` that names them.

    In results 0, 0, 0 marks those that were not detected; a score of 0 alone does not.
    """
    kind = "row" if source is None else "annotation"
    joints = None if source is None else _Joints(wanted, source, named=True)
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
        image = images.get(row["image_id"], {})
        if source is not None and not image:
            raise InputError(f"{where}: no image with this image_id")
        size = wanted.image_size(_size(image.get("height"), image.get("width")))
        pose = joints(triplets[None, :, :2])
        sequences.append(KeypointSequence(f"{kind} {i}", pose, size, row["image_id"]))
    derived, guessed = (joints.derived, joints.guessed) if joints else ({}, None)
    return KeypointFile(sequences, problems, derived, guessed)


def _triplets(where: str, values: Any, count: int | None) -> Float[np.ndarray, "J 3"]:
    """The x, y, v or x, y, score of a row."""
    if not isinstance(values, list) or not values:
        raise InputError(f"{where}: needs keypoints")
    if len(values) % 3 or len(values) != 3 * (len(values) // 3 if count is None else count):
        raise InputError(f"{where}: keypoints has {len(values)} numbers, expected 3 for each joint")
    if (triplets := numbers(values, len(values))) is None:
        raise InputError(f"{where}: keypoints must be numbers")
    return triplets.reshape(-1, 3)


def _size(height: Any, width: Any) -> tuple[int, int] | None:
    """(H, W), if these are numbers of pixels."""
    rows, columns = whole(height), whole(width)
    if rows is None or columns is None or not 0 < min(rows, columns) <= max(rows, columns) < FARTHEST:
        return None
    return rows, columns


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
    own = None
    if "size" in content:
        sides = content["size"]
        if isinstance(sides, np.ndarray) and sides.size == 2:
            sides = sides.reshape(-1).tolist()
        if isinstance(sides, list | tuple) and len(sides) == 2:
            own = _size(*(int(side) if isinstance(side, float) and side.is_integer() else side for side in sides))
        if own is None:
            raise InputError(f"{wanted.file}: size must be height and width in pixels")
    sequence = KeypointSequence("keypoints", joints(array.astype(np.float64)), wanted.image_size(own))
    return KeypointFile([sequence], [], joints.derived, joints.guessed)


def _of_views(wanted: _Wanted, content: Mapping[str, Any]) -> KeypointFile:
    """Sequences of a file of VideoPose3D's."""
    metadata = content.get("metadata")
    mirrored = mirror_pairs(wanted.file, metadata)
    videos = metadata.get("video_metadata") if isinstance(metadata, dict) else None  # in files of custom videos
    joints: dict[int, _Joints] = {}
    sequences: list[KeypointSequence] = []
    problems: list[Problem] = []
    table = table_of(wanted.file, dict(content), "positions_2d")
    for subject, action, views in sequences_of(table, table):
        if not of_cameras(views):
            raise InputError(f"{wanted.file}: {subject}, {action}: expected a list of one array per camera")
        for camera, view in enumerate(views):
            name = f"{subject}, {action}, camera {camera}"
            if fault := _fault(view):
                problems.append(Problem(f"{wanted.file}: {name}", "keypoints", fault))
                continue
            of_32 = view.shape[1] == 32
            array = view[:, KEPT] if of_32 else view
            if (there := view.shape[1]) not in joints:
                known, pairs = ((H36M_LIFTING,), H36M_LIFTING.pairs) if of_32 else (ARCHIVES, mirrored)
                joints[there] = _Joints(wanted, _layout(wanted, array.shape[1], known, pairs), mirrored is not None)
            of_set = joints[there].source.joints in (H36M_LIFTING.joints, HUMANEVA.joints)
            usual = IMAGE_SIZES[array.shape[1]] if of_set else None
            entry = videos.get(subject) if isinstance(videos, dict) else None
            own = _size(entry.get("h"), entry.get("w")) if isinstance(entry, dict) else None
            size = wanted.image_size(own, usual)
            sequences.append(KeypointSequence(name, joints[there](array.astype(np.float64)), size))
    derived = {name: way for each in joints.values() for name, way in each.derived.items()}
    return KeypointFile(sequences, problems, derived, next(filter(None, (j.guessed for j in joints.values())), None))


def _fault(array: Any) -> str:
    """What is wrong with keypoints of frames × joints × 2; empty if nothing is."""
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.shape[2] != 2 or not array.size:
        shape = "×".join(map(str, array.shape)) if isinstance(array, np.ndarray) else type(array).__name__
        return f"must be frames × joints × 2, got {shape}"
    wrong = ~np.isfinite(array).all(axis=(1, 2))
    if wrong.any():
        return f"not finite in {wrong.sum()} of {len(array)} frames, first in frame {int(wrong.argmax())}"
    return f"beyond ±{FARTHEST:g} pixels" if np.abs(array).max() > FARTHEST else ""
