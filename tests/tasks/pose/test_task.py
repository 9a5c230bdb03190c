"""`logpose eval` of pose models: which people, which figures, what is written."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from logpose.core.skeletons import COCO as SKELETON
from logpose.data.files import open_people
from logpose.losses import L1Loss
from logpose.models import RegressionModel, create_backbone
from logpose.tasks.pose.evaluate import Evaluation
from logpose.training.checkpoint import load, save
from logpose.training.run import fit


def test_people_without_a_place_in_space_have_no_millimetres(command, model_in_space, coco_folder):
    code, out, err = command("eval", model_in_space, coco_folder, "--json", "--device", "cpu")
    assert code == 0
    assert "no figures in millimetres" in err
    assert "mpjpe" not in json.loads(out)


@pytest.mark.parametrize(
    ("name", "count"),
    [("person_keypoints_val2017", "all"), ("image_info_test", "all"), ("x", "part"), ("latest", "part")],
)
def test_a_lone_file_of_a_validation_part_is_measured_whole(command, tiny_run, coco_folder, tmp_path, name, count):
    (tmp_path / "annotations").mkdir()
    file = coco_folder / "annotations" / "person_keypoints_train.json"
    (tmp_path / "annotations" / f"{name}.json").write_bytes(file.read_bytes())
    (tmp_path / "images").symlink_to(coco_folder / "train")
    people = {}
    for words in ((), ("--part", "all"), ("--part", "val")):
        code, out, err = command("eval", tiny_run / "best.ckpt", tmp_path, "--json", "--device", "cpu", *words)
        assert code == 0, err
        people[words] = json.loads(out)["people"]
    assert people["--part", "val"] < people["--part", "all"]
    assert people[()] == people["--part", "all" if count == "all" else "val"]


def test_a_folder_that_the_model_has_seen_nothing_of_is_measured_whole(command, tiny_run, coco_folder, tmp_path):
    file = coco_folder / "annotations" / "person_keypoints_val.json"
    (tmp_path / "mine.json").write_bytes(file.read_bytes())
    (tmp_path / "images").symlink_to(coco_folder / "val")
    code, out, err = command("eval", tiny_run / "best.ckpt", tmp_path, "--json", "--device", "cpu")
    assert code == 0, err
    assert json.loads(out)["people"] == len(open_people(file))


def test_a_kind_is_chosen_by_name_or_by_the_model_s_joints(command, refused, tiny_run, coco_folder, tmp_path):
    content = json.loads((coco_folder / "annotations" / "person_keypoints_val.json").read_text())
    content["categories"].append({"id": 7, "name": "robot", "keypoints": ["head"]})
    (tmp_path / "two.json").write_text(json.dumps(content))
    words = ("eval", tiny_run / "best.ckpt", tmp_path / "two.json", "--images", coco_folder / "val")
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
    words = (tmp_path / "two.json", "--images", coco_folder / "val", "--device", "cpu")
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
    words = ("eval", tmp_path / "nan", coco_folder, "--device", "cpu")
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
    words = (tmp_path / "named.json", "--images", coco_folder / "val", "--device", "cpu")
    code, _, err = command("eval", tmp_path / "model", *words, "--report", tmp_path / "page.html")
    assert code == 0, err
    page = (tmp_path / "page.html").read_text()
    assert ("take 0.05 as the sigma of every joint" in err) is ("take 0.05 as the sigma" in page) is not own


def test_sigmas_of_the_file_measured_are_those_of_its_metric(command, tiny_run, coco_folder, tmp_path):
    """OKS and AP are pycocotools' with the file's sigmas; those of the people's scores stay the model's."""
    content = json.loads((coco_folder / "annotations" / "person_keypoints_val.json").read_text())
    content["categories"][0]["sigmas"] = sigmas = [0.2 + 0.02 * joint for joint in range(17)]
    (tmp_path / "own.json").write_text(json.dumps(content))
    words = ("eval", tiny_run / "best.ckpt", "--images", coco_folder / "val", "--device", "cpu", "--json")
    plain = json.loads(command(*words, coco_folder, "--save-json", tmp_path / "plain-rows.json")[1])
    code, out, err = command(
        *words, tmp_path / "own.json", "--save-json", tmp_path / "rows.json", "--report", tmp_path / "p.html"
    )
    assert code == 0, err
    assert "0.2, 0.22, 0.24" in err
    assert "0.2, 0.22, 0.24" in (tmp_path / "p.html").read_text()
    figures = json.loads(out)
    assert (tmp_path / "rows.json").read_bytes() == (tmp_path / "plain-rows.json").read_bytes()
    assert figures["oks"] > plain["oks"] + 0.1
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(tmp_path / "own.json"))
        evaluation = COCOeval(truth, truth.loadRes(str(tmp_path / "rows.json")), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    names = ("ap", "ap50", "ap75", "ap_medium")  # nobody is large
    expected = dict(zip(names, evaluation.stats, strict=False))
    assert {name: figures[name] for name in names} == pytest.approx(expected, abs=1e-6)


def test_an_empty_detections_file_finds_nobody(command, coco_folder, tiny_run, tmp_path):
    (tmp_path / "none.json").write_text("[]")
    words = ("eval", tiny_run / "best.ckpt", coco_folder, "--boxes", tmp_path / "none.json", "--json")
    code, out, _ = command(*words)
    assert code == 0
    figures = json.loads(out)
    assert (figures["people"], figures["ap"]) == (0, 0)


def test_people_that_the_model_was_trained_on_are_reported(command, coco_folder, tiny_run):
    """`tiny_run` was trained on the folder."""
    best, train = tiny_run / "best.ckpt", coco_folder / "annotations" / "person_keypoints_train.json"
    for words, learned in (
        ((coco_folder, "--part", "train"), 24), ((train,), 24), ((coco_folder,), 0)
    ):  # fmt: skip
        code, out, err = command("eval", best, *words, "--json")
        assert (code, json.loads(out)["images_learned"]) == (0, learned)
        assert ("trained on" in err) == (learned > 0)
    code, out, err = command("eval", best, coco_folder, "--part", "all")
    assert (code, out) == (2, "")
    assert "--part all" in err


def test_the_held_out_part_of_a_single_file_can_be_measured(command, coco_folder, tiny_run):
    file = coco_folder / "annotations" / "person_keypoints_train.json"
    people = {}
    for part in ("all", "train", "val"):
        code, out, _ = command("eval", tiny_run / "best.ckpt", file, "--part", part, "--json")
        assert code == 0
        people[part] = json.loads(out)["people"]
    assert people["all"] == people["train"] + people["val"]
    assert people["val"] > 0


def test_of_a_file_that_was_trained_on_the_held_out_part_is_measured(command, coco_folder, tiny_run, tmp_path):
    """By default, which is reported, and whatever the file's name."""
    file = tmp_path / "person_keypoints_val.json"
    file.write_bytes((coco_folder / "annotations" / "person_keypoints_train.json").read_bytes())
    content = torch.load(tiny_run / "best.ckpt", weights_only=True)
    people = {}
    for name, fields in (("own", {}), ("other", {"data": str(coco_folder)}), ("apart", {"val_data": str(coco_folder)})):
        recipe = {**content["logpose"]["recipe"], "data": str(file), **fields}
        torch.save({**content, "logpose": {**content["logpose"], "recipe": recipe}}, tmp_path / f"{name}.ckpt")
        for part in ((), ("--part", "val"), ("--part", "all")):
            words = (tmp_path / f"{name}.ckpt", file, "--images", coco_folder / "train", "--device", "cpu", "--json")
            code, out, err = command("eval", *words, *part)
            assert code == 0, err
            people[name, part] = json.loads(out)["people"]
            assert ("--part all" in err) == (name == "own" and not part)
    for name, part in (("own", "val"), ("other", "all"), ("apart", "all")):
        assert people[name, ()] == people[name, ("--part", part)]
    assert people["own", ("--part", "val")] < people["own", ("--part", "all")]


