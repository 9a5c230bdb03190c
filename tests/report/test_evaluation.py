"""The report page of any task: what every figure means."""

from __future__ import annotations

import re

import numpy as np
import pytest

from logpose.losses import L1Loss
from logpose.metrics.calibration import Deviations
from logpose.report.evaluation import MEANINGS, PageParts, evenly_ranked, mean_text, write_report
from logpose.tasks.boundaries.report import MEANINGS as OF_BOUNDARIES
from logpose.tasks.detection.report import MEANINGS as OF_DETECTIONS
from logpose.tasks.lifting.report import MEANINGS as IN_SPACE
from logpose.tasks.pose.report import MEANINGS as OF_POSES

NAMES = ["ap", "ap50", "ap_medium", "ar", "ar75", "error_px", "pck@0.1", "pck_torso@0.2", "pckh@0.5", "pckh_auc"]
NAMES += ["mpjpe", "pa_mpjpe", "velocity", "nll", "coverage@0.9", "band@0.5", "std_mm", "sigma_rank", "people"]


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_one_meaning(name):
    every = {*MEANINGS, *OF_DETECTIONS, *OF_BOUNDARIES, *IN_SPACE, *OF_POSES}
    assert sum(bool(re.fullmatch(form, name)) for form, _ in every) == 1


def test_the_page_shows_what_a_task_adds(tmp_path):
    limit = L1Loss().error_distribution().radius_at
    rng = np.random.default_rng(0)
    deviations = Deviations(rng.exponential(1, 50), rng.uniform(1, 2, 50), rng.exponential(1, 50), "s", limit)
    parts = PageParts(
        "period", deviations, [(r"rmse", "root mean square error <s>")], ["Periods are in seconds"],
        [["", "n"], ["one", "3"]], ["rmse_one"],
    )  # fmt: skip
    file = tmp_path / "new" / "page.html"
    write_report(file, "model.ckpt", "a<b.csv", parts, {"rmse": 0.25, "rmse_one": 1.0, "other": 2.0}, None)
    page = file.read_text()
    assert "root mean square error &lt;s&gt;" in page
    assert "a&lt;b.csv" in page
    assert "Periods are in seconds." in page
    assert "By period" in page
    assert "other" in page
    assert "rmse_one" not in page
    assert "data:image/png" in page
    write_report(str(file), "model.ckpt", "a", PageParts("period"), {"rmse": 0.25}, None)
    assert "data:image" not in file.read_text()


def test_rows_are_chosen_from_lowest_error_to_highest():
    assert evenly_ranked([3.0, float("nan"), 1.0, 2.0, 0.0, 4.0], 3) == [4, 3, 5]
    assert evenly_ranked([], 3) == []
    assert mean_text(np.array([1.0, np.nan, 2.0]), "{:.2f}") == "1.50"
    assert mean_text(np.array([np.nan]), "{:.2f}") == "–"
