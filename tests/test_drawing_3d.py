"""Poses in space, drawn: upright, in the right colours, whatever the numbers."""

from __future__ import annotations

import numpy as np
import pytest

from logpose.drawing import LEFT, RIGHT
from logpose.drawing_3d import SIDE, beside, flat_pose
from logpose.skeletons import COCO, Skeleton

PHOTO = np.full((240, 180, 3), 90, np.uint8)
STICK = Skeleton("stick", ("left_end", "right_end"), bones=((0, 1),))


def in_space(drawn) -> np.ndarray:
    """The part with the axes, without title and legend."""
    return drawn[60:, -SIDE:].astype(int)


def places(drawn, colour) -> np.ndarray:
    """Rows and columns of the pixels of a colour."""
    return np.argwhere(np.abs(in_space(drawn) - colour).max(axis=2) < 12)


@pytest.fixture
def person() -> np.ndarray:
    return np.random.default_rng(0).normal([0, 0, 4000], [200, 500, 200], (1, 17, 3))


def test_the_photograph_is_on_the_left_and_keeps_its_shape(person):
    drawn = beside(PHOTO, COCO, person)
    assert drawn.dtype == np.uint8
    assert drawn.shape == (SIDE, round(180 * SIDE / 240) + SIDE, 3)
    assert (drawn[:, : round(180 * SIDE / 240)] == 90).all()
    assert in_space(drawn).std() > 5
    wide = beside(np.full((100, 2000, 3), 90, np.uint8), COCO, person)
    assert wide.shape == (SIDE, 3 * SIDE, 3)


def test_up_is_up_and_right_is_right():
    """y points down and x to the right; what is farther away is drawn farther up and to the right, as it is seen."""
    for a, b, axis, sign in (
        ((0, -500, 4000), (0, 500, 4000), 0, -1),
        ((-500, 0, 4000), (500, 0, 4000), 1, -1),
        ((0, 0, 3500), (0, 0, 4500), 1, -1),
    ):
        drawn = beside(PHOTO, STICK, np.array([[a, b]], float))
        left, right = (np.median(places(drawn, colour), axis=0) for colour in (LEFT, RIGHT))
        assert np.sign(left[axis] - right[axis]) == sign


def test_ellipsoids_are_drawn_where_they_are_known(person):
    without = in_space(beside(PHOTO, COCO, person))
    spread = np.full(person.shape, np.nan)
    assert (in_space(beside(PHOTO, COCO, person, spread)) == without).all()
    spread[0, 3] = 60
    assert (in_space(beside(PHOTO, COCO, person, spread)) != without).any()


def test_ellipsoids_of_joints_in_the_middle_are_seen(person):
    nose = COCO.joints.index("nose")
    person[0, nose] = person[0].mean(axis=0)  # the ellipsoid makes the room no larger
    without = in_space(beside(PHOTO, COCO, person))
    spread = np.full(person.shape, np.nan)
    spread[0, nose] = 100
    darker = without - in_space(beside(PHOTO, COCO, person, spread))
    assert (darker[without.min(axis=2) > 235].min(axis=1) > 20).sum() > 300


def test_nothing_breaks(person):
    """Nobody, one point, no bones, far off, wider than the room, not finite, letters that mean something to others."""
    face = Skeleton("face", ("a", "b"))
    for skeleton, joints, spread in (
        (COCO, person[:0], person[:0]),
        (COCO, np.zeros((1, 17, 3)), np.zeros((1, 17, 3))),
        (COCO, 1e7 * person, None),
        (COCO, person, np.full(person.shape, 1e12)),
        (COCO, np.full(person.shape, np.nan), person),
        (COCO, np.concatenate([person, person + 3000]), None),
        (face, np.array([[[0.0, 1, 2], [3, 4, 5]]]), None),
    ):
        drawn = beside(PHOTO, skeleton, joints, spread, "S1, $\\frac{ walk {} \n" + "long " * 60)
        assert drawn.shape[0] == SIDE
    beside(PHOTO, COCO, person, title="")


def test_an_empty_picture_has_the_shape_of_the_one_that_is_missing():
    flat, factor = flat_pose((480, 640), side=320)
    assert flat.shape == (240, 320, 3)
    assert factor == 0.5
    assert flat_pose((1, 900_000), side=320)[0].shape == (1, 320, 3)
