"""Text and page of a calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from logpose.core.calibration import Calibration
from logpose.tasks.calibrate import Errors, Measured
from logpose.tasks.calibration_page import calibration_text, write_calibration_page


@pytest.fixture
def measured():
    """A region that holds half of the labels before the calibration, and all after it."""
    radius = np.tile([[1.0], [3.0]], (4, 2))
    errors = Errors(radius[..., None], np.full((8, 2), 2.0), "mm", np.arange(8))
    radii = {"before": np.full((8, 2, 1), 2.0), "after": np.full((8, 2, 1), 3.0)}
    return Measured(errors, (0.9,), radii, -0.25)


def test_the_text_has_coverage_and_size_of_each_level(measured):
    head, line, nll = calibration_text(measured)
    assert "mm" in head
    assert line.split() == ["0.9", "0.500", "1.000", "4.00", "6.00"]
    assert "-0.2500" in nll


def test_the_text_has_the_calibration_error_of_being_visible(measured):
    visible = np.full((8, 2), 2)
    errors = replace(measured.errors, visible=visible)
    seen = {"before": np.full((8, 2), 0.5), "after": np.full((8, 2), 0.875)}
    *_, last = calibration_text(replace(measured, errors=errors, visibility=seen))
    assert "0.500 before, 0.125 after" in last


def test_the_page_explains_what_is_guaranteed(measured, tmp_path):
    calibration = Calibration([1.5, 1.0], [0.9], [[[2.0], [3.0]]], group="clip", groups=8)
    write_calibration_page(tmp_path / "new" / "page.html", "a<b.ckpt", "data", measured, calibration, ["knee", "hip"])
    page = (tmp_path / "new" / "page.html").read_text()
    assert "a&lt;b.ckpt" in page
    assert "new clip" in page
    assert "all 8 clips" in page
    assert "1.500" in page
    assert page.count("data:image/png") == 1
