"""Boxes of labelled people, in a file of labels, as boxes to predict in."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from logpose.core.errors import InputError
from logpose.core.json_files import numbers, read_json, whole
from logpose.data.coco import CocoKeypoints
from logpose.data.coco_people import with_last_pixel
from logpose.data.files import open_people
from logpose.data.inputs import LabelBoxes, LabelRow, image_names
from logpose.data.label_formats import format_of
from logpose.data.problems import FARTHEST, Problem

__all__ = ["label_boxes"]

BEGINNING = 64  # bytes of a file that show what it is


def label_boxes(
    file: str | Path, joints: Sequence[str] = (), category: int | None = None, categories: Collection[int] = ()
) -> LabelBoxes | None:
    """The boxes of a file of labels; None of another: a list of detections, or a mapping of names to boxes.

    Args:
        file: COCO annotations, LSP, or a format of `data.label_formats`.
        joints: names: without `category`, that of COCO's categories which have them is taken.
        category: `category_id` of the boxes to take.
        categories: as of `data.inputs.read_boxes`.

    Raises:
        InputError: if it is one and cannot be read, several categories have boxes and none is chosen, or none are left.
    """
    path = Path(file)
    if format_of(path) is not None or path.suffix == ".mat":
        people = open_people(path, category="all" if categories else None)
        whole_box = with_last_pixel if isinstance(people, CocoKeypoints) else np.asarray
        rows = [
            LabelRow(
                str(sample.image),
                [*whole_box(sample.box).tolist(), 1.0, *((sample.category_id,) if categories else ())],
                f"{file}: person {i}",
            )
            for i, sample in enumerate(people.samples)
            if not categories or sample.category_id in categories
        ]
        return LabelBoxes(rows, None if categories else getattr(people, "category", None), list(people.problems))
    with path.open("rb") if path.is_file() else io.BytesIO() as opened:
        if opened.read(BEGINNING).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[":  # it may be large
            return None
    content = read_json(path)
    labels = isinstance(content, Mapping) and {"images", "annotations"} <= content.keys()
    return _coco_boxes(path, content, joints, category, categories) if labels else None


def _coco_boxes(
    file: Path,
    content: Mapping[str, Any],
    joints: Sequence[str],
    category: int | None,
    categories: Collection[int],
) -> LabelBoxes:
    """The boxes of a COCO file's annotations, crowds left out, also of people without labelled joints."""
    rows = content["images"]
    names = {
        number: name.replace("\\", "/")
        for number, name in image_names(file, rows if isinstance(rows, list) else []).items()
    }
    annotations = content["annotations"]
    if not isinstance(annotations, list):
        raise InputError(f"{file}: annotations must be a list")
    each = bool(categories) and category is None
    chosen = {*categories} if each else _categories(file, content.get("categories"), annotations, joints, category)
    rows, problems = [], []
    for i, row in enumerate(annotations):
        if not isinstance(row, Mapping):
            problems.append(Problem(f"{file}: annotation {i}", "not a JSON object"))
            continue
        if whole(row.get("category_id")) not in chosen:
            continue
        where = f"{file}: annotation {i}" + (f" (id {row['id']})" if "id" in row else "")
        image, box = whole(row.get("image_id")), numbers(row.get("bbox"), 4)
        if row.get("iscrowd"):
            problems.append(Problem(where, "a crowd"))
        elif image is None or image not in names:
            problems.append(Problem(where, "no image with this image_id", f"image_id {row.get('image_id')!r:.40}"))
        elif box is None or not np.isfinite(box).all() or box[2:].min() <= 0 or np.abs(box).max() > FARTHEST:
            problems.append(Problem(where, "no box", f"bbox {row.get('bbox')!r:.60}"))
        else:
            number = (row["category_id"],) if each else ()
            rows.append(LabelRow(names[image], [*box.tolist(), 1.0, *number], where, image))
    if not rows:
        first = f"; the first of {len(problems)} rows left out: {problems[0]}" if problems else ""
        raise InputError(f"{file}: no boxes among {len(annotations)} annotations{first}")
    return LabelBoxes(rows, next(iter(chosen)) if len(chosen) == 1 and not each else None, problems)


def _categories(
    file: str | Path, categories: Any, rows: Sequence[Any], joints: Sequence[str], wanted: int | None
) -> set[int | None]:
    """Ids of the categories whose boxes are taken."""
    present = {whole(row.get("category_id")) for row in rows if isinstance(row, Mapping)}
    known = [row for row in categories if isinstance(row, Mapping)] if isinstance(categories, list) else []
    listed = ", ".join(f"{row.get('id')} {row.get('name')}" for row in known) or ", ".join(sorted(map(str, present)))
    if wanted is not None:
        if wanted not in present:
            raise InputError(f"{file}: no box of category {wanted}; choose from {listed}")
        return {wanted}
    fitting = {whole(row.get("id")) for row in known if joints and row.get("keypoints") == list(joints)} & present
    if not fitting and len(present) > 1:
        raise InputError(f"{file}: boxes of several categories ({listed}); choose one with --box-category")
    return fitting or present
