"""`logpose eval` of pose models: which people, which figures, what is written."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace

import pytest
import torch

from logpose.training.checkpoint import load, save


def test_people_without_a_place_in_space_have_no_millimetres(command, model_in_space, coco_folder):
    code, out, err = command("eval", model_in_space, "--data", coco_folder, "--json", "--device", "cpu")
    assert code == 0
    assert "no figures in millimetres" in err
    assert "mpjpe" not in json.loads(out)


@pytest.mark.parametrize(
    ("name", "count"), [("person_keypoints_val2017", "all"), ("image_info_test", "all"), ("x", "part")]
)
def test_a_lone_file_of_a_validation_part_is_measured_whole(command, tiny_run, coco_folder, tmp_path, name, count):
    (tmp_path / "annotations").mkdir()
    file = coco_folder / "annotations" / "person_keypoints_train.json"
    (tmp_path / "annotations" / f"{name}.json").write_bytes(file.read_bytes())
    (tmp_path / "images").symlink_to(coco_folder / "train")
    people = {}
    for words in ((), ("--part", "all"), ("--part", "val")):
        code, out, err = command(
            "eval", tiny_run / "best.ckpt", "--data", tmp_path, "--json", "--device", "cpu", *words
        )
        assert code == 0, err
        people[words] = json.loads(out)["people"]
    assert people["--part", "val"] < people["--part", "all"]
    assert people[()] == people["--part", "all" if count == "all" else "val"]


def test_a_kind_is_chosen_by_name_or_by_the_model_s_joints(command, refused, tiny_run, coco_folder, tmp_path):
    content = json.loads((coco_folder / "annotations" / "person_keypoints_val.json").read_text())
    content["categories"].append({"id": 7, "name": "robot", "keypoints": ["head"]})
    (tmp_path / "two.json").write_text(json.dumps(content))
    words = ("eval", tiny_run / "best.ckpt", "--data", tmp_path / "two.json", "--images", coco_folder / "val")
    assert "'dog'" in refused(*words, "--category", "dog")
    code, out, err = command(*words, "--category", "person", "--json", "--device", "cpu")
    assert (code, json.loads(out)["people"] > 0) == (0, True)
    assert "robot" not in err
    code, same, err = command(*words, "--json", "--device", "cpu")
    assert (code, same) == (0, out)
    assert all(name in err for name in ("person", "robot")), "which is measured is said"
    content["categories"][0]["keypoints"][0] = "snout"
    (tmp_path / "two.json").write_text(json.dumps(content))
    assert "--category" in refused(*words)


def test_results_have_each_one_s_kind(command, tiny_run, coco_folder, tmp_path):
    content = json.loads((coco_folder / "annotations" / "person_keypoints_val.json").read_text())
    content["categories"].append({**content["categories"][0], "id": 2, "name": "statue"})
    for row in content["annotations"][::2]:
        row["category_id"] = 2
    (tmp_path / "two.json").write_text(json.dumps(content))
    words = ("--data", tmp_path / "two.json", "--images", coco_folder / "val", "--device", "cpu")
    code, _, err = command("eval", tiny_run / "best.ckpt", *words, "--save-json", tmp_path / "out.json")
    assert code == 0, err
    wanted = Counter(row["category_id"] for row in content["annotations"])
    assert Counter(row["category_id"] for row in json.loads((tmp_path / "out.json").read_text())) == wanted
    assert wanted.keys() == {1, 2}


def test_a_model_that_has_diverged_is_not_measured(command, tiny_run, coco_folder, tmp_path):
    model, loss = load(tiny_run / "best.ckpt")
    with torch.no_grad():
        model.fc_mu.bias[0] = torch.nan
    save(model, loss, tmp_path / "nan")
    words = ("eval", tmp_path / "nan", "--data", coco_folder, "--device", "cpu")
    code, out, err = command(*words, "--report", tmp_path / "page.html", "--save-json", tmp_path / "out.json")
    assert (code, out) == (2, "")
    assert f"{tmp_path / 'nan'}: " in err.splitlines()[-1]
    assert not (tmp_path / "page.html").exists()
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("own", [False, True])
def test_where_sigmas_are_nobody_s_own_it_is_told(command, tiny_run, coco_folder, tmp_path, own):
    model, loss = load(tiny_run / "best.ckpt")
    content = json.loads((coco_folder / "annotations" / "person_keypoints_val.json").read_text())
    names = [f"{joint}_x" for joint in model.skeleton.joints]
    content["categories"][0]["keypoints"] = names
    (tmp_path / "named.json").write_text(json.dumps(content))
    sigmas = tuple(0.01 * (i + 1) for i in range(17)) if own else None
    model.skeleton = replace(model.skeleton, joints=tuple(names), oks_sigmas=sigmas)
    save(model, loss, tmp_path / "model")
    words = ("--data", tmp_path / "named.json", "--images", coco_folder / "val", "--device", "cpu")
    code, _, err = command("eval", tmp_path / "model", *words, "--report", tmp_path / "page.html")
    assert code == 0, err
    page = (tmp_path / "page.html").read_text()
    assert ("take 0.05 as the sigma of every joint" in err) is ("take 0.05 as the sigma" in page) is not own


def test_an_empty_detections_file_finds_nobody(command, coco_folder, tiny_run, tmp_path):
    (tmp_path / "none.json").write_text("[]")
    words = ("eval", tiny_run / "best.ckpt", "--data", coco_folder, "--boxes", tmp_path / "none.json", "--json")
    code, out, _ = command(*words)
    assert code == 0
    figures = json.loads(out)
    assert (figures["people"], figures["ap"]) == (0, 0)


def test_people_that_the_model_was_trained_on_are_reported(command, coco_folder, tiny_run, tmp_path):
    """`tiny_run` was trained on the folder; a copy of its file elsewhere is not known to be the same."""
    best, train = tiny_run / "best.ckpt", coco_folder / "annotations" / "person_keypoints_train.json"
    for words in (("--data", coco_folder, "--part", "train"), ("--data", train)):
        code, _, err = command("eval", best, *words, "--json")
        assert code == 0
        assert train.name in next(line for line in err.splitlines() if "trained on" in line)
    assert "trained on" not in command("eval", best, "--data", coco_folder, "--json")[2]
    code, out, err = command("eval", best, "--data", coco_folder, "--part", "all")
    assert (code, out) == (2, "")
    assert "--part all" in err


def test_the_held_out_part_of_a_single_file_can_be_measured(command, coco_folder, tiny_run):
    file = coco_folder / "annotations" / "person_keypoints_train.json"
    people = {}
    for part in ("all", "train", "val"):
        code, out, _ = command("eval", tiny_run / "best.ckpt", "--data", file, "--part", part, "--json")
        assert code == 0
        people[part] = json.loads(out)["people"]
    assert people["all"] == people["train"] + people["val"]
    assert people["val"] > 0


def test_a_checkpoint_for_another_skeleton_is_refused(refused, coco_folder, tiny_run, tmp_path):
    data = shutil.copytree(coco_folder, tmp_path / "data")
    for file in (data / "annotations").iterdir():
        content = json.loads(file.read_text())
        content["categories"][0]["keypoints"][0] = "snout"
        file.write_text(json.dumps(content))
    assert "snout" in refused("eval", tiny_run / "best.ckpt", "--data", data)
