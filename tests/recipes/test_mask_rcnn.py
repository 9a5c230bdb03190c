"""Recipes for Mask R-CNN: the published schedules, and a run from synthetic scenes to a checkpoint."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.data.image_sets import whole_images
from logpose.data.synthetic import SyntheticPeople
from logpose.losses import CellLoss, HeatmapLoss, L1Loss, RLELoss, WithHeatmaps
from logpose.models import MaskRCNN, MaskRCNNOptions
from logpose.recipes import available, find, mask_rcnn
from logpose.training.checkpoint import load, read
from logpose.training.module import learning_rate
from logpose.training.run import fit

with_torchvision = pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is an extra")
TINY = MaskRCNNOptions(
    frozen=False, channels=16, anchor_sizes=(8, 16, 32, 64, 96), box_head_width=32, keypoint_head_channels=(16, 16),
    samples_per_image=(32, 16), rpn_pre_nms_top_n=(60, 40), rpn_post_nms_top_n=(30, 20), detections_per_image=10,
)  # fmt: skip


def test_schedules_are_detectron2s():
    """Highest rate 0.02 for 16 images, up from a thousandth in 1,000 steps, × 0.1 at two of them."""
    for recipe, milestones, steps in (
        (mask_rcnn.mask_rcnn_resnet50_rle(), (210_000, 250_000), 270_000),
        (find("mask_rcnn_resnet50_rle_heatmaps_first")(), (120_000, 160_000), 180_000),
    ):
        assert (recipe.steps, recipe.batch_size, recipe.lr, recipe.weight_decay) == (steps, 16, 0.02, 1e-4)
        assert (recipe.optimizer, recipe.momentum) == ("sgd", 0.9)
        share = learning_rate(recipe, steps + 315)  # whole epochs are a little more
        assert share(0) == pytest.approx(0.001)
        assert share(500) == pytest.approx(0.5005)
        assert share(1000) == share(milestones[0] - 1) == 1
        assert share(milestones[0]) == pytest.approx(0.1)
        assert share(milestones[1]) == pytest.approx(0.01)


def test_both_readings_of_the_paper():
    assert mask_rcnn.mask_rcnn_resnet50_rle().first is None
    assert mask_rcnn.mask_rcnn_resnet50_rle().weights == "imagenet"
    recipe = replace(find("mask_rcnn_resnet50_rle_heatmaps_first")(), data=Path("coco"), workers=7)
    before = recipe.first(recipe)
    assert before.head == "heatmap"
    assert (before.steps, before.first, before.data, before.workers) == (270_000, None, Path("coco"), 7)
    assert before.milestones == (210_000, 250_000)
    shorter = recipe.first(replace(recipe, steps=1800))
    assert (shorter.steps, shorter.milestones) == (2700, (2100, 2500))
    in_epochs = recipe.first(replace(recipe, steps=0, epochs=18))
    assert (in_epochs.steps, in_epochs.epochs, in_epochs.milestones) == (0, 27, (21, 25))


def test_the_small_one_has_both_stages_too():
    recipe = find("mask_rcnn_synthetic_rle_heatmaps_first")()
    before = recipe.first(recipe)
    assert isinstance(before.make_loss(COCO), CellLoss)
    assert (before.epochs, before.first) == (6, None)
    assert before.model.keywords == recipe.model.keywords
    loss = recipe.make_loss(COCO)
    assert isinstance(loss, WithHeatmaps)
    assert isinstance(loss.density, RLELoss)


@pytest.mark.parametrize("make", [mask_rcnn.mask_rcnn_resnet50_rle, mask_rcnn.mask_rcnn_synthetic_rle])
def test_the_first_stage_has_the_rate_that_is_asked_for_and_no_score_by_oks(make):
    """Heatmaps have no standard deviation; and smaller batches need a lower rate in both stages."""
    recipe = replace(make(), pretrain="heatmap", lr=1e-5, batch_size=4, score="oks")
    before = recipe.first(recipe)
    assert (before.lr, before.batch_size, before.score) == (1e-5, 4, "box")


def test_a_score_by_oks_needs_a_standard_deviation():
    """It is refused before training: with maps, and with a flow on positions, which has no error distribution."""
    recipe = replace(mask_rcnn.mask_rcnn_synthetic_rle(), score="oks")
    data = few(recipe, "train")
    for loss in (CellLoss(), RLELoss(mode="basic")):
        with pytest.raises(InputError, match="--score oks"):
            recipe.check_data(data, data, loss)
    for loss in (recipe.make_loss(COCO), L1Loss()):
        recipe.check_data(data, data, loss)


def test_all_have_names():
    assert set(mask_rcnn.__all__) - {"MaskRCNNRecipe"} <= set(available())


def test_synthetic_scenes_take_no_data():
    recipe = replace(mask_rcnn.mask_rcnn_synthetic_rle(), data=Path("x"))
    with pytest.raises(InputError, match=r"^x: .*mask_rcnn"):
        recipe.people(recipe, "train")


def few(recipe, part):
    return whole_images(SyntheticPeople(4, 1 + (part == "val"), size=(64, 64), people=(1, 3), easy=True))


def tiny(make, **changes):
    small = {"short": (64,), "test_short": 64, "longest": 96, "batch_size": 2, "people": few, "validate_every": 1}
    model = partial(mask_rcnn.mask_rcnn, options=TINY)
    return replace(make(), **{**small, "model": model, **changes})


@with_torchvision
def test_a_run_counts_steps(tmp_path):
    """Three steps are two epochs of two; the checkpoint holds which, and a longer budget goes on from it."""
    recipe = tiny(mask_rcnn.mask_rcnn_synthetic_rle, steps=3, optimizer="sgd", lr=0.01, loggers=("csv",))
    run = fit(recipe, tmp_path / "run")
    content = read(run.folder / "last.ckpt")
    assert (content["epoch"], content["global_step"]) == (1, 4)
    assert {"ap", "found", "matched"} <= run.figures.keys()
    model, loss = load(run.best)
    assert isinstance(model, MaskRCNN)
    assert isinstance(loss, RLELoss)
    assert torch.allclose(model.error_distribution.std, loss.error_distribution().std)
    with pytest.raises(InputError, match="all 3 steps are done"):
        fit(recipe, tmp_path / "run", resume=run.folder / "last.ckpt")
    more = fit(replace(recipe, steps=6), tmp_path / "run", resume=run.folder / "last.ckpt")
    assert read(more.folder / "last.ckpt")["global_step"] == 6


@with_torchvision
@pytest.mark.parametrize(
    ("head", "loss", "goes_with"),
    [
        ("regression", lambda: WithHeatmaps(RLELoss()), "cells=True"),
        ("regression", RLELoss, "cells=True"),
        ("heatmap", HeatmapLoss, "CellLoss"),
    ],
)
def test_heatmap_logits_are_not_fitted_to_bumps(head, loss, goes_with, tmp_path):
    with pytest.raises(InputError, match=goes_with):
        fit(tiny(mask_rcnn.mask_rcnn_synthetic_rle, head=head, loss=loss), tmp_path / "run")


@with_torchvision
def test_heatmap_pretraining(tmp_path, caplog):
    """The second stage starts from the first's weights, maps included; only sigma is new."""
    caplog.set_level("INFO", "logpose")

    def first(recipe):
        return tiny(mask_rcnn.mask_rcnn_synthetic_rle, head="heatmap", epochs=1, loggers=())

    recipe = tiny(mask_rcnn.mask_rcnn_synthetic_rle, first=first, epochs=1, lr=1e-12, loggers=(), schedule="constant")
    run = fit(recipe, tmp_path / "run")
    before, after = (load(path)[0] for path in (run.folder / "first" / "best.ckpt", run.best))
    assert (before.output_type, after.output_type) == ("heatmap logits", "coordinates and heatmap logits")
    assert "sigma head (not in the checkpoint)" in caplog.text
    for part in ("keypoint_head.0.weight", "keypoint_predictor.kps_score_lowres.weight"):
        first_weight, second_weight = (model.roi_heads.get_parameter(part) for model in (before, after))
        assert torch.allclose(first_weight, second_weight, atol=1e-6)
