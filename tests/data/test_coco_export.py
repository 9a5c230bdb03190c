"""COCO files of labels; what is read back is tested in `test_label_conversion.py`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from logpose.core.errors import InputError
from logpose.data.coco_export import write
from logpose.data.label_content import LabelContent


def content(out: Path) -> LabelContent:
    labels = LabelContent(folder=out, categories=[{"id": 1, "name": "mouse", "keypoints": ["nose", "tail"]}])
    for number, part in enumerate(("train", "val", "train"), start=1):
        labels.images.append({"id": number, "file_name": f"images/{part}/s/{number}.jpg", "width": 9, "height": 8})
        labels.parts[number] = part
    row = {"category_id": 1, "iscrowd": 0, "bbox": [1, 2, 3, 4], "area": 5.0}
    labels.annotations = [
        {"id": 1, "image_id": 3, "keypoints": [1, 2, 2, 0, 0, 0], **row},
        {"id": 2, "image_id": 2, "keypoints": [1, 2, 1, 3, 4, 2], **row},
    ]
    return labels


def test_each_part_has_a_file_with_its_images_and_people(tmp_path: Path) -> None:
    write(content(tmp_path), tmp_path)
    found = {path.name: json.loads(path.read_text()) for path in (tmp_path / "annotations").iterdir()}
    assert {name: [row["file_name"] for row in table["images"]] for name, table in found.items()} == {
        "person_keypoints_train.json": ["s/1.jpg", "s/3.jpg"],
        "person_keypoints_val.json": ["s/2.jpg"],
    }
    assert {name: [row["num_keypoints"] for row in table["annotations"]] for name, table in found.items()} == {
        "person_keypoints_train.json": [1],
        "person_keypoints_val.json": [2],
    }


def test_categories_that_begin_at_0_are_raised(tmp_path: Path) -> None:
    """Ultralytics' converter subtracts 1."""
    labels = content(tmp_path)
    labels.categories = [row | {"id": number} for number in (0, 2) for row in labels.categories]
    for row in labels.annotations:
        row["category_id"] = 0
    write(labels, tmp_path)
    table = json.loads((tmp_path / "annotations" / "person_keypoints_train.json").read_text())
    assert [row["id"] for row in table["categories"]] == [1, 3]
    assert [row["category_id"] for row in table["annotations"]] == [1]


def test_predictions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="predictions"):
        write(content(tmp_path), tmp_path, predictions=True)
