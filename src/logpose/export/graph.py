"""What is exported of a model: from its inputs to what a user wants of each joint, with nothing left to compute."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from logpose import __version__
from logpose.core.errors import InputError
from logpose.core.structures import Prediction
from logpose.data.scenes import MULTIPLE
from logpose.models import Detector, KeypointModel, KeypointWrapper, Model
from logpose.training.checkpoint import describe

__all__ = ["MOST_PEOPLE", "DetectionGraph", "ExportGraph", "WrapperGraph", "facts_of", "finite", "graph_of"]

UNCALIBRATED = (0.5, 0.9, 0.95)
"""Levels of the regions of a model that is not calibrated."""
MOST_PEOPLE = 20
"""That a detector's file finds in an image, unless another number is given."""


class ExportGraph(nn.Module):
    """A model of one instance in each row as it is exported: a batch of its inputs to a tuple of `outputs`.

    Args:
        model: its calibration is part of the graph.

    Attributes:
        inputs: names of the arguments.
        outputs: names, in order. `keypoints` (B, K, D) is the expected position and `std` its standard deviation, in
            crop coordinates; `radius` (B, J, L) is that of the regions of `levels`, in standard deviations, of joints
            or (of boundary models) dimensions, in the largest of several ranges of sizes; `correlation` (B, K) that of
            errors along x and y; `visible` (B, K) the probability that a joint is; `confidence` (B, K).
        levels: nominal levels of `radius`.
        most: rows of a detector's outputs.
    """

    table: Tensor
    inputs: tuple[str, ...] = ("inputs",)
    most: int | None = None

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model: Any = model
        known = bool(model.error_distribution.std.isfinite().all())
        self.levels = model.calibration.levels if model.calibration else UNCALIBRATED if known else ()
        radii = [model.region_radius(level)[0] for level in self.levels]
        count = model.dim if model.keeps_bands else len(model.skeleton)
        each = np.stack([np.broadcast_to(own, count) for own in radii], axis=-1) if known else np.empty((count, 0))
        self.register_buffer("table", torch.from_numpy(each).float())
        self.outputs = ("keypoints", "confidence", *(("std", "radius") if known else ()))
        for argument, name in (("correlated", "correlation"), ("visibility", "visible")):
            if getattr(model, argument, False):
                self.outputs += (name,)

    def example(self) -> tuple[Tensor, ...]:
        """Arguments; a batch of one would be taken for a constant."""
        example = self.model.example_input()
        return (torch.cat([example, example]),)

    def varies(self) -> tuple[dict[int, Any], ...]:
        """Axes of the arguments that may have any size."""
        return ({0: torch.export.Dim("batch")},)

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """All outputs of a batch."""
        found: Prediction = self.model.calibrated(self.model(inputs))
        made = {
            "keypoints": lambda: found.mean,
            "confidence": lambda: found.confidence,
            "std": lambda: found.std,
            "radius": lambda: self.table.expand(inputs.shape[0], -1, -1),
            "correlation": lambda: found.error_correlation,
            "visible": lambda: torch.sigmoid(found.visibility),  # type: ignore[arg-type]  # of a model that predicts it
        }
        return tuple(made[name]() for name in self.outputs)


class WrapperGraph(ExportGraph):
    """A wrapper: people as a program predicted them, to `keypoints` and `std` in the same pixels."""

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """All outputs of a batch."""
        found = dict(zip(self.outputs, super().forward(inputs), strict=True))
        middle, size = self.model.placement(inputs)
        found["keypoints"] = found["keypoints"] * size[:, None, None] + middle[:, None]
        found["std"] = found["std"] * size[:, None, None]
        return tuple(found.values())


