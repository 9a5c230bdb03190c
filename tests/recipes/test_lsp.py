"""Recipes on LSP."""

from __future__ import annotations

from logpose.losses import HeatmapLoss, L1Loss, RLELoss
from logpose.recipes import lsp
from logpose.tasks.pose.recipe import labelled_people
from logpose.training.recipe import plain_fields


def test_they_differ_in_the_loss_alone() -> None:
    rle, l1 = lsp.lsp_resnet18_rle(), lsp.lsp_resnet18_l1()
    assert plain_fields(rle) == plain_fields(l1)
    assert isinstance(rle.loss(), RLELoss)
    assert isinstance(l1.loss(), L1Loss)
    assert rle.people is l1.people is labelled_people


def test_what_it_is_measured_against_has_the_same_budget() -> None:
    budget = plain_fields(lsp.lsp_resnet18_rle())
    assert plain_fields(lsp.lsp_resnet18_integral()) == budget
    maps = lsp.lsp_resnet18_heatmap()
    assert {k: v for k, v in plain_fields(maps).items() if k != "milestones"} == {
        k: v for k, v in budget.items() if k != "milestones"
    }
    assert isinstance(maps.loss(), HeatmapLoss)


def test_the_best_epoch_is_chosen_by_the_field_s_metric() -> None:
    assert lsp.lsp_resnet18_rle().watch == "pck_torso@0.2"
