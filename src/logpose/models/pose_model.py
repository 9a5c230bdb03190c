"""Bases of all models: of one instance in each row (`KeypointModel`), or of whole images (`detector.Detector`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional

from logpose.core import geometry
from logpose.core.calibration import Calibration
from logpose.core.config import Configurable
from logpose.core.errors import InputError
from logpose.core.geometry import PADDING
from logpose.core.moved import old_attributes
from logpose.core.skeletons import Skeleton
from logpose.core.structures import LEVELS, ErrorDistribution, KeypointLoss, LossDict, OutputType, Prediction
from logpose.models.backbone import IMAGENET_MEAN, IMAGENET_STD
from logpose.models.backbones import backbone_from_config
from logpose.models.version_0_1 import rename_buffers

__all__ = [
    "JointOutputs",
    "KeypointModel",
    "Model",
    "PixelStatistics",
    "PoseModel",
    "in_dimensions",
    "is_weight",
]

COARSEST = 32  # pixels to a cell of the features of ResNets, and of an HRNet's coarsest branch

AnyModel = TypeVar("AnyModel", bound="Model")


def in_dimensions(target: Float[Tensor, "B K D"], dim: int) -> Float[Tensor, "B K E"]:
    """Labels in as many dimensions as are predicted: further ones left out, missing ones unknown (NaN)."""
    return functional.pad(target, (0, dim - target.shape[-1]), value=float("nan"))


class JointOutputs(NamedTuple):
    """What the outputs of a layer stand for, so that those of a joint can be taken from a network of other joints."""

    each: tuple[int, ...] | None = ()
    """They are ordered joint by joint; sizes of the further axes within a joint's outputs. None: they belong to no
    joint."""
    settings: Any = None
    """What their meaning depends on; outputs of other settings stand for something else."""
    axis: int = 0
    """Axis of the weight along which they lie."""


def is_weight(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter is a layer's weights: not a bias, which may be one of each joint, nor a normalisation's."""
    return parameter.ndim > 1 and not name.endswith("bias")


