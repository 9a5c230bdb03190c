"""Images to predict on, from files, folders and lists; boxes of a detector, in these and in a labelled data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from logpose.core.errors import InputError, NoImagesError
from logpose.core.json_files import numbers, read_json, whole
from logpose.core.messages import missing
from logpose.data.images import SUFFIXES, coco_folder, image_size, located
from logpose.data.problems import FARTHEST, Problem

__all__ = [
    "Boxes",
    "ImageBoxes",
    "ImageName",
    "LabelBoxes",
    "LabelRow",
    "detected_box",
    "find_images",
    "image_id",
    "image_names",
    "lies_outside",
    "listed_category",
    "named_images",
    "read_boxes",
]

Boxes = Float[np.ndarray, "_ 5"] | Float[np.ndarray, "_ 6"]
"""x, y, width, height, score of each person in one image, and where a model predicts several categories the id of
each one's."""


class ImageBoxes(NamedTuple):
    """The boxes that a file has for some images."""

    boxes: dict[Path, Boxes]
    """Of each image."""
    problems: list[Problem]
    """Boxes that were left out because they are on none of the images, lie outside theirs, or are no boxes."""
    category_id: int | None
    """Of the boxes, where the file has one."""


class LabelRow(NamedTuple):
    """A labelled box: x, y, width, height and 1 as the score; of an image, by its name and id in the labels' file."""

    name: str
    box: list[float]
    where: str
    image_id: int | None = None


class LabelBoxes(NamedTuple):
    """The boxes of a file of labels, their category where it has one, and the rows that were left out."""

    rows: list[LabelRow]
    category_id: int | None
    problems: list[Problem]


class ImageName(NamedTuple):
    """What results call an image."""

    number: int | str
    """Its id: that of the list that it is in; else its name without suffix, as a number if it is one."""
    file_name: str
    """As its list has it; else the path below the folder that was given, or the name of the file that was given."""


def find_images(paths: Sequence[str | Path], folder: str | Path | None = None) -> dict[Path, int | str]:
    """The images that `named_images` finds, with their ids.

    Raises:
        InputError: as `named_images`.
    """
    return {image: name.number for image, name in named_images(paths, folder).items()}


def named_images(paths: Sequence[str | Path], folder: str | Path | None = None) -> dict[Path, ImageName]:
    """The images among files, folders (searched to the bottom) and lists in COCO's form, in order.

    Lists are JSON files with `images`, which lie in `folder` or, when None, in the usual places beside the list. Of
    images of one name in several folders, names and ids have the folder: cam1/frame_000000 and cam2/frame_000000.

    Raises:
        NoImagesError: if a JSON file lists no images.
        InputError: if a path does not exist, a folder holds no image, or a row of a list is wrong.
    """
    images: dict[Path, ImageName] = {}
    listed: set[Path] = set()
    for path in map(Path, paths):
        inside: dict[Path, str] = {}
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
            files = [file for file in files if not file.name.startswith("._")]  # macOS's beside a file, which are none
            inside = {file: file.relative_to(path).as_posix() for file in files}
            if not inside:
                raise InputError(f"{path}: no images in this folder ({', '.join(SUFFIXES)})")
        elif not path.is_file():
            raise InputError(missing(path))
        elif path.suffix == ".json":
            images |= (own := _listed(path, folder))
            listed |= own.keys()
        else:
            inside = {path: path.name}
        images |= {image: ImageName(image_id(image), name) for image, name in inside.items() if image not in images}
    return images | _with_folders({image: name for image, name in images.items() if image not in listed})


def _with_folders(images: Mapping[Path, ImageName]) -> dict[Path, ImageName]:
    """Names with their folder, of images whose id is not theirs alone; as given, where the rest is alike too."""
    ids = Counter(name.number for name in images.values())
    same = {image: name.file_name for image, name in images.items() if ids[name.number] > 1}
    names = Counter(same.values())
    paths = {image: name if names[name] == 1 else image.as_posix() for image, name in same.items()}
    return {image: ImageName(path.removesuffix(image.suffix), path) for image, path in paths.items()}


