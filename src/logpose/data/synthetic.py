"""Synthetic people, any number of them, with label errors of a known distribution.

A scene is a camera in front of a cluttered place in which posed, dressed bodies (`bodies`) stand, sit, run or lie,
some behind others, behind things, or half out of the image. Everything about them is known: where each joint is in
space and in the image, whether it is visible, which pixels show whom. On request the labels carry an error of known
distribution (`LabelNoise`), so a model's predicted errors can be compared with the truth.

Scene `index` of seed `seed` is a function of these two numbers: not of the order of access, nor of the process.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from logpose.core.cameras import Camera as Pinhole
from logpose.core.errors import InputError
from logpose.core.files import whole_folder
from logpose.core.geometry import MM
from logpose.core.samples import Image, Sample
from logpose.core.skeletons import COCO, Skeleton
from logpose.core.space import Space, relative
from logpose.data.backgrounds import backdrop, bounds, clutter, inside, main_place, occlude, other_place, photograph
from logpose.data.bodies import Actor, Figure, figure, paint_face
from logpose.data.image_sets import ImageSet, LabelledImage
from logpose.data.rendering import Camera, Canvas, Parts, paint

__all__ = ["LabelNoise", "Person", "Scene", "SyntheticPeople", "write_coco"]

Points = Float[np.ndarray, "K 2"]

QUALITY = 92  # of the JPEG files of a COCO folder
_PLAIN_AFTER = 4  # unusable tries: then nothing stands in front of the main person, who is wholly in the image
_FEWEST_SEEN = 5  # joints that the main person shows …
_SMALLEST_BOX = 0.04  # … in a box of at least this share of the image
_SMALLEST_AREA = 12.0  # pixels: other people who show fewer are not annotated


@dataclass(frozen=True)
class LabelNoise:
    """The distribution of a label's error: Student's t, independent per joint and axis, of known standard deviation.

    With e the error in pixels along one axis, nu = `dof`, and s = `std`, the density is

        p(e) = Gamma((nu + 1) / 2) / (Gamma(nu / 2) sqrt(pi nu) tau) · (1 + e² / (nu tau²))^(-(nu + 1) / 2),
        tau = s sqrt((nu - 2) / nu),

    the Gaussian N(0, s²) in the limit nu = inf. The standard deviation is that of careful labels, times `scale`:

        s = scale · (OKS sigma of the joint) · sqrt(area of the person) · (hidden_factor if the joint is hidden).

    Labels may lie outside the image. Of a depth, s is as many millimetres as those pixels are at the joint's distance.

    Attributes:
        scale: 1 is as careful as COCO's annotators were.
        dof: degrees of freedom, above 2 (else there is no standard deviation); infinity for a Gaussian.
        hidden_factor: how much less exactly a hidden joint is labelled.
    """

    scale: float = 1.0
    dof: float = 4.0
    hidden_factor: float = 3.0

    def __post_init__(self) -> None:
        if not self.dof > 2:
            raise ValueError(f"dof must exceed 2, or the error has no standard deviation; got {self.dof}")
        if not (0 < self.scale < math.inf and 0 < self.hidden_factor < math.inf):
            raise ValueError(f"scale and hidden_factor must be positive, got {self.scale}, {self.hidden_factor}")

    def std(self, area: float, visible: Int[np.ndarray, "K"], skeleton: Skeleton = COCO) -> Points:
        """Standard deviation of each joint's label along x and y, pixels, of a person of so many square pixels."""
        per_joint = self.scale * math.sqrt(area) * np.array(skeleton.sigmas)
        per_joint = per_joint * np.where(visible == 1, self.hidden_factor, 1.0)
        return np.repeat(per_joint[:, None], 2, axis=1)

    def sample(self, rng: np.random.Generator, std: Float[np.ndarray, "*N"]) -> Float[np.ndarray, "*N"]:
        """Errors in pixels, one for each standard deviation."""
        if math.isinf(self.dof):
            return std * rng.standard_normal(std.shape)
        return std * math.sqrt((self.dof - 2) / self.dof) * rng.standard_t(self.dof, std.shape)


