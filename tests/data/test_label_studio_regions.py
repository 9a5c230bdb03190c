"""Regions of Label Studio: shapes, their labels and choices, and those whose place is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from label_studio_cases import PERSON, box, export, joint, region, rows, task

from logpose.data.label_studio import read


def test_a_rotated_rectangle_has_the_box_around_it(tmp_path: Path) -> None:
    content = read(export(tmp_path, task(1, box("a", 50, 20, 30, 10, turned=90), joint("nose", 45, 30))))
    assert rows(content)[0][0] == [40, 20, 10, 30]  # rotated clockwise about its corner


def test_labels_apart_from_their_shapes_are_read(tmp_path: Path) -> None:
    shapes = [
        region("keypoint", "k", {"x": 25, "y": 25, "width": 1}),
        region("rectangle", "r", {"x": 5, "y": 5, "width": 50, "height": 50}),
    ]
    labels = [
        region("labels", "k", {"x": 25, "y": 25, "width": 1, "labels": ["nose"]}),
        region("labels", "r", {"x": 5, "y": 5, "width": 50, "height": 50, "labels": ["dog"]}),
    ]
    content = read(export(tmp_path, task(1, *shapes, *labels)))
    assert rows(content) == [([10, 5, 100, 50], [50, 25, 2])]
    assert [category["name"] for category in content.categories] == ["dog"]


def test_hidden_joints_are_those_whose_choice_says_so(tmp_path: Path) -> None:
    hidden = region("choices", "n", {"x": 10, "y": 10, "width": 0.4, "choices": ["Occluded"]})
    other = region("choices", "t", {"choices": ["certain"]})
    content = read(export(tmp_path, task(1, joint("nose", 20, 10, "n"), hidden, joint("tail", 60, 30, "t"), other)))
    assert rows(content)[0][1] == [20, 10, 1, 60, 30, 2]


@pytest.mark.parametrize(
    "wrong",
    [
        "text", None, {"value": {"keypointlabels": ["ear"]}, "id": "k"},
        joint("ear", float("nan"), 10), joint("ear", float("inf"), 10), joint("ear", 10, 10, original_width=None),
        joint("ear", 10, 10, original_height=0), joint("ear", 10, 10, image_rotation=90),
        joint("ear", 10, 10, item_index=1), joint("ear", 10, 10, original_width=999),
        region("keypointlabels", "k", {"x": "1", "y": 2, "keypointlabels": ["ear"]}),
        region("keypointlabels", "k", {"x": 1, "y": 2, "keypointlabels": ["nose", "tail"]}),
        region("keypointlabels", "k", {"x": 1, "y": 2, "keypointlabels": []}),
        region("keypointlabels", "k", {"x": 10**400, "y": 2, "keypointlabels": ["ear"]}),
        joint("ear", 30, 30, "tail-60-30"), joint("tail", 30, 30), box("r", 0, 0, float("nan"), 10),
    ],
)  # fmt: skip
def test_wrong_regions_are_named(tmp_path: Path, wrong: Any) -> None:
    content = read(export(tmp_path, task(1, *PERSON, wrong), task(2, *PERSON)))
    assert [problem.where.split(":")[1] for problem in content.problems] == [content.problems[0].where.split(":")[1]]
    assert content.problems[0].where.startswith(f"{tmp_path / 'project-3.json'}: task 1, annotation 101")
