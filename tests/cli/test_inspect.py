"""`logpose inspect`: the data choose the task."""

from __future__ import annotations

import json
import zipfile

import cv2
import numpy as np
import pytest
from tests.support.predicting_program import world, write


def test_bad_data_files_are_refused_by_name(refused, coco_folder, tmp_path):
    assert "nowhere: no such file or folder" in refused("inspect", tmp_path / "nowhere")
    for name, text, message in (
        ("empty.json", "", "empty file"),
        ("broken.json", '{"images": [}', "not JSON"),
        ("list.json", "[]", "an empty list"),
    ):
        (tmp_path / name).write_text(text)
        sentence = refused("inspect", tmp_path / name)
        assert name in sentence
        assert message in sentence


def test_an_archive_has_to_be_unpacked(refused, tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("data.yaml", "kpt_shape: [2, 3]")
    assert "unpack" in refused("inspect", tmp_path / "set.zip")


def test_labels_are_not_overwritten_by_what_is_found_in_them(refused, coco_folder):
    labels = coco_folder / "annotations" / "person_keypoints_val.json"
    before = labels.read_bytes()
    for data in (coco_folder, labels):
        message = refused("inspect", data, "--model", "person", "--save-json", labels)
        assert "is an input of this command" in message
    assert labels.read_bytes() == before


def test_sigmas_of_labels_that_were_made_twice(tmp_path, command, refused):
    folder, again = tmp_path / "a", tmp_path / "b"
    folder.mkdir()
    again.mkdir()
    _, labels, _ = write(folder, world(40))
    drawn = world(40)
    # Of a joint off by a tenth of the area's root in one of both, sigma² is half of that squared.
    areas = [row["area"] for row in json.loads(labels.read_text())["annotations"]]
    drawn.truth[:, 0, 0] += 0.1 * np.sqrt(areas)
    content = json.loads(labels.read_text())
    for row, points in zip(content["annotations"], drawn.truth, strict=True):
        row["keypoints"][:2] = points[0].tolist()
    second = again / "labels.json"
    second.write_text(json.dumps(content))
    for i in range(40):
        cv2.imwrite(str(folder / f"{i}.jpg"), np.zeros((1000, 1000, 3), np.uint8))
    words = ("inspect", labels, "--second", second, "--out", tmp_path / "sheets")
    code, text, err = command(*words, "--json")
    assert code == 0, err
    (facts,) = json.loads(text).values()
    found = facts["labelled twice"]
    assert found["people"] == 40
    assert found["oks sigmas"]["left_hand"] == {"sigma": pytest.approx(0.1 / np.sqrt(2), abs=2e-4), "labels": 40}
    assert found["oks sigmas"]["nose"]["sigma"] == 0
    code, text, _ = command(*words)
    assert "left_hand        0.0707  40 labels" in text
    content["images"] = [row | {"file_name": f"other{row['id']}.jpg"} for row in content["images"]]
    second.write_text(json.dumps(content))
    assert "none of its labels is of an image of" in refused(*words)