def test_a_checkpoint_for_another_skeleton_is_refused(refused, coco_folder, tiny_run, tmp_path):
    data = shutil.copytree(coco_folder, tmp_path / "data")
    for file in (data / "annotations").iterdir():
        content = json.loads(file.read_text())
        content["categories"][0]["keypoints"][0] = "snout"
        file.write_text(json.dumps(content))
    assert "snout" in refused("eval", tiny_run / "best.ckpt", data)


def test_people_of_a_model_without_sigma_are_ranked_by_their_boxes(command, tiny_run, coco_folder, photos, tmp_path):
    model = RegressionModel(create_backbone("resnet18", (64, 48)), SKELETON, (64, 48), predicts_sigma=False)
    save(model, L1Loss(), tmp_path / "l1")
    for checkpoint, noted in ((tmp_path / "l1", True), (tiny_run / "best.ckpt", False)):
        for words in (("eval", checkpoint, coco_folder), ("predict", checkpoint, photos[0])):
            code, _, err = command(*words, "--device", "cpu", "--json")
            assert code == 0, err
            assert err.count("predicts no confidence") == noted


def with_depth(content, away=0.0):
    """People whose joints have depths, in millimetres behind the middle of the hips and `away` behind that."""
    for row in content["annotations"]:
        triplets = np.array(row["keypoints"], dtype=float).reshape(17, 3)
        depth = 20.0 * np.arange(17) - 230 + away
        row["keypoints"] = np.column_stack([triplets[:, :2], depth, triplets[:, 2]]).ravel().tolist()
    return content


