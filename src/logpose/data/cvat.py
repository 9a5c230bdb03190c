"""CVAT: "CVAT for images 1.1", an XML file with the skeletons, or points, of each image.

The format is described at https://docs.cvat.ai/docs/dataset_management/formats/format-cvat and .../xml_format.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from logpose.core.errors import InputError
from logpose.data.images import SUFFIXES, most_found
from logpose.data.label_content import LabelContent, leave_out_if_wrong
from logpose.data.parts import parts_of
from logpose.data.point_groups import Point, PointGroup, add_group, by_number
from logpose.data.problems import Problem

__all__ = ["read", "reads"]

LOOK = 2**16  # bytes of a file that are read to detect its format
LOOSE = "object"  # the category of points that are no skeleton's
LINE = ":line"  # an attribute that no XML file of CVAT has: the line where an element begins


def reads(path: str | Path) -> bool:
    """Whether a path is an XML file, or a folder with one file of CVAT's."""
    path = Path(path)
    return (path.is_file() and path.suffix.lower() == ".xml") or (path.is_dir() and _xml_file(path) is not None)


def read(path: str | Path) -> LabelContent:
    """The labels of a file of skeletons, or of points with one label for each joint.

    A skeleton's joints are in the order of its label in `meta`, else sorted by name. Points that are no skeleton's
    are an object for each `group_id`, those without one an object in each image; a shape of several points is an object
    whose joints are called by numbers. `outside` is not labelled,
    `occluded` is hidden (v = 1). The box of an object is the `box` of its `group_id`, or that of its labelled joints.
    Parts are the images' subsets, where there are `train` and `val` among them.

    Args:
        path: the XML file, or its folder.

    Raises:
        InputError: if it is not XML of that format, has a document type, has tracks, or nothing with joints.
    """
    path = Path(path)
    file = _xml_file(path) if path.is_dir() else path
    assert file is not None  # `reads` has seen it
    root = _tree(file)
    if root.tag != "annotations":
        raise InputError(f"{file}: not of CVAT (its outermost element is <{root.tag:.40}>, not <annotations>)")
    if root.find("track") is not None:
        raise InputError(
            f"{file}: has tracks (CVAT for video); export it as 'CVAT for images 1.1', which has all frames"
        )
    content = LabelContent(folder=file.parent)
    labels = _skeletons(root)
    places = _Places(file.parent, root)
    images = root.findall("image")
    element = "skeleton"  # what an object is
    in_use = {shape.get("label", "") for image in images for shape in image.findall("skeleton")}
    for name in sorted(in_use - labels.keys(), key=by_number):
        shapes = (shape for image in images for shape in image.findall("skeleton") if shape.get("label", "") == name)
        found = {point.get("label", "") for shape in shapes for point in shape.findall("points")}
        labels[name] = {"keypoints": sorted(found, key=by_number)}
    alone = [point for image in images for point in image.findall("points")]
    if not in_use:
        element = "points"
        in_use = _whole_lists(labels, [point for point in alone if ";" in point.get("points", "")])
    loose = sorted({point.get("label", "") for point in alone}, key=by_number)
    listed = [name for name in labels if name in in_use] or ([] if loose else list(labels))
    content.categories = [{"id": i, "name": name, **labels[name]} for i, name in enumerate(listed, start=1)]
    if loose and not listed:
        ordered = [name for name in _label_names(root) if name in loose]
        content.categories, element = [{"id": 1, "name": LOOSE, "keypoints": ordered or loose}], "group"
    if not any(row["keypoints"] for row in content.categories):
        raise InputError(f"{file}: no skeletons and no points: nothing in it has joints")
    times = Counter(map(_identity, images))
    for image in images:
        if image.get("name") and times[_identity(image)] > 1:  # tasks of one project may have files of one name
            where = f"{file}: line {image.get(LINE)}"
            content.problems.append(Problem(where, "several images have this name", image.get("name", "")))
        else:
            _add_image(content, file, image, places, element)
    if not {"train", "val"} <= set(content.parts.values()):
        content.parts.clear()
    elif rest := len(content.images) - len(content.parts):
        content.notes.append(f"{file}: {rest} images of other subsets than train, val and test are of no part")
    return content


def _identity(image: ElementTree.Element) -> tuple[str, str]:
    """What the file of an image is known by: subset and name."""
    return image.get("subset", ""), image.get("name", "")


