"""`logpose eval` of boundary models: which scans, which columns, which figures."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from scipy.io import loadmat, savemat

from logpose.data.images import read_image
from logpose.data.oct import open_scans
from logpose.data.scans import RETINA
from logpose.data.synthetic_oct import SyntheticScans
from logpose.flows import RealNVP
from logpose.losses import RLELoss
from logpose.models import BoundaryModel
from logpose.training.checkpoint import load, save


@pytest.fixture(scope="module")
def boundary_files(tmp_path_factory):
    """A checkpoint of an untrained model of boundaries, and a file of two labelled B-scans of both graders."""
    import torch

    from logpose.training.checkpoint import save

    folder = tmp_path_factory.mktemp("boundaries")
    torch.manual_seed(0)
    loss = RLELoss(RealNVP(8, hidden=(8, 8)), dim=8)
    model = BoundaryModel(RETINA, (64, 32), channels=2, depth=1, cells=2)
    model.set_error_distribution(loss.eval().error_distribution())
    save(model, loss, folder / "model")
    scans = SyntheticScans(2, seed=1, size=(96, 80))
    layers = np.stack([scans[i].rows + 1 for i in range(2)], axis=-1)
    images = np.stack([scans[i].image for i in range(2)], axis=-1)
    savemat(folder / "scans.mat", {"images": images, "manualLayers1": layers, "manualLayers2": layers + 2})
    return folder / "model", folder / "scans.mat"


def test_figures_of_boundaries(command, boundary_files):
    model, file = boundary_files
    code, out, err = command("eval", model, file, "--json", "--device", "cpu")
    assert code == 0
    assert "2 B-scans of scans" in err
    figures = json.loads(out)
    assert (figures["scans"], figures["columns"]) == (2, 160)
    assert {"error_px", "rmse_px", "p95_px", "nll", "band@0.9", "coverage@0.9", "error_px_BM"} <= figures.keys()
    assert "error_um" not in figures
    words = ("--columns", 20, "--um-per-px", 4, "--grader", 2, "--no-flip-test", "--json")
    code, out, _ = command("eval", model, file, "--device", "cpu", *words)
    assert code == 0
    other = json.loads(out)
    assert other["columns"] == 40
    assert other["error_um"] == pytest.approx(4 * other["error_px"])
    assert other["error_px"] != pytest.approx(figures["error_px"], abs=0.01)


def test_scans_that_were_learned_from_are_left_out(command, refused, boundary_files, tmp_path):
    from logpose.training.checkpoint import load, save

    checkpoint, file = boundary_files
    model, loss = load(checkpoint)
    model.learned_from = (open_scans(file)[1].fingerprint, "another")
    save(model, loss, tmp_path / "model")
    found = {}
    for part in (None, "val", "train", "all"):
        words = ("--part", part) if part else ()
        code, out, err = command("eval", tmp_path / "model", file, "--json", "--device", "cpu", *words)
        assert code == 0
        found[part] = json.loads(out)
        assert ("1 B-scans of scans; 1 of the training data are left out" in err) is (part in (None, "val"))
        assert ("trained on 1 of the 2 B-scans" in err) is (part == "all")
    assert [found[part]["scans"] for part in (None, "val", "train", "all")] == [1, 1, 1, 2]
    assert found[None] == found["val"]
    command("eval", tmp_path / "model", file, "--device", "cpu", "--save-images", tmp_path / "seen")
    assert [picture.name for picture in (tmp_path / "seen").iterdir()] == ["scans-0-boundaries.png"]
    height, width, _ = read_image(tmp_path / "seen" / "scans-0-boundaries.png").shape
    assert width == 2 * 80
    assert height > 2 * 96, "names stand below"
    assert (height - 2 * 96) % 22 == 0
    assert found["all"]["error_px"] == pytest.approx((found["val"]["error_px"] + found["train"]["error_px"]) / 2)
    model.learned_from = tuple(scan.fingerprint for scan in open_scans(file).scans)
    save(model, loss, tmp_path / "model")
    message = refused("eval", tmp_path / "model", file)
    assert str(file) in message
    assert "--part all" in message


def test_boundaries_of_a_model_that_has_diverged_are_not_drawn(command, boundary_files, tmp_path):
    checkpoint, file = boundary_files
    model, loss = load(checkpoint)
    with torch.no_grad():
        model.output.bias[0] = torch.nan
    save(model, loss, tmp_path / "nan")
    words = ("--device", "cpu", "--save-images", tmp_path / "seen", "--report", tmp_path / "page.html")
    code, out, err = command("eval", tmp_path / "nan", file, *words)
    assert (code, out) == (2, "")
    assert f"{tmp_path / 'nan'}: " in err.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nan"]


def test_columns_without_a_label_are_not_measured(command, boundary_files, tmp_path):
    """The model is sound: what lacks is labels."""

    checkpoint, file = boundary_files
    content = {key: value for key, value in loadmat(file).items() if not key.startswith("__")}
    content["manualLayers1"][:, 20:] = np.nan
    savemat(tmp_path / "left.mat", content)
    words = ("eval", checkpoint, tmp_path / "left.mat", "--device", "cpu", "--columns")
    code, out, err = command(*words, 20)
    assert (code, out) == (2, "")
    assert "left.mat: " in err.splitlines()[-1]
    assert "20 columns" in err
    assert command(*words, 60)[0] == 0


def test_where_no_column_has_every_label_the_page_says_so(command, boundary_files, tmp_path):

    checkpoint, file = boundary_files
    content = {key: value for key, value in loadmat(file).items() if not key.startswith("__")}
    content["manualLayers1"][3] = np.nan
    savemat(tmp_path / "part.mat", content)
    words = ("eval", checkpoint, tmp_path / "part.mat", "--device", "cpu", "--json")
    code, out, err = command(*words, "--report", tmp_path / "page.html")
    assert code == 0, err
    figures = json.loads(out)
    assert {"band@0.9", "std_px", "sigma_rank"} <= figures.keys()
    assert not {"coverage@0.9", "nll"} & figures.keys()
    page = (tmp_path / "page.html").read_text()
    assert "No column has a label of every boundary" in page
    assert "trained without a likelihood" not in page


def test_what_is_not_about_boundaries_is_refused(refused, boundary_files, lifters, lifting_files, tmp_path):

    model, file = boundary_files
    message = refused("eval", model, file, "--boxes", "b.json")
    assert message.startswith("logpose: --boxes: ")
    assert "boundaries" in message
    assert "--cameras: " in refused("eval", model, file, "--cameras", 2)
    message = refused("eval", lifters["humaneva"], lifting_files[0], "--columns", 5)
    assert message.startswith("logpose: --columns: ")
    assert "--columns must be at least 1, got 0" in refused("eval", model, file, "--columns", 0)
    assert "--um-per-px" in refused("eval", model, file, "--um-per-px", -1)
    assert "nowhere.mat" in refused("eval", model, "nowhere.mat")
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 30), dtype=np.uint8))
    np.savetxt(tmp_path / "a.csv", np.full((3, 30), 5.0), delimiter=",")
    message = refused("eval", model, tmp_path)
    assert str(model) in message
    assert f"{tmp_path} has 3: boundary 1, boundary 2, boundary 3" in message


def test_calibration_is_by_scans_and_of_each_boundary(command, boundary_files, tmp_path):
    shutil.copytree(boundary_files[0], model := tmp_path / "model")
    words = ("calibrate", model, "--data", boundary_files[1], "--json", "--device", "cpu", "--level", 0.5)
    code, out, err = command(*words)
    assert code == 0, err
    assert json.loads(out)["groups"] == 2
    calibration = load(model)[0].calibration
    assert len(set(calibration.factor)) == 1, "the density is that of all boundaries together"
    assert calibration.radii.shape == (1, 8, 1)
    figures = json.loads(command("eval", model, boundary_files[1], "--json", "--device", "cpu")[1])
    # On what it was calibrated on; of two scans the quantile is that of (2 + 1) / 2 of them.
    assert figures["band@0.5"] == pytest.approx(0.75, abs=0.01)
