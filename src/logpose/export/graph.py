"""What is exported of a model: from its inputs to what a user wants of each joint, with nothing left to compute."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from logpose import __version__
from logpose.core.errors import InputError
from logpose.core.structures import Prediction
from logpose.models import KeypointModel, Model
from logpose.training.checkpoint import describe

__all__ = ["ExportGraph", "facts_of", "finite"]

UNCALIBRATED = (0.5, 0.9, 0.95)
"""Levels of the regions of a model that is not calibrated."""


class ExportGraph(nn.Module):
    """A model as it is exported: a batch of its inputs to a tuple of `outputs`.

    Args:
        model: any model of one instance in each row; its calibration is part of the graph.

    Attributes:
        outputs: names, in order. `keypoints` (B, K, D) is the expected position and `std` its standard deviation, in
            crop coordinates; `radius` (B, J, L) is that of the regions of `levels`, in standard deviations, of joints
            or (of boundary models) dimensions, in the largest of several ranges of sizes; `correlation` (B, K) that of
            errors along x and y; `visible` (B, K) the probability that a joint is; `confidence` (B, K).
        levels: nominal levels of `radius`.

    Raises:
        InputError: if the model is of another kind.
    """

    table: Tensor
    model: KeypointModel

    def __init__(self, model: Model) -> None:
        super().__init__()
        if not isinstance(model, KeypointModel):
            raise InputError(f"models of {model.task} are not exported")
        self.model = model
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
        "shape": list(example.shape[1:]),
        "outputs": list(graph.outputs),
        "levels": list(graph.levels),
        "dim": model.dim,
        "size": list(getattr(model, "size", ())),
        "padding": getattr(model, "padding", None),
        "joints": list(skeleton.joints),
        "bones": [list(bone) for bone in skeleton.bones],
        "error_distribution": (
            {name: None if part is None else part.tolist() for name, part in parts.items()} if known else None
        ),
    }
    facts: dict[str, Any] = finite({**describe(model, None), **notes, "export": export})
    return facts
