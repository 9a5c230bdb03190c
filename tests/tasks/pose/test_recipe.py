"""What a recipe holds, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from logpose.core.errors import InputError
from logpose.core.geometry import PADDING
from logpose.core.skeletons import COCO
from logpose.data import Augmentation
from logpose.losses import HeatmapLoss, L1Loss, MixedRLELoss, RLELoss, WithHeatmaps
from logpose.models import AttentionModel, HeatmapModel, IntegralModel, RegressionModel
from logpose.tasks.image_recipe import ImageRecipe, labelled_people
from logpose.tasks.pose import recipe as recipes
from logpose.tasks.pose.recipe import H36mRecipe, Recipe, released_regression
from logpose.training.checkpoint import load_model, read
from logpose.training.run import fit


@pytest.mark.parametrize(
    ("field", "value"),
    [("padding", 0.0), ("size", (16, 64)), ("auxiliary", -1.0)],
)
def test_values_that_cannot_be(make_recipe, field, value):
    with pytest.raises(InputError, match=field):
        make_recipe(**{field: value})


def test_the_model_is_made_as_the_recipe_says(make_recipe):
    recipe = make_recipe(padding=1.5, size=(96, 64))
    model = recipe.model(recipe, COCO, False)
    assert isinstance(model, RegressionModel)
    assert (model.size, model.padding, model.fc_sigma) == ((96, 64), 1.5, None)


@pytest.mark.parametrize(
    ("fields", "model", "loss"),
    [
        ({}, RegressionModel, RLELoss),
        ({"head": "heatmap"}, HeatmapModel, HeatmapLoss),
        ({"head": "integral", "loss": "l1"}, IntegralModel, L1Loss),
        ({"head": "integral"}, IntegralModel, RLELoss),
        ({"head": "attention"}, AttentionModel, WithHeatmaps),
        ({"head": "attention", "auxiliary": 0.0}, AttentionModel, RLELoss),
        ({"head": "attention", "loss": "l1", "dim": 3, "auxiliary": 0.0}, AttentionModel, L1Loss),
        ({"auxiliary": 0.5}, RegressionModel, WithHeatmaps),
        ({"dim": 3}, RegressionModel, MixedRLELoss),
        ({"dim": 3, "head": "integral", "loss": "l1"}, IntegralModel, L1Loss),
    ],
)
def test_heads_and_losses_that_go_together(make_recipe, fields, model, loss):
    recipe = make_recipe(size=(64, 64), **fields)
    made = recipe.make_loss(COCO)
    assert type(made) is loss
    network = recipe.model(recipe, COCO, made.learns_sigma)
    assert type(network) is model
    assert network.output_type == made.output_type
    if loss is WithHeatmaps:
        assert made.weight == (0.5 if network.kind == "regression" else 1.0)
    if "dim" in fields:
        assert made.density.dim == network.dim == 3


def test_fields_of_another_head_are_inapplicable(make_recipe):
    assert {"loss", "base", "convention", "pretrain"} <= make_recipe(head="heatmap").inapplicable().keys()
    assert {"normalisation"} <= make_recipe().inapplicable().keys()
    assert {"auxiliary"} <= make_recipe(head="integral").inapplicable().keys()
    assert {"head", "normalisation"} <= make_recipe(model=released_regression).inapplicable().keys()
    assert not {"loss", "head", "auxiliary", "pretrain"} & make_recipe().inapplicable().keys()


def test_crops_are_as_large_as_models_have_them():
    assert Recipe().padding == PADDING


def test_heatmaps_have_no_depth():
    with pytest.raises(InputError, match="--head heatmap"):
        H36mRecipe(head="heatmap")
    assert "pretrain" in H36mRecipe().inapplicable()


def test_pretraining_is_a_first_stage_until_it_is_done(make_recipe, tmp_path):
    recipe = make_recipe(pretrain="heatmap")
    assert recipe.first is not None
    stage = recipe.first(recipe)
    assert (stage.head, stage.first, stage.data) == ("heatmap", None, recipe.data)
    second = recipe.initialised_from(tmp_path / "best.ckpt")
    assert (second.first, second.head, second.weights) == (None, "regression", str(tmp_path / "best.ckpt"))
    assert second.weights_of == "backbone"
    assert replace(recipe, pretrain="none").first is None
    own = make_recipe(first=lambda r: replace(r, first=None))
    assert "pretrain" in own.inapplicable()


@pytest.mark.parametrize("name", ["PictureRecipe", "regression_in_space", "regression_with_heatmaps"])
def test_names_of_version_0_1_have_a_warning(name):
    with pytest.warns(DeprecationWarning, match=name):
        assert callable(getattr(recipes, name))
    assert issubclass(Recipe, ImageRecipe)


# The data


def first_batch(recipe, pairs=None):
    """The images of the first training batch, and the pairs of its skeleton."""
    train = labelled_people(replace(recipe, pairs=pairs), "train")
    model = recipe.model(recipe, train.skeleton, False)
    return next(iter(recipe.loader(train, model, training=True))).images, train.skeleton.pairs


def test_images_are_mirrored_where_pairs_are_known(make_recipe, numbered_folder):
    never, flips = (Augmentation(half_body_probability=0, flip_probability=share) for share in (0.0, 0.5))
    whole = Augmentation(half_body_probability=0)  # which joints are of the upper body is known by their names
    named, numbered = make_recipe(augmentation=whole), make_recipe(augmentation=whole, data=numbered_folder)
    mirrored, pairs = first_batch(named)
    assert (mirrored == first_batch(replace(named, augmentation=flips))[0]).all(), "half of them unless it is said"
    still, none = first_batch(numbered)
    assert not none
    assert (still == first_batch(replace(named, augmentation=never))[0]).all()
    assert (still != mirrored).any()
    assert (first_batch(replace(numbered, augmentation=flips))[0] == mirrored).all(), "asked for"
    given = tuple(f"{a + 1}-{b + 1}" for a, b in pairs)
    assert first_batch(numbered, given)[1] == pairs
    assert (first_batch(numbered, given)[0] == mirrored).all()
    with pytest.raises(InputError, match="'1-18'"):
        first_batch(numbered, ("1-18",))


@pytest.mark.parametrize("asked", [False, True])
def test_what_is_not_mirrored_is_reported_once(make_recipe, numbered_folder, caplog, asked):
    fields = {"flip_test": True, "augmentation": Augmentation(flip_probability=0.5)} if asked else {}
    for data, lines in ((numbered_folder, 0 if asked else 1), (None, 0)):
        recipe = make_recipe(**fields) if data is None else make_recipe(data=data, **fields)
        caplog.clear()
        train = labelled_people(recipe, "train")
        recipe.check_data(train, labelled_people(recipe, "val"), recipe.make_loss(COCO))
        recipe.report_data(train, train)
        assert len(caplog.messages) == lines
        for flag in ("--pairs", "--flip-test", "--augmentation.flip-probability"):
            assert all(flag in message for message in caplog.messages)


@pytest.mark.usefixtures("thin_resnets")
def test_a_run_without_pairs_is_validated_without_a_flip_test(make_recipe, numbered_folder, command, tmp_path):
    fit(make_recipe(data=numbered_folder, epochs=1, loggers=("csv",)), tmp_path / "run")
    best = tmp_path / "run" / "best.ckpt"
    assert not load_model(best).skeleton.mirrors
    figures, said = {}, {}
    for words in ((), ("--no-flip-test",), ("--flip-test",)):
        code, out, said[words] = command("eval", best, numbered_folder, "--json", "--device", "cpu", *words)
        assert code == 0
        figures[words] = json.loads(out)["error_px"]
    trained = read(best)["logpose"]["figures"]["error_px"]
    assert figures[()] == figures["--no-flip-test",] == pytest.approx(trained, rel=1e-6)
    assert figures["--flip-test",] != figures[()]
    assert [words for words, text in said.items() if "--flip-test" in text] == [(), ("--flip-test",)]


def test_a_covariance_and_visibility_from_training_to_results(coco_folder, command, tmp_path):
    small = ("--size", "32x32", "--epochs", 1, "--batch-size", 16, "--workers", 0, "--precision", "32-true")
    words = ("coco_resnet18_rle", "--data", coco_folder, "--weights", "random", *small)
    code, _, err = command("train", *words, "--out", tmp_path / "run", "--covariance", "full", "--visibility")
    assert code == 0, err
    model = tmp_path / "run" / "best.ckpt"
    code, text, err = command("eval", model, "--data", coco_folder, "--part", "val", "--json", "--device", "cpu")
    assert code == 0, err
    figures = json.loads(text)
    assert {"visible_auroc", "visible_ece", "visible_brier", "error_px/hidden", "std_px/visible"} <= set(figures)
    image = next(path for path in sorted(coco_folder.rglob("*")) if path.suffix in (".jpg", ".png"))
    code, text, err = command("predict", model, image, "--looks", 1, "--json", "--device", "cpu")
    assert code == 0, err
    (row,) = json.loads(text)
    assert np.array(row["covariance"]).shape == (17, 2, 2)
    assert len(row["visible"]) == 17
    for loss, flag in (("l1", "--covariance"), ("rle", "--visibility")):
        data = coco_folder
        if flag == "--visibility":
            data = tmp_path / "all visible"
            shutil.copytree(coco_folder, data)
            for file in data.rglob("*.json"):
                content = json.loads(file.read_text())
                for row in content["annotations"]:
                    x, y, width, height = row["bbox"]
                    row["keypoints"] = [x + width / 2, y + height / 2, 2] * 17
                    row["num_keypoints"] = 17
                file.write_text(json.dumps(content))
        given = ("--covariance", "full") if flag == "--covariance" else ("--visibility",)
        words = ("coco_resnet18_rle", "--data", data, "--weights", "random", *small, "--loss", loss)
        code, _, err = command("train", *words, "--out", tmp_path / loss, *given)
        assert code == 2
        assert flag in err
