"""One person of a COCO file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.core.samples import Sample
from logpose.core.skeletons import Skeleton
from logpose.data.coco_people import _box, flags, joints_of, relative_depths


@pytest.mark.parametrize(
    ("box", "size", "expected"),
    [
        ([10, 20, 30, 16], (64, 48), [10, 20, 29, 15]),
        ([-5, -7, 30, 30], (64, 48), [0, 0, 24, 22]),
        ([50, 40, 100, 100], (64, 48), [50, 40, 13, 7]),
        ([50, 40, 100, 100], (None, None), [50, 40, 99, 99]),
        ([50, 40, 100, 100], ("64", 0), [50, 40, 99, 99]),
        ([-10, -10, 200, 200], (64, 48), [0, 0, 63, 47]),
        ([70, 10, 20, 20], (64, 48), None),
        ([-30, 10, 20, 20], (64, 48), None),
        ([63, 10, 20, 20], (64, 48), None),
        ([10, 10, 1, 5], (64, 48), None),
        ([10, 10, 0.5, 5], (64, 48), None),
    ],
)
def test_boxes_are_clipped_as_in_the_released_code(box: list, size: tuple, expected: list | None) -> None:
    found = _box(np.array(box, dtype=np.float64), size)
    assert (found is None) == (expected is None)
    if expected is not None:
        assert found.tolist() == expected


@given(st.tuples(*(st.floats(-100, 100) for _ in range(2)), *(st.floats(0.1, 200) for _ in range(2))))
def test_a_clipped_box_lies_in_the_box_and_in_the_image(box: tuple[float, ...]) -> None:
    found = _box(np.array(box), (64, 48))
    if found is None:
        return
    x, y, w, h = found
    assert 0 <= x < x + w <= 63 + 1e-9
    assert 0 <= y < y + h <= 47 + 1e-9
    assert x >= box[0]
    assert y >= box[1]
    assert x + w <= box[0] + max(box[2] - 1, 0) + 1e-9


def test_x_y_z_v():
    joints = joints_of([1, 2, None, 2, 3, 4, 5.5, 0], 2, depth=True)
    assert np.array_equal(joints, [[1, 2, np.nan, 2], [3, 4, 5.5, 0]], equal_nan=True)
    assert joints_of([1, 2, None], 1) is None, "null is a depth, not a visibility flag"
    assert joints_of([1, 2, 3, 4], 2, depth=True) is None
    assert flags([1, 2, 3, 4, 5, 6, 7, 8], depth=True) == [4, 8]
    assert flags([1, 2, 3, 4, 5, 6]) == [3, 6]
    assert flags("12345678", depth=True) == []


def person(depths: list[float], visible: list[int] | None = None) -> Sample:
    keypoints = np.array([[1.0, 2.0, depth] for depth in depths])
    flags = np.array(visible or [2] * len(depths))
    return Sample(Path("a.jpg"), np.array([0.0, 0, 9, 9]), keypoints, flags, 81.0, 1, 1)


HIPS = Skeleton("person", ("l_hip", "r_hip", "nose"))


def test_depths_of_the_camera_s_frame_are_made_relative_to_the_root():
    people = [person([2900, 3100, 3500]), person([1000, 1000, 900]), person([2900, 3100, 3500], [2, 0, 2])]
    assert relative_depths(people, HIPS) == 1
    assert [who.keypoints[:, 2].tolist() for who in people[:2]] == [[-100, 100, 500], [0, 0, -100]]
    assert np.isnan(people[2].keypoints[:, 2]).all(), "its root is not known"


def test_depths_that_are_relative_stay_as_they_are():
    people = [person([-100, 100, 500]), person([-90, 0, 400], [2, 0, 2])]
    assert relative_depths(people, HIPS) == 0
    assert people[1].keypoints[:, 2].tolist() == [-90, 0, 400]
    without = [person([2900, 3100, 3500])]
    assert relative_depths(without, Skeleton("fish", ("a", "b", "c"))) == 0
    assert without[0].keypoints[0, 2] == 2900, "no root: as the file has them"
