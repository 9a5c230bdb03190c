"""Human3.6M (Ionescu et al., TPAMI 2014) as the paper's released code has it: people with joints in space.

Its files hold two lists side by side: `images` of {file_name, width, height, cam_param {R, t, f, c}} and `annotations`
of {image_id, bbox, keypoints_world}, seventeen joints in millimetres. A point X of the world is R (X - t) in the
camera's frame, lenses are free of distortion, and an eighteenth joint, the thorax, is put between the shoulders.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.core.cameras import Camera
from logpose.core.errors import InputError
from logpose.core.json_files import read_json, whole
from logpose.core.samples import People, Sample
from logpose.core.skeletons import H36M, Skeleton, short_names
from logpose.core.space import Space
from logpose.data.fingerprints import image_files
from logpose.data.images import check_image, image_folder, image_size
from logpose.data.problems import FARTHEST, Problem, in_part, of_part, refuse

__all__ = ["ACTIONS", "H36mPeople", "MixedPeople", "same_joints"]

ACTIONS = (
    *("Directions", "Discussion", "Eating", "Greeting", "Phoning", "Posing", "Purchases", "Sitting"),
    *("SittingDown", "Smoking", "Photo", "Waiting", "Walking", "WalkDog", "WalkTogether"),
)
"""Human3.6M's fifteen, which file names count from 2."""
BLOCKED = ("s_09_act_05_subact_02", "s_09_act_10_subact_02", "s_09_act_13_subact_01")
"""Recordings whose labels lie beside the person; the released code leaves them out."""
SMALLEST = 100.0  # millimetres: a person of less is one in metres
ROOT = 0  # the pelvis
SHOULDERS = [H36M.joints.index(joint) for joint in ("l_shoulder", "r_shoulder")]
NAME = re.compile(r"(s_\d+_act_(\d+)_subact_\d+)")  # recording and action, of an image of one camera

# Numbers of a row: where in the arrays they lie, and of what shape they must be.
CAMERA = {"R": (slice(0, 9), (3, 3)), "t": (slice(9, 12), (3,)), "f": (slice(12, 14), (2,)), "c": (slice(14, 16), (2,))}
BOX, WORLD, SIZE = slice(16, 20), slice(20, 71), slice(71, 73)
JOINTS = len(H36M) - 1  # of the file

Numbers = Float[np.ndarray, "N 73"]


class H36mPeople:
    """The people of such a file. Their keypoints are pixels, and the depth behind the pelvis in millimetres.

    Boxes are clipped to the image and end at x + w - 1, as in the released code. What is kept of a file are arrays: the
    training part has hundreds of thousands of frames. Arguments and errors as of `open_people`; the part "val" of a
    single file has every tenth recording, with all its cameras. Attributes as of `PeopleFile`; `evaluated` are the
    joints that errors are computed on, all but the thorax.
    """

    evaluated: tuple[int, ...] = tuple(range(JOINTS))

    def __init__(
        self, file: str | Path, images: str | Path | None = None, strict: bool = False, part: str | None = None
    ) -> None:
        file = Path(file)
        content = read_json(file)
        for key in ("images", "annotations"):
            if not isinstance(content, dict) or not isinstance(content.get(key), list):
                raise InputError(f"{file}: no list {key!r}; expected a Human3.6M file of the released code")
        image_rows, rows = content["images"], content["annotations"]
        if len(image_rows) != len(rows):
            got = f"{len(image_rows)} images and {len(rows)} annotations"
            raise InputError(f"{file}: {got}, expected as many of both")
        self.file, self.skeleton = file, H36M
        names = [str(row.get("file_name")) if isinstance(row, dict) else "" for row in image_rows]
        self.image_folder = Path(images or image_folder(file, names))
        self.counts: Counter[str] = Counter()
        recordings = [_recording(name)[0] for name in names]
        order = {recording: i for i, recording in enumerate(dict.fromkeys(recordings))}
        own = [i for i, recording in enumerate(recordings) if in_part(order[recording], part)]
        wanted = [i for i in own if recordings[i] not in BLOCKED]
        self.counts["annotations"] = len(own)
        if blocked := len(own) - len(wanted):
            self.counts["of blocked recordings"] = blocked
        numbers = np.full((len(wanted), SIZE.stop), np.nan)
        faults: dict[int, tuple[str, str]] = {}  # kind and detail, by place in `wanted`
        for place, i in enumerate(wanted):
            if kind := _read_row(image_rows[i], rows[i], numbers[place]):
                faults[place] = kind, ""
        joints, boxes = _placed(numbers, faults)
        sizes: dict[Any, tuple[int, int]] = {}
        for place, i in enumerate(wanted):
            if place not in faults and (fault := self._image_fault(names[i], numbers[place, SIZE], sizes)):
                faults[place] = fault
        self.problems = [
            Problem(f"{file}: annotation {wanted[place]} ({names[wanted[place]]})", *faults[place])
            for place in sorted(faults)
        ]
        kept = [place for place in range(len(wanted)) if place not in faults]
        used = [wanted[place] for place in kept]
        self._names = [names[i] for i in used]
        self._ids = [(rows[i]["image_id"], i if (number := whole(rows[i].get("id"))) is None else number) for i in used]
        self._joints, self._boxes = joints[kept], boxes[kept]
        self._cameras, self._camera = _cameras(numbers[kept])
        self.counts["people"] = len(used)
        nobody = f"{file}: no labelled people{of_part(part, 'every tenth recording')}"
        refuse([self[0]] if used else [], self.problems, strict, nobody)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Sample:
        space = self.space(index)
        depth = space.joints[:, 2:] - space.joints[ROOT, 2]
        box = self._boxes[index].copy()
        keypoints = np.concatenate([space.camera.project(space.joints), depth], axis=1)
        image, visible, area = self.image_folder / self._names[index], np.full(len(H36M), 2), float(box[2] * box[3])
        return Sample(image, box, keypoints, visible, area, *self._ids[index])

    @property
    def image_files(self) -> Iterable[Path]:
        """The image of each person."""
        return (self.image_folder / name for name in self._names)

    @property
    def samples(self) -> Iterable[Sample]:
        """Every person, one at a time."""
        return (self[i] for i in range(len(self)))

    def space(self, index: int) -> Space:
        """The 3-D joints of a person, and the camera."""
        camera = self._cameras[self._camera[index]]
        return Space(self._joints[index], camera, _recording(self._names[index])[1])

    def _image_fault(
        self, name: str, given: Float[np.ndarray, "2"], sizes: dict[Any, tuple[int, int]]
    ) -> tuple[str, str] | None:
        """What is wrong with a row's image; the size of one image per folder is read, and kept in `sizes`."""
        path = self.image_folder / name
        if fault := check_image(path):
            return fault, str(path)
        if np.isnan(given).any():
            return None
        key = path.parent, *given.tolist()
        if key not in sizes:
            sizes[key] = image_size(path)
        size = sizes[key]
        if size == tuple(given):
            return None
        detail = f"{given[0]:g}×{given[1]:g}, images of {path.parent} have {size[0]}×{size[1]}"
        return "width and height are not the image's", detail


