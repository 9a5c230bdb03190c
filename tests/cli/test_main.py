"""The command line: what a newcomer types, and what bad input gets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from logpose.cli.main import main
from logpose.data.coco import CocoKeypoints


def run(capsys, *words):
    """Exit code, stdout and stderr of `logpose WORDS`."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as ended:
        code = ended.code or 0
    out, err = capsys.readouterr()
    return code, out, err


def test_recipes_are_listed_one_a_line(capsys):
    code, out, _ = run(capsys, "recipes")
    assert code == 0
    assert any(line.startswith("coco_resnet50_rle ") and "ResNet-50" in line for line in out.splitlines())


@pytest.mark.usefixtures("thin_resnets")
def test_from_people_to_predictions(capsys, tmp_path, monkeypatch):
    """synth, inspect, train, eval, predict: each takes what the one before it wrote."""
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "synth", "data", "--train", 12, "--val", 4, "--size", "[96,72]")[0] == 0
    code, out, _ = run(capsys, "inspect", "data")
    assert code == 0
    assert "17 joints" in out
    small = ("--size", "[64,48]", "--epochs", 1, "--batch-size", 8, "--workers", 0, "--out", "runs/one")
    code, out, err = run(capsys, "train", "coco_resnet18_rle", "--data", "data", *small)
    assert code == 0
    assert "error_px" in out
    assert "best.ckpt" in err
    code, out, _ = run(capsys, "eval", "runs/one/best.ckpt", "--data", "data", "--json", "--save-json", "found.json")
    assert code == 0
    figures = json.loads(out)
    assert {"ap", "ar", "pck@0.1", "error_px", "nll", "coverage@0.9"} <= figures.keys()
    assert len(json.loads((tmp_path / "found.json").read_text())) == figures["people"]
    boxes = [{**row, "bbox": [0, 0, 50, 90]} for row in json.loads((tmp_path / "found.json").read_text())]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    code, out, _ = run(capsys, "eval", "runs/one/best.ckpt", "--data", "data", "--boxes", "boxes.json", "--json")
    assert code == 0
    assert "ap" in json.loads(out)
    words = ("--save-json", "out.json", "--save-images", "out")
    code, out, err = run(capsys, "predict", "runs/one/best.ckpt", "data/val", *words)
    assert (code, out) == (0, "")
    rows = json.loads((tmp_path / "out.json").read_text())
    assert len(rows) == 4
    assert len(rows[0]["sigma"]) == 34
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 4
    code, out, _ = run(capsys, "predict", "runs/one/best.ckpt", next((tmp_path / "data/val").iterdir()))
    assert code == 0
    assert "left_wrist" in out
    assert run(capsys, "train", "coco_resnet18_rle", "--data", "data", *small)[0] == 2  # nothing is written over
    code, _, _ = run(capsys, "train", "coco_resnet18_rle", "--resume", "runs/one", "--epochs", 2)
    assert code == 0


def spoil(folder, tmp_path, change):
    """A copy of a COCO folder whose training file went through `change`."""
    data = shutil.copytree(folder, tmp_path / "spoiled")
    file = data / "annotations" / "person_keypoints_train.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return data


def test_bad_data_files_are_refused_by_name(refused, coco_folder, tmp_path):
    assert "nowhere: no such file or folder" in refused("inspect", tmp_path / "nowhere")
    for name, text, told in (
        ("empty.json", "", "the file is empty"),
        ("broken.json", '{"images": [}', "not JSON"),
        ("list.json", "[]", "an empty list"),
    ):
        (tmp_path / name).write_text(text)
        sentence = refused("inspect", tmp_path / name)
        assert name in sentence
        assert told in sentence


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda row: row.pop("keypoints"), "no keypoints"),
        (lambda row: row["keypoints"].pop(), "51 numbers"),
        (lambda row: row["keypoints"].__setitem__(slice(0, 3), [float("nan"), 1, 2]), "keypoints are not finite"),
        (lambda row: row.__setitem__("bbox", [3, 3, 0, 4]), "bbox has no area"),
        (lambda row: row.__setitem__("bbox", [9000, 9000, 4, 4]), "box outside the image"),
        (lambda row: row.__setitem__("image_id", 9999), "image_id 9999"),
    ],
)
def test_a_bad_row_is_refused_in_strict_training_by_file_and_row(refused, coco_folder, tmp_path, change, told):
    data = spoil(coco_folder, tmp_path, lambda content: change(content["annotations"][4]))
    sentence = refused("train", "coco_resnet18_rle", "--data", data, "--strict", "true", "--out", tmp_path / "run")
    assert told in sentence
    assert "person_keypoints_train.json: annotation 4" in sentence
    assert not (tmp_path / "run").exists()