class DetectionGraph(ExportGraph):
    """A detector: one image, of sides that are multiples of 32, and its own height and width in it, to its people.

    The outputs have `most` rows, the best person first; those that are not there have a score of 0. `boxes` (N, 4) are
    x0, y0, x1, y1, and `scores` (N,) theirs; `keypoints` (N, K, 2) and `std` are in pixels of the input.

    Args:
        model: its calibration is part of the graph.
        most: N.

    Raises:
        InputError: if shapes within it depend on values.
    """

    inputs = ("inputs", "sizes")

    def __init__(self, model: Detector, most: int = MOST_PEOPLE) -> None:
        model.check_best()
        if not 1 <= most <= model.most:
            raise InputError(f"--people {most}: this model finds 1 to {model.most} people in an image")
        super().__init__(model)
        self.most, self.outputs = most, ("boxes", "scores", *self.outputs)

    def example(self) -> tuple[Tensor, ...]:
        """A black image, so large that no level of a pyramid has one row or column: these were taken for constants."""
        rows = max(-(-self.model.short // MULTIPLE) * MULTIPLE, 4 * MULTIPLE)
        images = self.model.example_input().new_zeros(1, 3, rows, rows + MULTIPLE)
        return images, torch.tensor([images.shape[2:]])

    def varies(self) -> tuple[dict[int, Any], ...]:
        """Height and width of the image."""
        return {axis: MULTIPLE * torch.export.Dim(name) for axis, name in ((2, "rows"), (3, "columns"))}, {}

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """All outputs of an image."""
        found = self.model.best(images, sizes, self.most)
        found = replace(found, prediction=self.model.calibrated(found.prediction))
        made = {
            "boxes": found.boxes,
            "scores": found.box_scores,
            "keypoints": found.keypoints(),
            "confidence": found.prediction.confidence,
            "std": found.spread(),
            "radius": self.table.expand(len(found), -1, -1),
        }
        return tuple(made[name] for name in self.outputs)


def graph_of(model: Model, most: int | None = None) -> ExportGraph:
    """A model as it is exported.

    Args:
        model: any, but of a kind of your own.
        most: people that a detector finds in an image; see `MOST_PEOPLE`.

    Raises:
        InputError: if such models are not exported.
    """
    if isinstance(model, Detector):
        return DetectionGraph(model, min(MOST_PEOPLE, model.most) if most is None else most)
    if most is not None:
        raise InputError(f"--people is for detectors, and this is a model of {model.task}")
    if isinstance(model, KeypointWrapper):
        return WrapperGraph(model)
    if isinstance(model, KeypointModel):
        return ExportGraph(model)
    raise InputError(f"models of {model.task} are not exported")


def finite(value: Any) -> Any:
    """Plain values with None for the numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def facts_of(graph: ExportGraph, precision: str, notes: dict[str, Any]) -> dict[str, Any]:
    """What a file keeps beside its graph, as plain values: the checkpoint's entry, and how to use the graph.

    Args:
        graph: what is exported.
        precision: of its weights.
        notes: of the checkpoint: figures, recipe, licence.
    """
    model = graph.model
    error, skeleton = model.error_distribution, model.skeleton
    parts = {name: getattr(error, name) for name in ("mean", "std", "radius", "bands")}
    known = "std" in graph.outputs
    example = model.example_input()
    export = {
        "version": __version__,
        "task": model.task,
        "precision": precision,
        "input": str(example.dtype).removeprefix("torch."),
        "shape": [None if axis in graph.varies()[0] else side for axis, side in enumerate(example.shape)][1:],
        "outputs": list(graph.outputs),
        "levels": list(graph.levels),
        **{name: getattr(model, name) for name in ("short", "longest", "score_threshold") if hasattr(model, name)},
        "dim": model.dim,
        "size": list(getattr(model, "size", ())),
        "padding": getattr(model, "padding", None),
        "joints": list(skeleton.joints),
        "bones": [list(bone) for bone in skeleton.bones],
        "statistics": {name: getattr(model, name).tolist() for name in getattr(model, "statistics", ())},
        "error_distribution": (
            {name: None if part is None else part.tolist() for name, part in parts.items()} if known else None
        ),
    }
    facts: dict[str, Any] = finite({**describe(model, None), **notes, "export": export})
    return facts
