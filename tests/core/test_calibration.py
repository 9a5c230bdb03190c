"""`Calibration`: plain values and back, radii by size, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from logpose.core.calibration import Calibration
from logpose.core.errors import InputError


def test_it_is_made_again_from_plain_values():
    calibration = Calibration(
        [1.5, 2.0], [0.5, 0.9], np.arange(12).reshape(3, 2, 2).tolist(), [50.0, 90.0], "clip", 40, 0.2,
        [[0.1, 0.9], [0.2, 0.8], [0.0, 1.0]],
    )  # fmt: skip
    again = Calibration.from_config(json.loads(json.dumps(calibration.config())))
    assert again.config() == calibration.config()
    assert again.group == "clip"


def test_radii_are_those_of_a_persons_size():
    calibration = Calibration([1.0], [0.5, 0.9], [[[1, 2]], [[3, 4]], [[5, 9]]], [50.0, 90.0])
    assert calibration.radius_at(0.9, np.array([10.0, 50.0, 70.0, 91.0])).tolist() == [[2], [2], [4], [9]]
    assert calibration.radius_at(0.5).tolist() == [[5]], "without a size the largest"
    assert (calibration.has(0.9), calibration.has(0.95)) == (True, False)


def test_an_expected_oks_has_the_mean_that_was_measured():
    calibration = Calibration([1.0], [0.5], [[[1.0]]], oks=[[0.2, 0.6], [0.1, 0.5], [0.0, 1.0]])
    mean, above = calibration.of_expected_oks(np.array([0.0, 0.4, 1.0]))
    assert (mean.tolist(), above.tolist()) == (pytest.approx([0.1, 0.3, 0.5]), pytest.approx([0.0, 0.5, 1.0]))
    assert Calibration([1.0], [0.5], [[[1.0]]]).of_expected_oks(np.array([0.5])) is None


@pytest.mark.parametrize(
    ("factor", "radii"),
    [([1.0], [[[1.0], [1.0]]]), ([0.0], [[[1.0]]]), ([float("nan")], [[[1.0]]]), ([1.0], [[[-1.0]]])],
)
def test_what_is_none_is_refused(factor, radii):
    with pytest.raises(InputError):
        Calibration(factor, [0.5], radii)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "change",
    [
        {"levels": ["a"]},
        {"levels": [1.5]},
        {"levels": [0.9, 0.5], "radii": [[[1.0, 1.0]]]},
        {"radii": [[["wide"]]]},
        {"sizes": [50.0, 20.0], "radii": [[[1.0]]] * 3},
        {"group": "herd"},
        {"groups": 1.5},
        {"oks": [[0.1, 0.2], [0.1, 0.2]]},
        {"oks": [[0.1], [0.1], [0.1, 0.2]]},
        {"oks": [[0.2, 0.1], [0.1, 0.2], [0.1, 0.2]]},
        {"oks": [[0.1], [1.5], [0.1]]},
        {"uncertain": "a"},
        {"uncertain": float("nan")},
        {"uncertain": 0.0},
    ],
)
def test_so_are_values_of_a_file_that_cannot_be(change):
    values = {"factor": [1.0], "levels": [0.5], "radii": [[[1.0]]]}
    Calibration.from_config(values)
    with pytest.raises(InputError):
        Calibration.from_config(values | change)