@pytest.fixture(scope="module")
def deep_folder(coco_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deep")
    (folder / "annotations").mkdir()
    for part, away in (("train", 0.0), ("val", 2500.0)):
        name = f"annotations/person_keypoints_{part}.json"
        content = with_depth(json.loads((coco_folder / name).read_text()), away)
        (folder / name).write_text(json.dumps(content))
        (folder / part).symlink_to(coco_folder / part)
    return folder


def test_joints_with_depth_are_learned_and_measured(command, refused, make_recipe, deep_folder, tmp_path):
    fit(make_recipe(data=deep_folder, depth=True, epochs=1), tmp_path / "run")
    words = ("eval", tmp_path / "run" / "best.ckpt", "--data", deep_folder, "--device", "cpu", "--json")
    code, out, err = command(*words, "--depth", "--report", tmp_path / "page.html")
    assert code == 0, err
    figures = json.loads(out)
    assert figures["depth_mm"] > 0
    assert all(np.isfinite(figures[name]) for name in ("nll", "coverage@0.9", "error_px", "ap"))
    assert "depth_mm" in (tmp_path / "page.html").read_text()
    assert "--depth" in refused(*words)
    code, out, err = command("inspect", deep_folder, "--depth", "--out", tmp_path, "--json")
    assert code == 0, err
    assert "--depth" in refused("inspect", deep_folder, "--out", tmp_path)


def test_the_error_of_depth_is_relative_to_the_root(deep_folder, coco_folder):
    """Of a model that predicts the truth, with all depths shifted, there is none."""
    people = open_people(deep_folder / "annotations" / "person_keypoints_val.json", depth=True)
    backbone = create_backbone("resnet18", (64, 48), neck=True)
    model = RegressionModel(backbone, people.skeleton, (64, 48), 3)
    evaluation = Evaluation(people, model)
    for index, who in enumerate(people.samples):
        keypoints = np.nan_to_num(who.keypoints) + np.array([0, 0, 77.0])
        keypoints[:, 2] += np.where(np.arange(17) == 0, 10.0, 0)
        nothing = np.full(17, np.nan)
        evaluation.add(index, (keypoints, np.ones((17, 3)), np.ones(17), nothing, nothing, 0 * nothing, nothing))
    figures = evaluation.compute(costly=False)
    rooted = [who for who in people.samples if (who.visible[[11, 12]] > 0).all()]
    noses, labelled = (sum((who.visible[joints] > 0).sum() for who in rooted) for joints in ([0], range(17)))
    assert figures["depth_mm"] == pytest.approx(10 * noses / labelled)
