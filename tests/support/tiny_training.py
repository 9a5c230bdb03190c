"""A recipe that trains in a second: a Laplace likelihood and a network of two layers on a few synthetic people."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from torch import Tensor, nn

from logpose.data import InMemory
from logpose.data.synthetic import SyntheticPeople
from logpose.models import RegressionModel
from logpose.tasks.pose.recipe import Recipe

SAMPLES, BATCH = 12, 4


class TwoLayers(nn.Module):
    """A backbone with dropout, whose random numbers are part of the state."""

    channels = 8
    stride = 4

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(), nn.Dropout(0.1)
        )

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layers(images)
        return features


def two_layers(recipe: Any, skeleton: Any, predicts_sigma: bool) -> RegressionModel:
    return RegressionModel(TwoLayers(), skeleton, recipe.size, 2, predicts_sigma=predicts_sigma)


@cache
def few_people(part: str) -> InMemory:
    count, seed = (SAMPLES, 1) if part == "train" else (6, 2)
    return InMemory(SyntheticPeople(count, seed=seed, people=(1, 1), easy=True))


def tiny_recipe(**changes: Any) -> Recipe:
    """On the CPU in float32; three epochs of three steps."""
    recipe = Recipe(
        people=lambda _, part: few_people(part), model=two_layers, loss="laplace", weights="random", size=(32, 32),
        epochs=3, batch_size=BATCH, workers=0, optimizer="adamw", schedule="constant", lr=1e-3, watch="error_px",
        flip_test=False, precision="32-true", accelerator="cpu", save_every="2steps", loggers=(),
    )  # fmt: skip
    return replace(recipe, **changes)
