"""People in crops on the report page."""

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
from logpose.losses import RLELoss
from logpose.models import RegressionModel, ResNet
from logpose.report.inspection import inspection_text
from logpose.tasks.options import PoseInspectOptions
from logpose.tasks.pose.evaluate import holds_people, is_json
from logpose.tasks.pose.report import inspect
from logpose.tasks.pose.task import PoseTask
from logpose.training.checkpoint import describe


def test_of_crops(page, tiny_run, coco_folder):
    shown = page(tiny_run / "best.ckpt", coco_folder)
    shown.check_figures()
    joints = shown.cells("By joint")
    assert len(joints) == 18
    assert sum(int(row[1]) for row in joints[1:]) == shown.figures["joints"]
    weighted = sum(int(row[1]) * float(row[2]) for row in joints[1:] if row[2] != "–") / shown.figures["joints"]
    assert weighted == pytest.approx(shown.figures["error_px"], rel=0.01)
    inside = sum(int(row[1]) * float(row[4]) for row in joints[1:] if row[4] != "–") / shown.figures["joints"]
    assert inside == pytest.approx(shown.figures["coverage@0.9"], abs=0.002)
    images = shown.images()
    assert set(images) == {"Examples", "Is sigma calibrated?", "The error's density", "Training"}
    assert all(picture.std() > 5 for picture in images.values())


@pytest.fixture
def spoiled(coco_folder, tmp_path):
    """The folder with two wrong rows, an area of 0, a joint that nobody has, and a person twice."""
    data = shutil.copytree(coco_folder, tmp_path / "data")
    file = data / "annotations" / "person_keypoints_train.json"
    content = json.loads(file.read_text())
    rows = content["annotations"]
    for row in rows:
        row["keypoints"][0:3] = [0, 0, 0]
    rows[1]["bbox"] = [0, 0, 5, 0]
    rows[2]["keypoints"] = rows[2]["keypoints"][:-1]
    rows[3]["area"] = 0
    rows.append({**rows[0], "id": 10_000})
    file.write_text(json.dumps(content))
    return data, file, len(rows)


def test_counts_problems_and_hints(spoiled, tmp_path):
    data, file, count = spoiled
    found = inspect(PoseInspectOptions(data=data, out=tmp_path / "out"))
    assert len(found) == 2
    facts = found[str(file)]
    assert facts["counts"]["annotations"] == count
    assert facts["counts"]["people"] == count - 2
    assert facts["problems"]["by kind"] == {"bbox has no area": 1, "keypoints must have 51 numbers (17 joints × 3)": 1}
    assert "annotation 1" in facts["problems"]["first"][0]
    assert facts["labelled"]["nose"] == 0
    assert "nobody has a label of 'nose'" in facts["hints"]
    assert any("exactly the same keypoints" in hint for hint in facts["hints"])
    assert any("area" in hint and "annotation 3" in hint for hint in facts["hints"])
    assert ["left_eye", "right_eye"] in facts["skeleton"]["mirror pairs"]
    assert cv2.imread(facts["contact_sheet"]) is not None
    json.dumps(found)


def test_joints_outside_their_boxes_are_reported(spoiled, tmp_path):
    data, file, _ = spoiled
    content = json.loads(file.read_text())
    for row in content["annotations"]:
        row["keypoints"] = [
            value for x, y, v in zip(*[iter(row["keypoints"])] * 3, strict=False) for value in (y, x, v)
        ]
    file.write_text(json.dumps(content))
    hints = inspect(PoseInspectOptions(data=data, out=tmp_path / "out"))[str(file)]["hints"]
    assert any("of the labelled joints lie outside" in hint for hint in hints)


