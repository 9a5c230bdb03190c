"""Recipes on MPII."""

from __future__ import annotations

from logpose.losses import HeatmapLoss, L1Loss, RLELoss
from logpose.recipes import mpii
from logpose.tasks.pose.recipe import labelled_people


def test_table_12() -> None:
    made = {name: getattr(mpii, name)() for name in mpii.__all__}
    for recipe in made.values():
        assert (recipe.size, recipe.watch, recipe.people) == ((256, 256), "pckh@0.5", labelled_people)
        assert (recipe.backbone, recipe.weights) == ("resnet50", "imagenet")
    first = made["mpii_resnet50_rle_heatmaps_first"]
    assert first.first(first).loss is made["mpii_resnet50_heatmap"].loss is HeatmapLoss
    assert isinstance(made["mpii_resnet50_l1"].loss(), L1Loss)
    assert made["mpii_resnet50_dle"].loss().mode == "dle"
    assert isinstance(made["mpii_resnet50_rle"].loss(), RLELoss)


def test_mmpose_s_row() -> None:
    recipe = mpii.mpii_resnet50_rle_mmpose()
    assert (recipe.lr, recipe.epochs, recipe.batch_size) == (5e-4, 210, 64)
    varied = recipe.augmentation
    assert (varied.half_body_probability, varied.shift_probability, varied.flip_probability) == (0, 0, 0.5)
    assert recipe.loss().convention == "mmpose"
