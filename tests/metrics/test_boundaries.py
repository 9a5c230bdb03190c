"""Distances of boundaries, by loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from logpose.metrics.boundaries import boundary_errors, central, mean_over_scans


def test_the_central_columns_are_those_of_the_duke_evaluation() -> None:
    part = central(768, 500)
    assert (part.start + 1, part.stop) == (135, 634)  # counted from 1, the last included
    assert central(400, 500) == slice(0, 400)
    assert central(7, None) == slice(0, 7)


def test_means_are_over_columns_then_scans_then_boundaries() -> None:
    rng = np.random.default_rng(0)
    truth = [rng.uniform(0, 50, (3, 6)), rng.uniform(0, 50, (3, 4))]
    predicted = [t + rng.normal(0, 2, t.shape) for t in truth]
    truth[0][1, 2:], truth[1][2] = np.nan, np.nan
    names = ("a", "b", "c")
    found = boundary_errors(predicted, truth, names, [2.0, 4.0])
    each, squared, um, um_squared, every, every_um = [], [], [], [], [], []
    for d in range(3):
        means, squares, lengths, squared_lengths = [], [], [], []
        for p, t, height in zip(predicted, truth, (2.0, 4.0), strict=True):
            apart = [abs(p[d, x] - t[d, x]) for x in range(t.shape[1]) if not math.isnan(t[d, x])]
            every += apart
            every_um += [height * a for a in apart]
            if apart:
                means.append(sum(apart) / len(apart))
                squares.append(sum(a * a for a in apart) / len(apart))
                lengths.append(height * means[-1])
                squared_lengths.append(height**2 * squares[-1])
        each.append(sum(means) / len(means))
        squared.append(sum(squares) / len(squares))
        um.append(sum(lengths) / len(lengths))
        um_squared.append(sum(squared_lengths) / len(squared_lengths))
    assert found["error_px"] == pytest.approx(sum(each) / 3)
    assert found["rmse_px"] == pytest.approx(math.sqrt(sum(squared) / 3))
    assert found["error_um"] == pytest.approx(sum(um) / 3)
    assert found["p95_px"] == pytest.approx(np.quantile(every, 0.95))
    assert [found[f"error_px_{name}"] for name in names] == pytest.approx(each)
    assert found["rmse_um"] == pytest.approx(math.sqrt(sum(um_squared) / 3))
    assert found["p95_um"] == pytest.approx(np.quantile(every_um, 0.95))
    assert [found[f"error_um_{name}"] for name in names] == pytest.approx(um)
    assert not any("um" in name for name in boundary_errors(predicted, truth, names, [2.0, None]))


def test_a_boundary_that_nobody_labelled_is_left_out() -> None:
    truth = [np.array([[1.0, 2.0], [np.nan, np.nan]])]
    found = boundary_errors([truth[0] + 1], truth, ("a", "b"), [None])
    assert found["error_px"] == 1
    assert math.isnan(found["error_px_b"])
    nothing = boundary_errors([np.zeros((2, 2))], [np.full((2, 2), np.nan)], ("a", "b"), [None])
    assert all(math.isnan(value) for value in nothing.values())
    assert np.isnan(mean_over_scans([np.full((1, 3), np.nan)])).all()
