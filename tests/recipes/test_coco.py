"""Recipes on COCO files."""

from __future__ import annotations

from dataclasses import replace

import torch

from logpose.core.skeletons import COCO
from logpose.data import Augmentation
from logpose.losses import Gaussian, HeatmapLoss, L1Loss, L2Loss, Laplace, RLELoss
from logpose.models import HeatmapModel, IntegralModel
from logpose.recipes import coco
from logpose.tasks.pose.recipe import labelled_people


def test_every_recipe_says_what_it_is_and_can_be_made():
    for name in coco.__all__:
        make = getattr(coco, name)
        assert make.__doc__
        assert make().people is labelled_people


def test_the_losses_are_what_the_names_say():
    losses = {name.removeprefix("coco_resnet50_"): getattr(coco, name)().loss() for name in coco.__all__}
    for name in ("coco_hrnet_w32_heatmap", "coco_resnet152_384_heatmap"):
        assert isinstance(losses.pop(name), HeatmapLoss)
    plain = {"l1": L1Loss, "l2": L2Loss, "gaussian": Gaussian, "laplace": Laplace}
    assert all(type(losses[name]) is kind for name, kind in plain.items())
    assert isinstance(losses.pop("heatmap"), HeatmapLoss)
    assert isinstance(losses["integral"], L1Loss)
    assert isinstance(losses["integral_sigmoid"], L1Loss)
    assert isinstance(losses["l1_auxiliary"].density, L1Loss)
    losses = {name: loss.density for name, loss in losses.items() if isinstance(loss.density, RLELoss)}
    described = {name: (loss.convention, loss.mode, loss.base) for name, loss in losses.items()}
    assert described.pop("rle_paper") == ("paper", "rle", "laplace")
    assert described.pop("rle_paper_with_s") == ("paper", "rle", "laplace")
    assert [losses[name].with_s for name in ("rle_paper", "rle_paper_with_s")] == [False, True]
    assert described.pop("rle_gaussian") == ("normalized", "rle", "gaussian")
    assert described.pop("dle") == ("normalized", "dle", "laplace")
    assert described.pop("rle_released") == ("released", "rle", "laplace")
    for name in (
        "rle_mmpose",
        "coco_resnet101_rle_mmpose",
        "coco_resnet152_rle_mmpose",
        "coco_resnet152_384_rle_mmpose",
    ):
        assert described.pop(name) == ("mmpose", "rle", "laplace")
    assert set(described.values()) == {("normalized", "rle", "laplace")}


def test_the_paper_s_rows_share_the_released_schedule():
    own = {"coco_resnet18_rle", "coco_resnet50_rle_mmpose", "coco_resnet50_heatmap", "coco_hrnet_w32_heatmap"}
    own.add("coco_resnet152_384_heatmap")
    own |= {name for name in coco.__all__ if name.endswith("mmpose")}
    for name in set(coco.__all__) - own:
        recipe = getattr(coco, name)()
        assert (recipe.epochs, recipe.milestones, recipe.lr, recipe.batch_size) == (270, (170, 200), 1e-3, 32)
        # The released configuration: half bodies of more than three joints, scale ±25 %, ±45° every other time.
        assert recipe.augmentation == Augmentation(
            scale=0.25, rotation=45, rotation_probability=0.5, half_body_probability=0.3, half_body_least=4,
            half_body_upper=0.69, flip_probability=0.5, shift=0, shift_probability=0, draws="uniform",
            occlusion=0, colour=0,
        )  # fmt: skip
        assert recipe.backbone == (name[5:14] if "hrnet" in name else name.split("_")[1])
        assert recipe.size == ((384, 288) if "384" in name else (256, 192))