@dataclass(frozen=True)
class Person:
    """One labelled person of a scene, and the truth about it."""

    keypoints: Points
    """The label: true position plus label noise, image coordinates; 0 where `visible` is 0."""
    truth: Points
    """Where the joints are, image coordinates, also outside the image."""
    std: Points
    """Standard deviation of the label's error, pixels; 0 without label noise."""
    visible: Int[np.ndarray, "K"]
    """0: outside the image; 1: hidden by the own body, another person or a thing; 2: visible."""
    joints: Float[np.ndarray, "K 3"]
    """Camera frame (x right, y down, z away), metres."""
    box: Float[np.ndarray, "4"]
    """x, y, width, height around the pixels that show this person."""
    area: float
    """Number of these pixels."""


@dataclass(frozen=True)
class Scene:
    """An image and its people."""

    image: Image
    people: tuple[Person, ...]
    """The main person comes first."""
    owner: UInt8[np.ndarray, "H W"]
    """Which person each pixel shows: 1 for the first; 0 for none."""
    focal: float
    """Focal length in pixels (square pixels)."""
    centre: tuple[float, float]
    """Principal point (x, y): `truth` is joints[:, :2] / joints[:, 2:] * focal + centre."""


class _Scenes:
    """Synthetic images, each computed at its first use and kept."""

    def __init__(self, people: SyntheticPeople) -> None:
        self.people, self.skeleton = people, people.skeleton
        self._kept: dict[int, LabelledImage] = {}

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> LabelledImage:
        if index not in self._kept:
            scene, first = self.people.scene(index), index * self.people.people[1] + 1  # ids as in `write_coco`
            people = (
                Sample(scene.image, who.box, who.keypoints, who.visible, who.area, index + 1, first + place)
                for place, who in enumerate(scene.people)
            )
            self._kept[index] = LabelledImage(scene.image, index + 1, tuple(people))
        return self._kept[index]


