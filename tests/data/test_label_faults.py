from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from logpose.data.label_faults import are_relative, at_corner

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
