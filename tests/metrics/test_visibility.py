"""Probabilities of being visible: figures by hand, and a calibration that undoes a known distortion."""

from __future__ import annotations

import numpy as np
import pytest

from logpose.metrics.visibility import calibration_error, logits, platt, rescaled, visibility_figures


def test_the_calibration_error_by_hand():
    # Bins of a fifteenth: .1 and .12 are in the second, .9 in the fourteenth.
    probability, seen = np.array([0.1, 0.12, 0.9, 0.9]), np.array([False, True, True, False])
    assert calibration_error(probability, seen) == pytest.approx((abs(0.22 - 1) + abs(1.8 - 1)) / 4)
    assert calibration_error(np.ones(3), np.ones(3, bool)) == 0
    assert np.isnan(calibration_error(np.array([]), np.array([], bool)))


def test_slope_and_shift_undo_a_distortion():
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 2, 50_000)
    seen = rng.random(50_000) < 1 / (1 + np.exp(-logit))
    slope, shift = platt(3 * logit - 1, seen)
    assert (slope, shift) == pytest.approx((1 / 3, 1 / 3), abs=0.02)
    distorted = 1 / (1 + np.exp(-(3 * logit - 1)))
    assert rescaled(distorted, 1, 0) == pytest.approx(distorted, abs=1e-6)
    assert np.isfinite(logits(np.array([0.0, 1.0]))).all()
    assert calibration_error(rescaled(distorted, slope, shift), seen) < 0.01 < 0.1 < calibration_error(distorted, seen)


@pytest.mark.parametrize("seen", [np.ones(5, bool), np.zeros(5, bool), np.zeros(0, bool)])
def test_labels_that_are_all_alike_change_nothing(seen):
    assert platt(np.zeros(len(seen)), seen) == (1, 0)


def test_separable_labels_do_not_lead_to_infinity():
    slope, shift = platt(np.array([-100.0, -50.0, 50.0, 1e9]), np.array([False, False, True, True]))
    assert np.isfinite([slope, shift]).all()
    assert 0 < slope < 20


def test_figures_by_hand():
    figures = visibility_figures(np.array([0.2, 0.6, 0.8]), np.array([False, True, False]))
    assert figures["visible_auroc"] == 0.5
    assert figures["visible_brier"] == pytest.approx((0.04 + 0.16 + 0.64) / 3)
    assert "visible_auroc" not in visibility_figures(np.array([0.5]), np.array([True]))
    assert visibility_figures(np.array([]), np.array([], bool)) == {}
