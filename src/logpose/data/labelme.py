"""LabelMe: a JSON file for each image, with points that have a joint's name, and rectangles, grouped by `group_id`.

The format is that of `labelme/_label_file.py` in https://github.com/wkentaro/labelme (files of AnyLabeling have it
too): coordinates are pixels of the image turned by its EXIF data.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from logpose.core.errors import InputError
from logpose.core.json_files import read_json, whole
from logpose.data.images import SUFFIXES
from logpose.data.label_content import LabelContent, leave_out_if_wrong, text_lines
from logpose.data.parts import parts_of
from logpose.data.point_groups import PointGroup, add_group, by_number
from logpose.data.problems import Problem

__all__ = ["read", "reads"]

LOOK = 2**16  # bytes of a file that are read to detect its format: it holds the whole image, in one of the versions
TRIED = 5  # files of a folder that are looked into
LISTS = "labels.txt"
NO_JOINTS = ("__ignore__", "_background_")
"""Lines of `labels.txt` that LabelMe's own scripts have for segmentation."""
HIDDEN = ("occluded", "hidden", "invisible")
"""Flags of a point that make it a hidden one; LabelMe's users name flags as they like."""


def reads(path: str | Path) -> bool:
    """Whether a path is a JSON file of LabelMe, or a folder of them, or has such folders for its parts."""
    path = Path(path)
    if path.is_file():
        return path.suffix.lower() == ".json" and _is_labelme(path)
    if not path.is_dir() or (path / "annotations").is_dir() or (path / "annot").is_dir():
        return False
    files = _files(path)[:TRIED]
    return bool(files) and sum(map(_is_labelme, files)) * 2 > len(files)


def read(path: str | Path) -> LabelContent:
    """The labels of a folder, or of one file.

    Points of a `group_id` are an object, its rectangle the box; points without one are an object of their own in each
    image. The joints are in the order of `labels.txt`, in the folder or beside it, or else sorted by name, numbers in
    them by value. A point is hidden (v = 1) where one of its flags is `HIDDEN`. An image is looked for at its
    `imagePath`, relative to the file, and beside the file; `imageData` are not decoded.

    Args:
        path: the folder, whose folders `train` and `val` are its parts where it has them; or a JSON file.

    Raises:
        InputError: if no file has a point.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    content = LabelContent(folder=folder)
    found = [
        (file, *opened) for file in (_files(path) if path.is_dir() else [path]) if (opened := _opened(file, content))
    ]
    listed = next((file for file in (folder / LISTS, folder.parent / LISTS) if file.is_file()), None)
    used = {label for _, _, groups in found for group in groups.values() for label, *_ in group.points}
    boxed = {label for *_, groups in found for group in groups.values() for label in group.labels}
    joints = sorted(used, key=by_number)
    if listed is not None:
        joints = [name for name in _listed(listed) if name in used or name not in boxed]
    if not used:
        raise InputError(f"{path}: no shape of type 'point': LabelMe's other shapes have no joints")
    name = boxed.pop() if len(boxed) == 1 else "object"
    content.categories = [{"id": 1, "name": name, "keypoints": joints}]
    images: dict[str, Path] = {}
    wrong = {Path(problem.where.rpartition(": ")[0]) for problem in content.problems}
    for file, table, groups in found:
        image = _image(file, table["imagePath"])
        if (other := images.setdefault(os.path.realpath(image), file)) != file:
            content.problems.append(Problem(str(file), "has labels of another file's image", f"{other.name}: {image}"))
            continue
        number = len(content.images)
        place = str(image.relative_to(folder) if image.is_relative_to(folder) else image.absolute())
        size = {"width": table.get("imageWidth"), "height": table.get("imageHeight")}
        content.images.append({"id": number, "file_name": place, **size})
        if path.is_dir() and len(file.relative_to(path).parts) > 1:
            content.parts[number] = min(parts_of(file.relative_to(path).parts[0]))
        before = len(content.problems)
        for group in groups.values():
            add_group(content, number, group, joints, listed=LISTS if listed else "")
        if file in wrong or len(content.problems) > before:
            leave_out_if_wrong(content)
    if not {"train", "val"} <= set(content.parts.values()):
        content.parts.clear()
    return content


class _Group(PointGroup):
    """An object, and what its boxes are called."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.labels: set[str] = set()


