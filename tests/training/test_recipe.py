"""Settings common to all tasks: plain fields, the losses that flags name, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, Skeleton
from logpose.losses import Gaussian, L1Loss, L2Loss, Laplace, RLELoss
from logpose.recipes import available
from logpose.training.recipe import plain_fields, plain_recipe


def test_plain_fields_are_all_but_the_objects(make_recipe) -> None:
    plain = plain_fields(make_recipe())
    assert not {"people", "model", "first", "name", "dim"} & plain.keys()
    assert (plain["epochs"], plain["loss"]) == (2, "rle")


def test_a_loss_of_ones_own_is_not_named(make_recipe) -> None:
    """Nor is what would name one: a checkpoint must not hold settings that had no effect."""
    recipe = make_recipe(loss=lambda: L1Loss())
    assert not {"loss", "base", "convention", "flow_hidden"} & plain_recipe(recipe).keys()
    assert {"base", "convention", "flow_hidden"} <= recipe.inapplicable().keys()
    assert isinstance(recipe.make_loss(COCO), L1Loss)


@pytest.mark.parametrize(
    ("word", "kind"),
    [("l1", L1Loss), ("l2", L2Loss), ("laplace", Laplace), ("gaussian", Gaussian), ("rle", RLELoss), ("dle", RLELoss)],
)
def test_words_name_losses(make_recipe, word, kind) -> None:
    recipe = make_recipe(loss=word)
    loss = recipe.make_loss(COCO)
    assert type(loss) is kind
    assert loss.dim == 2
    if kind is RLELoss:
        assert loss.config()["mode"] == word
    assert ("convention" in recipe.inapplicable()) == (kind is not RLELoss)
    assert ("base" in recipe.inapplicable()) == (word != "rle")


def test_a_loss_has_the_base_convention_and_flow_that_are_named(make_recipe) -> None:
    config = make_recipe(base="gaussian", convention="paper", flow_hidden=(16, 8)).make_loss(COCO).config()
    assert (config["base"], config["convention"]) == ("gaussian", "paper")
    assert list(config["flow"]["hidden"]) == [16, 8]
    with pytest.raises(InputError, match="--convention mmpose"):
        make_recipe(loss="basic", convention="mmpose").make_loss(COCO)


@pytest.mark.parametrize(
    ("field", "value"),
    [("epochs", 0), ("batch_size", 0), ("lr", 0.0), ("lr", float("nan")), ("workers", -1), ("seed", -1),
     ("ema", 1.0), ("ema", -0.1), ("ema", float("nan")), ("accumulate", 0), ("patience", -1), ("freeze", -1),
     ("layer_decay", 0.0), ("layer_decay", 1.5), ("backbone_lr", 0.0), ("gradient_clip", -1.0),
     ("momentum", 1.0), ("flow_hidden", ()), ("flow_hidden", (0,))],
)  # fmt: skip
def test_values_that_cannot_be(make_recipe, field, value) -> None:
    with pytest.raises(InputError, match=field.replace("_", "[_-]")):
        make_recipe(**{field: value})


def test_every_recipe_knows_its_task_and_describes_itself() -> None:
    for make in available().values():
        recipe = make()
        assert recipe.task in ("pose", "detection", "lifting", "boundaries")
        assert replace(recipe, epochs=3).task == recipe.task
        assert make.__doc__


@pytest.mark.parametrize(
    ("joints", "said"),
    [
        (
            (COCO.joints[0], COCO.joints[2], COCO.joints[1], *COCO.joints[3:]),
            ".*other order.*number 2",
        ),
        ((*COCO.joints[:16], "tail"), ".*17 is 'tail', not 'right_ankle'"),
        (COCO.joints[:5], ".*number 6, 'right_shoulder'|.*'left_shoulder', is missing"),
    ],
)
def test_validation_data_of_other_joints_are_refused(make_recipe, joints, said) -> None:
    train, val = SimpleNamespace(skeleton=COCO), SimpleNamespace(skeleton=Skeleton("person", joints), file="val.json")
    with pytest.raises(InputError, match=f"val.json: {said}"):
        make_recipe().check_data(train, val, RLELoss())