def test_missing_and_truncated_images_are_named(refused, coco_folder, tmp_path):
    data = shutil.copytree(coco_folder, tmp_path / "data")
    first, second = sorted((data / "train").iterdir())[:2]
    second.write_bytes(second.read_bytes()[:-200])
    words = ("train", "coco_resnet18_rle", "--data", data, "--strict", "true", "--out", tmp_path / "run")
    assert second.name in (sentence := refused(*words))
    assert "truncated" in sentence
    second.unlink()
    assert "no such file" in refused(*words)
    assert first.exists()


def test_checkpoints_that_are_none_are_refused(refused, coco_folder, tiny_run, tmp_path):
    photo = next((coco_folder / "val").iterdir())
    assert "no such checkpoint" in refused("predict", tmp_path / "no.ckpt", photo)
    (tmp_path / "text.ckpt").write_text("hello")
    assert "not a checkpoint" in refused("predict", tmp_path / "text.ckpt", photo)
    assert f"is the folder of a run; its checkpoint is {tiny_run / 'best.ckpt'}" in refused("predict", tiny_run, photo)
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.ckpt")
    assert "not a checkpoint of logpose" in refused("predict", tmp_path / "other.ckpt", photo)


def test_a_checkpoint_for_another_skeleton_is_refused(refused, coco_folder, tiny_run, tmp_path):
    data = shutil.copytree(coco_folder, tmp_path / "data")
    for file in (data / "annotations").iterdir():
        content = json.loads(file.read_text())
        content["categories"][0]["keypoints"][0] = "snout"
        file.write_text(json.dumps(content))
    assert "snout" in refused("eval", tiny_run / "best.ckpt", "--data", data)


def test_unknown_recipes_get_the_nearest_name(refused):
    assert "did you mean coco_resnet50_rle" in refused("train", "coco_resnet50_rel", "--data", "x")


