"""YOLO pose data sets: a `data.yaml` with `kpt_shape`, images, and a text file of people for each of them.

The format is that of https://docs.ultralytics.com/datasets/pose. A row of a text file is `class cx cy w h` and, for
each joint, `x y` or `x y v`; coordinates are fractions of the image's size, as it is shown (turned by its EXIF data).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.data.images import SUFFIXES, image_size
from logpose.data.label_content import LabelContent
from logpose.data.problems import Problem, in_part

__all__ = ["read", "reads"]

YAML = (".yaml", ".yml")
LARGEST = 1 << 20  # bytes of a data.yaml; that of a data set of 1,000 classes has 30,000
PARTS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
"""Keys of `data.yaml` that name images, and their parts."""
OVERSHOOT = 0.01
"""How far coordinates may lie outside 0 to 1, as in Ultralytics' own check; joints are moved to the image's edge."""


def reads(path: Path) -> bool:
    """Whether a path is a YAML file, or a folder with a `data.yaml` of keypoints."""
    return (path.suffix.lower() in YAML and path.is_file()) or (path.is_dir() and bool(_configs(path)))


def read(path: Path) -> LabelContent:
    """The labels of a data set, of its parts `train`, `val` and `test`.

    Classes are categories; a joint at 0, 0, or below, is not labelled where joints have no v. Without `val`, or where
    its images are those of `train`, every tenth image with labels is held out.

    Args:
        path: the YAML file, or its folder.

    Raises:
        InputError: if the file is not a YAML table with `kpt_shape`, or names images that are not there.
    """
    config = _Config.of(_config_file(path))
    content = LabelContent(folder=config.file.parent, categories=config.categories(), notes=list(config.notes))
    reader = _Reader(config, content)
    for part, images in config.images(content):
        for image in images:
            reader.add(image, part)
    if not content.images:
        raise InputError(f"{config.file}: no images in {', '.join(config.named) or 'train or val, which are missing'}")
    reader.finish()
    return content


@dataclass(kw_only=True)
class _Config:
    """What a `data.yaml` holds."""

    file: Path
    table: dict[str, Any]
    names: dict[int, str]
    joints: int
    dims: int
    notes: list[str]
    named: list[str]
    """Folders and lists of images, as they are named."""

    @classmethod
    def of(cls, file: Path) -> _Config:
        table = _table(file)
        shape = table.get("kpt_shape")
        if shape is None:
            raise InputError(f"{file}: no kpt_shape: a data set of boxes, not of keypoints")
        if not (
            isinstance(shape, list)
            and len(shape) == 2
            and all(type(size) is int for size in shape)
            and (shape[0] > 0 and shape[1] in (2, 3))
        ):
            raise InputError(f"{file}: kpt_shape must be [number of joints, 2 or 3], got {shape!r:.40}")
        return cls(
            file=file, table=table, names=_class_names(file, table), joints=shape[0], dims=shape[1], notes=[], named=[]
        )

    def categories(self) -> list[dict[str, Any]]:
        """COCO's categories, one for each class."""
        rows = []
        for number, name in self.names.items():
            row = {"id": number, "name": name, "keypoints": self._joint_names(number)}
            rows.append(row | {key: self.table[key] for key in ("flip_idx", "sigmas") if self.table.get(key)})
            bones = self.table.get("skeleton")  # not of Ultralytics; numbers might count from 0 or 1
            if isinstance(bones, list) and all(isinstance(end, str) for bone in bones for end in bone):
                rows[-1]["skeleton"] = bones
        return rows

    def _joint_names(self, number: int) -> list[str]:
        """The joints' names: as given for the class, or COCO's, or numbers."""
        given = self.table.get("kpt_names")
        if isinstance(given, dict):
            given = given.get(number, given.get(str(number)))
        if isinstance(given, list) and given and all(isinstance(entry, list) for entry in given):
            given = given[number] if number < len(given) else None
        if given:
            if not isinstance(given, list) or len(given) != self.joints:
                raise InputError(f"{self.file}: kpt_names of class {number} are not {self.joints} names")
            return [str(name) for name in given]
        if self.joints == len(COCO) and self.table.get("flip_idx") == list(COCO.flip_index):
            note = f"{self.file}: no kpt_names; kpt_shape and flip_idx are COCO's, so joints have COCO's names"
            if note not in self.notes:
                self.notes.append(note)
            return list(COCO.joints)
        return [str(joint + 1) for joint in range(self.joints)]

    def images(self, content: LabelContent) -> Iterator[tuple[str, list[Path]]]:
        """The images of each part; images of a list that are not there become problems."""
        for key, part in PARTS.items():
            entries = self.table.get(key) or []
            for entry in entries if isinstance(entries, list) else [entries]:
                if not isinstance(entry, str):
                    raise InputError(f"{self.file}: {key} must be a folder, a list of folders or a .txt file")
                self.named.append(f"{key}: {entry}")
                place = self._located(entry)
                if place is None and part == "test":
                    self.notes.append(f"{self.file}: {key}: {entry} is not there, and is passed over")
                    continue
                if place is None:
                    raise InputError(f"{self.file}: {key}: {entry}: no such folder or file; set path, or {key}, to it")
                yield part, _image_files(place) if place.is_dir() else self._listed(place, content)
        content.notes += [note for note in self.notes if note not in content.notes]

    def _located(self, entry: str, beside: Path | None = None) -> Path | None:
        """The folder or file that an entry names, if it exists.

        That is relative to `path`, or else to the file itself. Exports name folders one level too high
        ("../train/images"), or on another machine; the end of such a path is looked for, of two parts or more.
        """
        entry = entry.strip().replace("\\", "/")
        root = str(self.table.get("path") or "").strip().replace("\\", "/")
        here = self.file.parent
        roots = [beside] if beside else []
        roots += [here / root, Path(root), here.parent / root, here] if root else [here]
        parts = [part for part in entry.split("/") if part not in ("", ".", "..")]
        tails = ["/".join(parts[start:]) for start in range(max(1, len(parts) - 1))]
        places = [root / name for name in dict.fromkeys((entry, *tails)) for root in roots]
        # Not Path.exists, which raises where a name is longer than any file's may be.
        place = next(filter(os.path.exists, places), None)
        if place is not None and not beside and not entry.startswith("..") and not str(place).endswith(entry):
            self.notes.append(f"{self.file}: {entry} is not there; read {place}")
        return place

    def _listed(self, file: Path, content: LabelContent) -> list[Path]:
        """The images of a text file, one a line."""
        if file.suffix.lower() in SUFFIXES:
            return [file]
        found = []
        for number, line in enumerate(_lines(file), start=1):
            if not line.strip():
                continue
            image = self._located(line, file.parent)
            if image is None:
                content.problems.append(Problem(f"{file}: line {number}", "no such image", f"{line.strip():.200}"))
            else:
                found.append(image)
        return found


