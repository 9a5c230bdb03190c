"""Labels as COCO keypoint files, the format of https://cocodataset.org."""

from __future__ import annotations

import json
from pathlib import Path

from logpose.core.errors import InputError
from logpose.data.label_content import LabelContent

__all__ = ["write"]


def write(content: LabelContent, out: str | Path, predictions: bool = False) -> None:
    """Write `annotations/person_keypoints_PART.json` for each part, whose images lie in `out/images/PART` already.

    Images without a part are in `annotations/person_keypoints.json`, and lie in `out/images`. Ids of categories that
    begin at 0 are raised by 1: readers of this format take 0 for the background, or subtract 1.

    Args:
        content: the labels.
        out: the folder.
        predictions: of a model, which are no labels, and refused: COCO's results are what `logpose predict` writes.

    Raises:
        InputError: if they are predictions.
    """
    out = Path(out)
    if predictions:
        raise InputError("predictions are no labels: this file has COCO's results already; choose label-studio or cvat")
    more = max(0, 1 - min(row["id"] for row in content.categories))
    categories = [row | {"id": row["id"] + more} for row in content.categories]
    (out / "annotations").mkdir()
    for part in dict.fromkeys(content.parts.get(row["id"], "") for row in content.images):
        folder = out / "images" / part
        images = [row for row in content.images if content.parts.get(row["id"], "") == part]
        images = [row | {"file_name": (out / row["file_name"]).relative_to(folder).as_posix()} for row in images]
        own = {row["id"] for row in images}
        rows = [
            row
            | {"category_id": row["category_id"] + more}
            | {"num_keypoints": sum(flag > 0 for flag in row["keypoints"][2::3])}
            for row in content.annotations
            if row["image_id"] in own
        ]
        table = {"images": images, "annotations": rows, "categories": categories}
        name = f"person_keypoints{part and '_'}{part}.json"
        (out / "annotations" / name).write_text(json.dumps(table), encoding="utf-8")
