"""Detected boxes over a labelled data set."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from logpose.core.errors import InputError
from logpose.data.coco import CocoKeypoints
from logpose.data.detections import DetectedBoxes
from logpose.data.files import annotation_files


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
        ({"bbox": [1, 2, 0, 4]}, r"row 1: .*width > 0"),
        ({"bbox": [1, 2, 3]}, r"row 1: bbox .*\[1, 2, 3\]"),
        ({"bbox": "wide"}, r"row 1: bbox .*wide"),
        ({"bbox": ["1", 2, 3, 4]}, r"row 1: "),
        ({"bbox": [1, 2, 3e7, 4]}, r"row 1: .*1e\+06"),
        ({"score": math.nan}, r"row 1: score .*nan"),
        ({"score": None}, r"row 1: "),
        ({"score": True}, r"row 1: "),
    ],
)
def test_a_malformed_row_is_named(labels, tmp_path, change, message):
    good = {"image_id": next(iter(labels.images)), "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    with pytest.raises(InputError, match=message):
        DetectedBoxes(labels, written(tmp_path, [good, good | change]))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image_id": -7}, "2 on an image that the data set does not have, the first in row 0 (image_id -7)"),
        ({"image_id": "139"}, "2 with an image_id that is not an integer, the first in row 0 (image_id '139')"),
        ({"category_id": 3}, "2 of another category, the first in row 0 (category_id 3, not 1)"),
    ],
)
def test_a_file_without_a_box_to_look_into_says_what_its_boxes_are(labels, tmp_path, change, told):
    row = {"image_id": next(iter(labels.images)), "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5} | change
    file = written(tmp_path, [row, row])
    with pytest.raises(InputError) as refused:
        DetectedBoxes(labels, file)
    assert str(refused.value) == f"{file}: no box for {labels.file} among 2: {told}"


def test_boxes_of_all_kinds_that_were_learned_as_one(coco_folder, tmp_path):
    content = json.loads((coco_folder / "annotations" / "person_keypoints_val.json").read_text())
    content["categories"].append({**content["categories"][0], "id": 2, "name": "statue"})
    file = tmp_path / "two.json"
    file.write_text(json.dumps(content))
    labels = CocoKeypoints(file, coco_folder / "val")
    box = {"image_id": next(iter(labels.images)), "bbox": [1, 2, 30, 40]}
    boxes = DetectedBoxes(labels, written(tmp_path, [{**box, "category_id": i} for i in (1, 2, 3)] + [box]))
    assert [(sample.category_id, sample.score) for sample in boxes.samples] == [(1, 1.0), (2, 1.0), (1, 1.0)]
    assert boxes.passed_over == 1


def test_each_reason_is_told_where_there_are_several(labels, tmp_path):
    row = {"image_id": -7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    with pytest.raises(InputError, match=r": 1 on an image that .* in row 0 \(.*; 2 of another category, .* in row 1"):
        DetectedBoxes(labels, written(tmp_path, [row, row | {"category_id": 2}, row | {"category_id": 5}]))


def test_boxes_on_pictures_that_cannot_be_read_are_left_out_and_named(crowd_file, tmp_path):
    """Somebody is labelled on pictures 1 and 2; of 3 nothing is known but its name."""
    whole = (tmp_path / "3.png").read_bytes()
    (tmp_path / "3.png").write_bytes(whole[: len(whole) // 2])
    labels = CocoKeypoints(crowd_file)
    assert labels.problems == []
    row = {"category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    rows = [{**row, "image_id": image} for image in (3, 1, 3, "1")] + [{**row, "image_id": 9}]
    file = written(tmp_path, rows)
    boxes = DetectedBoxes(labels, file)
    assert [sample.image_id for sample in boxes.samples] == [1]
    assert [str(problem) for problem in boxes.problems] == [
        f"{file}: row 0: truncated image ({tmp_path / '3.png'})",
        f"{file}: row 2: truncated image ({tmp_path / '3.png'})",
        f"{file}: row 3: with an image_id that is not an integer (image_id '1')",
    ]
    assert boxes.passed_over == 1


def test_a_row_without_its_entries_and_a_file_that_is_no_list(labels, tmp_path):
    with pytest.raises(InputError, match=r"row 0.*image_id.*bbox"):
        DetectedBoxes(labels, written(tmp_path, [{"image_id": 1}]))
    with pytest.raises(InputError, match="list"):
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
