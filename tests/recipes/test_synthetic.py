"""Recipes on synthetic people: other people in each part, noisy labels, and a run in 3-D."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.core.space import InSpace
from logpose.losses import L1Loss, MixedRLELoss
from logpose.recipes import synthetic
from logpose.tasks.pose.evaluate import evaluate
from logpose.training.checkpoint import load_of_crops
from logpose.training.run import fit


def test_parts_are_different_people_with_noisy_labels(monkeypatch):
    monkeypatch.setattr(synthetic, "TRAIN", 4)
    monkeypatch.setattr(synthetic, "VAL", 3)
    recipe = synthetic.synthetic_resnet18_rle()
    train, val = (synthetic.synthetic_people(recipe, part) for part in ("train", "val"))
    assert (len(train), len(val)) == (4, 3)
    assert not np.array_equal(train[0].image, val[0].image)
    clean = synthetic.clean_people()
    assert np.array_equal(clean[0].image, val[0].image)
    seen = val[0].visible > 0
    assert not np.allclose(clean[0].keypoints[seen], val[0].keypoints[seen])


def test_data_of_ones_own_are_not_passed_over_in_silence(make_recipe):
    for name in ("data", "val_data"):
        recipe = replace(synthetic.synthetic_resnet18_rle(), **{name: Path("mine.json")})
        with pytest.raises(InputError, match=r"^mine\.json: .*coco"):
            synthetic.synthetic_people(recipe, "train")


# In space


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(synthetic, "TRAIN_IN_SPACE", 16)
    monkeypatch.setattr(synthetic, "VAL", 6)


def test_losses_have_three_dimensions():
    rle = synthetic.synthetic_3d_rle()
    loss = replace(rle, loss="l1").make_loss(COCO)
    assert isinstance(rle.make_loss(COCO), MixedRLELoss)
    assert isinstance(loss, L1Loss)
    assert loss.dim == 3
    assert rle.watch == "mpjpe"
    assert rle.flip_test


@pytest.mark.usefixtures("few")
def test_depth_is_known_of_half_of_those_to_learn_from():
    recipe = synthetic.synthetic_3d_rle()
    train, val = (recipe.people(recipe, part) for part in ("train", "val"))
    assert (len(train), len(val)) == (32, 6)
    assert [np.isfinite(train[i].keypoints[:, 2]).all() for i in (0, 15, 16, 31)] == [True, True, False, False]
    images = {train[i].image.tobytes() for i in range(32)} | {val[i].image.tobytes() for i in range(6)}
    assert len(images) == 38, "nobody is there twice"
    assert isinstance(val, InSpace)
    truth = val.space(2)
    seen = val[2].visible > 0
    apart = np.abs(truth.camera.project(truth.joints) - val[2].keypoints[:, :2])[seen]
    assert 0 < apart.mean() < 10, "labels are noisy, the truth is not"
    with pytest.raises(InputError, match=r"^mine\.json: .*h36m"):
        recipe.people(replace(recipe, data=Path("mine.json")), "train")


@pytest.mark.usefixtures("few", "thin_resnets")
@pytest.mark.parametrize("loss", ["rle", "l1"])
def test_a_run_in_space(loss, tmp_path):
    recipe = replace(
        synthetic.synthetic_3d_rle(),
        loss=loss,
        epochs=1,
        batch_size=8,
        loggers=(),
        precision="32-true",
        accelerator="cpu",
    )
    run = fit(recipe, tmp_path)
    assert {"mpjpe", "pa_mpjpe", "nll", "coverage@0.9", "error_px", "mpjpe_joint_left_wrist"} <= run.figures.keys()
    assert 0 < run.figures["pa_mpjpe"] < run.figures["mpjpe"] < np.inf
    assert ("sigma_rank" in run.figures) == recipe.make_loss(COCO).learns_sigma
    model, density = load_of_crops(run.best)
    assert model.dim == 3
    again = evaluate(model, recipe.people(recipe, "val"), density, flip_test=True).compute()
    assert again["mpjpe"] == pytest.approx(run.figures["mpjpe"], rel=1e-3)
    assert again["coverage@0.9"] == pytest.approx(run.figures["coverage@0.9"], abs=0.02)