def _listed(file: Path, folder: str | Path | None) -> dict[Path, ImageName]:
    """The images that a COCO file lists, labelled or not."""
    content = read_json(file)
    rows = content.get("images") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not rows:
        raise NoImagesError(f"{file}: no list of images")
    names = image_names(file, rows)
    root = Path(folder or coco_folder(file, rows))
    found: dict[Path, ImageName] = {}
    for i, (number, name) in enumerate(names.items()):
        image = located(root, name, named=folder is not None)
        if image in found:
            raise InputError(f"{file}: image {i}: {image} is the file of another image too")
        found[image] = ImageName(number, name)
    return found


def image_names(file: str | Path, rows: Sequence[Any]) -> dict[int, str]:
    """The names of a COCO file's list of images, by their ids, in order.

    Raises:
        InputError: if a row has no id or name, or the id of another.
    """
    names: dict[int, str] = {}
    for i, row in enumerate(rows):
        number = whole(row.get("id")) if isinstance(row, Mapping) else None
        if number is None or not isinstance(row.get("file_name"), str):
            raise InputError(f"{file}: image {i}: needs an integer id and a file_name")
        if number in names:
            raise InputError(f"{file}: image {i}: duplicate id {number}")
        names[number] = row["file_name"]
    return names


def listed_category(paths: Sequence[str | Path], joints: Sequence[str]) -> int | None:
    """The id of the category that COCO files give what a model with these joints predicts; None where there is none.

    That is a file's category with these joints, else its only one.

    Raises:
        InputError: if files give it several.
    """
    found: dict[int, str | Path] = {}
    for path in paths:
        if Path(path).suffix != ".json":
            continue
        content = read_json(Path(path))
        rows = content.get("categories") if isinstance(content, dict) else None
        rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        fitting = [row for row in rows if row.get("keypoints") == list(joints)] or (rows if len(rows) == 1 else [])
        if fitting and (number := whole(fitting[0].get("id"))) is not None:
            found.setdefault(number, path)
    if len(found) > 1:
        each = " and ".join(f"{number} in {path}" for number, path in found.items())
        raise InputError(f"the category of these joints has several ids, {each}: predict these files one at a time")
    return next(iter(found), None)


