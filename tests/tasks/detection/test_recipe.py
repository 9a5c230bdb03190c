"""Recipes of detectors: training data, augmentation, the losses that flags name, and what is refused."""

from __future__ import annotations

from functools import partial

import pytest

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.core.structures import LossDict
from logpose.data.image_sets import whole_images
from logpose.data.scenes import ShortSide, SquareCrop
from logpose.data.synthetic import SyntheticPeople
from logpose.losses import CellLoss, L1Loss, RLELoss, WithHeatmaps
from logpose.models.detector import Detector, nobody
from logpose.tasks.detection.evaluate import DetectionEvaluation
from logpose.tasks.detection.recipe import DetectionRecipe, MaskRCNNRecipe, PointSetRecipe, mask_rcnn


class Nobody(Detector):
    """Finds nobody."""

    def training_losses(self, batch, loss) -> LossDict:
        raise NotImplementedError

    def detect(self, images, sizes):
        return [nobody(self) for _ in images]

    def config(self):
        return {}


make = partial(DetectionRecipe, model=lambda *_: Nobody(COCO, 64, 96), workers=0, batch_size=2)


def test_pictures_are_those_of_the_file(crowd_file):
    recipe = make(data=crowd_file, val_data=crowd_file, short=(40,), longest=96, test_short=64)
    pictures = recipe.people(recipe, "train")
    assert len(pictures) == 3
    model = recipe.model(recipe, COCO, True)
    training = recipe.loader(pictures, model, training=True)
    assert [batch.index.tolist() for batch in training] == [[0]]  # the one in which somebody is labelled
    assert next(iter(training)).sizes.tolist() == [[40, 48]]
    still = list(recipe.loader(pictures, model, training=False))
    assert [batch.index.tolist() for batch in still] == [[0, 1], [2]]
    assert still[0].sizes.tolist() == [[64, 77]] * 2  # as the model sees them
    everything = make(data=crowd_file, empty=True, short=(40,), longest=96, test_short=64)
    assert sum(len(batch.index) for batch in everything.loader(pictures, model, training=True)) == 2
    assert isinstance(recipe.evaluation(pictures, model, None), DetectionEvaluation)


def test_whole_pictures_or_squares():
    assert make().transform() == ShortSide((640, 672, 704, 736, 768, 800), 1333)
    squares = make(view="square", square=96, scale=(0.8, 1.2), flip=0.0)
    assert squares.transform() == SquareCrop(96, (0.8, 1.2), 0.0)
    pictures = whole_images(SyntheticPeople(2, seed=1, size=(64, 64)))
    batch = next(iter(squares.loader(pictures, Nobody(COCO, 64, 96), training=True)))
    assert batch.sizes.tolist() == [[96, 96]] * 2


def test_images_are_mirrored_where_pairs_are_known(coco_folder, numbered_folder, caplog):
    def batch(**fields):
        recipe = make(short=(40,), longest=96, test_short=64, batch_size=8, **fields)
        images = recipe.people(recipe, "train")
        recipe.check_data(images, images, RLELoss())
        recipe.report_data(images, images)
        return next(iter(recipe.loader(images, recipe.model(recipe, COCO, True), training=True))).images

    named = batch(data=coco_folder)
    assert (batch(data=coco_folder, flip=0.5) == named).all()
    assert (batch(data=numbered_folder, flip=0.5) == named).all()
    assert not caplog.messages
    still = batch(data=numbered_folder)
    assert len([message for message in caplog.messages if "--flip 0.5" in message]) == 1
    assert (still == batch(data=coco_folder, flip=0.0)).all()
    assert (still != named).any()


def test_flags_about_the_other_view_change_nothing():
    assert make().inapplicable().keys() >= {"square", "scale"}
    assert "short" not in make().inapplicable()
    inapplicable = make(view="square").inapplicable()
    assert "whole" in inapplicable["short"]
    assert not {"square", "scale"} & inapplicable.keys()


@pytest.mark.parametrize(
    ("changes", "token"),
    [
        ({"flip_test": True}, "--flip-test"),
        ({"short": ()}, "short"),
        ({"view": "square", "scale": (2.0, 1.0)}, "scale"),
        ({"test_short": 10}, "test_short"),
        ({"momentum": 1.0}, "momentum"),
        ({"steps": -1}, "steps"),
    ],
)
def test_what_is_none_is_refused(changes, token):
    with pytest.raises(InputError, match=token):
        make(**changes)


@pytest.mark.parametrize(
    ("fields", "loss", "cells"),
    [
        ({}, RLELoss, None),
        ({"loss": "l1"}, L1Loss, None),
        ({"head": "heatmap"}, CellLoss, None),
        ({"mu_from": "cells"}, RLELoss, None),
        ({"mu_from": "maps"}, WithHeatmaps, True),
        ({"mu_from": "maps", "loss": "laplace"}, WithHeatmaps, True),
    ],
)
def test_heads_name_losses(fields, loss, cells):
    recipe = MaskRCNNRecipe(model=mask_rcnn, **fields)
    made = recipe.make_loss(COCO)
    assert type(made) is loss
    assert made.config().get("cells") is cells


def test_fields_of_the_other_head_are_inapplicable():
    heatmap = MaskRCNNRecipe(model=partial(mask_rcnn, channels=16), head="heatmap").inapplicable()
    assert {"loss", "outside", "mu_from", "pretrain"} <= heatmap.keys()
    assert not {"loss", "outside", "mu_from", "head"} & MaskRCNNRecipe(model=mask_rcnn).inapplicable().keys()
    assert {"head", "mu_from"} <= MaskRCNNRecipe(model=lambda *_: Nobody(COCO, 64, 96)).inapplicable().keys()
    assert "outside" in PointSetRecipe(model=make().model).inapplicable()
