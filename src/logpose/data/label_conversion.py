"""From one format of labels to another: checked rows of any format, and predictions, as a writer takes them."""

from __future__ import annotations

import importlib
import os
import shutil
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from logpose.core.errors import InputError
from logpose.core.files import whole_folder
from logpose.core.json_files import numbers, read_json
from logpose.core.skeletons import Skeleton
from logpose.data.categories import listed_skeleton
from logpose.data.coco import CocoKeypoints
from logpose.data.coco_people import with_last_pixel
from logpose.data.files import LabelledPeople, annotation_files, open_people, test_file
from logpose.data.h36m import H36mPeople
from logpose.data.images import size_or_fault
from logpose.data.inputs import named_images
from logpose.data.label_content import LabelContent, hold_out
from logpose.data.label_formats import format_of, read_labels
from logpose.data.lsp import LspPeople
from logpose.data.mpii import MpiiPeople
from logpose.data.problems import FARTHEST, PeopleFile, Problem

__all__ = ["WRITERS", "Conversion", "category_of", "converted", "is_predictions", "labels_of", "predictions_of"]

WRITERS = {
    "coco": "logpose.data.coco_export",
    "yolo": "logpose.data.yolo",
    "cvat": "logpose.data.cvat_export",
    "label-studio": "logpose.data.label_studio",
}
"""The module that writes a format, with `write(content, out, predictions)`, by the format's name."""
LOOK = 1000  # bytes of a file that are read to see whether it is a list
WRONG = "wrong, or of images that cannot be used"


@dataclass
class Conversion:
    """What is to be written, and what became of the rows that were read.

    Attributes:
        content: labels or predictions; names of images are absolute.
        predictions: whether they are a model's.
        read: how many rows were read.
        left_out: how many were not written, by reason.
        problems: rows that are wrong.
        notes: what else was changed in reading.
        labelled: ids of images that have rows, right or wrong.
    """

    content: LabelContent
    predictions: bool = False
    read: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    labelled: set[int] = field(default_factory=set)


def is_predictions(path: str | Path) -> bool:
    """Whether a path is a file of predictions, as `logpose predict --save-json` writes it: a list of rows with scores.

    Raises:
        InputError: if a JSON file cannot be read.
    """
    path = Path(path)
    if not path.is_file() or path.suffix.lower() != ".json" or format_of(path):
        return False
    with path.open("rb") as opened:
        if opened.read(LOOK).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] != b"[":
            return False
    rows = read_json(path)
    return isinstance(rows, list) and all(isinstance(row, dict) for row in rows) and "score" in (rows or [{}])[0]


def category_of(skeleton: Skeleton, number: int = 1, name: str | None = None) -> dict[str, Any]:
    """A skeleton as an entry of a COCO file's `categories`, as `Skeleton.from_category` reads it."""
    row = {"id": number, "name": skeleton.name if name is None else name, "keypoints": list(skeleton.joints)}
    row["skeleton"] = [[a + 1, b + 1] for a, b in skeleton.bones]
    if (pairs := skeleton.argument("flip_pairs")) is not None:
        row["flip_pairs"] = [[a + 1, b + 1] for a, b in pairs]
    if skeleton.oks_sigmas is not None:
        row["sigmas"] = list(skeleton.oks_sigmas)
    return row


def labels_of(
    data: str | Path,
    images: str | Path | None = None,
    category: str | None = None,
    frames: str | Path | None = None,
) -> Conversion:
    """The labels of a data set of any format, of all parts where it has them.

    Args:
        data: a file or folder, as of `annotation_files`.
        images: the folder of the images, as of `open_people`.
        category: of several with joints of their own, the name of one.
        frames: a folder to write frames of videos to, where labels are of such (SLEAP's).

    Raises:
        InputError: as `annotation_files` and `open_people`; if the joints are in space.
    """
    result = Conversion(LabelContent(folder=Path(data)))
    files = annotation_files(data)
    parts = {"": files["train"]} if files["train"] == files["val"] else files
    if len(parts) > 1 and (test := test_file(files)) is not None:
        parts = parts | {"test": test}
    for part, file in parts.items():
        name = format_of(file)
        labels = read_labels(file, name, frames) if name else None
        people = CocoKeypoints(file, images, False, None, category, labels) if labels else None
        try:
            opened: LabelledPeople = people or open_people(file, images, category=category)
        except InputError as error:
            if part != "test":  # whose labels are often kept secret
                raise
            result.notes.append(f"the part test is left out: {error}")
            continue
        if isinstance(opened, H36mPeople):
            raise InputError(f"{file}: joints in space cannot be written in these formats")
        each: dict[str, CocoKeypoints | LspPeople | MpiiPeople] = {part: opened}
        if isinstance(opened, LspPeople):  # its parts are of one file
            with suppress(InputError):  # it has too few people for two
                each = {own: cast(LspPeople, open_people(file, images, part=own)) for own in ("train", "val")}
        for own, those in each.items():
            _add_people(result, those, own, labels)
    return result


