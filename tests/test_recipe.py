"""What a recipe holds, and what it refuses."""

from __future__ import annotations

import pytest

from logpose.models import RegressionModel
from logpose.recipe import plain_fields
from logpose.skeletons import COCO
from logpose.structures import InputError


def test_plain_fields_are_all_but_the_objects(make_recipe):
    assert not {"people", "loss", "model"} & plain_fields(make_recipe()).keys()
    assert plain_fields(make_recipe())["epochs"] == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("epochs", 0), ("batch_size", 0), ("lr", 0.0), ("lr", float("nan")), ("padding", 0.0), ("size", (16, 64)),
     ("workers", -1), ("seed", -1), ("gradient_clip", -1.0)],
)  # fmt: skip
def test_values_that_cannot_be(make_recipe, field, value):
    with pytest.raises(InputError, match=field):
        make_recipe(**{field: value})


def test_the_model_is_made_as_the_recipe_says(make_recipe):
    recipe = make_recipe(padding=1.5, size=(96, 64))
    model = recipe.model(recipe, COCO, False)
    assert isinstance(model, RegressionModel)
    assert (model.size, model.padding, model.fc_sigma) == ((96, 64), 1.5, None)
