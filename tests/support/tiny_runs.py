"""Runs that take a second or two: a backbone of two convolutions on synthetic people, on the CPU in float32."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from logpose.data import InMemory
from logpose.data.synthetic import SyntheticPeople
from logpose.models import RegressionModel
from logpose.tasks.pose.recipe import Recipe

EPOCHS, SAMPLES, BATCH = 3, 24, 4  # 6 steps an epoch


class Tiny(nn.Module):
    """A backbone with batch normalisation and dropout, whose random numbers are part of the state."""

    channels = 16
    stride = 4
    stage_parameters = (("layers.0.", "layers.1."), ("layers.3.",))

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(), nn.Dropout(0.2),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layers(images)
        return features


def network(recipe: Any, skeleton: Any, predicts_sigma: bool) -> RegressionModel:
    return RegressionModel(Tiny(), skeleton, recipe.size, 2, predicts_sigma=predicts_sigma)


PEOPLE: dict[str, InMemory] = {}


def people(_: Any, part: str) -> InMemory:
    if part not in PEOPLE:
        count, seed = (SAMPLES, 1) if part == "train" else (8, 2)
        PEOPLE[part] = InMemory(SyntheticPeople(count, seed=seed, people=(1, 1), easy=True))
    return PEOPLE[part]


def tiny(**changes: Any) -> Recipe:
    """RLE with AdamW, warm-up and augmentation, on the CPU in float32."""
    recipe = Recipe(
        people=people, model=network, weights="random", size=(32, 32), epochs=EPOCHS, batch_size=BATCH, workers=0,
        optimizer="adamw", weight_decay=0.05, schedule="cosine", warmup_steps=3, watch="error_px", flip_test=True,
        precision="32-true", accelerator="cpu", devices="1", save_every="1steps", loggers=("csv",), flow_hidden=(8, 8),
    )  # fmt: skip
    return replace(recipe, **changes)


def quick(**changes: Any) -> Recipe:
    """A Laplace likelihood, three steps an epoch, no log: for what needs many runs."""
    settings: dict[str, Any] = {
        "loss": "laplace", "batch_size": 2 * BATCH, "schedule": "constant", "warmup_steps": 0, "weight_decay": 0.0,
        "flip_test": False, "devices": "auto", "save_every": "2steps", "loggers": (),
    }  # fmt: skip
    return tiny(**settings | changes)