def read_boxes(
    file: str | Path,
    images: Mapping[Path, int | str],
    least_score: float = 0.0,
    category: int | None = None,
    labels: LabelBoxes | None = None,
    categories: Collection[int] = (),
) -> ImageBoxes:
    """The boxes of each image, from a file.

    The file is either a COCO detections file, a list of {image_id, bbox, score}, where an image's id is that of
    `images` or its name without suffix (or by `file_name`), or a mapping of file names to lists of x, y, width,
    height[, score].

    Args:
        file: JSON.
        images: those wanted, with their ids (`find_images`); one that the file does not name has no boxes.
        least_score: boxes below it are left out.
        category: `category_id` of the boxes to take, where the file has several.
        labels: what the file holds, if it is one of labels (`data.label_boxes`); images are known by their names.
        categories: those that a model tells apart: boxes of a detections file with a `category_id` have it as a sixth
            column, and those of others are left out.

    Raises:
        InputError: if the file is no such file, a row of it is malformed, it has no box of the category, or it is about
            other images.
    """
    file = Path(file)
    problems = [] if labels is None else list(labels.problems)
    ids = {} if labels is None else {row.where: row.image_id for row in labels.rows}
    kind = None if labels is None else labels.category_id
    rows: list[_Row] = []
    if labels is not None:
        rows = [(row.name, row.box, row.where) for row in labels.rows]
    elif isinstance(content := read_json(file), Mapping):
        for name, own in content.items():
            if not isinstance(own, list):
                raise InputError(f"{file}: boxes of {name!r} must be a list")
            places = (f"{file}: box {i} of {name!r}" for i in range(len(own)))
            rows += [(name, _checked_box(box, where), where) for box, where in zip(own, places, strict=True)]
    else:
        rows, kind = _detected_rows(file, content, category, categories)
    names: dict[str, set[Path]] = {}
    for image, number in images.items():
        stem = image.stem
        by_stem = {stem, str(int(stem))} if stem.isdecimal() else {stem}
        # An id that a list gave is not to be mixed up with another image's name.
        own = by_stem if isinstance(number, str) or number == image_id(image) else set()
        for name in {str(image), image.name, str(number)} | own:
            names.setdefault(name, set()).add(image)
    boxes: dict[Path, list[list[float]]] = {image: [] for image in images}
    size_of = cache(_size)
    meant_by: dict[str, Path] = {}  # each row's image
    for name, _, where in rows:
        below = PurePosixPath(name).with_suffix("").as_posix() if "/" in name else name  # as ids with folders are
        meant = names.get(name) or names.get(below) or names.get(Path(name).name) or set()
        if len(meant) > 1 and ids.get(where) is not None:  # of one name in several folders: the image of the same list
            meant = {image for image in meant if images[image] == ids[where]} or meant
        if len(meant) > 1:
            raise InputError(f"{where}: several images are called {name!r}; give the whole path")
        if meant:
            meant_by[where] = next(iter(meant))
    others = _of_other_folders(rows, meant_by)
    for name, values, where in rows:
        if where not in meant_by:
            problems.append(Problem(where, "not on any of the images", repr(name)))
            continue
        image = meant_by[where]
        if (name, image) in others:
            problems.append(Problem(where, "on an image of the same name in another folder", repr(name)))
            continue
        if isinstance(values, Problem):
            problems.append(values)
            continue
        if values[4] < least_score:
            continue
        if (size := size_of(image)) and lies_outside(values[:4], size):
            detail = f"{values[:4]} in {image.name} of {size[0]}×{size[1]} pixels"
            problems.append(Problem(where, "outside the image", detail))
        else:
            boxes[image].append(values)
    if rows and not meant_by:
        first = f"its first is for {rows[0][0]!r}, the first image is {next(iter(images)).name}"
        raise InputError(f"{file}: no box for the given images: {first}")
    width = next((len(values) for _, values, _ in rows if not isinstance(values, Problem)), 5)
    arrays = {image: np.array(own, dtype=np.float64).reshape(-1, width) for image, own in boxes.items()}
    return ImageBoxes(arrays, problems, kind)


def lies_outside(box: Sequence[float], size: tuple[int, int]) -> bool:
    """Whether a box, x, y, width and height in pixels, has no point in an image of so many pixels, (width, height)."""
    x, y, width, height = box
    return x >= size[0] or y >= size[1] or x + width <= 0 or y + height <= 0


def _of_other_folders(rows: Sequence[_Row], meant_by: Mapping[str, Path]) -> set[tuple[str, Path]]:
    """Names of rows that have an image's name, where the folders of another row's name are closer to the image's.

    Args:
        rows: of a file of boxes.
        meant_by: the image that each row's name would be taken for, by the row's place.

    Raises:
        InputError: if rows of two names, in different folders, are equally close to an image.
    """
    named: dict[Path, dict[str, str]] = {}
    for name, _, where in rows:
        if where in meant_by:
            named.setdefault(meant_by[where], {}).setdefault(name, where)
    others: set[tuple[str, Path]] = set()
    for image, own in named.items():
        if len(own) == 1:
            continue
        parts, close = image.absolute().parts, {}
        for name in own:
            *folders, last = PurePosixPath(name.replace("\\", "/")).parts or ("",)
            if last in (image.name, image.stem):  # else an id
                pairs = zip(reversed(folders), reversed(parts[:-1]), strict=False)
                tail = [a == b for a, b in pairs]
                equal = next((i for i, same in enumerate(tail) if not same), len(tail))
                close[name] = (equal, equal == len(folders)), tuple(folders)
        best = max((rank for rank, _ in close.values()), default=None)
        if len({folders for rank, folders in close.values() if rank == best}) > 1:
            first, second, *_ = (repr(name) for name, (rank, _) in close.items() if rank == best)
            raise InputError(f"{own[next(iter(close))]}: {first} and {second} may both be {image}; give one of them")
        others |= {(name, image) for name, (rank, _) in close.items() if rank != best}
    return others


