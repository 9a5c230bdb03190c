"""`logpose audit`: predictions of a program and labels, without their images, and without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest


@pytest.fixture
def files(coco_folder, tmp_path):
    """Labels without their images, and predictions that are their labels with noise."""
    labels = shutil.copy(coco_folder / "annotations" / "person_keypoints_train.json", tmp_path / "labels.json")
    rng = np.random.default_rng(0)
    rows = []
    for row in json.loads((tmp_path / "labels.json").read_text())["annotations"]:
        joints = np.array(row["keypoints"], dtype=np.float64).reshape(-1, 3)
        joints[:, :2] += rng.normal(0, 3, (len(joints), 2))
        joints[:, 2] = rng.uniform(0.2, 1, len(joints))
        rows.append({"image_id": row["image_id"], "category_id": 1, "keypoints": joints.ravel().tolist(), "score": 0.5})
    (tmp_path / "predictions.json").write_text(json.dumps(rows))
    return tmp_path / "predictions.json", labels


def test_figures_are_printed_and_written(command, files, tmp_path):
    predictions, labels = files
    code, out, err = command("audit", predictions, "--labels", labels, "--report", tmp_path / "page.html")
    assert code == 0, err
    assert out.startswith("people")
    assert "error_px" in out
    assert (tmp_path / "page.html").is_file()
    assert "no regions of scores" in err
    content = json.loads(command("audit", predictions, "--labels", labels, "--json", "--second", labels)[1])
    assert content["figures"]["recall"] == 1
    assert content["figures"]["label_std_px"] == 0
    assert len(content["joints"]) == 17
    assert content["regions"] is None


def test_torch_is_not_needed(files):
    words = ["audit", *map(str, (files[0], "--labels", files[1]))]
    check = f"import sys; from logpose.cli.main import main; main({words!r}); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True)


def test_what_cannot_be_measured_is_refused(refused, files, tmp_path):
    predictions, labels = files
    words = ("audit", predictions, "--labels", labels)
    assert "--split" in refused(*words, "--split", 1)
    kept = predictions.read_bytes()
    assert "would be overwritten" in refused(*words, "--report", predictions)
    assert "is a folder" in refused(*words, "--report", tmp_path)
    assert predictions.read_bytes() == kept
    assert "--seed" in refused(*words, "--seed", -1)
    assert "nowhere.json" in refused("audit", "nowhere.json", "--labels", labels)
    assert "nowhere.json" in refused("audit", predictions, "--labels", "nowhere.json")
    rows = json.loads(predictions.read_text())
    (tmp_path / "other.json").write_text(json.dumps([{**row, "image_id": 10**6} for row in rows]))
    assert "none of its" in refused("audit", tmp_path / "other.json", "--labels", labels)