def _files(folder: Path) -> list[Path]:
    """The JSON files of a folder; where it has none, of those of its folders that are called as parts."""
    own = [path for path in folder.iterdir() if path.suffix.lower() == ".json" and path.is_file()]
    if own:
        return sorted(own)
    parts = [path for path in folder.iterdir() if path.is_dir() and parts_of(path.name)]
    return sorted(
        path for part in parts for path in part.iterdir() if path.suffix.lower() == ".json" and path.is_file()
    )


def _is_labelme(file: Path) -> bool:
    """Whether a JSON file begins as LabelMe's do."""
    with file.open("rb") as opened:
        begin = opened.read(LOOK)
    return any(key in begin for key in (b'"shapes"', b'"imageData"', b'"imagePath"')) and b'"categories"' not in begin


def _opened(file: Path, content: LabelContent) -> tuple[dict[str, Any], dict[object, _Group]] | None:
    """A file's table and its groups of shapes; None where the file is a problem."""
    try:
        table = read_json(file)
    except InputError as error:
        content.problems.append(Problem(str(file), str(error).removeprefix(f"{file}: ")))
        return None
    shapes = table.get("shapes") if isinstance(table, dict) else None
    if not isinstance(shapes, list) or not isinstance(table.get("imagePath"), str):
        content.problems.append(Problem(str(file), "no list 'shapes' or no 'imagePath': not of LabelMe"))
        return None
    groups: dict[object, _Group] = {}
    boxes: list[tuple[str, _Group]] = []
    for i, shape in enumerate(shapes):
        where = f"{file}: shape {i}"
        if isinstance(fault := _fault(where, shape), Problem):
            content.problems.append(fault)
            continue
        kind, label, group = shape.get("shape_type", "polygon"), shape["label"].strip(), shape.get("group_id")
        if kind == "point":
            x, y = shape["points"][0]
            flags = shape.get("flags") or {}
            hidden = isinstance(flags, dict) and any(flags.get(flag) for flag in flags if flag.lower() in HIDDEN)
            groups.setdefault(group, _Group(where)).points.append((label, x, y, 1 if hidden else 2, where))
        elif kind == "rectangle":
            xs, ys = zip(*shape["points"], strict=True)  # two corners, or four
            owner = _Group(where) if group is None else groups.setdefault(group, _Group(where))
            owner.boxes.append((min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)))
            owner.labels.add(label)
            boxes += [(where, owner)] if group is None else []
        else:
            content.counts[f"of type {kind:.20}"] += 1
    for where, box in boxes:  # without a group: the box of the points without one, or of somebody without points
        if None in groups:
            groups[None].boxes += box.boxes
            groups[None].labels |= box.labels
        else:
            groups[where] = box
    return table, groups


def _fault(where: str, shape: Any) -> Problem | None:
    """What is wrong with a shape, if anything."""
    if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
        return Problem(where, "a shape must be a JSON object with a label")
    points = shape.get("points")
    is_list = isinstance(points, list) and all(isinstance(point, list) and len(point) == 2 for point in points)
    if not is_list or not points or not all(_is_number(value) for point in points for value in point):
        return Problem(where, "points must be a list of x, y", json.dumps(points)[:60])
    kind, least = shape.get("shape_type"), {"point": 1, "rectangle": 2}
    if kind in least and (len(points) < least[kind] or (kind == "point" and len(points) > 1)):
        return Problem(where, f"a {kind} must have {least[kind]} points", f"got {len(points)}")
    if shape.get("group_id") is not None and whole(shape["group_id"]) is None:
        return Problem(where, "group_id must be an integer", f"got {json.dumps(shape['group_id'])[:40]}")
    return None


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 and math.isfinite(value)
    )


def _listed(file: Path) -> Sequence[str]:
    """The names in a `labels.txt`, each once."""
    return [name for name in dict.fromkeys(line.strip() for line in text_lines(file)) if name and name not in NO_JOINTS]


def _image(file: Path, name: str) -> Path:
    """The image of a file: where its entry names it, or beside it by its name or the file's own."""
    given = file.parent / PureWindowsPath(name).as_posix()
    beside = [file.parent / given.name, *(file.with_suffix(end) for s in SUFFIXES for end in (s, s.upper()))]
    # Not Path.is_file, which raises where a name is longer than any file's may be.
    return next(filter(os.path.isfile, (given, *beside)), given)
