"""Boxes of labelled people to predict in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from logpose.core.errors import InputError
from logpose.data.inputs import ImageBoxes, find_images
from logpose.data.inputs import read_boxes as matched
from logpose.data.label_boxes import label_boxes

JOINTS = ["head", "tail"]


def content() -> dict[str, Any]:
    """Two dogs, a crowd of them and a cat, whose boxes begin at their ids."""
    annotations = [
        {"id": 1, "image_id": 70, "category_id": 3, "bbox": [1, 2, 8, 9], "keypoints": [0] * 6, "num_keypoints": 0},
        {"id": 2, "image_id": 71, "category_id": 3, "bbox": [2, 2, 8, 9]},
        {"id": 3, "image_id": 71, "category_id": 3, "bbox": [3, 2, 8, 9], "iscrowd": 1},
        {"id": 4, "image_id": 71, "category_id": 4, "bbox": [4, 2, 8, 9]},
    ]
    categories = [
        {"id": 3, "name": "dog", "keypoints": JOINTS},
        {"id": 4, "name": "cat", "keypoints": ["head"]},
    ]
    images = [{"id": 70, "file_name": "a/x.jpg"}, {"id": 71, "file_name": "b\\y.jpg"}]
    return {"images": images, "annotations": annotations, "categories": categories}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/x.jpg", "b/y.jpg"):
        (path := tmp_path / "images" / name).parent.mkdir(parents=True)
        Pillow.fromarray(np.zeros((40, 50, 3), np.uint8)).save(path)
    return tmp_path / "images"


def read_boxes(file: Path, images: Any, category: int | None = None, joints: Any = ()) -> ImageBoxes:
    labels = label_boxes(file, joints, category)
    assert labels is not None
    return matched(file, images, category=category, labels=labels)


def written(path: Path, labels: Any) -> Path:
    path.write_text(json.dumps(labels))
    return path


def starts(boxes: Any, images: Any) -> list[list[float]]:
    return [boxes.boxes[image][:, 0].tolist() for image in images]


def test_boxes_are_those_of_the_category_with_the_joints(folder: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "labels.json", content())
    images = find_images([folder])
    found = read_boxes(file, images, joints=JOINTS)
    assert (starts(found, images), found.category_id) == ([[1], [2]], 3)
    assert [problem.where for problem in found.problems] == [f"{file}: annotation 2 (id 3)"]
    assert starts(read_boxes(file, images, category=4, joints=JOINTS), images) == [[], [4]]
    with pytest.raises(InputError, match=r"3 dog, 4 cat.*--box-category"):
        read_boxes(file, images)
    with pytest.raises(InputError, match=r"category 5.*3 dog"):
        read_boxes(file, images, category=5)


@pytest.mark.parametrize("listed", [False, True])
def test_images_of_one_name_are_told_apart(folder: Path, tmp_path: Path, listed: bool) -> None:
    (folder / "b" / "y.jpg").rename(folder / "b" / "x.jpg")
    labels = content()
    labels["images"][1]["file_name"] = "b/x.jpg"
    file = written(tmp_path / "labels.json", labels)
    images = find_images([file], folder) if listed else find_images([folder])
    assert len(images) == 2
    assert starts(read_boxes(file, images, joints=JOINTS), images) == [[1], [2]]


def test_ids_of_labels_are_not_taken_for_names_of_images(tmp_path: Path) -> None:
    """Labels of other images, in which the number of a photograph's name is another's id."""
    Pillow.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "70.jpg")
    with pytest.raises(InputError, match="no box for the given images"):
        read_boxes(written(tmp_path / "labels.json", content()), find_images([tmp_path / "70.jpg"]), joints=JOINTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": [{"id": 1}]}, "image 0"),
        ({"images": "x"}, "annotation 0"),
        ({"annotations": {}}, "annotations must be a list"),
        ({"annotations": [{"image_id": 70, "category_id": 3, "bbox": [1, 2, 0, 4]}]}, "annotation 0.*bbox"),
        ({"annotations": [3, {"image_id": [], "category_id": 3, "bbox": "x"}]}, "annotation 0"),
        ({"annotations": [{"image_id": 70, "category_id": [3], "bbox": [1, 2, 3, 4]}]}, None),
    ],
)
def test_labels_that_are_malformed(folder: Path, tmp_path: Path, change: dict, message: str | None) -> None:
    file = written(tmp_path / "labels.json", content() | change)
    images = find_images([folder])
    if message is None:
        assert starts(read_boxes(file, images, joints=JOINTS), images) == [[1], []]
        return
    with pytest.raises(InputError, match=f"labels.json: .*{message}"):
        read_boxes(file, images, joints=JOINTS)


def test_people_of_another_format(tmp_path: Path) -> None:
    from scipy.io import savemat

    joints = np.ones((3, 14, 2))
    joints[0], joints[1] = np.arange(14)[:, None] + 5, 2 * np.arange(14)[:, None] + 5
    savemat(tmp_path / "joints.mat", {"joints": joints})
    (tmp_path / "images").mkdir()
    for number in (1, 2):
        Pillow.fromarray(np.zeros((60, 50, 3), np.uint8)).save(tmp_path / "images" / f"im000{number}.jpg")
    images = find_images([tmp_path / "images"])
    found = read_boxes(tmp_path / "joints.mat", images)
    assert [len(found.boxes[image]) for image in images] == [1, 1]


def test_detections_and_mappings_are_no_labels(tmp_path: Path) -> None:
    assert label_boxes(written(tmp_path / "a.json", [])) is None
    assert label_boxes(written(tmp_path / "b.json", {"images": [[1, 2, 3, 4]]})) is None
    with pytest.raises(InputError, match=r"gone\.json: no such file"):
        label_boxes(tmp_path / "gone.json")


def test_boxes_of_another_folder_are_left_out(folder: Path, tmp_path: Path) -> None:
    """Frames of two cameras have the same names; one camera's folder is predicted."""
    (folder / "b" / "y.jpg").rename(folder / "b" / "x.jpg")
    labels = content()
    labels["images"][1]["file_name"] = "b/x.jpg"
    file = written(tmp_path / "labels.json", labels)
    for one, left in (("a", [[1]]), ("b", [[2]])):
        images = find_images([folder / one])
        found = read_boxes(file, images, joints=JOINTS)
        assert starts(found, images) == left
        (other,) = {"a": "b", "b": "a"}[one]
        assert [problem.detail for problem in found.problems if "folder" in problem.kind] == [repr(f"{other}/x.jpg")]
    (folder / "a" / "x.jpg").rename(tmp_path / "x.jpg")
    with pytest.raises(InputError, match=r"annotation 0 .*'a/x.jpg' and 'b/x.jpg'"):
        read_boxes(file, find_images([tmp_path / "x.jpg"]), joints=JOINTS)


def test_boxes_of_other_formats_are_whole(tmp_path: Path) -> None:
    """Boxes of samples end at their last pixel's centre; those to predict in are the file's."""
    Pillow.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "x.jpg")
    (tmp_path / "x.txt").write_text("0 0.5 0.5 0.4 0.25 0.5 0.5 2 0.4 0.5 2\n")
    (tmp_path / "data.yaml").write_text("train: .\nnames: [dog]\nkpt_shape: [2, 3]\n")
    boxes = read_boxes(tmp_path / "data.yaml", find_images([tmp_path / "x.jpg"]))
    assert np.allclose(boxes.boxes[tmp_path / "x.jpg"], [[15, 15, 20, 10, 1]])
