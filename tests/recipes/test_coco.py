"""Recipes on COCO files."""

from __future__ import annotations

from logpose.losses import L1Loss, RLELoss
from logpose.recipe import labelled_people
from logpose.recipes import coco


def test_every_recipe_says_what_it_is_and_can_be_made():
    for name in coco.__all__:
        make = getattr(coco, name)
        assert make.__doc__
        assert make().people is labelled_people


def test_the_losses_are_what_the_names_say():
    assert isinstance(coco.coco_resnet50_rle().loss(), RLELoss)
    assert isinstance(coco.coco_resnet50_l1().loss(), L1Loss)
    assert coco.coco_resnet50_rle().size == (256, 192)
    assert coco.coco_resnet50_rle().milestones == (170, 200)
