"""Each kind of wrong label is named where it was planted, and nothing where labels are right."""

from __future__ import annotations

import numpy as np
import pytest

from logpose.metrics.doubtful_labels import Likelihoods, doubts, exchanged_people

PAIRS = ((0, 1), (2, 3), (4, 5))
PLACES = np.array([[-40, 0], [40, 0], [-30, 50], [30, 50], [-20, 90], [20, 90], [0, -30], [0, -60]], dtype=np.float64)


def likelihoods(labels: np.ndarray, labelled: np.ndarray | None = None, std: float = 5.0) -> Likelihoods:
    """Of labels of joints that are expected at `PLACES`, with Gaussian errors along both axes, in a box of 200."""
    apart = np.linalg.norm(labels[:, None] - PLACES, axis=-1)
    least = np.full(len(labels), np.log(2 * np.pi * std**2))
    known = np.ones(len(labels), bool) if labelled is None else labelled
    return Likelihoods(
        least + (apart / std) ** 2 / 2, apart / std, apart / 200, known, np.full(len(labels), 3.03), least
    )


def right(seed: int = 0) -> np.ndarray:
    return PLACES + np.random.default_rng(seed).normal(0, 4, PLACES.shape)


@pytest.mark.parametrize("seed", range(20))
def test_right_labels_are_not_doubted(seed):
    assert doubts(likelihoods(right(seed)), PAIRS) == []


def test_a_mirrored_person():
    labels = right()[[1, 0, 3, 2, 5, 4, 6, 7]]
    (found,) = doubts(likelihoods(labels), PAIRS)
    assert (found.kind, found.joints) == ("sides", (0, 1, 2, 3, 4, 5))
    assert found.source == (1, 0, 3, 2, 5, 4, 6, 7)
    assert doubts(likelihoods(labels[list(found.source)]), PAIRS) == []


def test_one_pair_of_sides_and_a_joint_far_off_besides():
    labels = right()[[0, 1, 3, 2, 4, 5, 6, 7]]
    labels[6] = 150, 0
    sides, far = doubts(likelihoods(labels), PAIRS)
    assert (sides.kind, sides.joints) == ("sides", (2, 3))
    assert (far.kind, far.joints, far.source) == ("far off", (6,), (0, 1, 3, 2, 4, 5, -1, 7))


def test_a_side_without_its_counterpart():
    labels = right()
    labels[0] = labels[1]
    known = np.array([True, False, *[True] * 6])
    (found,) = doubts(likelihoods(labels, known), PAIRS)
    assert (found.kind, found.joints) == ("sides", (0, 1))


def test_exchanged_joints_and_a_label_on_another_joint():
    labels = right()[[0, 1, 2, 3, 4, 5, 7, 6]]
    (found,) = doubts(likelihoods(labels), PAIRS)
    assert (found.kind, sorted(found.joints), found.source) == ("exchanged", [6, 7], (0, 1, 2, 3, 4, 5, 7, 6))
    labels = right()
    labels[6] = labels[2]
    (found,) = doubts(likelihoods(labels), PAIRS)
    assert (found.kind, found.joints, found.source[6]) == ("other joint", (6, 2), -1)


def test_labels_in_no_other_joints_region_are_not_exchanged_with_the_first():
    labels = right()
    labels[0], labels[6] = (300, 300), (-300, 300)
    assert [found.kind for found in doubts(likelihoods(labels), ())] == ["far off", "far off"]


def test_joints_without_a_label_are_not_doubted():
    labels = right()
    labels[6] = 900, 900
    known = np.ones(8, bool)
    known[6] = False
    assert doubts(likelihoods(labels, known), PAIRS) == []


def test_people_with_each_others_labels():
    own, other = np.full((3, 2), 5.0), np.full((3, 2), 50.0)
    nll = np.stack([[own[0], other[0], other[0]], [other[0], other[1], own[1]], [other[0], own[1], other[2]]])
    labelled = np.ones((3, 2), bool)
    assert exchanged_people(nll, labelled) == [(1, 2, 180.0)]
    assert exchanged_people(nll, labelled & False) == []
