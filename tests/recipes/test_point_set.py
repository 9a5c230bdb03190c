"""Recipes of point-set anchors: the published schedule, and a run from images to figures."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.losses import L1Loss, RLELoss
from logpose.models import PointSetAnchors, PointSetOptions
from logpose.models.anchors import default_template
from logpose.recipes import point_set as recipes
from logpose.training.checkpoint import load
from logpose.training.module import learning_rate
from logpose.training.run import fit

TINY = {
    **{"model": partial(recipes.point_set, options=PointSetOptions(channels=16, depth=1, scale=4.0))},
    **{"backbone": "resnet18", "weights": "random", "square": 64, "test_short": 64, "longest": 128, "epochs": 1},
    **{"batch_size": 8, "workers": 0, "precision": "32-true", "loggers": ("csv",)},
}


def test_the_schedule_is_the_published_one() -> None:
    recipe = recipes.point_set_hrnet_w32_rle()
    steps = 115 * 1000
    rate = learning_rate(recipe, steps)
    assert rate(0) == pytest.approx(1 / 3)
    assert [rate(epoch * 1000) for epoch in (1, 94, 95, 109, 110, 114)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert (recipe.epochs, recipe.batch_size, recipe.lr, recipe.gradient_clip) == (115, 4, 1e-4, 35.0)
    assert (recipe.view, recipe.square, recipe.scale, recipe.flip) == ("square", 640, (0.5, 1.5), None)
    assert [800 * factor for factor in recipes.TEST_SCALES] == [400, 600, 800, 1000, 1200, 1400]


def test_the_published_network_is_made() -> None:
    recipe = replace(recipes.point_set_hrnet_w32_rle(), weights="random")
    model = recipe.model(recipe, COCO, True)
    assert isinstance(model, PointSetAnchors)
    assert model.options == PointSetOptions()
    assert [stage.last["pose"].out_features for stage in model.stages] == [4 * 17] * 2
    # The HRNet's own parameters are those of its map-drawing form and what the last stage's other branches take.
    assert model.trunk.backbone.name == "hrnet_w32"


@pytest.mark.usefixtures("thin_resnets")
@pytest.mark.parametrize("loss", ["l1", "rle"])
def test_a_run_goes_from_images_to_figures(loss: str, coco_folder: Path, tmp_path: Path) -> None:
    recipe = replace(recipes.point_set_resnet18_rle(), loss=loss, data=coco_folder, **TINY)
    run = fit(recipe, tmp_path / "run")
    assert 0 <= run.figures["ap"] <= 1
    model, density = load(run.best)
    assert isinstance(model, PointSetAnchors)
    assert isinstance(density, L1Loss if loss == "l1" else RLELoss)
    assert model.predicts_sigma == (loss == "rle")
    assert not torch.equal(model.template, default_template(COCO))  # the training data's


def test_synthetic_people_are_no_file() -> None:
    with pytest.raises(InputError, match="point_set_resnet18_rle"):
        recipes.synthetic_scenes(replace(recipes.point_set_synthetic_rle(), data=Path("x")), "train")
    assert len(recipes.synthetic_scenes(recipes.point_set_synthetic_rle(), "val")) == 300
