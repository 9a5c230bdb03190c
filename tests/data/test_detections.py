"""Detected boxes over a labelled data set."""

from __future__ import annotations

import json

import numpy as np
import pytest

from logpose.data.coco import CocoKeypoints
from logpose.data.detections import DetectedBoxes
from logpose.data.files import annotation_files
from logpose.structures import InputError


@pytest.fixture
def labels(coco_folder):
    return CocoKeypoints(annotation_files(coco_folder)["val"])


def written(tmp_path, rows):
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(rows))
    return file


def test_boxes_are_taken_as_they_are_with_their_scores(labels, tmp_path):
    image = next(iter(labels.images))
    rows = [
        {"image_id": image, "category_id": 1, "bbox": [-5, 2, 30, 40], "score": 0.75},
        {"image_id": image, "category_id": 7, "bbox": [1, 2, 3, 4], "score": 0.9},
        {"image_id": -1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9},
    ]
    boxes = DetectedBoxes(labels, written(tmp_path, rows))
    assert len(boxes) == 1
    assert boxes[0].box.tolist() == [-5, 2, 30, 40]
    assert (boxes[0].score, boxes[0].image_id) == (0.75, image)
    assert not boxes[0].visible.any()
    assert np.isfinite(boxes[0].keypoints).all()
    assert boxes.ground_truth() == labels.ground_truth()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": [1, 2, 0, 4]}, r"row 1: bbox must be x, y, width > 0"),
        ({"bbox": [1, 2, 3]}, r"row 1: bbox must be x, y, width > 0"),
        ({"bbox": "wide"}, r"row 1: bbox and score must be numbers"),
        ({"score": None}, r"row 1: bbox and score must be numbers"),
    ],
)
def test_a_malformed_row_is_named(labels, tmp_path, change, message):
    good = {"image_id": next(iter(labels.images)), "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    with pytest.raises(InputError, match=message):
        DetectedBoxes(labels, written(tmp_path, [good, good | change]))


def test_boxes_of_other_images_are_refused(labels, tmp_path):
    rows = [{"image_id": -7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]
    with pytest.raises(InputError, match=r"none of its 1 boxes is on an image of"):
        DetectedBoxes(labels, written(tmp_path, rows))


def test_a_row_without_its_entries_and_a_file_that_is_no_list(labels, tmp_path):
    with pytest.raises(InputError, match=r"row 0 needs image_id, bbox and score"):
        DetectedBoxes(labels, written(tmp_path, [{"image_id": 1}]))
    with pytest.raises(InputError, match=r"not a COCO detections file"):
        DetectedBoxes(labels, written(tmp_path, {}))


def test_what_is_found_where_nobody_is_labelled_counts_against_precision(coco_folder, tmp_path):
    """One person labelled and found exactly; a surer find on an image without annotations halves the precision."""
    import shutil

    from logpose.metrics.oks import coco_ap

    data = shutil.copytree(coco_folder, tmp_path / "data")
    file = data / "annotations" / "person_keypoints_val.json"
    content = json.loads(file.read_text())
    kept = max(content["annotations"], key=lambda row: row["area"])
    content["annotations"] = [kept]
    file.write_text(json.dumps(content))
    labels = CocoKeypoints(file)
    empty = next(row["id"] for row in content["images"] if row["id"] != kept["image_id"])
    box = {"category_id": 1, "bbox": [1, 2, 30, 40]}
    boxes = [{**box, "image_id": kept["image_id"], "score": 0.5}, {**box, "image_id": empty, "score": 0.9}]
    found = DetectedBoxes(labels, written(tmp_path, boxes))
    assert [sample.image_id for sample in found.samples] == [kept["image_id"], empty]
    results = [
        {"image_id": row["image_id"], "category_id": 1, "keypoints": kept["keypoints"], "score": row["score"]}
        for row in boxes
    ]
    # COCO's detections are matched image by image; the false one comes first in the ranking.
    assert coco_ap(found.ground_truth(), results, labels.skeleton.sigmas)["ap50"] == pytest.approx(0.5, abs=0.01)
