"""From B-scans to boundaries in their own rows, and what is no B-scan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.io import savemat

from logpose.core.errors import InputError
from logpose.core.skeletons import H36M_LIFTING
from logpose.core.structures import Prediction
from logpose.data.oct import unlabelled_scans
from logpose.data.scans import RETINA, Scan
from logpose.data.synthetic_oct import SyntheticScans
from logpose.losses import L1Loss, Laplace
from logpose.models import BoundaryModel, LiftingModel
from logpose.tasks.boundaries.predict import Boundaries, Segmenter, boundary_rows
from logpose.training.checkpoint import save

SIZE = (64, 32)


class Steady(BoundaryModel):
    """Says that boundaries lie at a tenth, two tenths, … of the crop, and that it is as sure everywhere."""

    def forward(self, images: torch.Tensor) -> Prediction:
        places = torch.arange(1, 9) / 10 - 0.5
        mu = places.expand(len(images), SIZE[1], 8).clone()
        sigma = torch.full_like(mu, 0.02)
        return Prediction(mu, sigma, 1 - sigma.mean(dim=-1), self.error_distribution)


def steady() -> Steady:
    model = Steady(RETINA, SIZE, channels=2, depth=1, cells=2, shown=128)
    model.set_error_distribution(Laplace(8).eval().error_distribution())
    return model


def test_rows_are_the_scan_s_own_and_parallel_to_the_membrane() -> None:
    scan = SyntheticScans(1, seed=3, lesions=0.0)[0]
    found = Segmenter(steady(), "cpu")(scan.image)
    assert found.rows.shape == found.sigma.shape == found.band.shape == (8, 128)
    # In the crop lines are straight and 6.4 rows apart, and the crop shows twice as many rows as it has.
    assert np.allclose(np.diff(found.rows, axis=0), 12.8, atol=1e-4)
    assert np.allclose(found.sigma, 0.02 * 128 * np.sqrt(2), rtol=0.02)
    assert np.allclose(found.band / found.sigma, -np.log(0.1) / np.sqrt(2), rtol=0.03)
    # The membrane lies at 11 of 14 parts of the crop, that is at 7.857 tenths.
    membrane = found.rows[7] - (0.8 - 11 / 14) * 128
    assert np.abs(membrane - scan.truth[7]).mean() < 5


def test_the_mirror_changes_nothing_where_all_columns_are_alike() -> None:
    scan = SyntheticScans(1, seed=3)[0]
    plain, both = (Segmenter(steady(), "cpu", flip_test=flip)(scan.image) for flip in (False, True))
    assert np.allclose(plain.rows, both.rows)


@pytest.mark.parametrize("form", [lambda x: x / 255, lambda x: x.astype(np.uint16) * 257, lambda x: np.dstack([x] * 3)])
def test_scans_in_other_forms(form: Callable[[np.ndarray], np.ndarray]) -> None:
    scan = SyntheticScans(1, seed=3)[0]
    segmenter = Segmenter(steady(), "cpu")
    expected = segmenter(scan.image).rows
    np.testing.assert_array_equal(segmenter(form(scan.image)).rows, expected)


def test_a_model_without_a_likelihood_has_no_bands() -> None:
    model = BoundaryModel(RETINA, SIZE, predicts_sigma=False, channels=2, depth=1, cells=2)
    found = Segmenter(model, "cpu")(SyntheticScans(1, seed=3)[0].image)
    assert np.isnan(found.sigma).all()
    row = boundary_rows("a.mat", "a-0", found)
    assert row["sigma"] is None
    assert row["band90"] is None
    assert len(row["rows"]) == 8
    assert len(row["rows"][0]) == 128


def test_plain_values_say_what_they_are() -> None:
    rows = np.array([[1.23456, 2.0], [3.0, 4.0]])
    assert boundary_rows("a.png", "a", Boundaries(RETINA, rows, rows / 10, rows / 5)) == {
        "file_name": "a.png",
        "scan": "a",
        "boundaries": list(RETINA.joints),
        "rows": [[1.235, 2.0], [3.0, 4.0]],
        "sigma": [[0.123, 0.2], [0.3, 0.4]],
        "band90": [[0.247, 0.4], [0.6, 0.8]],
        "faint": False,
    }


def test_scans_come_from_pictures_and_from_matlab_files(tmp_path: Path) -> None:
    scans = SyntheticScans(2, seed=3, size=(96, 70))
    savemat(tmp_path / "a.mat", {"images": np.stack([scans[i].image for i in range(2)], axis=-1)})
    cv2.imwrite(str(tmp_path / "b.png"), scans[1].image)
    found = [*unlabelled_scans(tmp_path / "a.mat"), *unlabelled_scans(tmp_path / "b.png")]
    assert [scan.name for scan in found] == ["a-0", "a-1", "b"]
    for scan, i in zip(found, (0, 1, 1), strict=True):
        assert np.array_equal(scan.image, scans[i].image)
        assert scan.um_per_px is None
    savemat(tmp_path / "c.mat", {"images": scans[0].image, "um_per_px": 2.5})
    assert [scan.um_per_px for scan in unlabelled_scans(tmp_path / "c.mat")] == [2.5]
    assert [scan.um_per_px for scan in unlabelled_scans(tmp_path / "c.mat", 3.0)] == [3.0]
    assert [scan.um_per_px for scan in unlabelled_scans(tmp_path / "b.png", 3.0)] == [3.0]


def test_the_height_of_a_pixel_goes_into_where_the_retina_is_looked_for() -> None:
    """The same eye, with rows half as high: the model is told that they are, and finds the same membrane."""
    scan = SyntheticScans(1, seed=3, lesions=0.0)[0]
    tall = cv2.resize(scan.image, None, fx=1, fy=2, interpolation=cv2.INTER_LINEAR)
    fine = Segmenter(steady(), "cpu")(Scan(tall, scan.rows, "tall", "", 3.87 / 2))
    membrane = fine.rows[7] - (0.8 - 11 / 14) * 128
    assert np.abs(membrane - 2 * scan.truth[7] - 0.5).mean() < 10


def test_a_scan_without_a_retina_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    scan = SyntheticScans(1, seed=3)[0]
    assert not Segmenter(steady(), "cpu")(scan).faint
    assert not caplog.records
    noise = np.random.default_rng(0).normal(60, 20, (200, 128)).clip(0, 255).astype(np.uint8)
    assert Segmenter(steady(), "cpu")(Scan(noise, scan.rows, "eye-3", "")).faint
    assert [record.message for record in caplog.records] == ["eye-3: no retina detected"]


def test_a_checkpoint_is_read_and_another_kind_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = BoundaryModel(RETINA, SIZE, channels=2, depth=1, cells=2).eval()
    loss = Laplace(8)
    model.set_error_distribution(loss.error_distribution())
    save(model, loss, tmp_path / "model")
    image = SyntheticScans(1, seed=3)[0].image
    assert np.allclose(Segmenter(tmp_path / "model", "cpu")(image).rows, Segmenter(model, "cpu")(image).rows)
    save(LiftingModel("fc", H36M_LIFTING, settings={"width": 8}), None, tmp_path / "lifts")
    with pytest.raises(InputError, match="lifts: does not find boundaries in B-scans"):
        Segmenter(tmp_path / "lifts")


def test_what_cannot_be_segmented() -> None:
    with pytest.raises(InputError, match="8×30 pixels is too small"):
        Segmenter(steady(), "cpu")(np.zeros((8, 30), dtype=np.uint8))
    coloured = np.zeros((40, 30, 3), np.uint8)
    coloured[3, 4, 1] = 1
    for wrong in (coloured, np.full((40, 30), 300), np.zeros((40, 30, 2), np.uint8), None):
        with pytest.raises(InputError, match="grey"):
            Segmenter(steady(), "cpu")(wrong)
    model = BoundaryModel(RETINA, SIZE, predicts_sigma=False, channels=2, depth=1, cells=2)
    model.set_error_distribution(L1Loss(8).error_distribution())
    with torch.no_grad():
        model.output.bias.fill_(torch.nan)
    with pytest.raises(InputError, match="has diverged"):
        Segmenter(model, "cpu")(np.zeros((40, 30), dtype=np.uint8))


def test_a_scan_that_is_black_or_narrow_is_segmented_all_the_same() -> None:
    for shape in ((64, 20), (40, 33), (300, 70)):
        assert Segmenter(steady(), "cpu")(np.zeros(shape, dtype=np.uint8)).rows.shape == (8, shape[1])


def test_the_retina_is_looked_for_by_the_model_s_height_of_pixels() -> None:
    torch.manual_seed(0)
    scan = SyntheticScans(1, seed=3)[0]
    model = BoundaryModel(SyntheticScans(1).skeleton, (112, 64), channels=2, depth=1, cells=2, shown=160)
    found = {}
    for height in (5.0, 30.0):
        model.um_per_px = height
        found[height] = Segmenter(model, "cpu")(scan.image).rows
    np.testing.assert_allclose(
        found[5.0], Segmenter(model, "cpu")(scan).rows, err_msg="drawn at 5 µm, which counts more"
    )
    assert not np.allclose(found[5.0], found[30.0])