def _recording(name: str) -> tuple[str, str]:
    """Of which recording an image is, and of which action; of another name, its folder's."""
    if (found := NAME.search(name)) is None:
        return str(Path(name).parent), "other"
    action = int(found[2]) - 2
    return found[1], ACTIONS[action] if 0 <= action < len(ACTIONS) else "other"


def _numbers(values: Any, shape: tuple[int, ...]) -> Float[np.ndarray, "..."] | None:
    """The numbers of a JSON list of that shape; None if it is another, or holds anything else."""
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found.shape == shape else None


def _read_row(image_row: Any, row: Any, into: Float[np.ndarray, "73"]) -> str | None:
    """Write a row's numbers into an array; what is wrong if that is impossible."""
    if not isinstance(image_row, dict) or not isinstance(image_row.get("file_name"), str):
        return "the image row needs a file_name"
    if not isinstance(row, dict) or not {"image_id", "bbox", "keypoints_world"} <= row.keys():
        return "needs image_id, bbox and keypoints_world"
    if (image := whole(row["image_id"])) is None:
        return "image_id must be an integer"
    if (number := whole(image_row.get("id"))) is not None and number != image:
        return "image_id is not the id of the image row beside it"
    camera = image_row.get("cam_param")
    if not isinstance(camera, dict) or not camera.keys() >= CAMERA.keys():
        return "the image row needs cam_param with R, t, f and c"
    parts = [(camera[key], *where) for key, where in CAMERA.items()]
    parts += [(row["bbox"], BOX, (4,)), (row["keypoints_world"], WORLD, (JOINTS, 3))]
    parts += [([image_row.get("width"), image_row.get("height")], SIZE, (2,))]
    for values, where, shape in parts:
        if (found := _numbers(values, shape)) is None:
            return f"R must be 3×3 numbers, t 3, f and c 2, bbox 4, keypoints_world {JOINTS}×3, width and height 1 each"
        into[where] = found.ravel()
    return None