def test_joints_without_a_known_counterpart_are_listed(numbered_folder, command, tmp_path):
    code, out, _ = command("inspect", numbered_folder, "--out", tmp_path, "--json")
    assert code == 0
    for facts in json.loads(out).values():
        assert facts["skeleton"]["mirror pairs"] == []
        assert facts["skeleton"]["without counterpart"] == [str(joint) for joint in range(1, 18)]
        assert isinstance(facts["skeleton"]["proposed pairs"], list)
        assert len([hint for hint in facts["hints"] if "--pairs" in hint]) == 1


def test_the_text_names_files_and_wrong_rows(spoiled, tmp_path):
    data, file, _ = spoiled
    found = inspect(PoseInspectOptions(data=data, out=tmp_path / "out"))
    text = inspection_text(found, PoseTask().inspection_text)
    assert str(file) in text
    assert "1 × bbox has no area" in text
    assert "wrong rows, which training leaves out: 2" in text
    assert "wrong rows, which training leaves out: none" in text


@pytest.fixture
def steady(tmp_path):
    """A checkpoint of a model that predicts all joints in the middle of every crop, with a sigma of a half."""
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
    row["keypoints"][3 * 9 : 3 * 9 + 2] = [90_000, 90_000]  # a left wrist far outside the image
    file.write_text(json.dumps(content))
    found = inspect(PoseInspectOptions(data=data, out=tmp_path / "out", model=steady))
    facts = found[str(file)]
    worst, *others = facts["unlikely labels"]
    assert (worst["id"], worst["joint"]) == (row["id"], "left_wrist")
    assert worst["px off"] > 50_000
    assert worst["px off"] > 5 * worst["px expected"]
    assert worst["minus log density"] > others[0]["minus log density"] >= others[-1]["minus log density"]
    assert len({other["id"] for other in facts["unlikely labels"]}) == len(facts["unlikely labels"])
    assert cv2.imread(facts["unlikely_sheet"]) is not None
    text = inspection_text(found, PoseTask().inspection_text)
    assert f"annotation of id {row['id']}, left_wrist: {worst['px off']:g} px off" in text
    assert [each["kind"] for each in facts["doubtful labels"] if each["id"] == row["id"]] == ["far off"]
    assert "1 × far off" in text
    json.dumps(found)


def test_a_model_of_other_joints_or_without_a_density_is_refused(coco_folder, tiny_run, tmp_path):
    data = shutil.copytree(coco_folder, tmp_path / "data")
    for file in (data / "annotations").glob("*.json"):
        content = json.loads(file.read_text())
        content["categories"][0]["keypoints"][0] = "beak"
        file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"best\.ckpt.*nose"):
        inspect(PoseInspectOptions(data=data, out=tmp_path / "out", model=tiny_run / "best.ckpt"))
    assert not (tmp_path / "out").exists()


def test_a_model_of_another_task_does_not_judge_labels(refused, lifters, coco_folder, tmp_path):
    message = refused("inspect", coco_folder, "--model", lifters["humaneva"], "--out", tmp_path / "out")
    assert str(lifters["humaneva"]) in message
    assert not (tmp_path / "out").exists()


def test_people_are_recognised_by_content(coco_folder, lifting_files, tmp_path):
    assert holds_people(coco_folder)
    assert holds_people(coco_folder / "annotations" / "person_keypoints_val.json")
    assert not holds_people(lifting_files[0])
    assert not holds_people(tmp_path / "nowhere")
    savemat(tmp_path / "joints.mat", {"joints": np.zeros((3, 14, 2))})
    savemat(tmp_path / "scan.mat", {"images": np.zeros((20, 20)), "manualLayers1": np.zeros((8, 20))})
    assert holds_people(tmp_path / "joints.mat")
    assert not holds_people(tmp_path / "scan.mat")
    (tmp_path / "named.txt").write_text("\ufeff [1]")
    (tmp_path / "photo.json").write_bytes(b"\xff\xd8")
    assert is_json(tmp_path / "named.txt")
    assert not is_json(tmp_path / "photo.json")
    assert not is_json(tmp_path)
