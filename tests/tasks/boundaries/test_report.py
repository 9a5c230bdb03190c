"""B-scans on the report page and in `logpose inspect`."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest
import torch
from scipy.io import savemat

from logpose.data.oct import holds_scans, unlabelled_scans
from logpose.data.scans import RETINA
from logpose.data.synthetic_oct import ScanNoise, SyntheticScans
from logpose.flows import RealNVP
from logpose.losses import Laplace, RLELoss
from logpose.models import BoundaryModel
from logpose.tasks.boundaries.predict import Segmenter
from logpose.tasks.boundaries.report import inspect
from logpose.tasks.options import BoundaryInspectOptions
from logpose.training.checkpoint import save


@pytest.fixture
def scan_folder(tmp_path):
    """Three images of synthetic B-scans, one of them twice, with tables of their boundaries; one of noise without."""
    folder = tmp_path / "scans"
    folder.mkdir()
    scans = SyntheticScans(2, seed=1, size=(96, 80))
    for name, i in (("a", 0), ("b", 1), ("c", 1)):
        cv2.imwrite(str(folder / f"{name}.png"), scans[i].image)
        rows = scans[i].rows.copy()
        rows[3] = np.nan
        rows[:, :10] = np.nan
        head = ",".join(f"boundary {k}" for k in range(8))
        np.savetxt(folder / f"{name}.csv", rows.T, delimiter=",", header=head, comments="")
    noise = np.random.default_rng(0).normal(60, 15, (96, 80)).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(folder / "d.png"), noise)
    np.savetxt(folder / "d.csv", scans[0].rows.T, delimiter=",", header=head, comments="")
    cv2.imwrite(str(folder / "e.png"), noise)
    return folder


def test_scans_are_inspected_too(scan_folder, tmp_path, command, refused):
    options = BoundaryInspectOptions(data=scan_folder, out=tmp_path / "out")
    facts = inspect(options)[str(scan_folder)]
    assert facts["counts"] == {"B-scans with labels": 4, "subjects": 4, "columns": 320}
    assert facts["height × width"] == {"96×80": 4}
    assert list(facts["labelled columns"].values()) == [290, 290, 290, 80, 290, 290, 290, 290]
    assert facts["problems"]["by kind"] == {"no CSV file of boundaries": 1}
    assert any("more than once" in hint and "--folds" in hint for hint in facts["hints"])
    assert any(hint.startswith("d: ") for hint in facts["hints"])
    assert cv2.imread(facts["contact_sheet"]).shape == (600, 1520, 3)
    code, out, _ = command("inspect", scan_folder, "--out", tmp_path / "out")
    assert code == 0
    assert "boundary 3                      80" in out
    message = refused("inspect", scan_folder, "--images", tmp_path)
    assert message.startswith("logpose: --images: ")
    assert "pose, detection and wrapping" in message
    assert any("height of a pixel is not known of 4" in hint for hint in facts["hints"])
    code, out, _ = command("inspect", scan_folder, "--out", tmp_path / "out", "--um-per-px", "4", "--json")
    assert not any("height of a pixel" in hint for hint in json.loads(out)[str(scan_folder)]["hints"])
    assert "--um-per-px" in refused("inspect", scan_folder, "--um-per-px", "0")
    assert "grader" in refused("inspect", scan_folder, "--grader", "2")


def test_a_folder_of_scans_may_be_the_one_that_one_is_in(scan_folder, tmp_path, command, monkeypatch):
    """And may hold what `predict` has written, which is no annotation file."""
    (scan_folder / "out.json").write_text(
        '[{"file_name": "a.png", "scan": "a", "boundaries": ["ILM"], "rows": [[1.0]]}]'
    )
    monkeypatch.chdir(scan_folder)
    code, out, err = command("inspect", ".", "--out", tmp_path / "out", "--json")
    assert code == 0, err
    assert json.loads(out)["."]["contact_sheet"] == str(tmp_path / "out" / "scans.jpg")
    assert (tmp_path / "out" / "scans.jpg").is_file()


def test_scans_in_matlab_files_are_inspected_and_broken_ones_named(coco_folder, tmp_path, command, refused):
    scan, file = SyntheticScans(1, seed=1, size=(96, 80))[0], tmp_path / "a.mat"
    layers = {f"manualLayers{grader}": scan.rows + grader for grader in (1, 2)}
    layers["manualLayers2"][:, 30:] = np.nan
    savemat(file, {"images": scan.image, **layers})
    for grader, columns in (("1", 80), ("2", 30)):
        code, out, _ = command("inspect", file, "--out", tmp_path / "out", "--grader", grader, "--json")
        assert code == 0
        assert set(json.loads(out)[str(file)]["labelled columns"].values()) == {columns}
    message = refused("inspect", coco_folder, "--grader", "1")
    assert message.startswith("logpose: --grader: ")
    assert "boundaries" in message
    savemat(file, {"images": scan.image})
    assert "manualLayers1" in refused("inspect", file)
    savemat(file, {"manualLayers1": scan.rows})
    assert "images" in refused("inspect", file)
    savemat(file, {"images": scan.image, **layers}, do_compression=True)
    file.write_bytes(file.read_bytes()[:4000])
    assert "a.mat" in refused("inspect", file)


def test_what_holds_scans(scan_folder, coco_folder, tmp_path):
    assert holds_scans(scan_folder)
    assert not holds_scans(scan_folder / "a.png")
    (scan_folder / "labels.json").write_text('{"info": {}, "images": []}')
    assert not holds_scans(scan_folder)
    assert not holds_scans(coco_folder)
    assert not holds_scans(tmp_path / "nowhere")
    savemat(tmp_path / "a.mat", {"images": np.zeros((20, 20)), "manualLayers1": np.zeros((8, 20))})
    savemat(tmp_path / "joints.mat", {"joints": np.zeros((3, 14, 2))})
    assert holds_scans(tmp_path / "a.mat")
    assert not holds_scans(tmp_path / "joints.mat")


@pytest.fixture
def scans_file(tmp_path):
    """A `.mat` file in the Duke layout of three synthetic scans, one of them with columns that nobody labelled."""
    scans = SyntheticScans(3, seed=2, noise=ScanNoise(missing=0.2))
    parts = [scans[i] for i in range(3)]
    savemat(
        tmp_path / "Subject_01.mat",
        {
            "images": np.stack([s.image for s in parts], axis=-1),
            "manualLayers1": np.stack([s.rows + 1 for s in parts], axis=-1),
        },
    )
    return tmp_path / "Subject_01.mat"


@pytest.mark.parametrize("likely", [True, False])
def test_of_boundaries(page, scans_file, tmp_path, likely):
    torch.manual_seed(0)
    model = BoundaryModel(SyntheticScans(1).skeleton, (112, 64), channels=2, depth=1, cells=2, shown=160)
    loss = RLELoss(RealNVP(8, hidden=(8, 8)), dim=8).eval() if likely else None
    if loss is not None:
        model.set_error_distribution(loss.error_distribution())
    save(model, loss, tmp_path / "model")
    shown = page(tmp_path / "model", scans_file)
    names = model.skeleton.joints
    shown.check_figures(elsewhere=len(names))
    rows = shown.cells("By boundary")
    assert [row[0] for row in rows[1:]] == list(names)
    for row in rows[1:]:
        assert float(row[2]) == pytest.approx(shown.figures[f"error_px_{row[0]}"], abs=0.006)
    images = shown.images()
    assert images["Examples"].shape[1] == 960
    assert ("trained without a likelihood" in shown.text) != likely
    if likely:
        inside = np.average([float(row[4]) for row in rows[1:]], weights=[int(row[1]) for row in rows[1:]])
        assert inside == pytest.approx(shown.figures["band@0.9"], abs=0.001)
        assert {"Is sigma calibrated?", "The error's density"} < set(images)
        assert "–" not in {row[4] for row in rows[1:]}


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