def _add_people(
    result: Conversion, people: CocoKeypoints | LspPeople | MpiiPeople, part: str, labels: LabelContent | None
) -> None:
    """Add the people of a file; ids that another file has as well are replaced."""
    content = result.content
    result.problems += people.problems
    result.notes += people.notes
    paths = {sample.image_id: Path(sample.image) for sample in people.samples if isinstance(sample.image, str | Path)}
    if isinstance(people, CocoKeypoints):
        every = people.images | people.unlabelled
        paths = {
            number: every[number] for number in people.sizes if number in every
        }  # in the file's order, as it holds out
    images = people.images if isinstance(people, CocoKeypoints) else paths
    taken = {row["id"] for row in content.images}
    offset = max(taken) + 1 - min(paths) if taken & paths.keys() else 0
    for number, path in paths.items():
        if isinstance(size := size_or_fault(path), str):
            result.problems.append(Problem(str(path), size))
            continue
        width, height = size
        row = {"id": number + offset, "file_name": str(path.absolute()), "width": width, "height": height}
        content.images.append(row)
        if number in images:
            result.labelled.add(number + offset)
        own = part or (labels.parts.get(number) if labels else None)
        if own:
            content.parts[number + offset] = own
    _add_categories(content, people)
    for sample in people.samples:
        joints = people.skeleton.of(sample.category_id)[1]
        points, flags = sample.keypoints[joints, :2], sample.visible[joints]
        triplets = np.column_stack([np.where(flags[:, None] > 0, points, 0), flags])
        box = with_last_pixel(sample.box) if isinstance(people, CocoKeypoints) else sample.box
        entry = {"image_id": sample.image_id, "category_id": sample.category_id, "iscrowd": 0, "area": sample.area}
        _add_row(content, entry | {"keypoints": _plain(triplets), "bbox": _plain(box)}, offset)
    for passed in people.passed_over if isinstance(people, CocoKeypoints) else []:
        box = np.array(passed["bbox"])
        if np.isfinite(box).all() and np.abs(box).max() <= FARTHEST and box[2:].min() > 0:
            _add_row(content, {key: value for key, value in passed.items() if key != "num_keypoints"}, offset)
        else:
            result.left_out["without labelled joints or a box"] += 1
    counted = Counter({"of other categories": people.counts["of other categories"]})
    rows = people.counts["annotations"] or len(people.samples) + len(people.problems)
    if labels:
        counted += labels.counts
        rows += len(labels.problems) + labels.counts.total()
    result.left_out += counted
    result.read += rows


def _add_row(content: LabelContent, row: dict[str, Any], offset: int = 0) -> None:
    """Add an annotation, with a number of its own, to an image whose number has grown by `offset`."""
    number = len(content.annotations) + 1
    content.annotations.append({"id": number, **row, "image_id": row["image_id"] + offset})


def _plain(values: np.ndarray) -> list[float]:
    """Coordinates as plain numbers, to a ten thousandth of a pixel."""
    return [round(float(value), 4) for value in values.ravel()]


def _add_categories(content: LabelContent, people: PeopleFile) -> None:
    """Add the categories of a file, each with its joints."""
    named = people.categories if isinstance(people, CocoKeypoints) else {1: people.skeleton.name}
    known = {row["id"]: row for row in content.categories}
    for number, name in named.items():
        row = category_of(people.skeleton.of(number)[0], number, name)
        if known.setdefault(number, row)["keypoints"] != row["keypoints"]:
            raise InputError(f"{people.file}: its joints are not those of the other part")
        if known[number] is row:
            content.categories.append(row)


def predictions_of(file: str | Path, images: str | Path, skeleton: Skeleton) -> Conversion:
    """Predictions of `logpose predict --save-json`, on their images.

    Args:
        file: the predictions.
        images: what they were predicted on: a folder, a COCO file that lists images, or an image.
        skeleton: of the model that predicted them.

    Raises:
        InputError: if there are none, or none of them is of one of these images.
    """
    names = named_images([images])
    if Path(images).suffix == ".json":
        skeleton = listed_skeleton([images], skeleton)  # as `logpose predict` takes ids and orders from it
    by_key: dict[Any, Path] = {name.file_name: path for path, name in names.items()}
    by_key |= {name.number: path for path, name in names.items()}
    content = LabelContent(folder=Path(file).parent)
    result = Conversion(content, predictions=True)
    numbers_of: dict[Path, int] = {}
    for path in names:
        if isinstance(size := size_or_fault(path), str):
            result.problems.append(Problem(str(path), size))
            continue
        width, height = size
        numbers_of[path] = len(content.images) + 1
        content.images.append(
            {"id": numbers_of[path], "file_name": str(path.absolute()), "width": width, "height": height}
        )
    for i, row in enumerate(read_json(file)):
        result.read += 1
        # By its name first: an id of a list may be the name of another image in a folder.
        keys = (key for key in (row.get("file_name"), row.get("image_id")) if isinstance(key, int | str))
        source = next((by_key[key] for key in keys if key in by_key), None)
        person = _prediction(f"{file}: row {i}", row, skeleton)
        if isinstance(person, Problem):
            result.problems.append(person)
        elif source not in numbers_of:
            got = f"image_id {row.get('image_id')}"
            result.problems.append(Problem(f"{file}: row {i}", f"none of the images of {images}, or unreadable", got))
        else:
            _add_row(content, person | {"image_id": numbers_of[source]})
    used = {row["category_id"] for row in content.annotations}
    content.categories = [category_of(skeleton.of(number)[0], number) for number in sorted(used)]
    if not content.annotations:
        first = f"; the first: {result.problems[0]}" if result.problems else ""
        raise InputError(f"{file}: no predictions for the images of {images}{first}")
    return result


