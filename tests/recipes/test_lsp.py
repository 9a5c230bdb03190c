"""The recipes on LSP."""

from __future__ import annotations

import pytest

from logpose.recipes import lsp
from logpose.tasks.image_recipe import labelled_people


@pytest.mark.parametrize("make", [lsp.lsp_resnet18_rle, lsp.lsp_lite0_rle])
def test_the_best_epoch_is_chosen_by_the_field_s_metric(make) -> None:
    recipe = make()
    assert recipe.watch == "pck_torso@0.2"
    assert recipe.people is labelled_people