def _placed(
    numbers: Numbers, faults: dict[int, tuple[str, str]]
) -> tuple[Float[np.ndarray, "N 18 3"], Float[np.ndarray, "N 4"]]:
    """Joints in the camera's frame, and boxes; the first thing that is wrong with a row's numbers is a fault."""
    rotation = numbers[:, CAMERA["R"][0]].reshape(-1, 3, 3)
    position, focal, centre = (numbers[:, None, CAMERA[key][0]] for key in ("t", "f", "c"))
    with np.errstate(all="ignore"):  # rows that are wrong in one way may be anything in the others
        world = numbers[:, WORLD].reshape(-1, JOINTS, 3)
        world = np.concatenate([world, world[:, SHOULDERS].mean(axis=1, keepdims=True)], axis=1)
        joints = (world - position) @ rotation.transpose(0, 2, 1)
        # Boxes are clipped to their images, where the file gives the size; of no extent if nothing is left.
        low = np.maximum(numbers[:, BOX][:, :2], 0)
        high = numbers[:, BOX][:, :2] + np.maximum(numbers[:, BOX][:, 2:] - 1, 0)
        extent = np.maximum(np.fmin(high, numbers[:, SIZE] - 1) - low, 0)
        turned = np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2)) < 1e-2
        turned &= np.linalg.det(rotation) > 0
        pixels = np.abs(focal * joints[..., :2] / joints[..., 2:] + centre).max(axis=(1, 2))
        right = {
            f"numbers not finite, or beyond ±{FARTHEST:g}": np.abs(numbers[:, : WORLD.stop]).max(axis=1) <= FARTHEST,
            "R is not a rotation matrix": turned,
            "focal lengths must be > 0": (focal > 0).all(axis=(1, 2)),
            f"a person of less than {SMALLEST:g} mm (metres? expected millimetres)": np.ptp(joints, axis=1).max(axis=1)
            >= SMALLEST,
            "joints behind the camera": (joints[..., 2] > 0).all(axis=1),
            f"joints beyond ±{FARTHEST:g} pixels": pixels <= FARTHEST,
            "bbox has no area, or lies outside the image": (extent > 0).all(axis=1),
        }
    for kind, those in right.items():
        for place in np.flatnonzero(~those).tolist():
            faults.setdefault(place, (kind, ""))
    return joints, np.concatenate([low, extent], axis=1)


def _cameras(numbers: Numbers) -> tuple[list[Camera], np.ndarray]:
    """The cameras, each once, and which is each row's."""
    each, which = np.unique(numbers[:, : BOX.start], axis=0, return_inverse=True)
    cameras = []
    for row in each:
        rotation = row[CAMERA["R"][0]].reshape(3, 3)
        cameras.append(Camera(row[CAMERA["f"][0]], row[CAMERA["c"][0]], rotation, -rotation @ row[CAMERA["t"][0]]))
    return cameras, which.reshape(-1)


# Together with people labelled in 2-D

SAME = {"upper_neck": "neck", "head_top": "head", "pelv": "pelvis", "thrx": "thorax"}
"""Joints of MPII, as its own names or the released code's have them, and what Human3.6M calls them."""


def same_joints(source: Skeleton, target: Skeleton) -> tuple[int | None, ...]:
    """For each joint of a skeleton, which joint of another is the same by its name; None if none is.

    From MPII to Human3.6M this is the list of the released code (datasets/h36m_mpii.py).
    """
    index = {name: i for i, name in enumerate(short_names(source, SAME))}
    return tuple(index.get(name) for name in short_names(target, SAME))


class MixedPeople:
    """People in space and as many people in the plane, whose depth is unknown (NaN): as the paper's network is trained.

    The first half are those in space. The second goes through the others in a mixed order, the same in every epoch,
    again and again until there are as many. (The released code draws each again at random. It also supervises
    unlabelled joints, at (0, 0), wherever that lies in the crop; here they have no weight.)

    Args:
        space: people whose keypoints have three coordinates.
        plane: people whose keypoints are pixels, of any skeleton some of whose joints are the same (`same_joints`).
        enlarge: of the boxes of those in the plane. One padding serves both; the released code's are 1 and 1.25.
        seed: of the order.

    Raises:
        InputError: if no joint is the same, or one of the data sets is empty.
    """

    def __init__(self, space: People, plane: People, enlarge: float = 1.25, seed: int = 0) -> None:
        self.space, self.plane, self.enlarge, self.skeleton = space, plane, enlarge, space.skeleton
        self.joints = same_joints(plane.skeleton, space.skeleton)
        self.problems = [problem for people in (space, plane) for problem in getattr(people, "problems", ())]
        if all(joint is None for joint in self.joints):
            raise InputError(f"no joint in common: {plane.skeleton.joints} and {space.skeleton.joints}")
        if not len(space) or not len(plane):
            raise InputError(f"data sets to mix must not be empty, got {len(space)} and {len(plane)} people")
        rng = np.random.default_rng(seed)
        rounds = -(-len(space) // len(plane))
        self.order = np.concatenate([rng.permutation(len(plane)) for _ in range(rounds)])[: len(space)]

    @property
    def image_files(self) -> Iterable[Path]:
        """The images of both."""
        return (path for people in (self.space, self.plane) for path in image_files(people))

    def __len__(self) -> int:
        return 2 * len(self.space)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        if index < len(self.space):
            return self.space[index]
        person = self.plane[int(self.order[index - len(self.space)])]
        keypoints = np.full((len(self.skeleton), 3), np.nan)
        visible = np.zeros(len(self.skeleton), dtype=np.int64)
        for joint, source in enumerate(self.joints):
            if source is not None and person.visible[source] > 0:
                keypoints[joint, :2], visible[joint] = person.keypoints[source, :2], person.visible[source]
        growth = (self.enlarge - 1) * person.box[2:]
        box = np.concatenate([person.box[:2] - growth / 2, person.box[2:] + growth])
        return replace(person, box=box, keypoints=keypoints, visible=visible)