_Row = tuple[str, list[float] | Problem, str]
"""Name or id of an image, a box in it with its score or what is wrong, and the row for messages: "boxes.json: row 12".
"""


def _detected_rows(
    file: Path, content: Any, category: int | None, several: Collection[int] = ()
) -> tuple[list[_Row], int | None]:
    """The boxes of a COCO detections file, of one category, and which; or, with their own, of `several`."""
    if not isinstance(content, list):
        raise InputError(f"{file}: expected a list of detections or a mapping of file names to boxes")
    categories = {str(row.get("category_id")) for row in content if isinstance(row, Mapping)}
    listed = ", ".join(sorted(categories))
    each = several and category is None and categories - {"None"}
    if category is None and len(categories) > 1 and not each:
        raise InputError(f"{file}: boxes of several categories ({listed}); choose one with --box-category")
    rows: list[_Row] = []
    for i, row in enumerate(content):
        where = f"{file}: row {i}"
        if not isinstance(row, Mapping) or "bbox" not in row or not {"image_id", "file_name"} & row.keys():
            raise InputError(f"{where}: needs bbox and image_id")
        if category is None or row.get("category_id") == category:
            box = detected_box(row, where)
            if each:
                number = whole(row.get("category_id"))
                if number is None or number not in several:
                    detail = f"category_id {row.get('category_id')!r:.40}"
                    box = Problem(where, "of a category that the model does not have", detail)
                elif not isinstance(box, Problem):
                    box = [*box, number]
            rows.append((str(row.get("file_name", row.get("image_id"))), box, where))
    if content and not rows:
        raise InputError(f"{file}: no box of category {category} among {len(content)}; choose from {listed}")
    if each and not any(row.get("category_id") in several for row in content):
        ids = ", ".join(map(str, several))
        raise InputError(f"{file}: no box of a category of the model ({ids}), but of {listed}")
    kind = category if category is not None or not content else whole(content[0].get("category_id"))
    return rows, None if each else kind


def detected_box(row: Mapping[str, Any], where: str) -> list[float] | Problem:
    """x, y, width, height and score, 1 where there is none, of a COCO detection, which has a `bbox`; or its fault."""
    if not isinstance(row["bbox"], list) or len(row["bbox"]) != 4:
        raise InputError(f"{where}: bbox must be x, y, width, height, got {row['bbox']}")
    return _checked_box([*row["bbox"], row.get("score", 1.0)], where)


def _checked_box(box: Any, where: str) -> list[float] | Problem:
    """The same of a list of four or five numbers (what JSON writes as such: no text, no true).

    A detector rounds, or overflows: a box without an extent, or of other numbers than pixels, is a problem of its own.

    Raises:
        InputError: if it is no such list.
    """
    found = numbers(box, len(box)) if isinstance(box, list) and len(box) in (4, 5) else None
    if found is None:
        raise InputError(f"{where}: must be four or five numbers, got {box}")
    values = found.tolist()
    if not np.isfinite(values).all():
        return Problem(where, "box or score not finite", f"{values}")
    if min(values[2:4]) <= 0:
        return Problem(where, "no width or height", f"{values}")
    if max(map(abs, values[:4])) > FARTHEST:
        return Problem(where, f"beyond ±{FARTHEST:g} pixels", f"{values}")
    return values if len(values) == 5 else [*values, 1.0]


def _size(image: Path) -> tuple[int, int] | None:
    """(width, height) of an image; None if it cannot be read."""
    try:
        return image_size(image)
    except InputError:
        return None


def image_id(path: str | Path) -> int | str:
    """The id that COCO files give an image: its name without suffix, as a number if it is one."""
    stem = Path(path).stem
    return int(stem) if stem.isdecimal() else stem
