"""Recipes for the built-in synthetic people: nothing to download, learned on a CPU in minutes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from logpose.core.errors import InputError
from logpose.data import Augmentation, InMemory, People
from logpose.data.h36m import MixedPeople
from logpose.data.synthetic import LabelNoise, SyntheticPeople
from logpose.losses import L1Loss, MixedRLELoss, RLELoss
from logpose.tasks.pose.recipe import Recipe, regression_in_space

__all__ = ["synthetic_3d_l1", "synthetic_3d_rle", "synthetic_resnet18_l1", "synthetic_resnet18_rle"]

TRAIN, VAL = 1800, 400  # people
TRAIN_IN_SPACE = 1200  # of whom depth is known, and as many beside of whom it is not


def drawn_people(count: int, seed: int, noise: LabelNoise | None, depth: bool = False) -> InMemory:
    """One person in a picture, of the easy kind: what a small network can learn from in two minutes."""
    return InMemory(SyntheticPeople(count, seed, noise=noise, people=(1, 1), easy=True, depth=depth))


def synthetic_people(recipe: Recipe, part: str) -> InMemory:
    """Synthetic people with noisy labels, drawn once and kept; those of "val" are others than those of "train".

    Raises:
        InputError: if data are given: there is no use for them here.
    """
    _check_no_data(recipe)
    count, seed = (TRAIN, 1) if part == "train" else (VAL, 2)
    return drawn_people(count, seed, LabelNoise())


def synthetic_people_in_space(recipe: Recipe, part: str) -> People:
    """The same with labels of depth, as noisy; half of those to learn from are labelled in the plane only.

    Raises:
        InputError: as there.
    """
    _check_no_data(recipe)
    if part != "train":
        return drawn_people(VAL, 2, LabelNoise(), depth=True)
    in_space = drawn_people(TRAIN_IN_SPACE, 1, LabelNoise(), depth=True)
    return MixedPeople(in_space, drawn_people(TRAIN_IN_SPACE, 3, LabelNoise()), enlarge=1.0)


def _check_no_data(recipe: Recipe) -> None:
    if recipe.data or recipe.val_data:
        other = "an h36m" if recipe.people is synthetic_people_in_space else "a coco"
        raise InputError(f"this recipe draws its people itself; to learn from --data take {other} recipe")


def clean_people() -> InMemory:
    """The people of "val" with their true joints for labels."""
    return drawn_people(VAL, 2, None)


def synthetic_resnet18_rle() -> Recipe:
    """ResNet-18 at 64×48 by RLE on synthetic people, from random weights, in some minutes on two cores."""
    return Recipe(
        people=synthetic_people,
        loss=RLELoss,
        backbone="resnet18",
        weights="random",
        size=(64, 48),
        augmentation=Augmentation(scale=0.15, rotation_probability=0.0, half_body_probability=0.0),
        epochs=8,
        batch_size=32,
        workers=0,
        flip_test=False,
        optimizer="adamw",
        lr=2e-3,
        weight_decay=0.05,
        schedule="one_cycle",
        watch="error_px",
        validate_every=2,
    )


def synthetic_resnet18_l1() -> Recipe:
    """The same network, data and budget by L1."""
    recipe = synthetic_resnet18_rle()
    recipe.loss = L1Loss
    return recipe


def synthetic_3d_rle() -> Recipe:
    """The same network in space, from joints with and without depth, by the RLE of both; errors in millimetres."""
    return replace(
        synthetic_resnet18_rle(),
        people=synthetic_people_in_space,
        loss=MixedRLELoss,
        model=regression_in_space,
        flip_test=True,
        watch="mpjpe",
    )


def synthetic_3d_l1() -> Recipe:
    """The same network, data and budget by L1."""
    return replace(synthetic_3d_rle(), loss=partial(L1Loss, dim=3))
