"""Recipes on Human3.6M: the schedule, and training and evaluation on a few random people."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from logpose.cli.recipe_flags import parse_recipe
from logpose.core.errors import InputError
from logpose.core.skeletons import H36M
from logpose.core.space import InSpace
from logpose.data.h36m import H36mPeople, MixedPeople
from logpose.data.problems import log_problems
from logpose.losses import MixedRLELoss
from logpose.models.backbones import RELEASED_MEAN, RELEASED_STD
from logpose.recipes import h36m
from logpose.tasks.pose.evaluate import evaluate
from logpose.tasks.pose.recipe import H36mRecipe, people_in_space
from logpose.training.checkpoint import load_of_crops
from logpose.training.run import fit

SIDE = 96  # of the images, pixels
ROWS = {
    "rle": {}, "l1": {"loss": "l1"}, "integral": {"head": "integral", "loss": "l1"}, "dle": {"loss": "dle"},
    "released": {},
}  # fmt: skip


def write_image(path: Path, rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))


def in_space(folder: Path, part: str, subject: int, count: int) -> None:
    """A file of Human3.6M with people 4 m in front of their camera, of two actions."""
    rng = np.random.default_rng(subject)
    camera = {"R": np.eye(3).tolist(), "t": [0, 0, 0], "f": [150, 150], "c": [SIDE / 2, SIDE / 2]}
    images, rows = [], []
    for number in range(count):
        recording = f"s_{subject:02d}_act_{2 + number % 2:02d}_subact_01_ca_01"
        name = f"{recording}/{recording}_{number:06d}.jpg"
        write_image(folder / "images" / name, rng)
        images.append({"id": number, "file_name": name, "width": SIDE, "height": SIDE, "cam_param": camera})
        world = rng.uniform([-700, -900, 3600], [700, 900, 4400], (17, 3)).tolist()
        rows.append({"id": number, "image_id": number, "bbox": [12, 6, 72, 84], "keypoints_world": world})
    file = folder / "annotations" / f"{part}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"images": images, "annotations": rows}))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("h36m")
    in_space(folder, "Sample_trainmin_train_Human36M_protocol_2", 1, 8)
    in_space(folder, "Sample_64_test_Human36M_protocol_2", 9, 5)
    return folder


@pytest.fixture(scope="module")
def mpii(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("mpii"), np.random.default_rng(5)
    people = []
    for number in range(3):
        write_image(folder / "images" / f"{number}.jpg", rng)
        joints = rng.uniform(10, 85, (16, 2)).tolist()
        person = {"image": f"{number}.jpg", "center": [48, 48], "scale": 0.4, "joints": joints}
        people.append({**person, "joints_vis": [1] * 16})
    (folder / "annotations").mkdir()
    for part in ("train", "valid"):
        (folder / "annotations" / f"{part}.json").write_text(json.dumps(people))
    return folder


def small(data: Path, make=h36m.h36m_resnet50_rle, **changes) -> H36mRecipe:
    settings = {"data": data, "backbone": "resnet18", "weights": "random", "size": (64, 64), "epochs": 1}
    settings |= {"batch_size": 4, "workers": 0, "loggers": (), "accelerator": "cpu", "precision": "32-true"}
    return replace(make(), **{**settings, **changes})


# The rows


def test_the_schedule_is_the_released_codes() -> None:
    budget, released = h36m.h36m_resnet50_rle(), h36m.h36m_resnet50_rle_released()
    assert (budget.size, budget.padding, budget.outside, budget.watch) == ((256, 256), 1, "mask", "mpjpe")
    assert (budget.epochs, budget.milestones, budget.lr, budget.batch_size) == (140, (90, 120), 1e-3, 128)
    assert (budget.backbone, budget.weights, budget.flip_test) == ("resnet50", "imagenet", None)
    aug = budget.augmentation
    assert (aug.scale, aug.rotation, aug.rotation_probability, aug.draws) == (0.3, 60, 0.6, "clipped")
    assert (aug.colour, aug.occlusion, aug.half_body_probability, aug.flip_probability) == (0.2, 0, 0, None)
    # The released code also occludes people, trains longer, and clips the gradient of a loss 18 times as large.
    assert released.augmentation == replace(aug, occlusion=0.7)
    assert (released.epochs, released.milestones, released.gradient_clip) == (200, (90, 120), 35)
    assert budget.gradient_clip == pytest.approx(35 / 18, abs=0.1)


def test_the_released_network() -> None:
    recipe = replace(h36m.h36m_resnet50_rle_released(), backbone="resnet18", weights="random")
    model = recipe.model(recipe, H36M, True)
    assert model.unit_features
    assert model.pixel_mean.flatten().tolist() == pytest.approx(RELEASED_MEAN)
    assert model.pixel_std.flatten().tolist() == pytest.approx(RELEASED_STD[3])


# The data


def test_both_data_sets_to_learn_from_and_one_to_be_measured_on(data: Path, mpii: Path) -> None:
    alone, both = small(data), small(data, mpii=mpii)
    train, mixed = (recipe.people(recipe, "train") for recipe in (alone, both))
    assert isinstance(train, H36mPeople)
    assert isinstance(mixed, MixedPeople)
    assert (len(train), len(mixed)) == (8, 16)
    assert np.isnan(mixed[8].keypoints[:, 2]).all()
    for recipe in (alone, both):
        val = recipe.people(recipe, "val")
        assert isinstance(val, H36mPeople)
        assert isinstance(val, InSpace)
        assert (len(val), "test" in val.file.name) == (5, True)


def test_people_of_the_plane_alone_are_refused(mpii: Path, coco_folder: Path) -> None:
    for folder in (mpii, coco_folder):
        recipe = small(folder)
        with pytest.raises(InputError, match="3-D joints"):
            recipe.people(recipe, "train")
    recipe = h36m.h36m_resnet50_rle()
    with pytest.raises(InputError, match="train RECIPE"):
        recipe.people(recipe, "train")


def test_its_own_fields_are_flags_too(data: Path, mpii: Path) -> None:
    flags = (str(data), "--mpii", str(mpii), "--mpii-images", "there", "--epochs", "3")
    recipe, _, _ = parse_recipe("h36m_resnet50_rle", h36m.h36m_resnet50_rle(), flags)
    assert (recipe.mpii, recipe.mpii_images, recipe.data, recipe.epochs) == (mpii, Path("there"), data, 3)
    assert recipe.people is people_in_space
    with pytest.raises(InputError, match="there"):
        recipe.people(replace(recipe, mpii=Path("there")), "train")


def test_rows_of_either_file_that_are_left_out_are_logged(data: Path, mpii: Path, tmp_path: Path, caplog) -> None:
    files = []
    for folder in (data, mpii):
        files.append(copy := shutil.copytree(folder, tmp_path / folder.name))
        file = next(f for f in sorted((copy / "annotations").iterdir()) if "train" in f.name)
        content = json.loads(file.read_text())
        if isinstance(content, dict):
            content["annotations"][2]["bbox"] = [3, 3, 0, 4]
        else:
            content[1]["scale"] = -1
        file.write_text(json.dumps(content))
    recipe = small(files[0], mpii=files[1])
    people = recipe.people(recipe, "train")
    assert len(people) == 14
    assert ["annotation 2" in str(people.problems[0]), "train.json" in str(people.problems[1])] == [True, True]
    assert len(people.problems) == 2
    log_problems(people)
    assert sum("1 left out" in message for message in caplog.messages) == 2


def test_images_of_people_in_the_plane_need_these(data: Path, refused) -> None:
    message = refused("train", "h36m_resnet50_rle", data, "--mpii-images", data)
    assert "--mpii-images: " in message


# The whole way


@pytest.mark.usefixtures("thin_resnets")
@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_run(data: Path, mpii: Path, tmp_path: Path, name: str) -> None:
    make = h36m.h36m_resnet50_rle_released if name == "released" else h36m.h36m_resnet50_rle
    recipe = small(data, make, mpii=mpii, **ROWS[name])
    run = fit(recipe, tmp_path)
    assert {"mpjpe", "pa_mpjpe", "mpjpe_mean", "mpjpe_directions", "mpjpe_discussion"} <= run.figures.keys()
    assert 0 < run.figures["pa_mpjpe"] < run.figures["mpjpe"] < 2000
    assert sum(figure.startswith("mpjpe_joint_") for figure in run.figures) == 17  # the thorax is not measured
    assert ("sigma_rank" in run.figures) == recipe.make_loss(H36M).learns_sigma
    assert (tmp_path / "config.yaml").read_text().count("mpii") >= 1
    model, loss = load_of_crops(run.best)
    again = evaluate(model, recipe.people(recipe, "val"), loss, flip_test=True).compute()
    for figure in ("mpjpe", "nll", "coverage@0.9"):
        assert again[figure] == pytest.approx(run.figures[figure], rel=1e-3)


def test_a_model_in_the_plane_has_no_mpjpe_to_be_chosen_by(data: Path, tmp_path: Path, make_recipe) -> None:
    with pytest.raises(InputError, match="mpjpe: RLELoss has 2"):
        fit(make_recipe(data=data, watch="mpjpe"), tmp_path)
    with pytest.raises(InputError, match="3-D joints"):
        fit(make_recipe(watch="mpjpe", loss=MixedRLELoss), tmp_path)