class SyntheticPeople:
    """A data set of synthetic people: item `index` is the main person of scene `index`."""

    skeleton: Skeleton = COCO
    evaluated = tuple(range(len(COCO)))  # joints that errors in space are measured on

    def __init__(
        self,
        count: int,
        seed: int = 0,
        size: tuple[int, int] = (160, 120),
        noise: LabelNoise | None = None,
        people: tuple[int, int] = (1, 3),
        easy: bool = False,
        depth: bool = False,
    ) -> None:
        """Describe the data set; nothing is computed yet.

        Args:
            count: number of scenes.
            seed: not negative.
            size: (H, W) of the images.
            noise: distribution of the labels' errors; None for true labels. Images and truth do not depend on it.
            people: fewest and most people in a scene (some may end up hidden or outside).
            easy: people stand, walk or run and roughly face the camera; nothing is before the main person.
            depth: whether keypoints have a third coordinate, millimetres behind the true middle of the hips. Images
                and labels in them do not depend on it.

        Raises:
            ValueError: if one of these is out of range.
        """
        if count < 0 or seed < 0:
            raise ValueError(f"count and seed must not be negative, got {count} and {seed}")
        if min(size) < 32:
            raise ValueError(f"size must be at least 32 pixels, got {size}")
        if not 1 <= people[0] <= people[1] <= 100:
            raise ValueError(f"people must be (fewest, most) with 1 <= fewest <= most <= 100, got {people}")
        self.count, self.seed, self.size, self.noise = count, seed, size, noise
        self.people, self.easy, self.depth = people, easy, depth

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        scene = self.scene(index)
        person, number = scene.people[0], index % self.count
        keypoints, name = person.keypoints, number * self.people[1] + 1
        if self.depth:  # of the labels, 0 where there is none
            joints = MM * person.joints
            depths = relative(joints, self.skeleton.root)[:, 2]
            if self.noise is not None:
                rng = np.random.default_rng((self.seed, number, 2))
                depths = depths + self.noise.sample(rng, person.std[:, 0] * joints[:, 2] / scene.focal)
            keypoints = np.column_stack([keypoints, np.where(person.visible > 0, depths, 0.0)])
        return Sample(scene.image, person.box, keypoints, person.visible, person.area, number + 1, name)

    def scene(self, index: int) -> Scene:
        """The whole scene of an index.

        Raises:
            IndexError: if there is no such index.
        """
        if not -self.count <= index < self.count:
            raise IndexError(f"no scene {index}: there are {self.count}")
        index = int(index) % self.count
        rng = np.random.default_rng((self.seed, index))
        tries = (self._try_scene(rng, self.easy or attempt >= _PLAIN_AFTER) for attempt in itertools.count())
        scene = next(scene for scene in tries if scene is not None)  # one that shows its main person well enough
        if self.noise is None:
            return scene
        # A stream of its own, so that the noise cannot change what is drawn.
        rng = np.random.default_rng((self.seed, index, 1))
        people = []
        for person in scene.people:
            std = self.noise.std(person.area, person.visible)
            labels = person.truth + self.noise.sample(rng, std)
            people.append(replace(person, std=std, keypoints=np.where(person.visible[:, None] > 0, labels, 0.0)))
        return replace(scene, people=tuple(people))

    def whole_images(self) -> ImageSet:
        """The scenes with all their people, each computed at its first use and kept."""
        return _Scenes(self)

    def _try_scene(self, rng: np.random.Generator, plain: bool) -> Scene | None:
        """One scene, or None if its main person is hardly visible."""
        size, easy = self.size, self.easy
        height, width = size
        camera = Camera.random(rng, size)
        actor = Actor.random(rng, camera, upright=easy)
        shift = main_place(rng, camera, actor, size, plain)
        main = actor.points + shift
        if inside(camera.project(main[:17]), size).sum() < _FEWEST_SEEN + 2:
            return None
        cast = [(actor, shift)]
        for _ in range(int(rng.integers(self.people[0], self.people[1] + 1)) - 1):
            other = Actor.random(rng, camera, upright=easy)
            place = other_place(rng, camera, [place for _, place in cast], width, plain)
            if (other.points[:, 2] + place[2]).min() > 0.3:  # metres: nobody stands in the lens
                cast.append((other, place))
        sun = np.array([rng.normal(0, 0.7), rng.uniform(0.2, 1.2), rng.normal(0.5, 0.6)])
        light = camera.turn @ (sun / np.linalg.norm(sun))
        ambient = float(rng.uniform(0.35, 0.7))
        canvas = Canvas(backdrop(rng, camera, size), np.full(size, np.inf, np.float32), np.zeros(size, np.uint8))
        figures = [figure(rng, who, place, i + 1) for i, (who, place) in enumerate(cast)]
        farthest = max(float(who.joints[:, 2].max()) for who in figures)
        everything = Parts.joined([clutter(rng, camera, size, 1.5 * farthest), *(who.parts for who in figures)])
        paint(canvas, camera, everything, light, ambient)
        for i, who in enumerate(figures):
            paint_face(canvas, camera, who, i + 1)
        if not plain:
            occlude(rng, canvas, bounds(canvas.owner == 1))
        labelled = [_label(canvas, camera, who, i + 1) for i, who in enumerate(figures)]
        first = labelled[0]
        if first is None or (first.visible == 2).sum() < _FEWEST_SEEN:
            return None
        if first.box[2] * first.box[3] < _SMALLEST_BOX * height * width:
            return None
        kept = [i for i, person in enumerate(labelled) if person is not None]
        number = np.zeros(len(cast) + 1, dtype=np.uint8)
        number[[i + 1 for i in kept]] = range(1, len(kept) + 1)
        visible = tuple(person for person in labelled if person is not None)
        return Scene(photograph(rng, canvas.image), visible, number[canvas.owner], camera.focal, camera.centre)

    def space(self, index: int) -> Space:
        """Where the main person truly is, and the camera."""
        scene = self.scene(index)
        return Space(MM * scene.people[0].joints, Pinhole(np.full(2, scene.focal), np.array(scene.centre)))


