"""Recipes on COCO files."""

from __future__ import annotations

import torch

from logpose.data import Augmentation
from logpose.losses import Gaussian, L1Loss, L2Loss, Laplace
from logpose.recipe import labelled_people
from logpose.recipes import coco
from logpose.skeletons import COCO


def test_every_recipe_says_what_it_is_and_can_be_made():
    for name in coco.__all__:
        make = getattr(coco, name)
        assert make.__doc__
        assert make().people is labelled_people


def test_the_losses_are_what_the_names_say():
    losses = {name.removeprefix("coco_resnet50_"): getattr(coco, name)().loss() for name in coco.__all__}
    plain = {"l1": L1Loss, "l2": L2Loss, "gaussian": Gaussian, "laplace": Laplace}
    assert all(type(losses[name]) is kind for name, kind in plain.items())
    described = {name: (loss.convention, loss.mode, loss.base) for name, loss in losses.items() if name not in plain}
    assert described.pop("rle_paper") == ("paper", "rle", "laplace")
    assert described.pop("rle_gaussian") == ("normalized", "rle", "gaussian")
    assert described.pop("dle") == ("normalized", "dle", "laplace")
    assert described.pop("rle_released") == ("released", "rle", "laplace")
    assert described.pop("rle_mmpose") == ("mmpose", "rle", "laplace")
    assert set(described.values()) == {("normalized", "rle", "laplace")}


def test_the_paper_s_rows_share_the_released_schedule():
    for name in set(coco.__all__) - {"coco_resnet18_rle", "coco_resnet50_rle_mmpose"}:
        recipe = getattr(coco, name)()
        assert (recipe.epochs, recipe.milestones, recipe.lr, recipe.batch_size) == (270, (170, 200), 1e-3, 32)
        assert recipe.augmentation == Augmentation()
        assert recipe.backbone == name.split("_")[1]
        assert recipe.size == ((384, 288) if "384" in name else (256, 192))


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