@old_attributes
class Model(nn.Module, Configurable, ABC):
    """Base of all models: what training, evaluation and checkpoints ask of them.

    Args:
        skeleton: the joints that are predicted.
        dim: D.

    Raises:
        InputError: if D is not 1 or more.

    Attributes:
        kind: name of the class in a checkpoint.
        task: "pose", "detection", "lifting", "boundaries", or one of your own.
        output_type: what it gives a loss.
        keeps_bands: whether each dimension's own bands are kept of the error distribution.
        backbone_path: of the submodule that is the backbone, if the model has one.
        learned_images: fingerprints of the image files that its weights have learned from, as far as they are known.
        calibration: of the standard deviations and regions that `predict` and its users give, on held-out data; None
            where there was none. What the model itself returns, and training with it, do not depend on it.
    """

    task: ClassVar[str]
    nested = {"skeleton": Skeleton.from_config, "backbone": backbone_from_config}  # noqa: RUF012
    output_type: OutputType = "coordinates"
    keeps_bands: ClassVar[bool] = False
    backbone_path: ClassVar[str] = "backbone"
    error_mean: Tensor
    error_std: Tensor
    error_radius: Tensor
    error_bands: Tensor | None

    def __init__(self, skeleton: Skeleton, dim: int) -> None:
        super().__init__()
        if dim < 1:
            raise InputError(f"a model needs a dimension or more, got {dim}")
        self.skeleton, self.dim = skeleton, dim
        self.learned_images: Int64[np.ndarray, "N"] = np.zeros(0, np.int64)
        self.calibration: Calibration | None = None
        for name in ("mean", "std", "radius"):
            self.register_buffer(f"error_{name}", getattr(ErrorDistribution.unknown(dim), name))
        bands = torch.full((len(LEVELS), dim), float("nan")) if self.keeps_bands else None
        self.register_buffer("error_bands", bands)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return next(self.parameters()).dtype

    @property
    def error_distribution(self) -> ErrorDistribution:
        """The density of standardised errors that the model was trained with, summarised."""
        return ErrorDistribution(self.error_mean, self.error_std, self.error_radius, self.error_bands)

    @torch.no_grad()
    def set_error_distribution(self, error_distribution: ErrorDistribution) -> None:
        """Keep what the loss has learned of the errors, so that the loss itself can be dropped."""
        for name in ("mean", "std", "radius"):
            getattr(self, f"error_{name}").copy_(getattr(error_distribution, name))
        if self.error_bands is not None:
            bands = error_distribution.bands
            self.error_bands.copy_(torch.tensor(float("nan")) if bands is None else bands)

    def calibrated(self, prediction: Prediction) -> Prediction:
        """A prediction with the calibrated sigma, about the same expected position."""
        if self.calibration is None:
            return prediction
        factor = prediction.sigma.new_tensor(self.calibration.factor)
        if not self.keeps_bands:  # else these are of the dimensions
            factor = factor[:, None]
        if (logit := prediction.visibility) is not None and self.calibration.visibility:
            slope, shift = self.calibration.visibility
            prediction = replace(prediction, visibility=slope * logit + shift)
        return prediction.about(prediction.mean, prediction.sigma * factor, prediction.confidence)

    def region_radius(self, level: float, sizes: Float[np.ndarray, "N"] | None = None) -> Float[np.ndarray, "_ _"]:
        """The radius of each joint's region of a level, in standard deviations: calibrated, or that of the density.

        Args:
            level: 0.05 … 0.99, and any that is calibrated.
            sizes: the longer side of each person's box in pixels, for calibrations that depend on it.

        Returns:
            (N, J) radii; J is 1 where all joints have the same one, N is 1 where all people have.
        """
        if self.calibration is not None and self.calibration.has(level):
            return self.calibration.radius_at(level, sizes)
        if self.keeps_bands:
            return self.error_distribution.bands_at(level)[None]
        return np.full((1, 1), self.error_distribution.radius_at(level))

    def radii(self) -> Float[np.ndarray, "L"]:
        """The radii of the density's regions of all `LEVELS`: quantiles of the error's size, in standard deviations."""
        return np.asarray(self.error_radius.detach().double().cpu().numpy())

    def is_finite(self) -> bool:
        """Whether all weights are: those of a model that has diverged are not."""
        return all(bool(weight.isfinite().all()) for weight in self.parameters())

    @abstractmethod
    def training_losses(self, batch: Any, loss: KeypointLoss) -> LossDict:
        """The losses of a batch, and figures to watch; of keypoints by the loss that is given."""

    @abstractmethod
    def predict(self, batch: Any, flip_test: bool | None = False) -> Any:
        """The prediction on a batch, for evaluation; if `flip_test`, averaged with that on its mirror image.

        None leaves the choice to the model.

        Raises:
            InputError: if a flip test is asked of a model that has none.
        """

    @property
    @abstractmethod
    def input_spec(self) -> str:
        """Its inputs, in words."""

    @abstractmethod
    def example_input(self) -> Tensor:
        """An empty input, in a batch of one."""

    @classmethod
    def from_config(cls: type[AnyModel], config: Mapping[str, Any], backbone: Any = None) -> AnyModel:
        """The model that `config` described, with random weights; a backbone that has no config is given.

        Raises:
            InputError: if the config has an unknown key, or needs a backbone that is not given.
        """
        values = dict(config)
        if "backbone" in cls.arguments():
            if backbone is not None:
                values["backbone"] = backbone
            elif values.get("backbone", "") is None:
                raise InputError("the model has a backbone of your own; pass it: load_model(path, backbone=…)")
        return super().from_config(values)

    def argument(self, name: str) -> Any:
        """The value of a constructor argument; None for a backbone that has no `config`."""
        value = super().argument(name)
        return None if isinstance(value, nn.Module) and not isinstance(value, Configurable) else value

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """As every module's; also from checkpoints of version 0.1."""
        rename_buffers(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *others)

    def prepare(self, data: Any) -> None:
        """Take from the training data, before training, what the model keeps of them."""

    def joint_outputs(self) -> dict[str, JointOutputs] | None:
        """Its layers, and buffers, with outputs of joints, by their names; None if they are not known."""
        return None

    def weights_replaced(self) -> None:
        """Compute again what follows from weights, after some were taken from a checkpoint."""

    def begin_epoch(self, share: float) -> None:
        """Prepare for an epoch of training, of which a share in [0, 1] is done."""

    def drop_training_parts(self) -> None:
        """Remove what serves training alone."""


class KeypointModel(Model):
    """Base of the models of one instance in each row: a batch's inputs in, `Prediction` out; for arguments see `Model`.

    Attributes:
        unit: of `distance`, as part of a figure's name.
    """

    unit: ClassVar[str]

    @abstractmethod
    def forward(self, inputs: Tensor) -> Prediction:
        """Predict every joint."""

    def mirrored(self, inputs: Tensor) -> Tensor:
        """The inputs mirrored left to right."""
        return inputs.flip(-1)

    @abstractmethod
    def flip_average(self, prediction: Prediction, mirrored: Prediction) -> Prediction:
        """Flip test: the mean of a prediction and of one on the mirrored inputs, mirrored back."""

    @abstractmethod
    def distance(self, mu: Float[Tensor, "B K D"], target: Float[Tensor, "B K D"]) -> Float[Tensor, "B K"]:
        """Distance of predicted joints from their labels, in `unit`."""

    def training_losses(self, batch: Any, loss: KeypointLoss) -> LossDict:
        """The loss of a batch with `inputs`, `target` and `weight`, and the mean distance from its labels."""
        prediction, target = self(batch.inputs), in_dimensions(batch.target, self.dim)
        losses = {"keypoints": loss.of_prediction(prediction, target, batch.weight)}
        if (logit := prediction.visibility) is not None:
            if batch.visible is None:
                raise ValueError("the model predicts visibility, and the batch does not have it")
            losses["visibility"] = functional.binary_cross_entropy_with_logits(logit.float(), batch.visible)
        apart = self.distance(prediction.mu.detach(), target) * batch.weight
        error = apart.nansum() / batch.weight.sum().clamp_min(1)
        return LossDict(losses, {f"error_{self.unit}": error})

    def predict(self, batch: Any, flip_test: bool | None = False) -> Prediction:
        """Prediction on a batch; if `flip_test`, averaged with that on its mirror image.

        None averages where the skeleton's left and right joints are known.
        """
        flip_test = self.skeleton.mirrors if flip_test is None else flip_test
        prediction: Prediction = self(batch.inputs)
        if flip_test:
            prediction = self.flip_average(prediction, self(self.mirrored(batch.inputs)))
        return self.calibrated(prediction)


