"""Recipes for the built-in synthetic people: nothing to download, learned on a CPU in minutes."""

from __future__ import annotations

from logpose.data import Augmentation, InMemory
from logpose.data.synthetic import LabelNoise, SyntheticPeople
from logpose.losses import L1Loss, RLELoss
from logpose.recipe import Recipe
from logpose.structures import InputError

__all__ = ["synthetic_resnet18_l1", "synthetic_resnet18_rle"]

TRAIN, VAL = 1800, 400  # people


def drawn_people(count: int, seed: int, noise: LabelNoise | None) -> InMemory:
    """One person in a picture, of the easy kind: what a small network can learn from in two minutes."""
    return InMemory(SyntheticPeople(count, seed, noise=noise, people=(1, 1), easy=True))


def synthetic_people(recipe: Recipe, part: str) -> InMemory:
    """Synthetic people with noisy labels, drawn once and kept; those of "val" are others than those of "train".

    Raises:
        InputError: if data are given: there is no use for them here.
    """
    if recipe.data or recipe.val_data:
        raise InputError("this recipe draws its people itself; to learn from --data take a coco recipe")
    count, seed = (TRAIN, 1) if part == "train" else (VAL, 2)
    return drawn_people(count, seed, LabelNoise())


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
