from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from logpose.core.samples import Sample
from logpose.core.skeletons import Skeleton
from logpose.data.crops import InMemory
from logpose.data.image_sets import ImageList, LabelledImage
from logpose.data.symmetry import flip_test_note, proposed_pairs, unmirrored

FACE = np.array([[-10.0, 0], [10, 0], [0, 8], [-6, 15], [6, 15]])
"""Eyes, nose, corners of the mouth."""


class Labels:
    """People with the given keypoints."""

    def __init__(self, joints: tuple[str, ...], keypoints: np.ndarray, visible: np.ndarray | None = None) -> None:
        self.skeleton = Skeleton("thing", joints)
        seen = np.full(keypoints.shape[:2], 2) if visible is None else visible
        box = np.array([0.0, 0, 10, 10])
        self.samples = [
            Sample(Path("x.png"), box, points, flags, 100.0, i, i)
            for i, (points, flags) in enumerate(zip(keypoints, seen, strict=True))
        ]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, row: int) -> Sample:
        return self.samples[row]


def seen(shape: np.ndarray, count: int = 40, noise: float = 0.6, turned: float = 0.5, seed: int = 0) -> np.ndarray:
    """A shape at several sizes, places and angles, with errors of labels."""
    rng = np.random.default_rng(seed)
    angle = rng.normal(0, turned, count)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
    labels = shape + rng.normal(0, noise, (count, *shape.shape))
    return labels @ turn * rng.uniform(0.5, 3, (count, 1, 1)) + rng.uniform(0, 200, (count, 1, 2))


NUMBERS = ("1", "2", "3", "4", "5")


@pytest.mark.parametrize("seed", range(4))
def test_pairs_that_lie_symmetric_are_proposed(seed: int) -> None:
    assert proposed_pairs(Labels(NUMBERS, seen(FACE, seed=seed))) == [("1", "2"), ("4", "5")]
    tilted = FACE @ np.array([[0.6, -0.8], [0.8, 0.6]])
    assert proposed_pairs(Labels(NUMBERS, seen(tilted, turned=3.0, seed=seed))) == [("1", "2"), ("4", "5")]


@pytest.mark.parametrize("seed", range(4))
def test_what_is_not_symmetric_is_not_proposed(seed: int) -> None:
    anywhere = np.random.default_rng(seed).uniform(-10, 10, (40, 5, 2))  # other places in each image
    assert proposed_pairs(Labels(NUMBERS, anywhere)) == []
    spread = np.array([[0.0, 0], [30, 2], [5, 11], [18, 31], [44, 27]])
    assert proposed_pairs(Labels(NUMBERS, seen(spread, seed=seed))) == []


def test_half_of_the_labels_do_not_make_a_pair() -> None:
    labels = seen(FACE)
    labels[:22, 4] += 40
    assert ("4", "5") not in proposed_pairs(Labels(NUMBERS, labels))


def test_missing_labels_and_few_people() -> None:
    labels, visible = seen(FACE), np.full((40, 5), 2)
    visible[::7, 0] = 0
    labels[::7, 0] = 0
    visible[:, 2] = 0  # nobody has it
    assert proposed_pairs(Labels(NUMBERS, labels, visible)) == [("1", "2"), ("4", "5")]
    assert proposed_pairs(Labels(NUMBERS, labels[:3])) == []


def test_known_pairs_are_not_proposed() -> None:
    joints = ("left_eye", "right_eye", "nose", "4", "5")
    data = Labels(joints, seen(FACE))
    assert proposed_pairs(data) == [("4", "5")]
    assert "4-5" in unmirrored(data)
    whole = ImageList(data.skeleton, [LabelledImage(Path("x.png"), 0, tuple(data.samples))])
    assert unmirrored(whole) == unmirrored(data) == unmirrored(InMemory(data))


def test_nothing_is_said_where_the_names_tell() -> None:
    assert unmirrored(Labels(("left_eye", "right_eye", "nose", "left_mouth", "right_mouth"), seen(FACE))) == ""


@pytest.mark.parametrize(
    ("joints", "flip_test", "token"),
    [
        (("left_eye", "right_eye"), True, ""),
        (("left_eye", "right_eye"), None, ""),
        (("1", "2"), False, ""),
        (("1", "2"), None, "no flip test: "),
        (("1", "2"), True, "--flip-test: "),
    ],
)
def test_a_flip_test_without_pairs_is_reported(joints: tuple[str, ...], flip_test: bool | None, token: str) -> None:
    note = flip_test_note(Skeleton("thing", joints), flip_test)
    assert note.startswith(token)
    assert bool(note) == bool(token)
    assert not token or "1, 2" in note
