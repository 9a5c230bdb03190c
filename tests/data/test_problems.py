"""Rows that are left out: refused or reported."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from logpose.core.errors import InputError
from logpose.core.samples import Sample
from logpose.data.problems import Problem, log_problems, refuse

PROBLEMS = [
    Problem("a.json: annotation 3", "no keypoints"),
    Problem("a.json: annotation 5", "box of no area", "bbox [0, 0]"),
    Problem("a.json: annotation 8", "no keypoints"),
]


def sample() -> Sample:
    image = np.zeros((4, 4, 3), np.uint8)
    return Sample(image, np.ones(4), np.zeros((1, 2)), np.ones(1, np.int64), 1.0, 1, 1)


def test_a_problem_names_row_kind_and_detail() -> None:
    assert str(PROBLEMS[0]) == "a.json: annotation 3: no keypoints"
    assert str(PROBLEMS[1]) == "a.json: annotation 5: box of no area (bbox [0, 0])"


def test_wrong_rows_are_refused_if_strict() -> None:
    refuse([sample()], PROBLEMS, strict=False, nobody="a.json: empty")
    with pytest.raises(InputError, match=r"annotation 3.*2 more"):
        refuse([sample()], PROBLEMS, strict=True, nobody="a.json: empty")


def test_a_file_without_a_usable_row_is_refused() -> None:
    with pytest.raises(InputError, match=r"a\.json: empty.*annotation 3"):
        refuse([], PROBLEMS, strict=False, nobody="a.json: empty")
    with pytest.raises(InputError, match=r"^a\.json: empty$"):
        refuse([], [], strict=True, nobody="a.json: empty")


def test_each_kind_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    class Data:
        problems = PROBLEMS
        notes = ("a.json: 2 areas",)

    with caplog.at_level(logging.WARNING, logger="logpose"):
        log_problems(Data(), "training data: ")
        log_problems(object())
    assert [record.getMessage() for record in caplog.records] == [
        "training data: 2 left out, no keypoints; the first: a.json: annotation 3: no keypoints",
        "training data: 1 left out, box of no area; the first: a.json: annotation 5: box of no area (bbox [0, 0])",
        "training data: a.json: 2 areas",
    ]
