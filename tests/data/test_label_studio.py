"""Label Studio exports: regions are read to the pixel, wrong ones are named, what was written is read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_runs import through_the_commands
from label_studio_cases import PERSON, SIZE, box, export, joint, region, rows, task

from logpose.core.errors import InputError
from logpose.data.label_content import LabelContent
from logpose.data.label_formats import format_of
from logpose.data.label_studio import read, write

NAMES = ["nose", "left_ear", "right_ear"]


# Whose joint it is


def test_joints_are_of_their_parent_wherever_they_lie(tmp_path: Path) -> None:
    both = [box("a", 10, 10, 50, 50), box("b", 40, 20, 60, 40)]
    joints = [
        joint("nose", 50, 30, parentID="b"),
        joint("nose", 51, 31, parentID="a"),
        joint("tail", 5, 90, parentID="b"),
    ]
    content = read(export(tmp_path, task(1, *joints, *both)))
    assert rows(content) == [([10, 10, 50, 50], [51, 31, 2, 0, 0, 0]), ([40, 20, 60, 40], [50, 30, 2, 5, 90, 2])]
    assert content.problems == []
    assert [place.endswith(end) for place, end in zip(content.places, ("(a)", "(b)"), strict=True)] == [True, True]


def test_joints_are_of_the_rectangle_that_they_have_a_relation_to(tmp_path: Path) -> None:
    def relation(one: str, other: str) -> dict[str, str]:
        return {"type": "relation", "from_id": one, "to_id": other, "direction": "right"}

    whole = [box("a", 0, 0, 200, 100), box("b", 0, 0, 200, 100)]  # as sleap-io writes them
    joints = [
        joint("nose", 50, 30, "1"),
        joint("nose", 20, 10, "2"),
        joint("tail", 60, 40, "3"),
        joint("tail", 1, 2, "4"),
    ]
    links = [relation("1", "b"), relation("a", "2"), relation("3", "b"), relation("1", "2")]
    more = [relation("4", "a"), relation("4", "b"), relation("x", "a")]
    content = read(export(tmp_path, task(1, *whole, *joints, *links, *more)))
    assert [row[1] for row in rows(content)] == [[20, 10, 2, 0, 0, 0], [50, 30, 2, 60, 40, 2]]
    assert [problem.where.split("(")[-1] for problem in content.problems] == ["4)"]


def test_joints_without_a_parent_are_of_the_only_rectangle_they_lie_in(tmp_path: Path) -> None:
    both = [box("a", 10, 10, 50, 50), box("b", 40, 20, 60, 40)]
    joints = [
        joint("nose", 20, 15),
        joint("nose", 90, 50),
        joint("tail", 50, 30, "in both"),
        joint("tail", 190, 90, "in none"),
    ]
    content = read(export(tmp_path, task(1, *both, *joints)))
    assert rows(content) == [([10, 10, 50, 50], [20, 15, 2]), ([40, 20, 60, 40], [90, 50, 2])]
    assert [problem.where.split("(")[-1] for problem in content.problems] == ["in both)", "in none)"]


def test_a_joint_a_little_outside_the_only_rectangle_is_its(tmp_path: Path) -> None:
    content = read(export(tmp_path, task(1, box("a", 10, 10, 40, 40), joint("nose", 59, 8), joint("tail", 61, 20))))
    assert rows(content) == [([10, 10, 40, 40], [59, 8, 2])]
    assert len(content.problems) == 1


def test_without_rectangles_all_joints_are_one_persons(tmp_path: Path) -> None:
    content = read(export(tmp_path, task(1, *PERSON)))
    assert rows(content) == [([20, 10, 41, 21], [20, 10, 2, 60, 30, 2])]
    assert [category["name"] for category in content.categories] == ["object"]


def test_two_people_without_rectangles_are_not_mixed(tmp_path: Path) -> None:
    content = read(export(tmp_path, task(1, *PERSON, joint("nose", 90, 90)), task(2, *PERSON)))
    assert [row["image_id"] for row in content.annotations] == [2]
    assert [image["id"] for image in content.images] == [2]  # not an image without people
    assert content.problems[0].detail == "nose"


def test_a_parent_of_another_shape_groups_joints(tmp_path: Path) -> None:
    shape = region("polygonlabels", "p", {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["dog"]})
    joints = [joint(name, x, y, parentID="p") for name, x, y in (("nose", 20, 10), ("tail", 60, 30))]
    content = read(export(tmp_path, task(1, shape, *joints)))
    assert rows(content) == [([20, 10, 41, 21], [20, 10, 2, 60, 30, 2])]
    assert [category["name"] for category in content.categories] == ["dog"]


def test_boxes_of_a_label_without_joints_are_no_people(tmp_path: Path) -> None:
    tasks = task(1, box("a", 10, 10, 40, 40), joint("nose", 20, 20, parentID="a"), box("c", 100, 10, 40, 40, "car"))
    content = read(export(tmp_path, tasks))
    assert [(row["name"], "keypoints" in row) for row in content.categories] == [("cat", True), ("car", False)]


# Which annotation


def test_of_several_annotators_the_latest_or_the_ground_truth_is_used(tmp_path: Path) -> None:
    def by(x: float, time: str, **more: Any) -> dict[str, Any]:
        return {"id": x, "result": [joint("nose", x, 10), joint("tail", 60, 30)], "updated_at": time} | more

    times = ["2024-05-01T10:00:00Z", "2024-05-01T10:00:00.500000Z", "2024-05-01T11:00:00+02:00"]
    first = {**task(1), "annotations": [by(x, time) for x, time in zip((1, 2, 3), times, strict=True)]}
    second = {**task(2), "annotations": [by(4, times[0], ground_truth=True), by(5, times[1])]}
    third = {**task(3), "annotations": [by(6, times[1], was_cancelled=True), by(7, times[0])]}
    skipped = {**task(4), "annotations": [by(8, times[0], was_cancelled=True)]}
    content = read(
        export(tmp_path, first, second, third, skipped, {**task(5), "annotations": [], "predictions": [{}, {}]})
    )
    assert [row["keypoints"][0] for row in content.annotations] == pytest.approx([2, 4, 7])
    assert [image["id"] for image in content.images] == [1, 2, 3]  # what nobody labelled is not empty
    assert content.counts == {
        "of other annotators": 3, "cancelled annotations": 2, "tasks without annotations": 2, "predictions": 2,
    }  # fmt: skip
    assert len(content.notes) == 1


def test_an_empty_annotation_is_an_image_without_people(tmp_path: Path) -> None:
    content = read(export(tmp_path, task(1), task(2, *PERSON)))
    assert [image["id"] for image in content.images] == [1, 2]


# What is wrong


@pytest.mark.parametrize(
    "wrong",
    [
        5, {"id": 1, "annotations": ["x"]}, {"id": 1, "annotations": [{"result": 3}]}, {**task(1, *PERSON), "data": {}},
        {**task(1, *PERSON), "data": None}, {**task(1, *PERSON), "data": {"image": "data:image/png;base64,AA/BB"}},
        {**task(1, *PERSON), "data": {"a": "x.png", "b": "y.png"}}, {**task(1, *PERSON), "data": {"image": ["x.png"]}},
    ],
)  # fmt: skip
def test_wrong_tasks_are_named(tmp_path: Path, wrong: Any) -> None:
    content = read(export(tmp_path, wrong, task(2, *PERSON)))
    assert len(content.problems) == 1
    assert len(content.annotations) == 1


def test_two_tasks_of_one_image_are_both_left_out(tmp_path: Path) -> None:
    content = read(
        export(tmp_path, task(1, *PERSON, name="s3://b/a.png"), task(2, *PERSON, name="s3://b/a.png"), task(3, *PERSON))
    )
    assert [problem.where.split(": ")[-1] for problem in content.problems] == ["task 1", "task 2"]


def test_a_file_without_keypoints_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"project-3\.json"):
        read(export(tmp_path, task(1, box("a", 10, 10, 40, 40))))


def test_what_is_no_export_is_not_taken(tmp_path: Path) -> None:
    mpii = [{"image": "a.png", "center": [1, 2], "scale": 1, "joints": [], "joints_vis": [], "annotations": 1}]
    detections = [{"image_id": 1, "category_id": 1, "keypoints": [1, 2, 3], "score": 0.5}]
    for content in ([], mpii, detections, {"annotations": [], "images": []}, [1], [{"id": 1, "data": {}}]):
        (tmp_path / "x.json").write_text(json.dumps(content))
        assert format_of(tmp_path / "x.json") is None
    for change in ("{}", "\ufeff{}", "\r\n {}"):
        (tmp_path / "x.json").write_text(change.format(json.dumps([task(1, *PERSON)])), encoding="utf-8")
        assert format_of(tmp_path / "x.json") == "Label Studio"
        assert len(read(tmp_path / "x.json").annotations) == 1


# Writing


number = st.floats(0, 1000, allow_nan=False).map(lambda value: round(value, 3))
person = st.tuples(
    st.lists(st.tuples(number, number, st.sampled_from([0, 1, 2])), min_size=3, max_size=3),
    st.tuples(number, number, number.map(lambda v: v + 1), number.map(lambda v: v + 1)),
    st.sampled_from([1, 2]),
)


@given(
    st.lists(
        st.tuples(st.integers(1, 5000), st.integers(1, 5000), st.lists(person, max_size=3)), min_size=1, max_size=4
    )
)
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, images: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("tasks")
    content = LabelContent(folder=folder)
    content.categories = [{"id": i, "name": f"animal & {i}", "keypoints": NAMES} for i in (1, 2)]
    for i, (width, height, people) in enumerate(images):
        content.images.append({"id": i, "file_name": f"a b/{i}+?#.png", "width": width, "height": height})
        for joints, bbox, category in people:
            triplets = [value if flag else 0 for x, y, flag in joints for value in (x, y, flag)]
            row = {"id": len(content.annotations) + 1, "image_id": i, "category_id": category, "bbox": list(bbox)}
            content.annotations.append(row | {"keypoints": triplets})
    write(content, folder)
    labelled = [row for row in content.annotations if any(row["keypoints"])]
    if not labelled:
        with pytest.raises(InputError):
            read(folder / "tasks.json")
        return
    again = read(folder / "tasks.json")
    assert again.problems == []
    assert [(row["id"], row["file_name"]) for row in again.images] == [
        (row["id"], row["file_name"]) for row in content.images
    ]
    names = {row["id"]: row["name"] for row in again.categories}
    assert [names[row["category_id"]] for row in again.annotations] == [
        f"animal & {row['category_id']}" for row in content.annotations
    ]
    for row, before in zip(again.annotations, content.annotations, strict=True):
        assert row["image_id"] == before["image_id"]
        assert row["bbox"] == pytest.approx(before["bbox"], abs=1e-3)
        assert row["keypoints"] == pytest.approx(before["keypoints"], abs=1e-3)
    assert all(row["keypoints"] == NAMES for row in again.categories if "keypoints" in row)


def test_predictions_are_pre_annotations(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((50, 100, 3), np.uint8))
    content = LabelContent(folder=tmp_path, images=[{"id": 1, "file_name": "1.png"}])
    content.categories = [{"id": 1, "name": "cat", "keypoints": NAMES}]
    row = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 5, 50, 25], "score": 0.8}
    content.annotations = [row | {"keypoints": [20, 10, 0.9, 0, 0, 0, 40, 20, 1]}]
    write(content, tmp_path / "out.json", predictions=True)
    (written,) = json.loads((tmp_path / "out.json").read_text())
    assert "annotations" not in written
    (prediction,) = written["predictions"]
    assert prediction["score"] == 0.8
    assert prediction["model_version"] == "logpose"
    shapes = [(r["type"], r["score"], r["value"]["x"], r["value"]["y"]) for r in prediction["result"]]
    assert shapes == [("rectanglelabels", 0.8, 10, 10), ("keypointlabels", 0.9, 20, 20), ("keypointlabels", 1, 40, 40)]
    assert (tmp_path / "config.xml").is_file()


def test_crowds_are_not_written_as_people(tmp_path: Path) -> None:
    content = LabelContent(folder=tmp_path, images=[{"id": 1, "file_name": "1.png", "width": 100, "height": 50}])
    content.categories = [{"id": 1, "name": "cat", "keypoints": NAMES}]
    row = {"image_id": 1, "category_id": 1, "bbox": [10, 5, 50, 25], "keypoints": [20, 10, 2] * 3}
    content.annotations = [{**row, "id": i, "iscrowd": i - 1} for i in (1, 2)]
    write(content, tmp_path)
    assert len(read(tmp_path / "tasks.json").annotations) == 1
    assert len(content.notes) == 1


def test_the_commands_take_an_export(command, thin_resnets: None, tmp_path: Path) -> None:
    images = [f"/data/upload/3/0123abcd-{i}.png" for i in range(12)]
    for i in range(12):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((SIZE[1], SIZE[0], 3), 20 * i, np.uint8))
    tasks = [
        task(i, box("a", 10, 10, 90, 60), joint("nose", 20 + i, 15), joint("tail", 90, 50), name=name)
        for i, name in enumerate(images)
    ]
    file = export(tmp_path, *tasks)
    assert through_the_commands(command, file, tmp_path / "out") == (12, ["nose", "tail"], 1)
