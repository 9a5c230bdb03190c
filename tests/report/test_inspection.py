"""Inspecting a data set: what is counted, what is told."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from scipy.io import savemat

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.data.images import read_image
from logpose.data.oct import holds_scans
from logpose.data.synthetic_oct import SyntheticScans
from logpose.losses import RLELoss
from logpose.models import RegressionModel, ResNet
from logpose.report.inspection import inspect_data, tell
from logpose.training.checkpoint import describe


@pytest.fixture
def spoiled(coco_folder, tmp_path):
    """The folder with two wrong rows, a joint that nobody has, and a person twice."""
    data = shutil.copytree(coco_folder, tmp_path / "data")
    file = data / "annotations" / "person_keypoints_train.json"
    content = json.loads(file.read_text())
    rows = content["annotations"]
    for row in rows:
        row["keypoints"][0:3] = [0, 0, 0]
    rows[1]["bbox"] = [0, 0, 5, 0]
    rows[2]["keypoints"] = rows[2]["keypoints"][:-1]
    rows.append({**rows[0], "id": 10_000})
    file.write_text(json.dumps(content))
    return data, file, len(rows)


def test_counts_problems_and_hints(spoiled, tmp_path):
    data, file, count = spoiled
    found = inspect_data(data, None, tmp_path / "out")
    assert len(found) == 2
    facts = found[str(file)]
    assert facts["counts"]["annotations"] == count
    assert facts["counts"]["people"] == count - 2
    assert facts["problems"]["by kind"] == {"bbox has no area": 1, "keypoints must have 51 numbers (17 joints × 3)": 1}
    assert "annotation 1" in facts["problems"]["first"][0]
    assert facts["labelled"]["nose"] == 0
    assert "nobody has a label of 'nose'" in facts["hints"]
    assert any("exactly the same keypoints" in hint for hint in facts["hints"])
    assert ["left_eye", "right_eye"] in facts["skeleton"]["mirror pairs"]
    assert cv2.imread(facts["contact_sheet"]) is not None
    json.dumps(found)


def test_it_is_told_in_words(spoiled, tmp_path):
    data, file, _ = spoiled
    text = tell(inspect_data(data, None, tmp_path / "out"))
    assert str(file) in text
    assert "1 × bbox has no area" in text
    assert "wrong rows, which training leaves out: 2" in text
    assert "wrong rows, which training leaves out: none" in text


@pytest.fixture
def steady(tmp_path):
    """A checkpoint that says of every crop: all joints in the middle, sigma a half."""
    model, loss = RegressionModel(ResNet(18), COCO, (64, 48)), RLELoss()
    with torch.no_grad():
        for layer in (model.fc_mu, model.fc_sigma):
            layer.weight.zero_()
    model.set_error_distribution(loss.eval().error_distribution())
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    state |= {f"loss.{name}": value for name, value in loss.state_dict().items()}
    torch.save({"state_dict": state, "logpose": describe(model, loss)}, tmp_path / "steady.ckpt")
    return tmp_path / "steady.ckpt"


def test_a_model_names_the_labels_it_finds_unlikely(coco_folder, steady, tmp_path):
    data = shutil.copytree(coco_folder, tmp_path / "data")
    file = data / "annotations" / "person_keypoints_val.json"
    content = json.loads(file.read_text())
    row = next(row for row in content["annotations"] if row["keypoints"][3 * 9 + 2] > 0)
    row["keypoints"][3 * 9 : 3 * 9 + 2] = [90_000, 90_000]  # a left wrist far outside the picture
    file.write_text(json.dumps(content))
    found = inspect_data(data, None, tmp_path / "out", steady)
    facts = found[str(file)]
    worst, *others = facts["unlikely labels"]
    assert (worst["id"], worst["joint"]) == (row["id"], "left_wrist")
    assert worst["px off"] > 50_000
    assert worst["px off"] > 5 * worst["px expected"]
    assert worst["minus log density"] > others[0]["minus log density"] >= others[-1]["minus log density"]
    assert len({other["id"] for other in facts["unlikely labels"]}) == len(facts["unlikely labels"])
    assert cv2.imread(facts["unlikely_sheet"]) is not None
    text = tell(found)
    assert f"annotation of id {row['id']}, left_wrist: {worst['px off']:g} px off" in text
    json.dumps(found)


def test_a_model_of_other_joints_or_without_a_density_is_refused(coco_folder, tiny_run, tmp_path):
    data = shutil.copytree(coco_folder, tmp_path / "data")
    for file in (data / "annotations").glob("*.json"):
        content = json.loads(file.read_text())
        content["categories"][0]["keypoints"][0] = "beak"
        file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"best\.ckpt: made for the 17 joints nose"):
        inspect_data(data, None, tmp_path / "out", tiny_run / "best.ckpt")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def scan_folder(tmp_path):
    """Three pictures of drawn B-scans, one of them twice, with tables of their boundaries; and one of noise without."""
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
    facts = inspect_data(scan_folder, None, tmp_path / "out")[str(scan_folder)]
    assert facts["counts"] == {"B-scans with labels": 4, "subjects": 4, "columns": 320}
    assert facts["height × width"] == {"96×80": 4}
    assert list(facts["labelled columns"].values()) == [290, 290, 290, 80, 290, 290, 290, 290]
    assert facts["problems"]["by kind"] == {"no CSV file of boundaries beside it": 1}
    assert "1 picture is there more than once; --folds keeps it in one part" in facts["hints"]
    assert "d: shows no retina that could be found" in facts["hints"]
    assert cv2.imread(facts["contact_sheet"]).shape == (600, 1520, 3)
    code, out, _ = command("inspect", scan_folder, "--out", tmp_path / "out")
    assert code == 0
    assert "boundary 3                      80" in out
    assert "--images, --model and --category are about people" in refused("inspect", scan_folder, "--images", tmp_path)
    assert "the height of a pixel is not known of 4, so no micrometres are told" in facts["hints"]
    code, out, _ = command("inspect", scan_folder, "--out", tmp_path / "out", "--um-per-px", "4", "--json")
    assert not any("height of a pixel" in hint for hint in json.loads(out)[str(scan_folder)]["hints"])
    assert "--um-per-px must be the height of a pixel" in refused("inspect", scan_folder, "--um-per-px", "0")
    assert "the labels of one grader, not of a second" in refused("inspect", scan_folder, "--grader", "2")


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
    assert "no B-scans, and --grader and --um-per-px are about" in refused("inspect", coco_folder, "--grader", "1")
    savemat(file, {"images": scan.image})
    assert "a.mat: has no variable 'manualLayers1'" in refused("inspect", file)
    savemat(file, {"manualLayers1": scan.rows})
    assert "a.mat: has no variable 'images'" in refused("inspect", file)
    savemat(file, {"images": scan.image, **layers}, do_compression=True)
    file.write_bytes(file.read_bytes()[:4000])
    assert "a.mat" in refused("inspect", file)


def test_poses_to_be_lifted_are_inspected(lifting_files, tmp_path, command, refused):
    file = lifting_files[0]
    code, out, _ = command("inspect", file, "--out", tmp_path / "out", "--json")
    assert code == 0
    facts = json.loads(out)[str(file)]
    assert facts["counts"]["subjects"] == 3
    assert sum(facts["frames of subjects"].values()) == facts["counts"]["frames"] == 48
    assert facts["keypoints"] == str(lifting_files[1])
    assert len(facts["joints"]) == 15
    sheet = read_image(tmp_path / "out" / f"{file.stem}.jpg")
    assert sheet.shape[0] >= 4 * 400
    assert sheet.std() > 10
    code, out, _ = command("inspect", file, "--out", tmp_path / "out")
    assert code == 0
    assert "wrong rows, which training leaves out: none" in out
    assert [line.split() for line in out.splitlines() if "Train/P1" in line] == [["Train/P1", "24"]]
    assert "poses to be lifted, and --images" in refused("inspect", file, "--category", "person")
    (alone := tmp_path / "data_3d_alone.npz").write_bytes(file.read_bytes())
    code, out, _ = command("inspect", alone, "--out", tmp_path / "out")
    assert "keypoints: cameras placed around each sequence" in out


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
