from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from logpose.data.label_faults import Boxes, are_relative, at_corner

BOX = np.array([20.0, 30, 40, 50])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5))
def test_fractions_are_relative(points: list[tuple[float, float]]) -> None:
    assert are_relative(np.array(points), BOX)
    assert not are_relative(np.array([*points, (30.0, 40.0)]), BOX)
    assert not are_relative(np.array(points), np.array([0.0, 0, 1.5, 2])), "a box in the first pixels"


def test_nothing_is_not_relative() -> None:
    assert not are_relative(np.zeros((0, 2)), BOX)
    assert not are_relative(np.array([[-0.5, 0.5]]), BOX)
    assert not are_relative(np.array([[0.5, 0.5]]), np.array([0.0, 0, 40, 50]))


def test_the_corner() -> None:
    joints = np.array([[0.0, 0, 2], [0, 0, 0], [0, 0, 1], [0, 30, 2], [30, 40, 2]])
    assert at_corner(joints, BOX).tolist() == [True, False, True, False, False]
    assert not at_corner(joints, np.array([0.0, 0, 40, 50])).any()
    assert not at_corner(joints, np.array([1.0, 1, 40, 50])).any(), "a pixel is nothing"


def boxes_of(rows: list[tuple[list[float], list[list[float]]]]) -> Boxes:
    boxes = Boxes()
    for box, points in rows:
        boxes.add(np.array(box), np.array(points), (100, 80))
    return boxes


def test_corners_in_place_of_width_and_height_are_noticed() -> None:
    corners = [([10.0, 10.0, 60.0, 70.0], [[12.0, 15.0], [55.0, 66.0]]), ([40.0, 20.0, 90.0, 60.0], [[50.0, 30.0]])]
    assert "1 of 2 boxes" in boxes_of(corners).note()


def test_boxes_that_reach_a_little_beyond_the_image_are_no_corners() -> None:
    rows = [([5.0, 5.0, 97.0, 74.0], [[99.0, 40.0]]), ([50.0, 40.0, 20.0, 30.0], [[60.0, 50.0]])]
    assert not boxes_of(rows).note()


def test_boxes_within_their_images_are_as_they_should_be() -> None:
    assert not boxes_of([([5.0, 5.0, 60.0, 70.0], [[20.0, 40.0]])]).note()
