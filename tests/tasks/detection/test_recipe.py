"""What a run of a detector says: what it learns from, how pictures are varied, and what is refused."""

from __future__ import annotations

from functools import partial

import pytest

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.core.structures import LossDict
from logpose.data.image_sets import whole_images
from logpose.data.scenes import ShortSide, SquareCrop
from logpose.data.synthetic import SyntheticPeople
from logpose.models.detector import Detector, nobody
from logpose.tasks.detection.evaluate import DetectionEvaluation
from logpose.tasks.detection.recipe import DetectionRecipe


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
    assert make().transform() == ShortSide((640, 672, 704, 736, 768, 800), 1333, 0.5)
    squares = make(view="square", square=96, scale=(0.8, 1.2), flip=0.0)
    assert squares.transform() == SquareCrop(96, (0.8, 1.2), 0.0)
    pictures = whole_images(SyntheticPeople(2, seed=1, size=(64, 64)))
    batch = next(iter(squares.loader(pictures, Nobody(COCO, 64, 96), training=True)))
    assert batch.sizes.tolist() == [[96, 96]] * 2


def test_flags_about_the_other_view_change_nothing():
    assert make().inapplicable().keys() >= {"square", "scale"}
    assert "short" not in make().inapplicable()
    inapplicable = make(view="square").inapplicable()
    assert inapplicable["short"] == "about --view whole, and this is square"
    assert not {"square", "scale"} & inapplicable.keys()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"flip_test": True}, "no flip test"),
        ({"short": ()}, r"short=\(\)"),
        ({"view": "square", "scale": (2.0, 1.0)}, r"scale=\(2\.0, 1\.0\)"),
        ({"test_short": 10}, "test_short"),
        ({"momentum": 1.0}, "momentum"),
        ({"steps": -1}, "steps"),
    ],
)
def test_what_is_none_is_refused(changes, said):
    with pytest.raises(InputError, match=said):
        make(**changes)
