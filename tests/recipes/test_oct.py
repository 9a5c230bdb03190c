"""Recipes of retinal boundaries: what they train on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from logpose.core.errors import InputError
from logpose.recipes import oct
from logpose.tasks.boundaries.recipe import TRAIN, VAL
from logpose.training.run import fit


def test_synthetic_scans_take_no_data() -> None:
    recipe = oct.oct_synthetic_rle()
    train, val = (recipe.people(recipe, part) for part in ("train", "val"))
    assert (len(train), len(val)) == (TRAIN, VAL)
    assert not np.array_equal(train[0].image, val[0].image)
    with pytest.raises(InputError, match=r"^x: .*oct"):
        recipe.people(replace(recipe, data=Path("x")), "train")
    recipe = oct.oct_column_rle()
    with pytest.raises(InputError, match="train RECIPE"):
        recipe.people(recipe, "train")


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["rle", "l1"])
def test_synthetic_scans_are_learned(tmp_path: Path, loss: str) -> None:
    figures = fit(replace(oct.oct_synthetic_rle(), loss=loss, loggers=()), tmp_path).figures
    assert figures["truth_px"] < 2
    assert figures["band@0.9"] == pytest.approx(0.9, abs=0.06)
