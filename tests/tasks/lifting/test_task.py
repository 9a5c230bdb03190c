"""`logpose eval` of lifting models: which frames, which keypoints, which figures."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest

from logpose import load_model
from logpose.core.skeletons import HUMANEVA
from logpose.data.archive import read_archive
from logpose.data.lifting import LiftingPoses
from logpose.data.windows import Windows, window_loader
from logpose.tasks.lifting.evaluate import LiftingEvaluation
from logpose.training.checkpoint import load, save


@pytest.mark.parametrize("flip_test", [True, False])
def test_figures_are_those_of_the_evaluation(command, lifters, lifting_files, flip_test):
    flags = () if flip_test else ("--no-flip-test",)
    code, out, err = command(
        "eval", lifters["windows"], lifting_files[0], "--subjects", "Val", "--json", "--device", "cpu", *flags
    )
    assert code == 0
    assert "24 frames of Val/P1, Val/P2" in err
    model, loss = load(lifters["windows"])
    poses = LiftingPoses(*lifting_files, subjects=["Val"])
    evaluation = LiftingEvaluation(poses, model, loss)
    for batch in window_loader(Windows(poses, 9), 64, training=False):
        evaluation.update(batch, model.predict(batch, flip_test))
    figures = json.loads(out)
    assert figures == pytest.approx(evaluation.compute(), rel=1e-4)
    assert {"mpjpe", "pa_mpjpe", "mpjpe_mean", "nll", "coverage@0.9", "mpjpe_walk"} <= figures.keys()


def test_figures_are_printed_for_people_and_subjects_chosen(command, lifters, lifting_files):
    words = (lifting_files[0], "--subjects", "Val/P2", "Train/P1", "--batch-size", 5)
    code, out, _ = command("eval", lifters["unsure"], *words)
    assert code == 0
    figures = {name: float(value) for name, value in map(str.split, out.splitlines())}
    assert figures["frames"] == 34
    assert math.isfinite(figures["mpjpe"])
    assert "nll" not in figures


def test_without_keypoints_cameras_are_placed_around(command, lifters, lifting_files, tmp_path):
    (data := tmp_path / "data_3d_alone.npz").write_bytes(lifting_files[0].read_bytes())
    found = {}
    for flags in (
        (),
        ("--camera-seed", 3),
        ("--cameras", 1),
        ("--keypoints", lifting_files[1], "--picture", "480x640"),
    ):
        code, out, err = command("eval", lifters["humaneva"], data, "--json", *flags)
        assert code == 0
        assert ("synthetic cameras around each sequence" in err) == ("--keypoints" not in flags)
        found[flags] = json.loads(out)
    frames = [figures["frames"] for figures in found.values()]
    assert frames == [96, 96, 24, 48]
    assert len({figures["mpjpe"] for figures in found.values()}) == 4


@pytest.fixture
def detected(lifting_files, tmp_path):
    """Keypoints of `lifting_files` by a detector with an error of some pixels."""
    table = read_archive(lifting_files[1])["positions_2d"]
    rng = np.random.default_rng(0)
    found = {s: {a: [v + rng.normal(0, 4, v.shape) for v in vs] for a, vs in d.items()} for s, d in table.items()}
    np.savez(file := tmp_path / "data_2d_x_found.npz", positions_2d=found)
    return file


def test_a_detector_s_keypoints_are_lifted_through_the_exact_ones_cameras(command, lifters, lifting_files, detected):
    figures = {}
    for flags in ((), ("--detected", detected), ("--detected", detected, "--keypoints", lifting_files[1])):
        code, out, err = command("eval", lifters["humaneva"], lifting_files[0], "--json", *flags)
        assert code == 0
        assert f"the keypoints of {detected if flags else lifting_files[1]}" in err
        figures[flags] = json.loads(out)
    exact, found, named = figures.values()
    assert found == named
    assert exact["frames"] == found["frames"]
    assert exact["mpjpe"] != found["mpjpe"]
    assert abs(exact["mpjpe"] - found["mpjpe"]) < 0.05 * exact["mpjpe"], "an untrained model hardly looks"


def test_detections_that_cannot_be_are_refused(
    refused, lifters, lifting_files, detected, tmp_path, coco_folder, tiny_run
):
    data, lifts = lifting_files[0], lifters["humaneva"]
    assert "--detected" in refused("eval", lifts, data, "--keypoints", detected)
    (alone := tmp_path / "data_3d_alone.npz").write_bytes(data.read_bytes())
    message = refused("eval", lifts, alone, "--detected", detected)
    assert "data_2d_x_found.npz" in message
    assert "data_2d_alone_gt.npz" in message
    assert "nowhere.npz: no such file" in refused("eval", lifts, data, "--detected", "nowhere.npz")
    message = refused("eval", lifts, data, "--detected", data)
    assert "data_3d_x.npz" in message
    assert "positions_2d" in message
    message = refused("eval", tiny_run / "best.ckpt", coco_folder, "--detected", detected)
    assert message.startswith("logpose: --detected: ")
    assert "lifting" in message


def test_what_is_another_model_s_is_refused(refused, lifters, lifting_files, coco_folder, tiny_run):
    data, lifts, looks = lifting_files[0], lifters["humaneva"], tiny_run / "best.ckpt"
    annotations = coco_folder / "annotations" / "person_keypoints_val.json"
    for other in (coco_folder, annotations):
        message = refused("eval", lifts, other)
        assert message.startswith(f"logpose: {other}: ")
        assert "data_3d_NAME.npz" in message
    assert "nowhere: no such file" in refused("eval", lifts, "nowhere")
    assert str(data) in refused("eval", looks, data)
    message = refused("eval", lifts, data, "--boxes", "b.json", "--save-json", "o.json")
    assert message.startswith("logpose: --boxes and --save-json: ")
    assert "pose, detection and wrapping models" in message
    assert str(lifts) in message
    message = refused("eval", looks, coco_folder, "--subjects", "S9", "S11", "--picture", 3, 4)
    assert message.startswith("logpose: --subjects and --picture: ")
    assert "lifting models" in message


def test_training_subjects_are_left_out(command, refused, lifters, lifting_files, tmp_path):
    data = lifting_files[0]
    model, loss = load(lifters["humaneva"])
    every = LiftingPoses(*lifting_files).fingerprints
    assert len(set(every.values())) == 3
    model.prepare(LiftingPoses(*lifting_files, subjects=["Train"]))
    assert model.learned_from == (every["Train/P1"],)
    save(model, loss, tmp_path / "model")
    found = {}
    for flags in ((), ("--subjects", "Val"), ("--subjects", "Train")):
        code, out, err = command("eval", tmp_path / "model", data, "--json", *flags)
        assert code == 0
        found[flags] = json.loads(out)
        assert ("Train/P1: trained on and left out" in err) is (not flags)
        assert ("trained on Train/P1: these figures are of training data" in err) is (flags[-1:] == ("Train",))
    assert found[()] == found["--subjects", "Val"] != found["--subjects", "Train"]
    model.learned_from = tuple(every.values())
    save(model, loss, tmp_path / "model")
    message = refused("eval", tmp_path / "model", data)
    assert str(data) in message
    assert "--subjects" in message


def test_bad_files_and_flags_are_named(refused, lifters, lifting_files, tmp_path):
    data, lifts = lifting_files[0], lifters["humaneva"]
    message = refused("eval", lifts, data, "--subjects", "Vol")
    assert "data_3d_x.npz" in message
    assert "'Vol'" in message
    message = refused("eval", lifters["h36m"], data)
    assert str(lifters["h36m"]) in message
    assert "data_3d_x.npz" in message
    assert "--cameras" in refused("eval", lifts, data, "--cameras", 0)
    assert "--batch-size" in refused("eval", lifts, data, "--batch-size", 0)
    message = refused("eval", lifts, data, "--cameras", 2, "--camera-seed", 1)
    assert "--cameras and --camera-seed: " in message
    assert "data_2d_x_gt.npz" in message
    (alone := tmp_path / "data_3d_alone.npz").write_bytes(data.read_bytes())
    message = refused("eval", lifts, alone, "--picture", 480, 640)
    assert message.startswith("logpose: --picture: ")
    assert "--keypoints" in message
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    assert "other.npz" in refused("eval", lifts, tmp_path / "other.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK no")
    assert "bad.npz" in refused("eval", lifts, tmp_path / "bad.npz")
    assert "data_2d.npz" in refused("eval", lifts, data, "--keypoints", tmp_path / "data_2d.npz")


def test_calibration_is_by_sequences_of_all_cameras(command, lifters, lifting_files, tmp_path):
    shutil.copytree(lifters["humaneva"], model := tmp_path / "model")
    words = ("calibrate", model, "--data", lifting_files[0], "--subjects", "Val", "--json", "--level", 0.5)
    code, out, err = command(*words)
    assert (code, json.loads(out)["groups"]) == (0, 2), err
    code, out, err = command(*words, "--group", "image")
    assert code == 0, err
    figures = json.loads(out)
    assert figures["groups"] == 12, "frames, each seen by two cameras"
    assert figures["coverage@0.5 after"] == pytest.approx(0.5, abs=0.15)
    calibration = load_model(model).calibration
    root = HUMANEVA.root[0]
    assert calibration.factor[root] == pytest.approx(np.median(calibration.factor), rel=0.5)
