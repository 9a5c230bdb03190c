"""Recipes of version 0.1: each of the 85 names, but one of a study's, gives the recipe that it gave.

`recipes_0_1.json` holds what the code of version 0.1 made of them: the plain fields of each class (the most frequent
values, and each recipe's differences), the losses, and what distinguished the networks, on small backbones.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from logpose import models
from logpose.cli.recipe_flags import parse_recipe
from logpose.core.skeletons import COCO, H36M, H36M_LIFTING, Skeleton
from logpose.data.augmentation import flip_share
from logpose.data.scans import RETINA
from logpose.losses import PoseLoss
from logpose.models import MaskRCNN, MaskRCNNOptions
from logpose.models.version_0_1 import upgraded
from logpose.recipes import available, coco, find, mask_rcnn
from logpose.recipes.renamed import OLD, command, renamed
from logpose.tasks.boundaries.recipe import BoundaryRecipe
from logpose.training.recipe import settings

RECORD = json.loads(Path(__file__).with_name("recipes_0_1.json").read_text())
RECIPES: dict[str, dict[str, Any]] = RECORD["recipes"]
del RECIPES["lifting_fc_rle_unscaled"]  # its loss is in `benchmarks/lifting_losses.py` now
SKELETONS = {
    "h36m": H36M, "synthetic_3d": H36M, "lifting": H36M_LIFTING, "oct": RETINA, "": COCO,
}  # fmt: skip
CHANGED = {"workers": (2, "auto"), "watch": ("ap", "error_px")}
"""Defaults that have changed since: from and to."""
CLASSES = {"BoundaryRecipe": "OctRecipe"}
PEOPLE = {
    "labelled_images": ("labelled_pictures",),
    "synthetic_scans": ("drawn_scans",),
    "synthetic_scenes": ("drawn_scenes", "drawn_pictures"),
}


def check(name: str, recipe: Any, record: dict[str, Any], of_class: str) -> None:
    """Compare a recipe's fields, loss and network with the record; fields that have no effect do not count."""
    fields = RECORD["fields"][of_class] | record.get("fields", {})
    today = json.loads(json.dumps(settings(recipe), default=str))
    skeleton = next(skeleton for start, skeleton in SKELETONS.items() if name.startswith(start))
    decided(today, skeleton)
    without_effect = recipe.inapplicable()
    for field, value in fields.items():
        assert field in without_effect or today[field] == value or (value, today[field]) == CHANGED.get(field), field
    loss, recorded = recipe.make_loss(skeleton), PoseLoss.from_config(RECORD["losses"][record["loss"]])
    assert type(loss) is type(recorded)
    assert loss.config() == recorded.config()
    small = {"size": (64, 64)} if recipe.task == "pose" else {}
    if "backbone" in today:
        small |= {"backbone": "hrnet_w32" if "hrnet" in recipe.backbone else "resnet18", "weights": "random"}
    described = dict(RECORD["models"][record["model"]])
    if described["kind"] == "mask_rcnn":
        described = upgraded(1, described | {"outside": recipe.outside}, {})
        described["options"] = json.loads(json.dumps(MaskRCNNOptions.from_config(described["options"]).config()))
    with torch.device("meta" if recipe.task == "pose" and "pixel_std" not in described else "cpu"):  # to be quick
        model = recipe.model(replace(recipe, **small), skeleton, loss.learns_sigma)
    config = json.loads(json.dumps(model.config()))
    if "pixel_std" in described:
        assert model.pixel_std.flatten().tolist() == pytest.approx(described.pop("pixel_std"), abs=1e-4)
    assert (getattr(model, "auxiliary_head", None) is not None) == described.pop("auxiliary", False)
    assert {key: config[key] for key in described} == described


def decided(fields: dict[str, Any], skeleton: Skeleton) -> None:
    """Fill in what a skeleton decides: how often images are mirrored, and the flip test."""
    if fields.get("flip_test", True) is None:
        fields["flip_test"] = skeleton.mirrors
    for holder, name in ((fields, "flip"), (fields.get("augmentation", {}), "flip_probability")):
        if name in holder:
            holder[name] = flip_share(holder[name], skeleton)


class Arguments(MaskRCNN):
    """Stands for Mask R-CNN, which needs torchvision: the arguments that it was called with."""

    def __init__(self, *arguments: Any) -> None:
        torch.nn.Module.__init__(self)
        names = ("head", "predicts_sigma")
        self.described = {"kind": "mask_rcnn", **dict(zip(names, arguments[2:4], strict=True))}
        self.described["options"] = arguments[6].config()

    def config(self) -> dict[str, Any]:
        return self.described


@pytest.fixture
def no_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "MaskRCNN", Arguments)
    monkeypatch.setattr(models.mask_rcnn, "load_mask_rcnn_weights", lambda *_, **__: None)


def test_there_are_as_many_presets_and_old_names_as_there_were_recipes() -> None:
    since = {"coco_lite0_rle", "lsp_lite0_rle"}
    assert set(available()) | set(OLD) == set(RECIPES) | since
    assert not set(available()) & set(OLD)
    assert len(RECIPES) == 84
    assert len(available()) <= 35


@pytest.mark.usefixtures("no_torchvision")
@pytest.mark.parametrize("name", RECIPES)
def test_each_is_what_it_was(name: str) -> None:
    recipe, record = find(name)(), RECIPES[name]
    kind, people = type(recipe).__name__, recipe.people.__name__
    assert CLASSES.get(kind, kind) == record["class"]
    assert record["people"] in PEOPLE.get(people, (people,))
    check(name, recipe, record, record["class"])
    assert (recipe.first is None) == ("first" not in record)
    if recipe.first is not None:
        stage = recipe.first(recipe)
        assert stage.first is None
        check(name, stage, record["first"], record["class"])


@pytest.mark.parametrize("name", OLD)
def test_the_new_command_gives_it_too(name: str) -> None:
    old = renamed(name)
    assert old is not None
    words = shlex.split(command(*old))
    assert words[0] == old.preset
    parsed, _, _ = parse_recipe(old.preset, find(old.preset)(), words[1:])
    expected = find(name)()
    assert (settings(parsed), type(parsed)) == (settings(expected), type(expected))
    assert (parsed.first, parsed.people) == (expected.first, expected.people)


def test_modules_have_the_old_names_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="coco_resnet50_rle --loss l1"):
        assert coco.coco_resnet50_l1() == replace(coco.coco_resnet50_rle(), loss="l1")
    with pytest.warns(DeprecationWarning, match="--pretrain heatmap"):
        assert mask_rcnn.mask_rcnn_synthetic_rle_heatmaps_first().pretrain == "heatmap"
    with pytest.raises(AttributeError, match="coco_resnet50_l3"):
        _ = coco.coco_resnet50_l3
    from logpose.recipes import oct as boundaries

    with pytest.warns(DeprecationWarning, match="BoundaryRecipe"):
        assert boundaries.OctRecipe is BoundaryRecipe
