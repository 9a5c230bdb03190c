"""`logpose calibrate`: from a checkpoint and held-out labels to one whose predictions carry regions, in each task."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from logpose import load_model


def calibrated(command, checkpoint, data, *words):
    code, out, err = command("calibrate", checkpoint, "--data", data, "--json", *words)
    assert code == 0, err
    return json.loads(out), err


@pytest.mark.usefixtures("thin_resnets")
def test_a_checkpoint_of_training_is_calibrated_in_place(command, tiny_run, coco_folder, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    before = load_model(run)
    figures, _ = calibrated(
        command, run, coco_folder, "--level", 0.5, 0.6, "--group", "person", "--report", tmp_path / "page.html"
    )
    assert figures["groups"] > 8
    assert figures["group"] == "person"
    model = load_model(run)
    assert model.calibration.levels == (0.5, 0.6)
    assert all(map(np.array_equal, model.state_dict().values(), before.state_dict().values()))
    assert "coverage before" in (tmp_path / "page.html").read_text()
    command("predict", run, coco_folder / "val", "--looks", 1, "--save-json", tmp_path / "out.json",
            "--save-npz", tmp_path / "out.npz")  # fmt: skip
    row = json.loads((tmp_path / "out.json").read_text())[0]
    assert list(row["radius"]) == ["0.5", "0.6"]
    radius = model.calibration.radii[0, :, 1].repeat(2)
    assert row["radius"]["0.6"] == pytest.approx(row["sigma"] * radius, abs=2e-3 * radius.max())
    assert np.load(tmp_path / "out.npz")["radius_0.6"].shape[1:] == (17, 2)
    assert "it replaces the one on" in calibrated(command, run, coco_folder, "--level", 0.5)[1]


@pytest.mark.usefixtures("thin_resnets")
def test_a_folder_is_copied_and_the_original_is_left_alone(command, tiny_run, coco_folder, tmp_path):
    folder, other = tmp_path / "model", tmp_path / "other"
    command("convert", tiny_run / "best.ckpt", "--out", folder)
    calibrated(command, folder, coco_folder, "--level", 0.5, "--out", other)
    assert load_model(folder).calibration is None
    assert load_model(other).calibration.levels == (0.5,)
    calibrated(command, folder, coco_folder, "--level", 0.5, "--by", "joint,size")
    assert load_model(folder).calibration.radii.shape == (3, 17, 1)
    command("convert", folder, "--out", tmp_path / "again")
    assert load_model(tmp_path / "again").calibration.config() == load_model(folder).calibration.config()


def test_what_cannot_be_calibrated_is_refused_and_nothing_is_written(command, refused, tiny_run, coco_folder, tmp_path):
    run = tmp_path / "best.ckpt"
    shutil.copy(tiny_run / "best.ckpt", run)
    before = run.read_bytes()
    words = ("calibrate", run, "--data", coco_folder)
    assert "--level" in refused(*words, "--level", 1.5)
    few = "level 0.95 needs 24 labelled images or more, of which a fifth measures them, got 8"
    for flags, token in (((), few), (("--part", "train"), "was trained on")):
        code, out, err = command(*words, *flags)
        assert (code, out) == (2, "")
        assert token in err.splitlines()[-1]
    enough = (*words, "--level", 0.5)
    labels = coco_folder / "annotations" / "person_keypoints_val.json"
    kept = labels.read_bytes()
    assert "would be overwritten" in refused("calibrate", run, "--data", labels, "--level", 0.5, "--out", labels)
    assert "would be overwritten" in refused("calibrate", run, "--data", labels, "--level", 0.5, "--report", labels)
    page = tmp_path / "page.html"
    assert "written twice" in refused(*enough, "--out", page, "--report", page)
    assert "is a folder" in refused(*enough, "--out", tmp_path)
    assert command(*enough, "--report", "/proc/none/page.html")[0] == 2
    assert run.read_bytes() == before
    assert labels.read_bytes() == kept
