"""LabelMe's JSON files: points, rectangles, groups, the order of joints, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from logpose.core.errors import InputError
from logpose.data.coco import CocoKeypoints
from logpose.data.files import annotation_files, open_people
from logpose.data.label_formats import format_of


def shape(
    label: str, *points: tuple[float, float], group: Any = None, kind: str = "point", **more: Any
) -> dict[str, Any]:
    """As LabelMe 5 and 6 write it."""
    rows = {"label": label, "points": [list(point) for point in points], "group_id": group, "description": ""}
    return {**rows, "shape_type": kind, "flags": {}, "mask": None, **more}


def rectangle(group: Any = None, label: str = "mouse") -> dict[str, Any]:
    return shape(label, (10, 5), (50, 35), group=group, kind="rectangle")


MOUSE = [shape("tail", (30.5, 20)), shape("nose", (12, 10))]


def write(folder: Path, *files: list[Any], image: str = "{}", **more: Any) -> Path:
    """A file for each list of shapes, a.json and so on, with its image beside; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, shapes in zip("abcdefghijklmnopqrstuvwxyz", files, strict=False):
        cv2.imwrite(str(folder / f"{name}.png"), np.zeros((40, 60, 3), np.uint8))
        table = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": image.format(f"{name}.png")}
        table |= {"imageData": None, "imageHeight": 40, "imageWidth": 60, **more}
        (folder / f"{name}.json").write_text(json.dumps(table))
    return folder


def people_of(path: Path, part: str | None = None, **more: Any) -> CocoKeypoints:
    people = open_people(path, part=part, **more)
    assert isinstance(people, CocoKeypoints)
    return people


def test_points_are_joints(tmp_path: Path) -> None:
    write(tmp_path, MOUSE, [], [*MOUSE, rectangle()])
    assert annotation_files(tmp_path) == {"train": tmp_path, "val": tmp_path}
    people = people_of(tmp_path)
    assert (people.skeleton.name, people.skeleton.joints) == ("mouse", ("nose", "tail"))
    assert [sample.keypoints.tolist() for sample in people] == [[[12, 10], [30.5, 20]]] * 2
    assert people[0].box == pytest.approx(np.array([12, 10, 18.5, 10]))
    assert people[1].box == pytest.approx(np.array([10, 5, 39, 29]))
    assert [path.name for path in people.unlabelled.values()] == ["b.png"]
    assert not people.problems


def test_one_file(tmp_path: Path) -> None:
    assert len(people_of(write(tmp_path, MOUSE, MOUSE) / "a.json")) == 1


def test_groups_are_objects(tmp_path: Path) -> None:
    shapes = [
        shape("nose", (12, 10), group=1), shape("nose", (22, 20), group=2), shape("tail", (25, 30), group=2),
        rectangle(2), shape("tail", (14, 16), group=1), rectangle(), rectangle(5),
    ]  # fmt: skip
    people = people_of(write(tmp_path, shapes))
    assert [sample.keypoints.tolist() for sample in people] == [[[12, 10], [14, 16]], [[22, 20], [25, 30]]]
    assert people[1].box == pytest.approx(np.array([10, 5, 39, 29]))
    assert people.counts["without labelled joints"] == 2  # rectangles of no points
    assert len(people.whole_images()[0].people) == 4


def test_flags_hide_a_point(tmp_path: Path) -> None:
    hidden = [shape("nose", (12, 10), flags={"occluded": True}), shape("tail", (30, 20), flags={"occluded": False})]
    assert people_of(write(tmp_path, hidden))[0].visible.tolist() == [1, 2]


def test_the_order_of_joints(tmp_path: Path) -> None:
    shapes = [[shape(name, (10 + i, 5 * i)) for i, name in enumerate(("p10", "p2", "p1"))], [rectangle()]]
    write(tmp_path / "set", *shapes)
    assert people_of(tmp_path / "set").skeleton.joints == ("p1", "p2", "p10")
    (tmp_path / "labels.txt").write_text("\ufeff__ignore__\r\np10\r\nmouse\r\np1\r\np2\r\np3\r\n")
    people = people_of(tmp_path / "set")
    assert people.skeleton.joints == ("p10", "p1", "p2", "p3")
    assert people[0].keypoints.tolist() == [[10, 0], [12, 10], [11, 5], [0, 0]]
    (tmp_path / "labels.txt").write_text("p10\np2\n")
    with pytest.raises(InputError, match=r"labels\.txt.*p1"):
        people_of(tmp_path / "set")


def test_folders_are_parts(tmp_path: Path) -> None:
    write(tmp_path / "train", MOUSE, MOUSE)
    write(tmp_path / "valid", MOUSE)
    found = {part: [sample.image.parent.name for sample in people_of(tmp_path, part)] for part in ("train", "val")}
    assert found == {"train": ["train", "train"], "val": ["valid"]}
    assert annotation_files(tmp_path / "train")["train"] == tmp_path / "train"