def _add_image(content: LabelContent, file: Path, image: ElementTree.Element, places: _Places, element: str) -> None:
    """An image and its objects, which are of an element each, or groups of points."""
    where, number = f"{file}: line {image.get(LINE)}", len(content.images)
    if not image.get("name"):
        content.problems.append(Problem(where, "an image without a name"))
        return
    sizes = [_number(image.get(side)) for side in ("width", "height")]
    row: dict[str, Any] = {"id": number, "file_name": places.of(image)}
    if all(size is not None and size.is_integer() for size in sizes):
        row |= {side: int(size) for side, size in zip(("width", "height"), sizes, strict=True) if size is not None}
    content.images.append(row)
    if parts := parts_of(image.get("subset", "")):
        content.parts[number] = min(parts)
    by_name, before = {category["name"]: category for category in content.categories}, len(content.problems)
    skeletons: list[tuple[str, PointGroup, str]] = []  # of each its group, what it is, and its label
    groups: dict[str, PointGroup] = {}
    boxes: dict[str, list[tuple[float, float, float, float]]] = {}
    for shape in image:
        where, group = f"{file}: line {shape.get(LINE)}", shape.get("group_id") or ""
        if shape.tag == element and shape.get("label") in by_name:
            label = shape.get("label", "")
            points = _points_of(file, shape, len(by_name[label]["keypoints"]))
            if isinstance(points, Problem):
                content.problems.append(points)
            else:
                skeletons.append((group, PointGroup(where, points), label))
        elif shape.tag == "points" and element == "group":
            point = _point(where, shape)
            if isinstance(point, Problem):
                content.problems.append(point)
            else:
                groups.setdefault(group, PointGroup(where)).points.append(point)
        elif shape.tag == "box":
            corners = _corners(shape)
            if corners is None:
                content.problems.append(Problem(where, "a box must have the numbers xtl, ytl, xbr, ybr"))
            else:
                boxes.setdefault(group, []).append(corners)
        elif shape.tag != "attribute":
            content.counts[f"of type {shape.tag:.20}"] += 1
    _add_objects(content, number, skeletons, groups, boxes)
    if len(content.problems) > before:
        leave_out_if_wrong(content)


def _add_objects(
    content: LabelContent,
    image: int,
    skeletons: Sequence[tuple[str, PointGroup, str]],
    groups: dict[str, PointGroup],
    boxes: dict[str, list[tuple[float, float, float, float]]],
) -> None:
    """The objects of an image, each with the box of its group."""
    by_name = {category["name"]: category for category in content.categories}
    for group, own, label in skeletons:
        alone = sum(other == group for other, *_ in skeletons) == 1
        if group and alone:
            own.boxes = boxes.pop(group, [])
        category = by_name[label]
        add_group(content, image, own, category["keypoints"], category["id"])
    for group, own in groups.items():
        if group or len(boxes.get(group, [])) == 1:
            own.boxes = boxes.pop(group, [])
        add_group(content, image, own, content.categories[0]["keypoints"])
    if boxes:
        content.counts["boxes of no joints"] += sum(map(len, boxes.values()))


class _Places:
    """Where the images of an export lie."""

    def __init__(self, folder: Path, root: ElementTree.Element) -> None:
        self.folder = folder
        self.chosen: dict[str, Path] = {}
        names: dict[str, list[str]] = {}
        for image in root.findall("image"):
            names.setdefault(image.get("subset", ""), []).append(image.get("name", "").replace("\\", "/"))
        folders = [folder / "images", folder, folder.parent / "images", folder / "data"]  # the last is FiftyOne's
        for subset, own in names.items():
            self.chosen[subset] = most_found(
                [*folders, folder / "images" / subset], partial(_files, names=list(filter(None, own)))
            )

    def of(self, image: ElementTree.Element) -> str:
        """The name of an image relative to the folder, or absolute."""
        place = self.chosen[image.get("subset", "")]
        path = _named(place, image.get("name", "").replace("\\", "/"))
        return str(path.relative_to(self.folder) if path.is_relative_to(self.folder) else path.absolute())