def write_coco(splits: Mapping[str, SyntheticPeople], folder: Path | str) -> Path:
    """Write scenes as a COCO folder: annotations/person_keypoints_<split>.json, and <split>/000000000001.jpg ….

    All people of a scene are annotated. An annotation's "synthetic" entry has what COCO's format lacks: the true
    positions and the label's standard deviation (pixels), and the joints in space (camera frame, metres). The folder
    appears when it is complete, or not at all.

    Args:
        splits: the data set of each split's name ("train2017").
        folder: is made; may exist if it is empty.

    Raises:
        InputError: if there is something at `folder` already, or a split's name is not that of a folder.
    """
    folder = Path(folder)
    for name in splits:
        if name in ("", ".", "..", "annotations") or Path(name).name != name:
            raise InputError(f"split {name!r} is not a valid folder name")
    with whole_folder(folder) as unfinished:
        (unfinished / "annotations").mkdir()
        for name, people in splits.items():
            (unfinished / name).mkdir()
            content = _write_split(people, unfinished / name)
            (unfinished / "annotations" / f"person_keypoints_{name}.json").write_text(json.dumps(content))
    return folder


def _write_split(data: SyntheticPeople, folder: Path) -> dict[str, Any]:
    """Write the images of a split; returns its annotations."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(len(data)):
        scene, image_id = data.scene(index), index + 1
        name = f"{image_id:012d}.jpg"
        if not cv2.imwrite(str(folder / name), scene.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY]):
            raise OSError(f"cannot write {folder / name}")
        images.append({"id": image_id, "file_name": name, "width": data.size[1], "height": data.size[0]})
        for place, person in enumerate(scene.people):
            annotation = _annotation(person, scene.owner == place + 1)
            annotations.append({"id": index * data.people[1] + place + 1, "image_id": image_id, **annotation})
    bones = [[a + 1, b + 1] for a, b in COCO.bones]
    category = {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(COCO.joints), "skeleton": bones}
    info = {"description": "logpose synthetic people", "seed": data.seed}
    return {"info": info, "images": images, "annotations": annotations, "categories": [category]}


def _annotation(person: Person, mask: Bool[np.ndarray, "H W"]) -> dict[str, Any]:
    """COCO's annotation of a person; coordinates to a thousandth of a pixel."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    polygons = [outline.ravel().tolist() for outline in outlines if len(outline) > 2]
    x, y, w, h = person.box.tolist()
    triplets = np.concatenate([person.keypoints, person.visible[:, None]], axis=1)
    return {
        "category_id": 1,
        "iscrowd": 0,
        "bbox": person.box.tolist(),
        "area": person.area,
        "num_keypoints": int((person.visible > 0).sum()),
        "keypoints": [int(v) if v.is_integer() else v for v in triplets.round(3).ravel().tolist()],
        "segmentation": polygons or [[x, y, x + w, y, x + w, y + h, x, y + h]],  # the box, if there are but specks
        "synthetic": {
            name: getattr(person, name).round(digits).tolist()
            for name, digits in (("truth", 3), ("std", 4), ("joints", 4))
        },
    }


def _label(canvas: Canvas, camera: Camera, who: Figure, owner: int) -> Person | None:
    """The truth about a person as the finished canvas shows it; None if hardly anything is visible."""
    mask = canvas.owner == owner
    area = float(np.count_nonzero(mask))
    if area < _SMALLEST_AREA:
        return None
    truth = camera.project(who.joints)
    within = inside(truth, canvas.depth.shape)
    columns, rows = (np.rint(truth).astype(int) * within[:, None]).T
    seen = mask[rows, columns] & (canvas.depth[rows, columns] >= who.joints[:, 2] - who.reach)
    visible = np.where(within, np.where(seen, 2, 1), 0)
    labels = np.where(within[:, None], truth, 0.0)
    return Person(labels, truth, np.zeros_like(truth), visible, who.joints, bounds(mask), area)
