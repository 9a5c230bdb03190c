"""The `data.yaml` of a YOLO pose data set: its classes, its joints, and where its images are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.data.images import SUFFIXES
from logpose.data.label_content import text_lines
from logpose.data.problems import Problem
from logpose.data.yaml_files import LARGEST, YAML, yaml_table

__all__ = ["YoloConfig", "config_files", "is_image", "is_yaml"]

PARTS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
"""Keys of `data.yaml` that name images, and their parts."""


@dataclass(kw_only=True)
class YoloConfig:
    """What a `data.yaml` holds."""

    file: Path
    table: dict[str, Any]
    names: dict[int, str]
    """Of each class, by number."""
    joints: int
    dims: int
    """Numbers of a joint in a row: x, y, or x, y, v."""
    notes: list[str] = field(default_factory=list)
    """What was inferred, a sentence each."""
    named: list[str] = field(default_factory=list)
    """Folders and lists of images, as they are named."""

    @classmethod
    def of(cls, path: str | Path) -> YoloConfig:
        """What a file holds, or the one of a folder.

        Raises:
            InputError: if it is not YAML, is no data set of keypoints, or is one of several in the folder.
        """
        file = _config_file(Path(path))
        table = yaml_table(file, "data.yaml (train, val, names, kpt_shape)")
        shape = table.get("kpt_shape")
        if shape is None:
            raise InputError(f"{file}: no kpt_shape: no data set of keypoints in YOLO's format (of boxes?)")
        if not (
            isinstance(shape, list)
            and len(shape) == 2
            and all(type(size) is int for size in shape)
            and (shape[0] > 0 and shape[1] in (2, 3))
        ):
            raise InputError(f"{file}: kpt_shape must be [number of joints, 2 or 3], got {shape!r:.40}")
        return cls(file=file, table=table, names=_class_names(file, table), joints=shape[0], dims=shape[1])

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

    def images(self, problems: list[Problem]) -> Iterator[tuple[str, list[Path]]]:
        """The images of each part; images of a list that are not there become problems.

        Raises:
            InputError: if a folder or list of `train` or `val` is not there.
        """
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
                yield part, _image_files(place) if place.is_dir() else self._listed(place, problems)

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

    def _listed(self, file: Path, problems: list[Problem]) -> list[Path]:
        """The images of a text file, one a line."""
        if file.suffix.lower() in SUFFIXES:
            return [file]
        found = []
        for number, line in enumerate(text_lines(file), start=1):
            if not line.strip():
                continue
            image = self._located(line, file.parent)
            if image is None:
                problems.append(Problem(f"{file}: line {number}", "no such image", f"{line.strip():.200}"))
            else:
                found.append(image)
        return found


def is_yaml(path: str | Path) -> bool:
    """Whether a path is a YAML file."""
    path = Path(path)
    return path.suffix.lower() in YAML and path.is_file()


def config_files(folder: str | Path) -> list[Path]:
    """The YAML files of a folder with keypoints; `data.yaml` alone where it is among them, or where nothing else is."""
    folder = Path(folder)
    small = [path for path in sorted(folder.iterdir()) if is_yaml(path) and path.stat().st_size <= LARGEST]
    found = [path for path in small if b"kpt_shape" in path.read_bytes()]
    if not found and not any(folder.glob("*.json")) and not (folder / "annotations").is_dir():
        # A data set of boxes, to be named as such.
        found = [path for path in small if path.stem == "data" and re.search(rb"^names\s*:", path.read_bytes(), re.M)]
    return [path for path in found if path.stem == "data"] or found


def _config_file(path: Path) -> Path:
    """The YAML file of a data set that is named by the file or by its folder."""
    if not path.is_dir():
        return path
    files = config_files(path)
    if len(files) > 1:
        raise InputError(f"{path}: several YAML files with kpt_shape; name one: {', '.join(f.name for f in files)}")
    return files[0]


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
        found += [Path(place, name) for name in names if is_image(name)]
    return sorted(found)


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image; a Mac's `._a.jpg` is not."""
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)
