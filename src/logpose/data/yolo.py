"""YOLO pose data sets: a `data.yaml` with `kpt_shape`, images, and a text file of people for each of them.

The format is that of https://docs.ultralytics.com/datasets/pose. A row of a text file is `class cx cy w h` and, for
each joint, `x y` or `x y v`; coordinates are fractions of the image's size, as it is shown (turned by its EXIF data).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.data.images import image_size
from logpose.data.label_content import LabelContent, hold_out, leave_out_if_wrong, text_lines
from logpose.data.problems import Problem
from logpose.data.yolo_config import YoloConfig, config_files, is_image, is_yaml

__all__ = ["read", "reads", "write"]

LOOK = 1000  # bytes of a text file without an image that are read: whether it begins with a number
OVERSHOOT = 0.01
"""How far coordinates may lie outside 0 to 1, as in Ultralytics' own check; joints are moved to the image's edge."""


def reads(path: str | Path) -> bool:
    """Whether a path is a YAML file, or a folder with a `data.yaml` of keypoints."""
    path = Path(path)
    return is_yaml(path) or (path.is_dir() and bool(config_files(path)))


def read(path: str | Path) -> LabelContent:
    """The labels of a data set, of its parts `train`, `val` and `test`.

    Classes are categories; a joint at 0, 0, or below, is not labelled where joints have no v. Without `val`, or where
    its images are those of `train`, every tenth image with labels is held out.

    Args:
        path: the YAML file, or its folder.

    Raises:
        InputError: if the file is not a YAML table with `kpt_shape`, or names images that are not there; if no image
            has a text file.
    """
    path = Path(path)
    config = YoloConfig.of(path)
    content = LabelContent(folder=config.file.parent, categories=config.categories(), notes=config.notes)
    reader = _Reader(config, content)
    for part, images in config.images(content.problems):
        for image in images:
            reader.add(image, part)
    if not content.images and (wrong := content.problems):
        raise InputError(f"{config.file}: no labelled images; the first of {len(wrong)} wrong rows: {wrong[0]}")
    if not content.images:
        raise InputError(f"{config.file}: no images in {', '.join(config.named) or 'train or val, which are missing'}")
    if not reader.used:
        looked = ", ".join(str(folder) for folder in reader.labels)
        raise InputError(f"{config.file}: none of its {len(content.images)} images has a text file; looked in {looked}")
    reader.finish()
    return content


def write(content: LabelContent, out: str | Path, predictions: bool = False) -> None:
    """Write `data.yaml`, and a text file for each image with people, whose images lie in `out/images` already.

    Categories are classes, with the joints of the first. Crowds are left out, and labels of joints outside the image,
    which Ultralytics would refuse with all others of that image; `content.notes` counts these. `skeleton` and `sigmas`
    of `data.yaml` are for `read`; Ultralytics passes over them.

    Args:
        content: the labels, with `width` and `height` of each image with people, and a part for each image.
        out: the folder.
        predictions: of a model, which are no labels, and refused.

    Raises:
        InputError: if they are predictions, or categories have joints of their own.
    """
    out = Path(out)
    if predictions:
        raise InputError("predictions are no labels: YOLO's format has no scores; choose label-studio or cvat")
    skeleton = Skeleton.from_category(content.categories[0])
    if any(list(map(str, row["keypoints"])) != list(skeleton.joints) for row in content.categories):
        raise InputError("YOLO has one list of joints for all classes; choose one with --category")
    classes = {row["id"]: number for number, row in enumerate(content.categories)}
    images = {row["id"]: row for row in content.images}
    lines: dict[int, list[str]] = {}
    lost = 0
    for row in content.annotations:
        if row.get("iscrowd"):
            continue
        image = images[row["image_id"]]
        size = np.array([image["width"], image["height"]], dtype=np.float64)
        joints = np.array(row["keypoints"], dtype=np.float64).reshape(-1, 3)
        points, outside = joints[:, :2] / size, (joints[:, :2] < 0).any(axis=1) | (joints[:, :2] > size).any(axis=1)
        outside &= joints[:, 2] > 0
        lost += int(outside.sum())
        kept = (joints[:, 2] > 0) & ~outside
        corners = np.clip(np.array(row["bbox"]).reshape(2, 2).cumsum(axis=0) / size, 0, 1)
        numbers = [f"{value:.8f}" for value in (*corners.mean(axis=0), *(corners[1] - corners[0]))]
        for (x, y), visible in zip(np.where(kept[:, None], points, 0), np.where(kept, joints[:, 2], 0), strict=True):
            numbers += [f"{x:.8f}", f"{y:.8f}", f"{visible:.0f}"]
        lines.setdefault(row["image_id"], []).append(" ".join([str(classes[row["category_id"]]), *numbers]))
    if lost:
        content.notes.append(f"{lost} joints outside their image are not labelled: YOLO's files cannot have them")
    for number, own in lines.items():
        file = (out / images[number]["file_name"]).with_suffix(".txt")
        file = out / "labels" / file.relative_to(out / "images")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(own) + "\n", encoding="utf-8")
    parts = [part for part in ("train", "val", "test") if part in content.parts.values()]
    table: dict[str, Any] = {part: f"images/{part}" for part in parts}
    table |= {"nc": len(classes), "names": {number: str(row["name"]) for number, row in enumerate(content.categories)}}
    table |= {"kpt_shape": [len(skeleton), 3]}
    if skeleton.mirrors:
        table["flip_idx"] = list(skeleton.flip_index)
    table["kpt_names"] = {number: list(skeleton.joints) for number in classes.values()}
    if skeleton.bones:
        table["skeleton"] = [[skeleton.joints[a], skeleton.joints[b]] for a, b in skeleton.bones]
    if skeleton.oks_sigmas is not None:
        table["sigmas"] = list(skeleton.oks_sigmas)
    (out / "data.yaml").write_text(yaml.safe_dump(table, sort_keys=False, allow_unicode=True), encoding="utf-8")


class _Reader:
    """Adds images and their people to a `LabelContent`."""

    def __init__(self, config: YoloConfig, content: LabelContent) -> None:
        self.config, self.content = config, content
        self.numbers: dict[str, int] = {}  # of images, by their paths without symbolic links
        self.labels: dict[Path, dict[str, Path]] = {}  # text files of each folder, by stem
        self.images: dict[Path, dict[str, list[str]]] = {}  # images that belong to each such folder, by stem
        self.used: set[Path] = set()  # text files
        self.moved, self.shared = 0, 0

    def add(self, image: Path, part: str) -> None:
        """An image, and the people of its text file."""
        content, number = self.content, len(self.content.images)
        if (known := self.numbers.setdefault(os.path.realpath(image), number)) != number:
            self.shared += content.parts[known] != part
            return
        here = content.folder
        name = str(image.relative_to(here) if image.is_relative_to(here) else image.absolute())
        file, others = self._label_file(image)
        if file is not None and len(others) > 1:
            content.problems.append(Problem(str(image), "shares its text file with another image", str(file)))
            self.used.add(file)
            return
        content.images.append(row := {"id": number, "file_name": name})
        content.parts[number] = part
        if file is None or not file.is_file():
            return
        self.used.add(file)
        try:
            rows = [(number, line.split()) for number, line in enumerate(text_lines(file), start=1) if line.strip()]
        except InputError as error:
            content.problems.append(Problem(str(file), str(error).removeprefix(f"{file}: ")))
            return
        if rows:
            self._add_people(file, rows, row)
            leave_out_if_wrong(content)

    def _label_file(self, image: Path) -> tuple[Path | None, list[str]]:
        """The text file of an image, and the images that would have it."""
        folder = _labels_folder(image.parent)
        if folder not in self.labels:
            listed = sorted(folder.iterdir()) if folder.is_dir() else []
            self.labels[folder] = {path.stem: path for path in listed if path.suffix.lower() == ".txt"}
            self.images[folder] = {}
            for path in image.parent.iterdir():
                if is_image(path.name):
                    self.images[folder].setdefault(path.stem, []).append(path.name)
        return self.labels[folder].get(image.stem), self.images[folder].get(image.stem, [])

    def _add_people(self, file: Path, rows: list[tuple[int, list[str]]], image: dict[str, Any]) -> None:
        """The rows of a text file, as annotations, problems, or counted as repeated."""
        try:
            size = image_size(self.content.folder / image["file_name"])
            image["width"], image["height"] = size
        except InputError:  # the image is a problem to `CocoKeypoints`, once it has a person
            size = (1, 1)
        seen = set()
        for line, words in rows:
            where = f"{file}: line {line}"
            if tuple(words) in seen:
                self.content.counts["repeated rows"] += 1
                continue
            seen.add(tuple(words))
            person = self._person(where, words, size)
            if isinstance(person, Problem):
                self.content.problems.append(person)
                continue
            self.content.places.append(where)
            self.content.annotations.append(
                {"id": len(self.content.annotations), "image_id": image["id"], "iscrowd": 0, **person}
            )

    def _person(self, where: str, words: list[str], size: tuple[int, int]) -> dict[str, Any] | Problem:
        """A row as an annotation, in pixels; without `keypoints` where it has none."""
        config, wanted = self.config, 5 + self.config.joints * self.config.dims
        if len(words) not in (5, wanted):
            kind = f"a row must have {wanted} numbers (class, box, {config.joints} joints × {config.dims})"
            return Problem(where, kind, f"got {len(words)}")
        try:
            values = np.array([float(word) for word in words])
        except ValueError:
            return Problem(where, "not a number", f"{next(word for word in words if not _is_number(word)):.40}")
        if values[0] not in config.names:
            return Problem(where, f"no such class (0 to {max(config.names)})", words[0])
        box, joints = values[1:5], values[5:].reshape(-1, config.dims)
        points = joints[:, :2]
        if config.dims == 3:
            flags = joints[:, 2]
        else:
            flags = np.where((points == 0).all(axis=1) | (points < 0).any(axis=1), 0.0, 2.0)
        near = np.concatenate([box, points[flags != 0].ravel()])
        if (far := near[(near < -OVERSHOOT) | (near > 1 + OVERSHOOT)]).size:
            return Problem(where, "coordinates must be fractions of the image's size, from 0 to 1", f"got {far[0]:g}")
        corner = (box[:2] - box[2:] / 2) * size
        row: dict[str, Any] = {"category_id": int(values[0]), "bbox": [*corner.tolist(), *(box[2:] * size).tolist()]}
        if len(joints):
            self.moved += bool(((near[4:] < 0) | (near[4:] > 1)).any())
            row["keypoints"] = np.column_stack([np.clip(points, 0, 1) * size, flags]).ravel().tolist()
        return row

    def finish(self) -> None:
        """What is known when all images have been read: text files without an image, parts, notes."""
        content, file = self.content, self.config.file
        for folder, labels in self.labels.items():
            for stem, path in labels.items():
                # A list may leave out images of a folder, and other texts may lie there: the classes, a licence.
                if path not in self.used and stem not in self.images[folder] and _is_number(_first_word(path)):
                    content.problems.append(Problem(str(path), "no image of this name"))
        if self.moved:
            content.notes.append(
                f"{file}: joints of {self.moved} people less than {OVERSHOOT:.0%} outside the image, moved to its edge"
            )
        if self.shared:
            content.notes.append(f"{file}: {self.shared} images are in two parts; they are taken as of the first")
        if "val" not in content.parts.values() and "train" in content.parts.values():
            content.notes.append(f"{file}: no val images of its own: every tenth image with labels is held out")
            hold_out(content)


def _first_word(file: Path) -> str:
    """The first word of a text file; empty where there is none."""
    with file.open("rb") as opened:
        words = opened.read(LOOK).decode("utf-8-sig", errors="replace").split(maxsplit=1)
    return words[0] if words else ""


def _labels_folder(images: Path) -> Path:
    """The folder of the text files of a folder of images: its last `images` is `labels` there."""
    for folder in (images, images.absolute()):
        if "images" in folder.parts:
            at = len(folder.parts) - 1 - folder.parts[::-1].index("images")
            return Path(*folder.parts[:at], "labels", *folder.parts[at + 1 :])
    return images


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
