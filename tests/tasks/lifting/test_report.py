"""Poses in space on the report page and in `logpose inspect`."""

from __future__ import annotations

import json

from logpose.data.images import read_image


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
    shown = page(lifters["humaneva"], "--data", lifting_files[0], "--subjects", "Val")
    shown.check_figures()
    assert "mpjpe_walk" in {row[0] for row in shown.cells("In detail")}
    assert set(shown.images()) == {"Is sigma calibrated?", "The error's density"}


def test_of_what_knows_nothing_of_its_errors(page, lifters, lifting_files):
    shown = page(lifters["unsure"], "--data", lifting_files[0], "--subjects", "Val")
    assert not shown.images()
    assert "trained without a likelihood" in shown.text