def _prediction(where: str, row: dict[str, Any], skeleton: Skeleton) -> dict[str, Any] | Problem:
    """A row of predictions as an annotation; the third value of a joint is its confidence."""
    number = row.get("category_id", 1)
    if not isinstance(number, int):
        return Problem(where, "category_id must be an integer", f"{number!r:.40}")
    try:
        joints_of = skeleton.of(number)[0]
    except InputError as error:
        return Problem(where, str(error))
    if skeleton.categories and row.get("category", joints_of.name) != joints_of.name:
        return Problem(where, f"category_id {number} is {joints_of.name!r} here", f"{row['category']!r:.40}")
    wanted = 3 * len(joints_of)
    values, score = numbers(row.get("keypoints"), wanted), numbers([row.get("score")], 1)
    if values is None or not np.isfinite(values).all() or score is None:
        return Problem(where, f"needs a score, and {wanted} keypoints (the model's {len(joints_of)} joints)")
    joints = values.reshape(-1, 3)
    box = numbers(row.get("bbox"), 4)
    if box is None or not np.isfinite(box).all():
        box = np.concatenate([joints[:, :2].min(axis=0), np.ptp(joints[:, :2], axis=0)])
    return {"category_id": number, "keypoints": _plain(joints), "bbox": _plain(box), "score": float(score[0])}


def converted(conversion: Conversion, out: str | Path, to: str) -> None:
    """Write labels or predictions in a format, with copies of their images, into a new folder.

    Images are copied as files, so a JPEG is not encoded again. Images of people who are all wrong are left out: they
    are no images without people. `left_out` has all rows afterwards that were read and not written.

    Args:
        conversion: what to write.
        out: the folder, which appears when it is complete or not at all; may exist if it is empty.
        to: a format of `WRITERS`.

    Raises:
        InputError: if there is something at `out` already, or the format cannot have these labels.
    """
    content = conversion.content
    used = {row["image_id"] for row in content.annotations}
    content.images = [row for row in content.images if row["id"] in used or row["id"] not in conversion.labelled]
    wrong = conversion.read - len(content.annotations) - conversion.left_out.total()
    conversion.left_out[WRONG] += max(0, wrong)
    if to == "yolo":
        _give_parts(content)
    people = [row for row in content.annotations if to == "coco" or not row.get("iscrowd")]
    conversion.left_out["crowds, which the format does not have"] += len(content.annotations) - len(people)
    content.annotations = people
    with whole_folder(out) as folder:
        _copy_images(content, folder)
        importlib.import_module(WRITERS[to]).write(content, folder, conversion.predictions)


def _give_parts(content: LabelContent) -> None:
    """Parts for a format that needs them: of labels without any every tenth image is held out, or else the last."""
    if not content.parts:
        content.parts = {row["id"]: "train" for row in content.images}
        hold_out(content)
        if "val" not in content.parts.values() and len(content.images) > 1:
            content.parts[content.images[-1]["id"]] = "val"
    content.parts = {row["id"]: content.parts.get(row["id"], "train") for row in content.images}


def _copy_images(content: LabelContent, out: Path) -> None:
    """Copy images to `images`, or `images/PART`, with the folders that keep them apart, and name them there."""
    # Without "..", which would lead out of the folder again; what is copied is found as it is named.
    paths = {row["id"]: Path(os.path.normpath(row["file_name"])) for row in content.images}
    taken: set[str] = set()
    for part in dict.fromkeys([content.parts.get(number, "") for number in paths]):
        own = {number: path for number, path in paths.items() if content.parts.get(number, "") == part}
        above = Path(os.path.commonpath([path.parent for path in own.values()]))
        for row in content.images:
            if row["id"] not in own:
                continue
            name = base = Path("images", part) / own[row["id"]].relative_to(above)
            number = 1
            while (key := str(name.with_suffix("")).lower()) in taken:  # YOLO's text files have no more than the stem
                number += 1
                name = base.with_name(f"{base.stem}_{number}{base.suffix}")
            taken.add(key)
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(row["file_name"], out / name)
            row["file_name"] = name.as_posix()
    content.folder = out
