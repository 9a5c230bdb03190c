"""Labels of other formats, as `CocoKeypoints` takes them; the box of joints."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.data.coco import CocoKeypoints
from logpose.data.label_content import LabelContent, box_around, hold_out, leave_out_if_wrong
from logpose.data.problems import Problem


def content(folder: Path, people: int = 3) -> LabelContent:
    """One person in each of some images, which are of one part or the other in turn."""
    labels = LabelContent(folder=folder, categories=[{"id": 1, "name": "mouse", "keypoints": ["nose", "tail"]}])
    for i in range(people):
        cv2.imwrite(str(folder / f"{i}.png"), np.zeros((40, 50, 3), np.uint8))
        labels.images.append({"id": i, "file_name": f"{i}.png", "width": 50, "height": 40})
        row = {"id": i, "image_id": i, "category_id": 1, "keypoints": [10 + i, 10, 2, 30, 20, 1]}
        labels.annotations.append(row | {"bbox": box_around(np.array(row["keypoints"], dtype=float).reshape(-1, 3))})
        labels.places.append(f"labels.xyz: line {i + 7}")
        labels.parts[i] = "val" if i % 2 else "train"
    return labels


def test_annotations_are_people_and_what_was_left_out_is_kept(tmp_path: Path) -> None:
    labels = content(tmp_path)
    labels.problems.append(Problem("labels.xyz: line 3", "no such joint"))
    labels.notes.append("of two annotators the latest")
    labels.counts["of other annotators"] = 2
    people = CocoKeypoints("labels.xyz", labels=labels)
    assert [sample.keypoints.tolist() for sample in people] == [[[10 + i, 10], [30, 20]] for i in range(3)]
    assert [sample.box.tolist() for sample in people] == [[10 + i, 10, 20 - i, 10] for i in range(3)]
    assert people.problems == labels.problems
    assert people.notes[0] == labels.notes[0]
    assert people.counts["of other annotators"] == 2


def test_parts_of_the_format_are_kept(tmp_path: Path) -> None:
    numbers = {
        part: [sample.image_id for sample in CocoKeypoints("labels.xyz", part=part, labels=content(tmp_path))]
        for part in ("train", "val")
    }
    assert numbers == {"train": [0, 2], "val": [1]}


def test_wrong_rows_are_named_as_they_stand_in_the_source(tmp_path: Path) -> None:
    labels = content(tmp_path)
    labels.annotations[1]["keypoints"][2] = 7
    assert [problem.where for problem in CocoKeypoints("labels.xyz", labels=labels).problems] == ["labels.xyz: line 8"]


def test_every_tenth_image_with_labels_is_held_out(tmp_path: Path) -> None:
    """As `CocoKeypoints` holds them out of a file without parts."""
    labels = content(tmp_path, 25)
    for number in (3, 4, 5):  # images without labels are counted by themselves
        labels.annotations[number]["keypoints"] = [0] * 6
    labels.parts = {}
    expected = {sample.image_id for sample in CocoKeypoints("labels.xyz", part="val", labels=labels)}
    labels.parts = dict.fromkeys(range(25), "train") | {24: "test"}
    hold_out(labels)
    assert {number for number, part in labels.parts.items() if part == "val"} == expected
    assert labels.parts[24] == "test"


def test_an_image_whose_rows_are_all_wrong_is_not_one_without_people(tmp_path: Path) -> None:
    labels = content(tmp_path, 2)
    leave_out_if_wrong(labels)
    assert len(labels.images) == 2
    labels.annotations.pop()
    leave_out_if_wrong(labels)
    assert [row["id"] for row in labels.images] == [0]
    assert labels.parts == {0: "train"}


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(0, 500), st.sampled_from([0, 1, 2])), min_size=2, max_size=9))
def test_the_box_holds_all_labelled_joints_and_no_side_is_thin(rows: list[tuple[float, float, int]]) -> None:
    joints = np.array(rows, dtype=np.float64)
    points = joints[joints[:, 2] > 0, :2]
    box = box_around(joints)
    if box is None:
        assert len(points) < 2 or np.ptp(points, axis=0).max() == 0
        return
    low, extent = np.array(box[:2]), np.array(box[2:]) - 1
    assert (points >= low - 1e-6).all()
    assert (points <= low + extent + 1e-6).all()
    assert extent.min() >= 0.25 * extent.max() * (1 - 1e-9)
    assert extent.max() == pytest.approx(np.ptp(points, axis=0).max(), abs=1e-9)