def _files(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """The files of images in a folder."""
    return (_named(folder, name) for name in names)


def _named(folder: Path, name: str) -> Path:
    """The file of an image; frames of videos are named without a suffix."""
    path = folder / name
    if Path(name).suffix.lower() in SUFFIXES:
        return path
    ends = (end for suffix in (".png", ".jpg", *SUFFIXES) for end in (suffix.upper(), suffix))
    return next(filter(os.path.isfile, (path.with_name(path.name + end) for end in ends)), path)


def _points_of(file: Path, shape: ElementTree.Element, count: int) -> list[Point] | Problem:
    """The joints of a skeleton, or of a shape of so many points without names."""
    where = f"{file}: line {shape.get(LINE)}"
    found: list[Point] = []
    if shape.tag == "skeleton":
        read = [_point(f"{file}: line {point.get(LINE)}", point) for point in shape.findall("points")]
    else:
        texts = _split(shape)
        if len(texts) != count:
            return Problem(where, f"a shape must have {count} points, as most of its label", f"got {len(texts)}")
        flags = {flag: shape.get(flag, "0") for flag in ("outside", "occluded")}
        each = [{"label": str(i), "points": text, **flags} for i, text in enumerate(texts, start=1)]
        read = [_point(where, ElementTree.Element("points", attributes)) for attributes in each]
    for point in read:
        if isinstance(point, Problem):
            return point
        found.append(point)
    return found


def _point(where: str, element: ElementTree.Element) -> Point | Problem:
    """A joint as `PointGroup` has it."""
    label, values = element.get("label", ""), element.get("points", "").split(",")
    outside, occluded = (element.get(flag) in ("1", "true", "True") for flag in ("outside", "occluded"))
    if len(values) != 2:
        return Problem(where, "a joint must be one point x,y", f"got {element.get('points', '')!r:.40}")
    x, y = map(_number, values)
    if x is None or y is None:
        return Problem(where, "not a number", f"{element.get('points')!r:.40}")
    return label, x, y, 0 if outside else 1 if occluded else 2, where


def _corners(box: ElementTree.Element) -> tuple[float, float, float, float] | None:
    """x, y, width, height of a box, upright around it where it is rotated; None where they are no numbers."""
    left, top, right, bottom = (_number(box.get(name)) for name in ("xtl", "ytl", "xbr", "ybr"))
    turn = _number(box.get("rotation", "0"))
    if left is None or top is None or right is None or bottom is None or turn is None:
        return None
    cosine, sine = abs(math.cos(math.radians(turn))), abs(math.sin(math.radians(turn)))
    width, height = right - left, bottom - top
    width, height = width * cosine + height * sine, width * sine + height * cosine
    return (left + right - width) / 2, (top + bottom - height) / 2, width, height


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _label_names(root: ElementTree.Element) -> list[str]:
    """The names of all labels, in their order."""
    return [label.findtext("name", "") for meta in root.findall("meta") for label in meta.iter("label")]


def _skeletons(root: ElementTree.Element) -> dict[str, dict[str, Any]]:
    """The joints and bones of each skeleton that `meta` describes, by its label."""
    found: dict[str, dict[str, Any]] = {}
    labels = [label for meta in root.findall("meta") for label in meta.iter("label")]
    for label in labels:
        name, parent = label.findtext("name", ""), label.findtext("parent")
        if label.findtext("type") == "skeleton":
            found.setdefault(name, {"keypoints": []})["svg"] = label.findtext("svg", "")
        elif parent:
            found.setdefault(parent, {"keypoints": []})["keypoints"].append(name)
    for row in found.values():
        bones = list(_bones(row.pop("svg", ""), row["keypoints"]))
        row["keypoints"] = list(dict.fromkeys(row["keypoints"]))
        if bones:
            row["skeleton"] = bones
    return {name: row for name, row in found.items() if row["keypoints"]}


def _whole_lists(labels: dict[str, dict[str, Any]], shapes: Sequence[ElementTree.Element]) -> set[str]:
    """Add to the skeletons the labels of shapes that have all joints of an object, in their order, and no names.

    Other tools write these (datumaro, FiftyOne). Most shapes of a label have the right number of joints.
    """
    counts: dict[str, Counter[int]] = {}
    for shape in shapes:
        counts.setdefault(shape.get("label", ""), Counter())[len(_split(shape))] += 1
    for name, own in counts.items():
        labels[name] = {"keypoints": [str(joint + 1) for joint in range(own.most_common(1)[0][0])]}
    return set(counts)


def _split(shape: ElementTree.Element) -> list[str]:
    """The points of a shape."""
    return [point for point in shape.get("points", "").split(";") if point.strip()]


def _bones(svg: str, joints: Sequence[str]) -> Iterator[list[str]]:
    """The edges of a skeleton's drawing, as pairs of joints' names: lines from node to node, and nodes' labels."""
    tags = [dict(re.findall(r'([\w-]+)="([^"]*)"', tag)) for tag in re.findall(r"<(?:line|circle)\b[^>]*>", svg)]
    nodes = {tag["data-node-id"]: unescape(tag.get("data-label-name", "")) for tag in tags if "data-node-id" in tag}
    for tag in tags:
        ends = [nodes.get(tag.get(f"data-node-{end}", ""), "") for end in ("from", "to")]
        if tag.get("data-type") == "edge" and all(end in joints for end in ends):
            yield ends


def _xml_file(folder: Path) -> Path | None:
    """The XML file of CVAT in a folder: `annotations.xml`, or the only one."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() == ".xml" and path.is_file()]
    files = [path for path in files if b"<annotations" in _begin(path)]
    return next((path for path in files if path.name == "annotations.xml" or len(files) == 1), None)


def _begin(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(LOOK).replace(b"\0", b"")  # UTF-16 too


def _tree(file: Path) -> ElementTree.Element:
    """The elements of an XML file, each with its line.

    A document type is refused: that is where entities are defined, which expand without bound or name other files.
    """
    parser, builder = expat.ParserCreate(), ElementTree.TreeBuilder()

    def start(tag: str, attributes: dict[str, str]) -> None:
        builder.start(tag, attributes | {LINE: str(parser.CurrentLineNumber)})

    def refuse(*_: object) -> None:
        raise InputError(
            f"{file}: line {parser.CurrentLineNumber}: has a document type (<!DOCTYPE>), which CVAT's have not"
        )

    parser.StartElementHandler, parser.EndElementHandler = start, builder.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.data, refuse
    try:
        with file.open("rb") as opened:
            parser.ParseFile(opened)
        return builder.close()
    except InputError:
        raise
    except expat.ExpatError as error:
        raise InputError(f"{file}: line {error.lineno}: not XML ({expat.ErrorString(error.code)})") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, LookupError) as error:  # an encoding that is not known
        raise InputError(f"{file}: unreadable XML ({error})") from error
