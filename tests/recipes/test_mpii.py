"""Recipes on MPII."""

from __future__ import annotations

from logpose.core.skeletons import MPII
from logpose.recipes import mpii
from logpose.tasks.image_recipe import labelled_people


def test_table_12() -> None:
    for name in mpii.__all__:
        recipe = getattr(mpii, name)()
        assert (recipe.size, recipe.watch, recipe.people) == ((256, 256), "pckh@0.5", labelled_people)
        assert (recipe.backbone, recipe.weights) == ("resnet50", "imagenet")


def test_mmpose_s_row() -> None:
    recipe = mpii.mpii_resnet50_rle_mmpose()
    assert (recipe.lr, recipe.epochs, recipe.batch_size) == (5e-4, 210, 64)
    varied = recipe.augmentation
    assert (varied.half_body_probability, varied.shift_probability, varied.flip_probability) == (0, 0, None)
    assert recipe.make_loss(MPII).config()["convention"] == "mmpose"
