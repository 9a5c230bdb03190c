"""Doubts about people of a data set, with the labels that they should have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from logpose.core.samples import Sample
from logpose.core.skeletons import Skeleton
from logpose.losses import Laplace
from logpose.models import RegressionModel, ResNet
from logpose.tasks.evaluation import Found
from logpose.tasks.pose.doubtful import corrected_results, doubtful_people

SKELETON = Skeleton("bird", ("left_wing", "right_wing", "beak", "tail"))
PLACES = np.array([[-40.0, 0], [40, 0], [0, -50], [0, 60]])


@pytest.fixture(scope="module")
def model() -> RegressionModel:
    made = RegressionModel(ResNet(18), SKELETON, (64, 64))
    made.set_error_distribution(Laplace(2).error_distribution())
    return made


def birds(labels: list[np.ndarray], images: list[int]) -> tuple[list[Sample], Found]:
    """Birds at 100, 400, …, with a standard deviation of 4 pixels; labels are relative to these places."""
    middle = np.array([[100.0 + 300 * i, 200.0] for i in range(len(labels))])
    truth = np.stack(labels) + middle[:, None]
    predicted = np.broadcast_to(PLACES, truth.shape) + middle[:, None]
    visible = np.full(truth.shape[:2], 2)
    visible[0, 3] = 0
    samples = [
        Sample(Path(f"{image}.jpg"), np.array([*(place - 60), 120.0, 120.0]), own, seen, 9000.0, image, 10 + i)
        for i, (own, seen, place, image) in enumerate(zip(truth, visible, middle, images, strict=True))
    ]
    one = np.ones(truth.shape[:2])
    return samples, Found.of(samples, predicted, np.full(truth.shape, 4.0), one, one * np.nan, one * np.nan, truth)


def test_what_is_wrong_and_what_it_should_be(model):
    mirrored, far = PLACES[[1, 0, 2, 3]], PLACES.copy()
    far[2] = 150, 150
    people, found = birds([mirrored, PLACES, far], [1, 2, 3])
    doubtful = doubtful_people(found, model, Laplace(2))
    assert {(each.row, each.doubt.kind) for each in doubtful} == {(0, "sides"), (2, "far off")}
    sides, off = sorted(doubtful, key=lambda each: each.row)
    assert sides.keypoints[:3] == pytest.approx(people[0].keypoints[[1, 0, 2]])
    assert sides.labelled == (True, True, True, False), "the tail has no label"
    assert off.keypoints[2] == pytest.approx(found.predicted[2, 2])
    facts = sides.facts(people, SKELETON)
    assert (facts["id"], facts["kind"], facts["joints"]) == (10, "sides", ["left_wing", "right_wing"])
    assert facts["suggestion"]["left_wing"] == pytest.approx(people[0].keypoints[1].tolist())
    rows = {row["id"]: row for row in corrected_results(people, doubtful)}
    assert sorted(rows) == [10, 12]
    row = rows[10]
    assert row["keypoints"][-3:] == [0, 0, 0]
    assert row["keypoints"][:3] == pytest.approx([*people[0].keypoints[1], 1])


def test_two_people_with_each_others_labels(model):
    aside = np.array([300.0, 0])
    people, found = birds([PLACES + aside, PLACES - aside, PLACES], [1, 1, 1])
    doubtful = [each for each in doubtful_people(found, model, Laplace(2)) if each.doubt.kind == "other person"]
    assert [(each.row, each.other) for each in doubtful] == [(0, 1), (1, 0)]
    assert doubtful[0].keypoints == pytest.approx(people[1].keypoints)
    assert doubtful[0].labelled == (True,) * 4
    assert doubtful[1].labelled == (True, True, True, False)


def test_a_person_with_several_errors_has_one_row(model):
    labels = PLACES[[1, 0, 2, 3]].copy()
    labels[2] = 150, 150
    people, found = birds([PLACES, labels], [1, 2])
    doubtful = doubtful_people(found, model, Laplace(2))
    assert sorted(each.doubt.kind for each in doubtful if each.row == 1) == ["far off", "sides"]
    (row,) = corrected_results(people, doubtful)
    wanted = found.predicted[1].copy()
    wanted[[0, 1, 3]] = people[1].keypoints[[1, 0, 3]]
    assert np.reshape(row["keypoints"], (4, 3))[:, :2] == pytest.approx(wanted, abs=1e-3)