def test_every_tenth_image_is_held_out(tmp_path: Path) -> None:
    write(tmp_path, *[MOUSE if i % 2 == 0 else [] for i in range(22)])
    assert [sample.image.stem for sample in people_of(tmp_path, "val")] == ["s"]
    assert len(people_of(tmp_path, "train")) == 10


@pytest.mark.parametrize("name", ["..\\pics\\a.png", "../pics/a.png", "/home/she/pics/a.png", "renamed.png"])
def test_where_images_are_looked_for(tmp_path: Path, name: str) -> None:
    write(tmp_path / "labels", MOUSE, image=name)
    if "pics" in name and not name.startswith("/"):
        (tmp_path / "pics").mkdir()
        (tmp_path / "labels" / "a.png").rename(tmp_path / "pics" / "a.png")
    assert people_of(tmp_path / "labels")[0].image.resolve().name == "a.png"


def test_an_image_that_is_only_in_the_file_is_missing(tmp_path: Path) -> None:
    write(tmp_path, MOUSE, MOUSE, imageData="iVBORw0KGgo=")
    (tmp_path / "b.png").unlink()
    assert [problem.kind for problem in people_of(tmp_path).problems] == ["no such file"]


WRONG: dict[str, tuple[Any, str]] = {
    "no label": ({"points": [[1, 2]], "shape_type": "point"}, "label"),
    "no points": (shape("nose", kind="point"), "[]"),
    "two points": (shape("nose", (1, 2), (3, 4)), "got 2"),
    "a word": (shape("nose", ("1", 2)), '"1"'),
    "no number": (shape("nose", (float("nan"), 2)), "NaN"),
    "a number of hundreds of digits": (shape("nose", (10**400, 2)), "1000"),
    "half a box": (shape("mouse", (1, 2), kind="rectangle"), "got 1"),
    "a word for a group": (shape("nose", (1, 2), group="one"), "one"),
    "no object": (["nose", 1, 2], "JSON object"),
}


@pytest.mark.parametrize(("wrong", "detail"), WRONG.values(), ids=WRONG.keys())
def test_each_wrong_shape_is_named(tmp_path: Path, wrong: Any, detail: str) -> None:
    people = people_of(write(tmp_path, [*MOUSE, wrong]))
    assert len(people) == 1
    (problem,) = people.problems
    assert problem.where == f"{tmp_path / 'a.json'}: shape 2"
    assert detail in str(problem)


@pytest.mark.parametrize(
    ("shapes", "where"),
    [
        ([*MOUSE, shape("nose", (20, 20))], "a.json: shape 2"),
        ([*MOUSE, rectangle(), rectangle()], "a.json: shape 0"),
        ([shape("nose", (20, 20))], "a.json: shape 0"),
        ([shape("nose", (920, 920)), shape("tail", (960, 990))], "a.json: shape 0"),
    ],
    ids=["twice", "two boxes", "one point", "outside"],
)
def test_each_wrong_object_is_named(tmp_path: Path, shapes: list[Any], where: str) -> None:
    people = people_of(write(tmp_path, shapes, MOUSE))
    assert [problem.where for problem in people.problems] == [str(tmp_path / where)]
    assert len(people) == 1


def test_files_that_are_wrong(tmp_path: Path) -> None:
    write(tmp_path, MOUSE, MOUSE, MOUSE, MOUSE)
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "c.json").write_text('{"shapes": []}')
    (tmp_path / "d.json").write_text((tmp_path / "a.json").read_text())
    people = people_of(tmp_path)
    assert [Path(problem.where).name for problem in people.problems] == ["b.json", "c.json", "d.json"]
    assert len(people) == 1


def test_shapes_of_other_types_are_counted(tmp_path: Path) -> None:
    polygon = shape("mouse", (1, 2), (3, 4), (5, 9), kind="polygon")
    people = people_of(write(tmp_path, [*MOUSE, polygon]))
    assert people.counts["of type polygon"] == 1
    with pytest.raises(InputError, match="point"):
        people_of(write(tmp_path / "other", [polygon]))


def test_other_json_files_are_of_other_formats(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"images": [], "annotations": [], "categories": []}')
    assert format_of(tmp_path) is None
    assert format_of(tmp_path / "a.json") is None


def test_an_image_whose_shapes_are_all_wrong_is_not_one_without_people(tmp_path: Path) -> None:
    people = people_of(write(tmp_path, MOUSE, [shape("nose", ("1", 2))], [*MOUSE, *MOUSE], []))
    assert [path.name for path in people.unlabelled.values()] == ["d.png"]
    assert len(people.problems) == 2
