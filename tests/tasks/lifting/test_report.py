"""Poses in space on the report page and in `logpose inspect`."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
from pose_files import POSE, results_file

from logpose.core.skeletons import HUMANEVA
from logpose.data.images import read_image
from logpose.data.keypoint_files import read_keypoints
from logpose.tasks.lifting.predict import Lifter


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
    assert "--category: " in refused("inspect", file, "--category", "person")
    (alone := tmp_path / "data_3d_alone.npz").write_bytes(file.read_bytes())
    code, out, _ = command("inspect", alone, "--out", tmp_path / "out")
    assert "keypoints: synthetic cameras" in out


def test_of_poses_in_space(page, lifters, lifting_files):
    shown = page(lifters["humaneva"], lifting_files[0], "--subjects", "Val")
    shown.check_figures()
    assert "mpjpe_walk" in {row[0] for row in shown.cells("In detail")}
    assert set(shown.images()) == {"Is sigma calibrated?", "The error's density"}


def test_of_what_knows_nothing_of_its_errors(page, lifters, lifting_files):
    shown = page(lifters["unsure"], lifting_files[0], "--subjects", "Val")
    assert not shown.images()
    assert "trained without a likelihood" in shown.text


class TestKeypoints:
    def test_files_hold_what_the_lifter_says(self, command, lifters, lifting_files, tmp_path):
        words = ("--save-json", tmp_path / "a.json", "--save-npz", tmp_path / "a.npz", "--flip-test", "--batch-size", 7)
        code, out, err = command("predict", lifters["windows"], lifting_files[1], *words)
        assert (code, out) == (0, "")
        assert "one by one" not in err
        sequences = read_keypoints(lifting_files[1], HUMANEVA).sequences
        lifter = Lifter(lifters["windows"], flip_test=True)
        found = list(lifter.many((sequence.keypoints, sequence.size) for sequence in sequences))
        rows = json.loads((tmp_path / "a.json").read_text())
        assert len(rows) == sum(map(len, found)) == 48
        assert {key: rows[14][key] for key in ("file_name", "sequence", "frame")} == {
            "file_name": str(lifting_files[1]),
            "sequence": "Train/P1, Walk 1, camera 1",
            "frame": 2,
        }
        np.testing.assert_allclose(rows[14]["joints_mm"], found[1].joints_mm[2], atol=0.1)
        np.testing.assert_allclose(rows[14]["sigma_mm"], found[1].sigma_mm[2], atol=0.1)
        with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
            np.testing.assert_allclose(
                arrays["joints_mm"], np.concatenate([p.joints_mm for p in found]), rtol=1e-3, atol=0.01
            )
            assert arrays["frame"][14] == 2

    def test_coco_s_joints_are_brought_to_the_model_s(self, command, lifters, tmp_path):
        file = results_file(tmp_path / "r.json")
        words = ("predict", lifters["h36m"], file, "--skeleton", "coco", "--picture", 480, 640, "--json")
        code, out, err = command(*words)
        assert code == 0
        rows = json.loads(out)
        assert [(row["sequence"], row["image_id"], row["frame"]) for row in rows] == [("row 0", 0, 0), ("row 1", 1, 0)]
        assert "pelvis of left_hip and right_hip" in err
        assert "head of left_eye and right_eye" in err

    def test_labelled_people_of_a_data_set_are_lifted(self, command, lifters, coco_folder):
        file = coco_folder / "annotations" / "person_keypoints_val.json"
        code, out, err = command("predict", lifters["windows"], file, "--json")
        assert code == 0
        rows = json.loads(out)
        assert rows[0]["sequence"].startswith("annotation ")
        assert "of its poses or sequences; the first: " in err
        assert "not labelled (left_wrist)" in err
        assert "lifted one by one, and the model is made for keypoints of 9 frames" in err

    def test_poses_are_printed(self, command, lifters, lifting_files):
        code, out, _ = command("predict", lifters["humaneva"], lifting_files[1])
        assert code == 0
        lines = out.splitlines()
        assert len(lines) == 48 * 16
        assert lines[16] == f"{lifting_files[1]}: Train/P1, Walk 1, camera 0, frame 1"
        assert lines[1].split()[:4] == ["pelvis", "0", "0", "0"]
        assert " mm  ± " in lines[2]
        _, out, _ = command("predict", lifters["unsure"], lifting_files[1])
        assert " mm  confidence" in out.splitlines()[2]

    def test_pictures_are_of_every_pose_or_evenly_of_fifty(
        self, command, lifters, lifting_files, tmp_path, monkeypatch
    ):
        file = results_file(tmp_path / "r.json", poses=2)
        (tmp_path / "b").mkdir()
        other = shutil.copy(file, tmp_path / "b" / "r.json")
        words = ("--skeleton", "coco", "--picture", "480x640", "--save-images", tmp_path / "out")
        code, out, err = command("predict", lifters["h36m"], file, other, *words)
        assert (code, out) == (0, "")
        assert "evenly over all" not in err
        names = sorted(path.name for path in (tmp_path / "out").iterdir())
        assert names == [f"r-{i // 2}-pose-{i:06d}.png" for i in range(4)]
        picture = cv2.imread(str(tmp_path / "out" / names[0]))
        assert picture[:, : -picture.shape[0]].std() > 5
        assert picture[:, -picture.shape[0] :].std() > 5
        monkeypatch.setattr("logpose.tasks.lifting.report.DRAWN", 3)
        _, _, err = command("predict", lifters["humaneva"], lifting_files[1], "--save-images", tmp_path / "few")
        assert "images of 3 of the 48 poses, evenly over all" in err
        names = sorted(path.name for path in (tmp_path / "few").iterdir())
        assert names == [f"data_2d_x_gt-pose-{number:06d}.png" for number in (0, 24, 47)]

    def test_flags_that_a_file_contradicts_are_refused(self, refused, command, lifters, coco_folder, tmp_path):
        lifts, array = lifters["h36m"], tmp_path / "a.npz"
        np.savez(array, keypoints=POSE[None], size=[480, 640])
        message = refused("predict", lifts, array, "--picture", 500, 700, "--skeleton", "model")
        assert message.startswith(f"logpose: --picture: {array} ")
        assert "480×640" in message
        assert command("predict", lifts, array, "--picture", 480, 640, "--skeleton", "model")[0] == 0
        np.savez(tmp_path / "b.npz", keypoints=POSE[None])
        both = (array, tmp_path / "b.npz", "--picture", 500, 700, "--skeleton", "model")
        assert command("predict", lifts, *both)[0] == 0
        named = coco_folder / "annotations" / "person_keypoints_val.json"
        message = refused("predict", lifters["humaneva"], named, "--skeleton", "mpii")
        assert message.startswith(f"logpose: --skeleton mpii: {named} ")
        assert "--skeleton model" in refused("predict", lifters["humaneva"], named, "--skeleton", "model")
        assert command("predict", lifters["humaneva"], named, "--skeleton", "coco")[0] == 0

    def test_what_cannot_be_is_refused(self, refused, lifters, photos, coco_folder, lifting_files, tmp_path):
        lifts = lifters["h36m"]
        assert f"{photos[0].name}: " in refused("predict", lifts, photos[0])
        assert f"{coco_folder}: " in refused("predict", lifts, coco_folder)
        message = refused("predict", lifts, lifting_files[1], "--boxes", "b.json", "--focal", 3, "--score", "box")
        assert message.startswith("logpose: --boxes and --focal and --score: ")
        assert "pose and detection models" in message
        file = results_file(tmp_path / "r.json")
        assert "--picture" in refused("predict", lifts, file, "--skeleton", "coco")
        assert "--skeleton" in refused("predict", lifts, file, "--picture", 480, 640)
        bad = json.loads(file.read_text())
        bad[1]["keypoints"][4] = "x"
        (tmp_path / "bad.json").write_text(json.dumps(bad))
        message = refused(
            "predict", lifts, file, tmp_path / "bad.json", "--skeleton", "coco", "--picture", 480, 640,
            "--save-json", tmp_path / "o.json",
        )  # fmt: skip
        assert "bad.json: row 1: " in message
        assert not (tmp_path / "o.json").exists()
        assert "--skeleton coco" in refused("predict", lifts, lifting_files[1], "--skeleton", "coco")
        assert "--batch-size" in refused("predict", lifts, file, "--batch-size", 0)


def test_a_model_that_lifts_becomes_a_folder(command, lifters, lifting_files, tmp_path):
    code, _, err = command("convert", lifters["windows"], "--out", tmp_path / "mine")
    assert code == 0
    assert "15 joints, from keypoints of 9 frames" in err
    said = [command("predict", each, lifting_files[1], "--json")[1] for each in (lifters["windows"], tmp_path / "mine")]
    assert said[0] == said[1]