def test_mmpose_s_rows_are_its_configurations():
    sizes = {"resnet50": (256, 192), "resnet101": (256, 192), "resnet152": (256, 192), "resnet152_384": (384, 288)}
    for name, size in sizes.items():
        recipe = getattr(coco, f"coco_{name}_rle_mmpose")()
        assert (recipe.backbone, recipe.size, recipe.outside) == (name.removesuffix("_384"), size, "mask")
        assert (recipe.epochs, recipe.milestones, recipe.batch_size) == (210, (170, 200), 64)
        assert recipe.lr == (5e-4 if "384" in name else 1e-3)
        assert (recipe.warmup_steps, recipe.warmup_start) == (500, 0.001)
        varied = recipe.augmentation
        assert (varied.half_body_least, varied.half_body_upper, varied.half_body_probability) == (9, 0.7, 0.3)
        assert (varied.scale, varied.rotation, varied.rotation_probability) == (0.5, 80, 0.6)
        assert (varied.shift, varied.shift_probability, varied.draws) == (0.16, 0.3, "normal")


def test_heatmaps_have_their_own_schedules():
    simple, hrnet = coco.coco_resnet50_heatmap(), coco.coco_hrnet_w32_heatmap()
    assert (simple.epochs, simple.milestones) == (140, (90, 120))
    large = coco.coco_resnet152_384_heatmap()
    assert (large.size, large.backbone, large.epochs) == ((384, 288), "resnet152", 140)
    assert (hrnet.epochs, hrnet.milestones, hrnet.backbone) == (210, (170, 200), "hrnet_w32")
    for recipe in (simple, hrnet):
        assert type(recipe.model(replace(recipe, weights="random"), COCO, False)) is HeatmapModel


def test_the_starred_rows_begin_with_heatmaps():
    for recipe in (coco.coco_resnet50_rle_heatmaps_first(), coco.coco_resnet152_384_rle_heatmaps_first()):
        first = recipe.first(replace(recipe, batch_size=7))
        assert (first.epochs, first.milestones, first.batch_size, first.first) == (140, (90, 120), 7, None)
        assert (first.size, first.backbone, first.loss) == (recipe.size, recipe.backbone, HeatmapLoss)
        assert recipe.first(replace(recipe, epochs=1)).epochs == 1
        assert (first.watch, recipe.first(replace(recipe, watch="nll")).watch) == ("ap", "error_px")


def test_integral_pose_in_both_normalisations(make_recipe):
    made = make_recipe(backbone="resnet18", weights="random", size=(64, 64))
    models = [r().model(made, COCO, False) for r in (coco.coco_resnet50_integral, coco.coco_resnet50_integral_sigmoid)]
    assert [type(model) for model in models] == [IntegralModel] * 2
    assert [model.normalisation for model in models] == ["softmax", "sigmoid"]


def test_hrnet_with_rle_and_the_auxiliary_head():
    recipe = replace(coco.coco_hrnet_w32_rle(), weights="random")
    model = recipe.model(recipe, COCO, recipe.loss().learns_sigma)
    assert isinstance(model, IntegralModel)
    assert model.fc_sigma is not None
    recipe = replace(coco.coco_resnet50_rle_auxiliary(), weights="random", backbone="resnet18")
    assert recipe.model(recipe, COCO, True).auxiliary_head is not None


def test_mmpose_s_differs_where_its_code_does():
    recipe = coco.coco_resnet50_rle_mmpose()
    assert (recipe.epochs, recipe.batch_size, recipe.warmup_steps, recipe.outside) == (210, 64, 500, "mask")
    aug = recipe.augmentation
    assert (aug.draws, aug.scale, aug.rotation, aug.rotation_probability) == ("normal", 0.5, 80, 0.6)
    assert (aug.shift, aug.shift_probability, aug.half_body_least, aug.half_body_probability) == (0.16, 0.3, 9, 0.3)


def test_the_released_network(make_recipe):
    recipe = coco.coco_resnet50_rle_released()
    assert recipe.gradient_clip == 0
    made = make_recipe(backbone="resnet18", weights="random", size=(64, 48))
    model = recipe.model(made, COCO, True)
    assert model.unit_features
    torch.testing.assert_close(model.pixel_mean.flatten(), torch.tensor([0.406, 0.457, 0.480]))
    assert model.pixel_std.flatten().tolist() == [1, 1, 1]
