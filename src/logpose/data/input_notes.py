"""What is remarkable about files to predict on: lists of other joints or sizes, scores that are no probabilities."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from logpose.core.json_files import read_json
from logpose.data.images import coco_folder, image_size, located

__all__ = ["list_notes", "score_notes"]


def list_notes(
    lists: Iterable[str | Path],
    joints: Sequence[str] | None,
    images: Collection[Path],
    folder: str | Path | None = None,
) -> list[str]:
    """What is remarkable about lists of images that a model with these joints predicts on, a sentence each.

    Results are in the model's joints and in pixels of the image files: a program that reads them by a list's own
    categories, or scales them by its sizes, would mix them up.

    Args:
        lists: COCO files that `named_images` can read.
        joints: names of the model's joints; None where several categories have joints of their own.
        images: files that can be read; others are passed over.
        folder: of the images, as of `named_images`.
    """
    notes = []
    for file in map(Path, lists):
        content = read_json(file)
        notes += [] if joints is None else _other_joints(file, content.get("categories"), list(joints))
        notes += _other_sizes(file, content["images"], images, folder)
    return notes


def _other_joints(file: Path, categories: object, joints: list[str]) -> list[str]:
    """A note if categories have joints, and none has the model's."""
    rows = [row for row in categories if isinstance(row, dict)] if isinstance(categories, list) else []
    named = [row for row in rows if isinstance(row.get("keypoints"), list) and row["keypoints"]]
    if not named or any(row["keypoints"] == joints for row in named):
        return []
    theirs = named[0]["keypoints"]
    what = "in another order than" if sorted(map(str, theirs)) == sorted(joints) else "other than"
    shown = ", ".join(map(str, theirs[:3]))
    return [
        f"{file}: joints of category {named[0].get('name')!r} ({len(theirs)}: {shown} …) are {what} the model's; "
        f"results are in the model's ({len(joints)}: {', '.join(joints[:3])} …)"
    ]


def _other_sizes(
    file: Path, rows: list[dict[str, object]], images: Collection[Path], folder: str | Path | None
) -> list[str]:
    """A note if images have another size, upright, than their rows."""
    root, wrong, count = Path(folder or coco_folder(file, rows)), [], 0
    for row in rows:
        given = row.get("width"), row.get("height")
        if not all(isinstance(side, int | float) and side > 0 for side in given):
            continue
        path = located(root, str(row["file_name"]), named=folder is not None)
        if path not in images:
            continue
        count += 1
        if (size := image_size(path)) != given:
            wrong.append(f"{path} has {size[0]}×{size[1]}, listed {given[0]:g}×{given[1]:g}")
    if not wrong:
        return []
    what = f"{len(wrong)} of {count} images have another size than listed; results are in pixels of the files"
    return [f"{file}: {what}; the first: {wrong[0]}"]


def score_notes(file: str | Path, scores: Sequence[float]) -> list[str]:
    """A note on box scores that are no probabilities; none where all are.

    Scores of people combine them with the joints' confidences, which are at most 1.
    """
    outside = [score for score in scores if not 0 <= score <= 1]
    if not outside:
        return []
    first = f"{len(outside)} of {len(scores)} box scores outside 0 … 1, the first {outside[0]:g}"
    return [f"{file}: {first}: the joints' confidences, which they are added to or multiplied by, are within"]
