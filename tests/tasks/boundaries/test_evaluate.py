"""Figures of boundaries, on predictions that were made up."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from logpose.core.structures import ErrorDistribution, Prediction
from logpose.data.scans import Scan, ScanWindows, scan_loader
from logpose.data.synthetic_oct import ScanNoise, SyntheticScans
from logpose.losses import FactorsRLELoss, Laplace
from logpose.models import BoundaryModel
from logpose.models.boundary import ordered
from logpose.tasks.boundaries.evaluate import BoundaryEvaluation, evaluate_scans, stitched

SIZE = (112, 64)


def model_of(loss) -> BoundaryModel:
    torch.manual_seed(0)
    model = BoundaryModel(SyntheticScans(1).skeleton, SIZE, channels=2, depth=1, cells=2, shown=160)
    model.set_error_distribution(loss.eval().error_distribution())
    return model


def oracle(batch, scans, sigma_rows: float, model: BoundaryModel) -> Prediction:
    """What a model would say that knows the truth, and is as sure as that."""
    mu = torch.empty(len(batch.target), SIZE[1], 8)
    for row in range(len(mu)):
        start = int(batch.start[row])
        truth = scans[int(batch.index[row])].truth[:, start : start + SIZE[1]].T
        crop = (truth - batch.top[row].numpy()[:, None] + 0.5) / float(batch.scale[row]) - 0.5
        mu[row] = torch.from_numpy(crop / SIZE[0] - 0.5)
    sigma = torch.ones_like(mu) * (sigma_rows / SIZE[0] / batch.scale[:, None, None])
    return Prediction(mu, sigma, 1 - sigma.mean(dim=-1), model.error_distribution)


def measured(loss, scans, sigma_rows: float, columns: int | None = None):
    model = model_of(loss)
    evaluation = BoundaryEvaluation(scans, model, loss, columns)
    for batch in scan_loader(ScanWindows(scans, SIZE, 160), 4, training=False):
        evaluation.update(batch, oracle(batch, scans, sigma_rows, model))
    return evaluation


def test_what_knows_the_law_of_labels_is_found_to_be_right() -> None:
    """Labels are Laplace around the truth: a model that says so has bands and a likelihood that are right."""
    scans = SyntheticScans(12, seed=3, noise=ScanNoise(rows=0.8, shadow=1.0, missing=0.1), lesions=0.0)
    loss = Laplace(8)
    figures = measured(loss, scans, 0.8 * math.sqrt(0.5)).compute()
    # The noise of boundaries is 1 to 1.8 times as large, the claim is of the sharpest: only that one's band holds.
    sharp = np.concatenate([(s.rows - s.truth)[0] for s in (scans[i] for i in range(12))])
    sharp = sharp[np.isfinite(sharp)]
    assert figures["error_px_ILM"] == pytest.approx(np.abs(sharp).mean(), rel=0.03)
    assert figures["truth_px"] == pytest.approx(0, abs=1e-4)
    scale = 0.8 * math.sqrt(0.5)
    rows = [scans[i].rows for i in range(12)]
    error = np.concatenate([(r - scans[i].truth) for i, r in enumerate(rows)], axis=1)
    whole = np.isfinite(error).all(axis=0)
    expected = -stats.laplace(scale=scale).logpdf(error[:, whole]).sum(axis=0).mean()
    assert figures["nll"] == pytest.approx(expected, rel=1e-4)
    inside = np.abs(error[:, whole]) <= scale * -math.log(0.1)
    assert figures["band@0.9"] == pytest.approx(inside.mean(), abs=0.01)
    assert figures["std_px"] == pytest.approx(0.8, rel=0.02)
    assert figures["error_um"] == pytest.approx(5 * figures["error_px"])
    assert figures["columns"] == whole.sum()


def test_factors_claim_bands_that_hold() -> None:
    scans = SyntheticScans(8, seed=5, noise=ScanNoise(rows=0.8, shadow=1.0, missing=0.0), lesions=0.0)
    loss = FactorsRLELoss(8).eval()
    model = model_of(loss)
    at = torch.linspace(-40, 40, 40_001)
    with torch.no_grad():
        density = loss.factor.error_log_prob(at[:, None]).exp()
    half = loss.error_distribution().bands_at(0.9)[0] * float(loss.error_distribution().std[0])
    held = float(density[at.abs() <= half].sum() * 0.002)
    assert held == pytest.approx(0.9, abs=0.01)
    assert np.isfinite(measured(loss, scans, 1.0).compute()["coverage@0.9"])
    assert model.error_distribution.bands is not None


def test_columns_in_the_middle_alone() -> None:
    scans = SyntheticScans(3, seed=7, noise=ScanNoise(missing=0.0), lesions=0.0)
    figures = measured(Laplace(8), scans, 1.0, columns=40).compute()
    error = [np.abs(scans[i].rows - scans[i].truth)[:, 44:84].mean(axis=1) for i in range(3)]
    assert figures["columns"] == 120
    assert figures["error_px"] == pytest.approx(np.mean(error), rel=1e-4)


def test_each_column_is_taken_from_the_window_whose_middle_is_closest() -> None:
    windows = {start: np.full((17, 64), float(start)) for start in (64, 0, 40)}  # each window predicts its own number
    found = stitched(windows, 100)
    for column in range(100):
        within = [start for start in windows if start <= column < start + 64]
        best = min(within, key=lambda start: abs(column - start - 31.5))
        assert (found.rows[:, column] == best).all()
        assert found.nll[column] == best
    assert found.rows.shape == found.std.shape == (8, 100)


def test_windows_of_a_scan_are_put_together_in_its_own_rows() -> None:
    scans, model = SyntheticScans(1, seed=1), model_of(Laplace(8))
    evaluation = BoundaryEvaluation(scans, model)
    for batch in scan_loader(ScanWindows(scans, SIZE, 160), 1, training=False):
        evaluation.update(batch, oracle(batch, scans, 1.0, model))
    np.testing.assert_allclose(evaluation.boundaries(0).rows, scans[0].truth, atol=1e-3)


def test_a_model_that_has_diverged_is_told_so() -> None:
    scans = SyntheticScans(1, seed=1)
    model = model_of(Laplace(8))
    evaluation = BoundaryEvaluation(scans, model, Laplace(8))
    for batch in scan_loader(ScanWindows(scans, SIZE, 160), 4, training=False):
        nan = torch.full((len(batch.target), 64, 8), torch.nan)
        evaluation.update(batch, Prediction(nan, nan, nan[..., 0], model.error_distribution))
    assert math.isnan(evaluation.compute()["error_px"])
    assert BoundaryEvaluation(scans, model).compute() == {"scans": 0, "columns": 0}


def test_without_a_law_there_are_no_bands_but_distances() -> None:
    scans = SyntheticScans(2, seed=1, noise=ScanNoise())
    model = model_of(Laplace(8))
    model.set_error_distribution(ErrorDistribution.unknown(8))
    evaluation = BoundaryEvaluation(scans, model)
    for batch in scan_loader(ScanWindows(scans, SIZE, 160), 4, training=False):
        evaluation.update(batch, oracle(batch, scans, 1.0, model))
    figures = evaluation.compute()
    assert figures["error_px"] > 0
    assert not {"nll", "band@0.9", "std_px"} & figures.keys()


class Unmeasured:
    """Drawn scans that do not say how high their pixels are."""

    def __init__(self, scans: SyntheticScans) -> None:
        self.scans, self.skeleton = scans, scans.skeleton

    def __len__(self) -> int:
        return len(self.scans)

    def __getitem__(self, index: int) -> Scan:
        return replace(self.scans[index], um_per_px=None)


def test_a_model_s_height_of_pixels_finds_the_retina_and_tells_no_micrometres() -> None:
    scans = SyntheticScans(2, seed=3)
    model = model_of(Laplace(8))
    alike, errors = {}, []
    for height in (None, 5.0, 30.0):
        model.um_per_px = height
        evaluation = evaluate_scans(model, Unmeasured(scans), flip_test=False)
        errors.append(evaluation.compute()["error_px"])
        assert not any("_um" in name for name in evaluation.compute())
        alike[height] = ScanWindows(Unmeasured(scans), SIZE, 160, um_per_px=height)[0, 0].top
        known = ScanWindows(scans, SIZE, 160, um_per_px=height)[0, 0].top
        assert torch.equal(known, ScanWindows(scans, SIZE, 160)[0, 0].top), "scans that say theirs are not asked"
    assert torch.equal(alike[5.0], ScanWindows(scans, SIZE, 160)[0, 0].top), "drawn at 5 µm"
    assert not torch.equal(alike[5.0], alike[30.0])
    assert errors[1] != errors[2], "evaluation looks for the retina by it"
    assert "error_um" in evaluate_scans(model, scans, flip_test=False).compute()


def test_a_skewed_error_distribution_s_mean_is_in_the_rows_and_not_in_the_likelihood() -> None:
    """Labels scatter about mu; reported, and compared with the labels, is mu + sigma times the mean of the errors."""
    scans = SyntheticScans(1, seed=3, noise=ScanNoise(rows=0.8, missing=0.0), lesions=0.0)
    loss = Laplace(8)
    model = model_of(loss)
    model.set_error_distribution(replace(loss.error_distribution(), mean=torch.full((8,), 0.4)))
    evaluation = BoundaryEvaluation(scans, model, loss)
    sigma = 0.8 * math.sqrt(0.5)
    for batch in scan_loader(ScanWindows(scans, SIZE, 160), 4, training=False):
        evaluation.update(batch, oracle(batch, scans, sigma, model))
    error = scans[0].rows - scans[0].truth
    figures = evaluation.compute()
    assert figures["nll"] == pytest.approx(-stats.laplace(scale=sigma).logpdf(error).sum(axis=0).mean(), rel=1e-3)
    assert figures["error_px"] == pytest.approx(abs(error - 0.4 * sigma).mean(), rel=1e-3)


def test_flip_average_of_a_skewed_error_distribution() -> None:
    model = model_of(Laplace(8)).eval()
    model.set_error_distribution(replace(model.error_distribution, mean=torch.full((8,), 0.01)))
    images = torch.rand(2, 1, *SIZE)
    with torch.inference_mode():
        one, other = model(images), model(model.mirrored(images))
        both = model.flip_average(one, other)
    torch.testing.assert_close(both.mean, ordered((one.mean + other.mean.flip(1)) / 2))
    torch.testing.assert_close(both.mu, both.mean - 0.01 * both.sigma)


def test_columns_that_are_not_measured_have_no_likelihood() -> None:
    scans = SyntheticScans(1, seed=3, noise=ScanNoise(rows=0.8, missing=0.0), lesions=0.0)
    rows = 0.8 * math.sqrt(0.5)
    evaluation = measured(Laplace(8), scans, rows, columns=40)
    scan, seen = scans[0], slice((scans[0].rows.shape[1] - 40) // 2, (scans[0].rows.shape[1] + 40) // 2)
    nats = -stats.laplace(scale=rows).logpdf(scan.rows - scan.truth).sum(axis=0)
    assert evaluation.compute()["nll"] == pytest.approx(nats[seen].mean(), rel=1e-3)
    assert nats[seen].mean() != pytest.approx(nats.mean(), rel=1e-2)


def test_boundaries_that_the_mean_moved_over_another_are_put_in_order() -> None:
    windows = {0: np.concatenate([np.array([[5.0, 1.0], [4.0, 2.0]]), np.ones((3, 2))])}
    assert stitched(windows, 2).rows.tolist() == [[5, 1], [5, 2]]
