"""Recipes for synthetic people, which are rendered in memory: they need no data and train on a CPU in minutes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from logpose.core.errors import InputError
from logpose.data import Augmentation
from logpose.recipes.coco import coco_resnet18_rle
from logpose.recipes.renamed import old_presets
from logpose.tasks.image_recipe import ImageRecipe
from logpose.tasks.pose.recipe import Recipe

if TYPE_CHECKING:
    from logpose.data import InMemory, People
    from logpose.data.synthetic import LabelNoise

__all__ = ["synthetic_3d_rle", "synthetic_resnet18_rle"]

TRAIN, VAL = 1800, 400  # people
TRAIN_IN_SPACE = 1200  # people with depth labels, and as many without


def easy_people(count: int, seed: int, noise: LabelNoise | None, depth: bool = False) -> InMemory:
    """Images of one person each, of the easy kind: a small network learns from them in two minutes."""
    from logpose.data import InMemory
    from logpose.data.synthetic import SyntheticPeople

    return InMemory(SyntheticPeople(count, seed, noise=noise, people=(1, 1), easy=True, depth=depth))


def synthetic_people(recipe: Recipe, part: str) -> InMemory:
    """Synthetic people with noisy labels; those of "val" are others than those of "train"."""
    from logpose.data.synthetic import LabelNoise

    refuse_data(recipe, "coco_resnet18_rle")
    count, seed = (TRAIN, 1) if part == "train" else (VAL, 2)
    return easy_people(count, seed, LabelNoise())


def synthetic_people_in_space(recipe: Recipe, part: str) -> People:
    """The same with noisy depth labels; half of the training people have 2-D labels only."""
    from logpose.data.h36m import MixedPeople
    from logpose.data.synthetic import LabelNoise

    refuse_data(recipe, "h36m_resnet50_rle")
    if part != "train":
        return easy_people(VAL, 2, LabelNoise(), depth=True)
    in_space = easy_people(TRAIN_IN_SPACE, 1, LabelNoise(), depth=True)
    return MixedPeople(in_space, easy_people(TRAIN_IN_SPACE, 3, LabelNoise()), enlarge=1.0)


def refuse_data(recipe: ImageRecipe, other: str) -> None:
    """Refuse data of a recipe that trains on synthetic people, naming an `other` that trains on data."""
    if recipe.data or recipe.val_data:
        raise InputError(
            f"{recipe.data or recipe.val_data}: this recipe trains on synthetic people; train on data with {other}"
        )


def clean_people() -> InMemory:
    """The people of "val" with their true joints as labels."""
    return easy_people(VAL, 2, None)


def synthetic_resnet18_rle() -> Recipe:
    """RLE on synthetic people, ResNet-18, 64×48, random weights: trains on two cores in minutes."""
    return replace(
        coco_resnet18_rle(),
        people=synthetic_people,
        size=(64, 48),
        augmentation=Augmentation(scale=0.15, rotation_probability=0.0, half_body_probability=0.0),
        epochs=8,
        batch_size=32,
        workers=0,
        flip_test=False,
        watch="error_px",
        validate_every=2,
    )


def synthetic_3d_rle() -> Recipe:
    """RLE in 3-D on synthetic people, half of them with depth labels; errors in millimetres."""
    return replace(synthetic_resnet18_rle(), people=synthetic_people_in_space, dim=3, flip_test=True, watch="mpjpe")


__getattr__ = old_presets(globals())