def test_pictures_and_boxes_that_are_none_are_refused(refused, coco_folder, tiny_run, tmp_path):
    checkpoint = tiny_run / "best.ckpt"
    (tmp_path / "text.jpg").write_text("not a picture")
    assert "text.jpg: not a readable image" in refused("predict", checkpoint, tmp_path / "text.jpg")
    cv2.imwrite(str(tmp_path / "cut.png"), np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    assert "truncated" in refused("predict", checkpoint, tmp_path / "cut.png", "--save-json", tmp_path / "o.json")
    assert not (tmp_path / "o.json").exists()
    (tmp_path / "boxes.json").write_text('{"elsewhere.jpg": [[1, 2, 3, 4]]}')
    photo = next((coco_folder / "val").iterdir())
    assert "no box for the given images" in refused("predict", checkpoint, photo, "--boxes", tmp_path / "boxes.json")


def test_synth_does_not_write_over_anything(refused, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    refused("synth", tmp_path, "--train", 1, "--val", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert "an image or more" in refused("synth", tmp_path / "new", "--train", 0)


def test_an_unknown_device_is_refused(refused, coco_folder, tiny_run):
    photo = next((coco_folder / "val").iterdir())
    assert "--device warp" in refused("predict", tiny_run / "best.ckpt", photo, "--device", "warp")


def test_the_installed_module_runs_and_bad_input_leaves_no_traceback():
    ran = subprocess.run(
        [sys.executable, "-m", "logpose.cli.main", "inspect", "nowhere"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert ran.stderr == "logpose: nowhere: no such file or folder\n"
    assert ran.stdout == ""


def test_a_photo_is_never_written_over(capsys, coco_folder, tiny_run, tmp_path):
    photos = [shutil.copy(path, tmp_path / path.name) for path in sorted((coco_folder / "val").iterdir())[:2]]
    before = [path.read_bytes() for path in photos]
    words = ("predict", tiny_run / "best.ckpt", *photos, photos[0], "--save-images", tmp_path)
    assert run(capsys, *words)[0] == 0
    assert [path.read_bytes() for path in photos] == before
    assert sorted(path.name for path in tmp_path.glob("*-poses.jpg")) == [f"{path.stem}-poses.jpg" for path in photos]


@pytest.mark.parametrize(
    "flags",
    [
        ("--epochs", 0),
        ("--batch_size", 0),
        ("--size", "[0,64]"),
        ("--precision", "half"),
        ("--lr", 0),
        ("--accelerator", "gpu"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="one of the settings is wrong only without a GPU")
def test_settings_that_cannot_be_are_refused_before_anything_is_written(refused, coco_folder, tmp_path, flags):
    words = ("--data", coco_folder, "--weights", "random", "--workers", 0, "--out", tmp_path / "run")
    refused("train", "coco_resnet18_rle", *words, *flags)
    assert not (tmp_path / "run").exists()


def test_resuming_with_another_recipe_is_refused_and_changes_nothing(refused, tiny_run, tmp_path):
    run_folder = shutil.copytree(tiny_run, tmp_path / "run")
    before = (run_folder / "config.yaml").read_bytes()
    told = refused("train", "coco_resnet50_rle", "--loss", "l1", "--resume", run_folder, "--weights", "random")
    assert "is of another model" in told or "is of another loss" in told
    (run_folder / "last.ckpt").write_bytes((run_folder / "last.ckpt").read_bytes()[:1000])
    assert "damaged" in refused("train", "coco_resnet18_rle", "--resume", run_folder)
    assert (run_folder / "config.yaml").read_bytes() == before


def test_outputs_that_cannot_be_written_are_named(refused, coco_folder, tiny_run, tmp_path):
    (tmp_path / "file").write_text("")
    photo = next((coco_folder / "val").iterdir())
    assert "is a file" in refused("train", "coco_resnet18_rle", "--data", coco_folder, "--out", tmp_path / "file")
    assert "file" in refused("inspect", coco_folder, "--out", tmp_path / "file" / "below")
    assert "is a folder" in refused("predict", tiny_run / "best.ckpt", photo, "--save-json", tmp_path)


def test_an_empty_detections_file_finds_nobody(capsys, coco_folder, tiny_run, tmp_path):
    (tmp_path / "none.json").write_text("[]")
    words = ("eval", tiny_run / "best.ckpt", "--data", coco_folder, "--boxes", tmp_path / "none.json", "--json")
    code, out, _ = run(capsys, *words)
    assert code == 0
    figures = json.loads(out)
    assert (figures["people"], figures["ap"]) == (0, 0)


def test_the_held_out_part_of_a_single_file_can_be_measured(capsys, coco_folder, tiny_run):
    file = coco_folder / "annotations" / "person_keypoints_train.json"
    people = {}
    for part in ("all", "train", "val"):
        code, out, _ = run(capsys, "eval", tiny_run / "best.ckpt", "--data", file, "--part", part, "--json")
        assert code == 0
        people[part] = json.loads(out)["people"]
    assert people["all"] == people["train"] + people["val"]
    assert people["val"] > 0


def test_two_processes_train_one_run(coco_folder, tmp_path):
    """Lightning starts the second process with the same words; between them they measure everybody once."""
    small = "--size 64x48 --epochs 1 --batch-size 4 --workers 0 --precision 32-true --accelerator cpu --devices 2"
    words = ("train", "coco_resnet18_rle", "--data", coco_folder, *small.split())
    done = subprocess.run(
        [sys.executable, "-m", "logpose.cli.main", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (folder,) = (tmp_path / "runs").iterdir()  # one folder, though it is named after the time
    assert {"best.ckpt", "last.ckpt", "config.yaml"} <= {path.name for path in folder.iterdir()}
    people = len(CocoKeypoints(coco_folder / "annotations" / "person_keypoints_val.json"))
    assert [line.split() for line in done.stdout.splitlines() if line.startswith("people")] == [["people", str(people)]]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("demo", "--epochs", 0), "epochs must be at least 1"),
        (("demo", "--people", 0), "needs 32 people"),
        (("demo", "--seed", -1), "seed must be at least 0"),
    ],
)
def test_a_demo_that_cannot_be_leaves_nothing(refused, tmp_path, words, told):
    assert told in refused(*words, "--out", tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


def test_flags_that_contradict_or_cannot_be(refused, coco_folder, tiny_run, tmp_path):
    train = ("train", "coco_resnet18_rle", "--data", coco_folder, "--out", tmp_path / "run")
    assert "scale must lie in" in refused(*train, "--augmentation.scale", 5)
    assert "rotation in" in refused(*train, "--augmentation.rotation", -3)
    assert "--out" in refused("train", "coco_resnet18_rle", "--resume", tiny_run, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()
    best = tiny_run / "best.ckpt"
    assert "is a folder" in refused("eval", best, "--data", coco_folder, "--save-json", tmp_path)
    photo = next((coco_folder / "val").iterdir())
    assert "--boxes" in refused("predict", best, photo, "--box-score", 0.5)
    assert "several --boxes" in refused("predict", best, photo, "--nms")
    assert "lists images" in refused("predict", best, photo, "--image-folder", tmp_path)


def test_sizes_are_spelled_alike_everywhere(capsys, tmp_path):
    words = ("--train", 1, "--val", 1, "--people", 1, 1, "--easy")
    for name, size in (("a", ("64x48",)), ("b", (64, 48)), ("c", ("[64, 48]",))):
        assert run(capsys, "synth", tmp_path / name, "--size", *size, *words)[0] == 0
        assert cv2.imread(str(next((tmp_path / name / "train").iterdir()))).shape == (64, 48, 3)


def test_a_number_of_people_is_spelled_as_a_range(capsys, tmp_path):
    for name, people in (("a", ("2-4",)), ("b", (2, 4))):
        words = ("--train", 3, "--val", 1, "--people", *people, "--size", "64x48")
        assert run(capsys, "synth", tmp_path / name, *words)[0] == 0
    one, other = (sorted((tmp_path / name / "annotations").iterdir()) for name in "ab")
    assert [file.read_text() for file in one] == [file.read_text() for file in other]
    assert max(Counter(row["image_id"] for row in json.loads(one[0].read_text())["annotations"]).values()) > 1


def test_training_that_diverges_says_so(refused, coco_folder, tmp_path):
    small = "--size 64x48 --epochs 2 --batch-size 8 --workers 0 --precision 32-true --optimizer adam --lr 1e20"
    told = refused("train", "coco_resnet18_rle", "--data", coco_folder, "--out", tmp_path / "run", *small.split())
    assert "no longer finite in epoch 1: start with a lower --lr" in told
    assert not (tmp_path / "run" / "best.ckpt").exists()


def test_a_checkpoint_becomes_a_folder_that_every_command_takes(capsys, refused, coco_folder, tiny_run, tmp_path):
    out = tmp_path / "mine"
    code, said, err = run(capsys, "convert", tiny_run / "best.ckpt", "--out", out)
    assert (code, said) == (0, "")
    assert "17 joints" in err
    assert sorted(file.name for file in out.iterdir()) == ["config.json", "model.safetensors"]
    ckpt = tiny_run / "best.ckpt"
    figures = [run(capsys, "eval", each, "--data", coco_folder, "--json")[1] for each in (ckpt, out)]
    assert figures[0] == figures[1]
    kept = json.loads((out / "config.json").read_text())
    assert kept["pixels"] == {"mean": pytest.approx([0.485, 0.456, 0.406]), "std": pytest.approx([0.229, 0.224, 0.225])}
    assert kept["figures"]["error_px"] > 0
    recipe = yaml.safe_load((tiny_run / "config.yaml").read_text())
    assert kept["recipe"] == recipe | {"data": Path(recipe["data"]).name}  # not where it lay
    assert kept["converted_from"] == "best.ckpt"
    again = tmp_path / "again"
    assert run(capsys, "convert", out, "--out", again)[0] == 0
    assert json.loads((again / "config.json").read_text()) == kept | {"converted_from": "mine"}
    picture = next((coco_folder / "val").iterdir())
    assert run(capsys, "predict", out, picture)[0] == 0
    assert "not empty" in refused("convert", ckpt, "--out", out)
    other = tmp_path / "other"
    assert "config.json: no such checkpoint" in refused("convert", coco_folder, "--out", other)
    assert picture.name in refused("convert", picture, "--out", other)
    assert "best.ckpt" in refused("convert", ckpt, "--out", other, "--origin", "mmpose")
    torch.save({"state_dict": {}, "when": Path("x")}, tmp_path / "objects.pth")
    assert "it holds an object of pathlib" in refused("convert", tmp_path / "objects.pth", "--out", other)
    assert not other.exists()