class PixelStatistics(Configurable):
    """Part of a model of images: its pixel normalisation."""

    pixel_mean: Tensor
    pixel_std: Tensor
    given_statistics: dict[str, tuple[float, float, float]]

    def keep_statistics(self: Any, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        """Keep what is subtracted from each channel (RGB in [0, 1]), and what the difference is divided by."""
        self.given_statistics = {"pixel_mean": mean, "pixel_std": std}
        self.register_buffer("pixel_mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("pixel_std", torch.tensor(std).view(3, 1, 1))

    def argument(self, name: str) -> Any:
        """The value of a constructor argument; channel statistics from their buffers, in as few digits as they need."""
        if name not in self.given_statistics:
            return super().argument(name)
        buffer = getattr(self, name)
        values = self.given_statistics[name] if buffer.is_meta else buffer.flatten().tolist()
        return [float(str(np.float32(value))) for value in values]

    def normalised(self, images: UInt8[Tensor, "B 3 H W"] | Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Pixels as the backbone wants them, from 8-bit values or floats in [0, 1]; in its weights' precision."""
        dtype = self.pixel_mean.dtype
        exact = torch.promote_types(dtype, torch.float32)
        pixels = images.to(exact) / 255 if images.dtype == torch.uint8 else images.to(exact)
        return ((pixels - self.pixel_mean.to(exact)) / self.pixel_std.to(exact)).to(dtype)


class PoseModel(PixelStatistics, KeypointModel):
    """Base of the models of one person: crops in, `Prediction` out.

    Args:
        skeleton: the joints that are predicted.
        size: (H, W) of the crops.
        dim: D.
        padding: side of the region that a crop shows, relative to that of the person's box.
        pixel_mean: subtracted from each channel (RGB in [0, 1]).
        pixel_std: what the difference is divided by.

    Raises:
        InputError: if there can be no such crops.
    """

    unit = "crop_px"
    task = "pose"

    def __init__(
        self,
        skeleton: Skeleton,
        size: tuple[int, int],
        dim: int = 2,
        padding: float = PADDING,
        pixel_mean: tuple[float, float, float] = IMAGENET_MEAN,
        pixel_std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        super().__init__(skeleton, dim)
        if not (len(size) == 2 and all(1 <= side <= 8192 for side in size) and 0 < padding < 100):
            raise InputError(f"crops have 1 to 8,192 pixels a side and a padding above 0, got {size} and {padding:g}")
        self.size, self.padding = (int(size[0]), int(size[1])), padding
        self.keep_statistics(pixel_mean, pixel_std)

    def _check_divisible(self, divisor: int = COARSEST) -> None:
        """Refuse sizes for which a map's cells are not whole pixels, or an HRNet's branches do not fit each other."""
        if any(side % divisor for side in self.size):
            raise InputError(f"this network takes crops of multiples of {divisor} pixels a side, not {self.size}")

    @property
    def input_spec(self) -> str:
        """The size of its crops."""
        return f"crops of {self.size[0]}×{self.size[1]}"

    def example_input(self) -> UInt8[Tensor, "1 3 H W"]:
        """A black crop."""
        return torch.zeros(1, 3, *self.size, dtype=torch.uint8, device=self.pixel_mean.device)

    def flip_average(self, prediction: Prediction, mirrored: Prediction) -> Prediction:
        """Flip test: the mean of a prediction on crops and of one on the mirrored crops."""
        return geometry.flip_average(prediction, mirrored, self.skeleton, self.size[1])

    def distance(self, mu: Float[Tensor, "B K D"], target: Float[Tensor, "B K D"]) -> Float[Tensor, "B K"]:
        """Distance of predicted joints from their labels, in pixels of the crop."""
        apart = (mu - target)[..., :2] * mu.new_tensor(self.size[::-1])
        return apart.square().sum(dim=-1).sqrt()
