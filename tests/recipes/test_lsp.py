"""The recipe on LSP."""

from __future__ import annotations

from logpose.recipes import lsp
from logpose.tasks.image_recipe import labelled_people


def test_the_best_epoch_is_chosen_by_the_field_s_metric() -> None:
    recipe = lsp.lsp_resnet18_rle()
    assert recipe.watch == "pck_torso@0.2"
    assert recipe.people is labelled_people
