"""Text and page of the studies."""

from __future__ import annotations

import pytest
from tests.tasks.pose.test_studies import SKELETON, Birds

from logpose.losses import Laplace
from logpose.models import HeatmapModel, RegressionModel, ResNet
from logpose.tasks.pose.studies import Covered, Cut, occlusion, truncation
from logpose.tasks.pose.study_page import facts, study_text, write_study_page


@pytest.fixture(scope="module")
def model() -> RegressionModel:
    made = RegressionModel(ResNet(18), SKELETON, (64, 64)).eval()
    made.set_error_distribution(Laplace(2).error_distribution())
    return made


def test_the_text_has_a_row_for_each_kind_that_is_covered(model, tmp_path):
    study = occlusion(model, Birds(), [0, 1], flip_test=False)
    lines = study_text(study)
    error = 100 * study.matrix("error")
    start = next(i for i, line in enumerate(lines) if line.startswith("Error"))
    assert lines[start + 1].split() == ["covered", "wing", "beak"]
    for line, name, values in zip(lines[start + 2 :], ("nothing", "wing", "beak"), error, strict=False):
        assert line.split() == [name, *(f"{value:.1f}" for value in values)]
    plain = facts(study)
    assert plain["matrices"]["error"][1][0] == pytest.approx(error[1, 0] / 100)
    assert plain["joints"] == ["wing", "beak"]
    altered = [Covered(Birds(), [0, 1], joint, 0.2) for joint in (None, 0, 2)]
    write_study_page(
        tmp_path / "page.html",
        "occlusion",
        "a<b",
        {"x.ckpt": study, "y.ckpt": study},
        {"x.ckpt": altered, "y.ckpt": altered},
    )
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/jpeg") == 2
    assert page.count("<table>") == 6, "errors, deviations and coverage of two models"
    assert "a&lt;b" in page


def test_of_a_cut_the_text_has_a_row_for_each_share(model, tmp_path):
    study = truncation(model, Birds(), [0, 1], (0.5, 0.9), "top", flip_test=False)
    lines = study_text(study)
    assert len(lines) == 5
    assert [line.split()[0] for line in lines[2:]] == ["0.0", "50.0", "90.0"]
    assert "–" in lines[2], "of whole people nothing lies beyond"
    heatmap = truncation(HeatmapModel(ResNet(18), SKELETON, (64, 64)).eval(), Birds(), [0, 1], (0.5, 0.9), "top")
    assert "std" not in "".join(study_text(heatmap))
    altered = [Cut(Birds(), [0, 1], share, "top") for share in study.shares]
    write_study_page(
        tmp_path / "page.html", "truncation", "data", {"a": study, "b": heatmap}, {"a": altered, "b": altered}
    )
    assert (tmp_path / "page.html").read_text().count("data:image/jpeg") == 2
