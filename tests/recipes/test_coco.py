"""Recipes on COCO: the published schedules, and the rows that flags give."""

from __future__ import annotations

from dataclasses import replace

import torch

from logpose.core.skeletons import COCO
from logpose.data import Augmentation
from logpose.recipes import coco, find
from logpose.recipes.reproduce import TABLES
from logpose.tasks.image_recipe import labelled_people


def test_every_recipe_describes_itself() -> None:
    for name in coco.__all__:
        make = getattr(coco, name)
        assert make.__doc__
        assert make().people is labelled_people


def test_the_papers_rows_share_the_released_schedule() -> None:
    for name in ("coco_resnet50_rle", "coco_resnet50_rle_released", "coco_resnet50_rle_paper_with_s"):
        recipe = getattr(coco, name)()
        assert (recipe.epochs, recipe.milestones, recipe.lr, recipe.batch_size) == (270, (170, 200), 1e-3, 32)
        assert (recipe.gradient_clip, recipe.backbone, recipe.size) == (0, "resnet50", (256, 192))
        # The released configuration: half bodies of more than three joints, scale ±25 %, ±45° every other time.
        assert recipe.augmentation == Augmentation(
            scale=0.25, rotation=45, rotation_probability=0.5, half_body_probability=0.3, half_body_least=4,
            half_body_upper=0.69, flip_probability=None, shift=0, shift_probability=0, draws="uniform",
            occlusion=0, colour=0,
        )  # fmt: skip


def test_mmposes_configuration() -> None:
    recipe = coco.coco_resnet50_rle_mmpose()
    assert (recipe.epochs, recipe.milestones, recipe.batch_size, recipe.lr) == (210, (170, 200), 64, 1e-3)
    assert (recipe.outside, recipe.warmup_steps, recipe.warmup_start) == ("mask", 500, 0.001)
    varied = recipe.augmentation
    assert (varied.half_body_least, varied.half_body_upper, varied.half_body_probability) == (9, 0.7, 0.3)
    assert (varied.scale, varied.rotation, varied.rotation_probability) == (0.5, 80, 0.6)
    assert (varied.shift, varied.shift_probability, varied.draws) == (0.16, 0.3, "normal")


def test_heatmaps_have_their_own_schedule() -> None:
    recipe = coco.coco_resnet50_heatmap()
    assert (recipe.head, recipe.epochs, recipe.milestones) == ("heatmap", 140, (90, 120))


def test_pretraining_takes_140_of_270_steps_too() -> None:
    recipe = replace(coco.coco_resnet50_rle(), pretrain="heatmap", steps=2700, milestones=(1700, 2000))
    assert recipe.first is not None
    stage = recipe.first(recipe)
    assert (stage.steps, stage.milestones) == (1400, (900, 1200))


def test_pretraining_takes_140_of_270_epochs() -> None:
    recipe = replace(coco.coco_resnet50_rle(), pretrain="heatmap", batch_size=7)
    assert recipe.first is not None
    stage = recipe.first(recipe)
    assert (stage.epochs, stage.milestones, stage.batch_size, stage.first) == (140, (90, 120), 7, None)
    assert recipe.first(replace(recipe, epochs=1)).epochs == 1
    assert recipe.first(replace(recipe, watch="nll")).watch == "error_px"


def test_old_names_make_their_networks() -> None:
    for name, normalisation in (("coco_resnet50_integral", "softmax"), ("coco_resnet50_integral_sigmoid", "sigmoid")):
        recipe = replace(find(name)(), backbone="resnet18", weights="random", size=(64, 64))
        model = recipe.model(recipe, COCO, False)
        assert model.normalisation == normalisation
    recipe = replace(find("coco_hrnet_w32_rle")(), weights="random")
    assert recipe.model(recipe, COCO, recipe.make_loss(COCO).learns_sigma).fc_sigma is not None


def test_the_released_network() -> None:
    recipe = replace(coco.coco_resnet50_rle_released(), backbone="resnet18", weights="random", size=(64, 48))
    model = recipe.model(recipe, COCO, True)
    assert model.unit_features
    torch.testing.assert_close(model.pixel_mean.flatten(), torch.tensor([0.406, 0.457, 0.480]))
    assert model.pixel_std.flatten().tolist() == [1, 1, 1]


def test_the_best_epoch_is_that_of_the_highest_ap_in_the_papers_rows_and_of_the_lowest_error_elsewhere() -> None:
    watched = {name: getattr(coco, name)().watch for name in coco.__all__}
    assert watched.pop("coco_resnet18_rle") == watched.pop("coco_lite0_rle") == "error_px"
    assert set(watched.values()) == {"ap"}
    for table in TABLES:
        for row in table.rows:
            if "ap" in (name for _, name, _ in table.metrics):
                assert find(row.preset)().watch == "ap", row
