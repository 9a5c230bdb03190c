"""Recipes on synthetic people: fair between losses, noisy where they should be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from logpose.losses import L1Loss, RLELoss
from logpose.recipe import plain_fields
from logpose.recipes import synthetic
from logpose.structures import InputError


def test_both_losses_have_the_same_budget():
    rle, l1 = synthetic.synthetic_resnet18_rle(), synthetic.synthetic_resnet18_l1()
    assert plain_fields(rle) == plain_fields(l1)
    assert isinstance(rle.loss(), RLELoss)
    assert isinstance(l1.loss(), L1Loss)


def test_parts_are_different_people_with_noisy_labels(monkeypatch):
    monkeypatch.setattr(synthetic, "TRAIN", 4)
    monkeypatch.setattr(synthetic, "VAL", 3)
    recipe = synthetic.synthetic_resnet18_rle()
    train, val = (synthetic.synthetic_people(recipe, part) for part in ("train", "val"))
    assert (len(train), len(val)) == (4, 3)
    assert not np.array_equal(train[0].image, val[0].image)
    clean = synthetic.clean_people()
    assert np.array_equal(clean[0].image, val[0].image)
    seen = val[0].visible > 0
    assert not np.allclose(clean[0].keypoints[seen], val[0].keypoints[seen])


def test_data_of_ones_own_are_not_passed_over_in_silence(make_recipe):
    for name in ("data", "val_data"):
        recipe = replace(synthetic.synthetic_resnet18_rle(), **{name: Path("mine.json")})
        with pytest.raises(InputError, match="coco recipe"):
            synthetic.synthetic_people(recipe, "train")
