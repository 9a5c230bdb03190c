"""Recipes on LSP."""

from __future__ import annotations

from logpose.losses import L1Loss, RLELoss
from logpose.recipe import labelled_people, plain_fields
from logpose.recipes import lsp


def test_they_differ_in_the_loss_alone() -> None:
    rle, l1 = lsp.lsp_resnet18_rle(), lsp.lsp_resnet18_l1()
    assert plain_fields(rle) == plain_fields(l1)
    assert isinstance(rle.loss(), RLELoss)
    assert isinstance(l1.loss(), L1Loss)
    assert rle.people is l1.people is labelled_people


def test_the_best_epoch_is_chosen_by_the_field_s_metric() -> None:
    assert lsp.lsp_resnet18_rle().watch == "pck_torso@0.2"
