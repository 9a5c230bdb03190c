"""Predictions of any program: each format, and what is wrong with rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.data.labelled_images import LabelledImages
from logpose.data.predictions import read_predictions

SKELETON = Skeleton("hand", ("wrist", "thumb"))
LABELS = LabelledImages(
    Path("labels.json"), SKELETON, {1: "a/one.jpg", 2: "b/two.jpg", 7: "c/one.jpg"}, {1: (200, 100), 2: (80, 40)}, (1,)
)
ROW = {"image_id": 2, "category_id": 1, "keypoints": [10, 20, 0.9, 30, 40, 0.5], "score": 0.7}


def written(tmp_path, content, name="predictions.json"):
    file = tmp_path / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_rows_of_coco_results(tmp_path):
    rows = [ROW, {**ROW, "image_id": 9}, {**ROW, "file_name": "two.jpg", "image_id": "x", "bbox": [0, 0, 60, 30]}]
    found = read_predictions(written(tmp_path, rows), LABELS)
    assert found.images == [2, 2]
    assert found.of_other_images == 1
    assert found.keypoints[0].tolist() == [[10, 20], [30, 40]]
    assert found.confidence[0].tolist() == [0.9, 0.5]
    assert found.scores == [0.7, 0.7]
    assert found.sizes.tolist() == [20, 60], "of the joints' extent, or of the box"
    assert found.covariance is None


def test_standard_deviations_and_regions_of_ours(tmp_path):
    row = {**ROW, "sigma": [1, 2, 3, 4], "radius": {"0.9": [2, 4, 6, 8]}}
    found = read_predictions(written(tmp_path, [row, {**row, "radius": None}]), LABELS)
    assert found.covariance[0].tolist() == [[[1, 0], [0, 4]], [[9, 0], [0, 16]]]
    regions = found.regions()
    assert list(regions) == ["0.9"]
    assert regions["0.9"][0].tolist() == [[2, 4], [6, 8]]
    assert np.isnan(regions["0.9"][1]).all()


def test_rows_of_images_with_covariances(tmp_path):
    matrix = [[4.0, 1.0], [1.0, 2.0]]
    row = {
        "file_name": "some/where/two.jpg",
        "xy": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]],
        "keypoint_confidence": [[0.1, 0.2], [0.3, 0.4]],
        "data": {"covariance": [[matrix, matrix], [matrix, matrix]]},
    }
    found = read_predictions(written(tmp_path, [row]), LABELS)
    assert len(found) == 2
    assert found.covariance.shape == (2, 2, 2, 2)
    assert found.confidence[1].tolist() == [0.3, 0.4]
    assert found.scores == pytest.approx([0.15, 0.35])


def test_a_table_of_deeplabcut(tmp_path):
    table = (
        "scorer,net,net,net,net,net,net\nbodyparts,thumb,thumb,thumb,wrist,wrist,wrist\n"
        "coords,x,y,likelihood,x,y,likelihood\nb/two.jpg,3,4,0.2,1,2,0.9\nother.jpg,1,1,1,1,1,1\n"
    )
    found = read_predictions(written(tmp_path, table, "net.csv"), LABELS)
    assert found.keypoints.tolist() == [[[1, 2], [3, 4]]], "in the order of the labels"
    assert found.confidence.tolist() == [[0.9, 0.2]]
    assert found.of_other_images == 1
    with pytest.raises(InputError, match="likelihood"):
        read_predictions(written(tmp_path, table.replace("likelihood", "z"), "net.csv"), LABELS)
    with pytest.raises(InputError, match="'wrist'"):
        read_predictions(written(tmp_path, table.replace("wrist", "nose"), "net.csv"), LABELS)


def test_a_folder_of_yolo(tmp_path):
    written(tmp_path, "0 0.5 0.5 0.5 0.5 0.1 0.2 0.9 0.3 0.4 0.8 0.66\n\n", "two.txt")
    written(tmp_path, "0 0 0 1 1 0 0 1 0 0 1\n", "other.txt")
    found = read_predictions(tmp_path, LABELS)
    assert found.keypoints.tolist() == [[pytest.approx([8, 8]), pytest.approx([24, 16])]]
    assert found.boxes[0].tolist() == [20, 10, 40, 20]
    assert found.scores == [0.66]
    written(tmp_path, "0 0.5 0.5\n", "two.txt")
    with pytest.raises(InputError, match=r"two.txt: line 1: has 3 numbers, expected 11 or, with a score, 12"):
        read_predictions(tmp_path, LABELS)
    for sizes in ({2: (None, None)}, {}):
        with pytest.raises(InputError, match="no width and height"):
            read_predictions(tmp_path, LabelledImages(LABELS.file, SKELETON, LABELS.names, sizes))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"keypoints": [float("nan"), 0, 1, 0, 0, 1]}, "positions that are not finite"),
        ({"keypoints": [1e9, 0, 1, 0, 0, 1]}, "positions beyond"),
        ({"keypoints": [0, 0, float("nan"), 0, 0, 1]}, "scores that are not finite"),
        ({"covariance": [[[1, 0], [0, 1]], [[1, 2], [2, 1]]]}, "not symmetric and positive definite"),
        ({"covariance": [[[1, 5], [-5, 1]], [[1, 0], [0, 1]]]}, "not symmetric and positive definite"),
    ],
)
def test_rows_that_cannot_be_are_left_out(tmp_path, change, kind):
    found = read_predictions(written(tmp_path, [ROW, {**ROW, **change}]), LABELS)
    assert len(found) == 1
    assert kind in found.problems[0].kind
    with pytest.raises(InputError, match="no usable predictions"):
        read_predictions(written(tmp_path, [{**ROW, **change}]), LABELS)


@pytest.mark.parametrize(
    ("content", "token"),
    [
        ([], "no predictions"),
        ("", "empty file"),
        ({"images": []}, "expected a JSON list"),
        ([{**ROW, "image_id": 5}], "none of its 1 predictions is of an image of labels.json"),
        ([{"file_name": "one.jpg", "keypoints": [0] * 6}], "none of its 1 predictions"),  # there are two of that name
        ([{**ROW, "file_name": "one.jpg"}], "row 0: file_name is one.jpg, and image_id 2 is b/two.jpg"),
        ([{**ROW, "category_id": 3}], "all 1 predictions are of other categories"),
        ([{**ROW, "sigma": [1, 2, 1e200, 1]}], "sigma must be above 0"),
        ([{**ROW, "covariance": [10**400]}], "covariance must be 2 matrices"),
        ([{**ROW, "radius": [1]}], "radius must be an object"),
        ([{**ROW, "radius": {"0.9": [1, 1, 1, -1]}}], "radius must be 4 numbers above 0"),
        ([{**ROW, "radius": {"high": [1, 1, 1, 1]}}], "for a level between 0 and 1"),
        ([{"image_id": 1, "xy": [[1, 2, 3, 4]], "data": [1]}], "data must be an object"),
        ([{"image_id": 1, "xy": [[10**400, 2, 3, 4]]}], "are not of people with 2 joints"),
        ([{**ROW, "keypoints": [1, 2, 3]}], r"row 0: keypoints must be 6 numbers \(2 joints × 3\).* got 3 values"),
        ([{"image_id": 1}], "row 0: needs keypoints"),
        ([{"keypoints": []}], "row 0: needs file_name, or image_id"),
        ([{**ROW, "image_id": 1.5}], "needs file_name, or image_id as a number or name; got 1.5"),
        ([{**ROW, "score": "high"}], "score must be a number"),
        ([{**ROW, "sigma": [1, 2]}], "sigma must be 4 numbers"),
        ([{**ROW, "covariance": [1]}], "covariance must be 2 matrices"),
        ([{"image_id": 1, "xy": [[1, 2, 3]]}], "are not of people with 2 joints"),
    ],
)
def test_what_are_no_predictions_is_refused(tmp_path, content, token):
    with pytest.raises(InputError, match=token):
        read_predictions(written(tmp_path, content), LABELS)
