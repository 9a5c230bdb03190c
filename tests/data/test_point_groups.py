"""Objects of single points."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.data.label_content import LabelContent
from logpose.data.point_groups import PointGroup, add_group, by_number

JOINTS = ["nose", "ear", "tail"]


def test_joints_are_in_order_and_missing_ones_not_labelled() -> None:
    content = LabelContent(folder=Path())
    points = [("tail", 30.0, 20.0, 1, "line 4"), ("nose", 10.0, 12.0, 2, "line 3"), ("ear", 5.0, 5.0, 0, "line 5")]
    add_group(content, 7, PointGroup("line 3", points), JOINTS, category=2)
    (row,) = content.annotations
    assert row["keypoints"] == [10, 12, 2, 0, 0, 0, 30, 20, 1]
    assert row["bbox"] == [10, 12, 21, 9]
    assert (row["image_id"], row["category_id"], content.places) == (7, 2, ["line 3"])


@pytest.mark.parametrize(
    ("points", "boxes", "where"),
    [
        ([("ear", 1, 2, 2, "line 1"), ("ear", 3, 4, 2, "line 2")], [], "line 2"),
        ([("ear", 1, 2, 2, "line 1"), ("neck", 3, 4, 2, "line 2")], [], "line 2"),
        ([("ear", 1, 2, 2, "line 1")], [], "line 1"),
        ([("ear", 1, 2, 2, "line 1"), ("nose", 3, 4, 2, "line 2")], [(0, 0, 9, 9)] * 2, "line 1"),
    ],
    ids=["twice", "unknown", "one without a box", "two boxes"],
)
def test_what_is_ambiguous_is_a_problem(points: list, boxes: list, where: str) -> None:
    content = LabelContent(folder=Path())
    add_group(content, 1, PointGroup("line 1", points, boxes), JOINTS)
    assert not content.annotations
    assert [problem.where for problem in content.problems] == [where]


def test_one_point_in_a_box_is_an_object() -> None:
    content = LabelContent(folder=Path())
    add_group(content, 1, PointGroup("line 1", [("ear", 1, 2, 2, "line 1")], [(0, 0, 9, 8)]), JOINTS)
    assert content.annotations[0]["bbox"] == [0, 0, 9, 8]


def test_numbers_in_names_are_sorted_by_value() -> None:
    assert sorted(["p10", "p2", "nose", "p1b", "10", "9"], key=by_number) == ["9", "10", "nose", "p1b", "p2", "p10"]


@given(st.lists(st.text(), max_size=9))
def test_any_names_can_be_sorted(names: list[str]) -> None:
    assert sorted(sorted(names, key=by_number)) == sorted(names)
