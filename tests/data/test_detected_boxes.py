"""Boxes of a labelled data set, of a detector."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.data.test_inputs import NO_BOXES

from logpose.core.errors import InputError
from logpose.data.coco import CocoKeypoints
from logpose.data.detected_boxes import DetectedBoxes
from logpose.data.files import annotation_files
from logpose.data.input_notes import score_notes


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
        ({"bbox": [1, 2, 3]}, r"row 1: bbox .*\[1, 2, 3\]"),
        ({"bbox": "wide"}, r"row 1: bbox .*wide"),
        ({"bbox": ["1", 2, 3, 4]}, r"row 1: "),
        ({"score": None}, r"row 1: "),
        ({"score": True}, r"row 1: "),
    ],
)
def test_a_malformed_row_is_named(labels, tmp_path, change, message):
    good = {"image_id": next(iter(labels.images)), "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    with pytest.raises(InputError, match=message):
        DetectedBoxes(labels, written(tmp_path, [good, good | change]))


def test_boxes_that_are_none_are_left_out_of_a_labelled_data_set(labels, tmp_path):
    good = {"image_id": next(iter(labels.images)), "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    bad = [good | {"bbox": box, "score": score} for box, score, _ in NO_BOXES]
    boxes = DetectedBoxes(labels, written(tmp_path, [good, *bad, good]))
    assert len(boxes) == 2
    for i, (problem, (_, _, kind)) in enumerate(zip(boxes.problems, NO_BOXES, strict=True), start=1):
        assert problem.where.endswith(f"row {i}")
        assert kind in problem.kind
    with pytest.raises(InputError, match=r"no box for .*3 box or score not finite, .* in row 2"):
        DetectedBoxes(labels, written(tmp_path, bad))


@pytest.mark.parametrize(
    ("change", "report"),
    [
        ({"image_id": -7}, "2 on an image that the data set does not have, the first in row 0 (image_id -7)"),
        ({"image_id": "139"}, "2 with an image_id that is not an integer, the first in row 0 (image_id '139')"),
        ({"category_id": 3}, "2 of another category, the first in row 0 (category_id 3, not 1)"),
    ],
)
def test_a_file_without_a_box_to_look_into_states_what_its_boxes_are(labels, tmp_path, change, report):
    row = {"image_id": next(iter(labels.images)), "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5} | change
    file = written(tmp_path, [row, row])
    with pytest.raises(InputError) as refused:
        DetectedBoxes(labels, file)
    assert str(refused.value) == f"{file}: no box for {labels.file} among 2: {report}"


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


def test_each_reason_is_reported_where_there_are_several(labels, tmp_path):
    row = {"image_id": -7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    with pytest.raises(InputError, match=r": 1 on an image that .* in row 0 \(.*; 2 of another category, .* in row 1"):
        DetectedBoxes(labels, written(tmp_path, [row, row | {"category_id": 2}, row | {"category_id": 5}]))


def test_boxes_on_images_that_cannot_be_read_are_left_out_and_named(crowd_file, tmp_path):
    """Somebody is labelled on images 1 and 2; of 3 nothing is known but its name."""
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


def test_scores_that_are_no_probabilities_are_noted(tmp_path, labels):
    for scores, count in (((0.0, 1.0), 0), ((0.5, 87.0, 99.5), 2), ((-0.25,), 1)):
        image = next(iter(labels.images))
        rows = [{"image_id": image, "bbox": [1, 2, 30, 40], "score": score} for score in scores]
        file = written(tmp_path, rows)
        for notes in (score_notes(file, scores), DetectedBoxes(labels, file).notes):
            assert len(notes) == (count > 0)
            assert not count or f"{count} of {len(scores)} box scores outside" in notes[0]
