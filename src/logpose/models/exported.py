"""Models of files that `logpose export` wrote: a runtime computes, all else is as of the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from logpose.core.errors import InputError
from logpose.core.messages import first_line
from logpose.core.structures import ErrorDistribution, Prediction
from logpose.models.detector import Detections, Detector, box_maps, in_boxes
from logpose.models.heatmap import HeatmapModel
from logpose.models.pose_model import KeypointModel, Model
from logpose.models.wrapper import KeypointWrapper
from logpose.runtime import NETWORKS, Network, open_network

__all__ = ["SUFFIXES", "Exported", "NoBackbone", "NoWeightsError", "exported_model", "is_exported", "opened"]

SUFFIXES = tuple(NETWORKS)
"""Of files that are opened as models."""

NEVER = 1e-6
"""Probabilities closer to 0 or 1 count as this: their logits are finite."""

AnyModel = TypeVar("AnyModel", bound=Model)


def is_exported(path: str | Path) -> bool:
    """Whether a path names a file of an exported model."""
    return Path(path).suffix.lower() in SUFFIXES


def opened(path: str | Path) -> Network:
    """The network of a file that `logpose export` wrote.

    Raises:
        InputError: if it cannot be opened, is not one, or its runtime is not installed.
    """
    try:
        return open_network(path)
    except ValueError as error:
        raise InputError(str(error)) from error


class NoWeightsError(InputError, AttributeError):
    """A layer was asked for of a model that has none."""


class NoBackbone(nn.Module):
    """Stands where a backbone of a user's own was: a model is made with it, and then loses all layers."""

    channels, stage_channels = 1, (1, 1, 1, 1)


class Exported:
    """Part of a model's class, before its own: predicts by a network in a file, and has no weights."""

    exported_network: Network

    def prediction(self: Any, found: dict[str, Tensor]) -> Prediction:
        """What the network gives of each joint, with standard deviations brought back to before the calibration."""
        mean, confidence, error = found["keypoints"], found["confidence"], self.error_distribution
        more: dict[str, Tensor] = {}
        std = found.get("std")
        if std is None:
            sigma = torch.ones_like(mean)
        elif (across := found.get("correlation")) is None:
            sigma = std / error.std
        else:  # of Prediction.std, with its correlation
            own, rest = across.square() / error.std[0].square(), (1 - across.square()) / error.std[1].square()
            sigma = torch.stack([std[..., 0] / error.std[0], std[..., 1] * (own + rest).sqrt()], dim=-1)
            more["correlation"] = across * std[..., 1] / (error.std[0] * sigma[..., 1])
        if (visible := found.get("visible")) is not None:
            more["visibility"] = visible.logit(eps=NEVER)
        calibration = self.calibration
        if std is not None and calibration is not None:
            factor = sigma.new_tensor(calibration.factor)
            sigma = sigma / (factor if self.keeps_bands else factor[:, None])
        if calibration is not None and calibration.visibility and "visibility" in more:
            slope, shift = calibration.visibility
            more["visibility"] = (more["visibility"] - shift) / (slope or 1.0)
        return Prediction(mean, sigma, confidence, error, **more).about(mean, sigma, confidence)

    def run(self, inputs: Tensor, *more: Tensor) -> dict[str, Tensor]:
        """What the network gives of a batch: of pixels in [0, 1] too, where it takes 8-bit values."""
        wanted = np.dtype(self.exported_network.facts["export"]["input"])
        if wanted == np.uint8 and inputs.is_floating_point():
            inputs = (inputs * 255).round()
        given = [inputs.cpu().numpy().astype(wanted), *(each.cpu().numpy() for each in more)]
        try:
            found = self.exported_network(*given)
        except Exception as error:  # whatever the runtime raises of a graph that does not fit its metadata
            raise InputError(
                f"the exported network fails on inputs of {tuple(inputs.shape)}: {first_line(error):.160}"
            ) from error
        return {name: inputs.new_tensor(values, dtype=torch.float32) for name, values in found.items()}

    def config(self) -> dict[str, Any]:
        """That of the checkpoint."""
        config: dict[str, Any] = self.exported_network.facts["model"]
        return config

    @property
    def dtype(self) -> torch.dtype:
        """Of what is predicted."""
        return torch.float32

    def is_finite(self) -> bool:
        """Whether all weights are: they were when the file was written."""
        return True

    def __getattr__(self: Any, name: str) -> Any:
        """As of every module; of a layer, that there are none."""
        if name in self.__dict__.get("left_out", ()):
            raise NoWeightsError(f"a model of `logpose export` has no weights, and no {name}: the checkpoint is needed")
        return nn.Module.__getattr__(self, name)

    def __deepcopy__(self: Any, memo: Any) -> Any:
        """The model itself: nothing in it changes."""
        return self


