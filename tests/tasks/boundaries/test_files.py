"""`logpose predict` on files of B-scans."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest
import torch
from scipy.io import savemat

from logpose.data.oct import unlabelled_scans
from logpose.data.scans import RETINA
from logpose.data.synthetic_oct import SyntheticScans
from logpose.losses import Laplace
from logpose.models import BoundaryModel
from logpose.tasks.boundaries.predict import Segmenter
from logpose.training.checkpoint import save


@pytest.fixture(scope="module")
def finder(tmp_path_factory):
    """The checkpoint of an untrained model of boundaries."""

    torch.manual_seed(0)
    model = BoundaryModel(RETINA, (64, 32), channels=2, depth=1, cells=2)
    model.set_error_distribution(Laplace(8).error_distribution())
    folder = tmp_path_factory.mktemp("finder") / "model"
    save(model, Laplace(8), folder)
    return folder


@pytest.fixture
def scan_files(tmp_path):
    """A folder with a `.mat` file of two B-scans and a picture of a wider one of the same name."""

    scans = SyntheticScans(2, seed=1, size=(96, 70))
    (folder := tmp_path / "scans").mkdir()
    savemat(folder / "a.mat", {"images": np.stack([scans[i].image for i in range(2)], axis=-1)})
    cv2.imwrite(str(folder / "a.png"), SyntheticScans(1, seed=2, size=(96, 90))[0].image)
    return folder


def test_boundaries_are_written_in_every_form(command, finder, scan_files, tmp_path):

    words = ("--save-json", tmp_path / "o.json", "--save-npz", tmp_path / "o.npz", "--save-images", tmp_path / "o")
    code, out, err = command("predict", finder, scan_files, "--device", "cpu", *words)
    assert (code, out) == (0, "")
    assert err.count("wrote") == 3
    rows = json.loads((tmp_path / "o.json").read_text())
    assert [(row["file_name"], row["scan"]) for row in rows] == [("a.mat", "a-0"), ("a.mat", "a-1"), ("a.png", "a")]
    images = [scan.image for file in ("a.mat", "a.png") for scan in unlabelled_scans(scan_files / file)]
    expected = [Segmenter(finder, "cpu")(image) for image in images]
    for row, found in zip(rows, expected, strict=True):
        assert np.allclose(row["rows"], found.rows, atol=1e-3)
        assert np.allclose(row["sigma"], found.sigma, atol=1e-3)
        assert np.allclose(row["band90"], found.band, atol=1e-3)
    with np.load(tmp_path / "o.npz", allow_pickle=False) as arrays:
        assert arrays["rows"].shape == (3, 8, 90)
        assert np.isnan(arrays["rows"][:2, :, 70:]).all()
        assert np.allclose(arrays["rows"][2], expected[2].rows)
        assert arrays["boundaries"][7] == "BM"
    names = sorted(path.name for path in (tmp_path / "o").iterdir())
    assert names == ["a-0-boundaries.png", "a-1-boundaries.png", "a-boundaries.png"]


def test_boundaries_are_printed_as_csv_or_json(command, finder, scan_files):

    code, out, _ = command("predict", finder, scan_files / "a.png", "--device", "cpu")
    assert code == 0
    lines = list(csv.reader(out.splitlines()))
    assert lines[0][:4] == ["file", "scan", "column", "ILM"]
    assert [lines[0][i] for i in (10, 11, 18, 19, 26)] == ["BM", "sigma ILM", "sigma BM", "band90 ILM", "band90 BM"]
    assert len(lines) == 91
    assert {len(line) for line in lines} == {27}
    assert lines[5][:3] == ["a.png", "a", "4"]
    assert float(lines[5][3]) <= float(lines[5][10])
    assert all(0 < float(sigma) < float(band) for sigma, band in zip(lines[5][11:19], lines[5][19:], strict=True))
    code, out, _ = command("predict", finder, scan_files / "a.png", "--device", "cpu", "--json", "--flip-test")
    assert code == 0
    assert len(json.loads(out)[0]["rows"]) == 8


def test_what_is_not_about_boundaries_is_refused(refused, finder, scan_files, tmp_path):
    message = refused("predict", finder, scan_files, "--boxes", "b.json")
    assert message.startswith("logpose: --boxes: ")
    assert "pose models" in message
    assert "--picture: " in refused("predict", finder, scan_files, "--picture", "5x5")
    assert "nowhere: " in refused("predict", finder, "nowhere")
    (tmp_path / "empty").mkdir()
    assert f"{tmp_path / 'empty'}: " in refused("predict", finder, tmp_path / "empty")
    (scan_files / "b.png").write_bytes(b"no picture")
    assert "b.png: " in refused("predict", finder, scan_files, "--save-json", tmp_path / "o.json")
    assert not (tmp_path / "o.json").exists()
    (scan_files / "c.mat").write_bytes(b"no such file")
    (scan_files / "b.png").unlink()
    assert "c.mat: " in refused("predict", finder, scan_files, "--save-images", tmp_path / "i")
    assert not (tmp_path / "i").exists()