class _Reader:
    """Adds images and their people to a `LabelContent`."""

    def __init__(self, config: _Config, content: LabelContent) -> None:
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
            rows = [(number, line.split()) for number, line in enumerate(_lines(file), start=1) if line.strip()]
        except InputError as error:
            content.problems.append(Problem(str(file), str(error).removeprefix(f"{file}: ")))
            return
        if rows:
            self._add_people(file, rows, row)

    def _label_file(self, image: Path) -> tuple[Path | None, list[str]]:
        """The text file of an image, and the images that would have it."""
        folder = _labels_folder(image.parent)
        if folder not in self.labels:
            listed = sorted(folder.iterdir()) if folder.is_dir() else []
            self.labels[folder] = {path.stem: path for path in listed if path.suffix.lower() == ".txt"}
            self.images[folder] = {}
            for path in image.parent.iterdir():
                if _is_image(path.name):
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
            labelled = {row["image_id"] for row in content.annotations}
            for among in (labelled, content.parts.keys() - labelled):
                train = [number for number in sorted(among) if content.parts[number] == "train"]
                content.parts |= {number: "val" for at, number in enumerate(train) if in_part(at, "val")}


def _configs(folder: Path) -> list[Path]:
    """The YAML files of a folder with keypoints; `data.yaml` alone where it is among them."""
    found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in YAML and path.is_file()]
    found = [path for path in found if path.stat().st_size <= LARGEST and b"kpt_shape" in path.read_bytes()]
    return [path for path in found if path.stem == "data"] or found


def _config_file(path: Path) -> Path:
    """The YAML file of a data set that is named by the file or by its folder."""
    if not path.is_dir():
        return path
    files = _configs(path)
    if len(files) > 1:
        raise InputError(f"{path}: several YAML files with kpt_shape; name one: {', '.join(f.name for f in files)}")
    return files[0]


def _table(file: Path) -> dict[str, Any]:
    """The content of a `data.yaml`."""
    if file.stat().st_size > LARGEST:
        raise InputError(f"{file}: has more than {LARGEST} bytes, and is no data.yaml")
    try:
        text = file.read_bytes().decode("utf-8-sig")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise InputError(f"{file}: has aliases (*name); write the values out")
        table = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f": line {mark.line + 1}" if mark is not None else ""
        raise InputError(f"{file}{line}: not YAML ({getattr(error, 'problem', None) or 'wrong character'})") from error
    except (ValueError, RecursionError) as error:  # a date that cannot be, thousands of brackets
        raise InputError(f"{file}: unreadable YAML ({error})") from error
    if not isinstance(table, dict):
        raise InputError(f"{file}: not a table of fields (train, val, names, kpt_shape)")
    return table


def _class_names(file: Path, table: Mapping[str, Any]) -> dict[int, str]:
    """The classes' names by number: of a list, or a table, or as many as `nc`."""
    names, count = table.get("names"), table.get("nc")
    if names is None and type(count) is int and 0 < count <= LARGEST:
        names = [f"class_{number}" for number in range(count)]
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise InputError(f"{file}: names must list the classes")
    try:
        named = {int(number): str(name) for number, name in names.items()}
    except (TypeError, ValueError) as error:
        raise InputError(f"{file}: names must have a number for each class") from error
    if count is not None and count != len(named):
        raise InputError(f"{file}: nc is {count!r:.40}, but there are {len(named)} names")
    return named


def _image_files(folder: Path) -> list[Path]:
    """The images of a folder and those below it, also of linked ones, in the order of their paths."""
    found, seen = [], set()
    for place, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        found += [Path(place, name) for name in names if _is_image(name)]
    return sorted(found)


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def _first_word(file: Path) -> str:
    """The first word of a text file; empty where there is none."""
    with file.open("rb") as opened:
        words = opened.read(LARGEST).decode("utf-8-sig", errors="replace").split(maxsplit=1)
    return words[0] if words else ""


def _labels_folder(images: Path) -> Path:
    """The folder of the text files of a folder of images: its last `images` is `labels` there."""
    for folder in (images, images.absolute()):
        if "images" in folder.parts:
            at = len(folder.parts) - 1 - folder.parts[::-1].index("images")
            return Path(*folder.parts[:at], "labels", *folder.parts[at + 1 :])
    return images


def _lines(file: Path) -> Sequence[str]:
    """The lines of a text file, whatever ends them."""
    try:
        return file.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