class ExportedKeypoints(Exported):
    """The same of a model of one instance in each row."""

    def forward(self, inputs: Tensor) -> Prediction:
        """Predict every joint."""
        found: Prediction = self.prediction(self.run(inputs))
        return found

    def flip_average(self: Any, prediction: Prediction, mirrored: Prediction) -> Prediction:
        """Flip test: of positions, also where the checkpoint averages heatmaps."""
        of_positions: Any = super(HeatmapModel, self) if isinstance(self, HeatmapModel) else super()
        average: Prediction = of_positions.flip_average(prediction, mirrored)
        return average


class ExportedWrapper(Exported):
    """The same of a wrapper, whose network gives pixels."""

    def forward(self: Any, people: Tensor) -> Prediction:
        """Predict the error of every joint."""
        found = self.run(people)
        _, size = self.placement(people)
        relative = {"keypoints": self.relative(found["keypoints"], people), "std": found["std"] / size[:, None, None]}
        prediction: Prediction = self.prediction(found | relative)
        return prediction


class ExportedDetector(Exported):
    """The same of a detector, whose network takes one image at a time and gives pixels."""

    def detect(self: Any, images: Tensor, sizes: Tensor) -> list[Detections]:
        """The people in each image, best first."""
        people = []
        for row in range(len(images)):
            found = self.run(images[row : row + 1], sizes[row : row + 1])
            own = {name: values[found["scores"] > 0] for name, values in found.items()}
            frames = own["boxes"].new_tensor([0.0, 0.0, 1.0, 1.0]).expand(len(own["boxes"]), 4)
            prediction = self.prediction(own | {"keypoints": in_boxes(own["keypoints"], frames)})
            people.append(Detections(own["boxes"], own["scores"], prediction, box_maps(frames)))
        return people


CLASSES: tuple[tuple[Any, type[Exported]], ...] = (
    (KeypointModel, ExportedKeypoints),
    (Detector, ExportedDetector),
    (KeypointWrapper, ExportedWrapper),
)
"""By the class of the model."""


def exported_model(model: AnyModel, network: Network) -> AnyModel:
    """The same model, with the network in place of its layers.

    Args:
        model: as `config` describes it; its layers are dropped.
        network: of a file that was exported of such a model.

    Raises:
        InputError: if such models are not exported.
    """
    exported = next((own for of, own in CLASSES if isinstance(model, of)), None)
    if exported is None:
        raise InputError(f"{type(model).__name__} is not run from a file")
    kept = {"left_out": (*model._modules, *model._parameters)}
    model._modules.clear()
    model._parameters.clear()
    model.__class__ = type(f"Exported{type(model).__name__}", (exported, type(model)), {"__module__": __name__})
    model.__dict__ |= kept | {"exported_network": network}
    for name, statistic in network.facts["export"].get("statistics", {}).items():
        getattr(model, name).copy_(torch.tensor(statistic))
    if (facts := network.facts["export"]["error_distribution"]) is not None:
        values: dict[str, Any] = {name: value and torch.tensor(value) for name, value in facts.items()}
        model.set_error_distribution(ErrorDistribution(**values))
    return model
