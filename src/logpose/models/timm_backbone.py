"""Any model of timm as a backbone; timm is imported when one is made."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from logpose.core.compat import patch_torchvision
from logpose.core.errors import InputError
from logpose.core.messages import first_line
from logpose.models.backbone import IMAGENET_MEAN, IMAGENET_STD, FeatureExtractor, Needs

__all__ = ["TIMM", "TimmBackbone"]

TIMM = "timm/"
"""What the names of timm's models begin with."""
STRIDES = (8, 16, 32)  # of the feature maps that detectors take
REFUSALS = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What timm's models raise where they cannot be built, or computed, without a classifier or at a size."""


class TimmBackbone(FeatureExtractor):
    """Any classification model of timm, without its classifier.

    Args:
        model: timm's name of it ("mobilenetv4_conv_small", "vit_small_patch16_224").
        size: (H, W) of the images; transformers are built for it.
        pyramid: whether it returns feature maps of strides 8, 16 and 32 (timm's `features_only`), for detectors.

    Raises:
        InputError: if timm is not installed or has no such model, or a pyramid is wanted of a model without stages.
    """

    kind = "timm"
    names: ClassVar[tuple[str, ...]] = (f"{TIMM}NAME",)

    def __init__(self, model: str, size: tuple[int, int], pyramid: bool = False) -> None:
        super().__init__()
        patch_torchvision()
        try:
            import timm
        except ImportError as error:
            raise InputError(f"backbone {TIMM}{model} needs timm: pip install 'logpose-keypoints[timm]'") from error
        if not timm.is_model(model):
            near = timm.list_models(f"*{model.split('_', maxsplit=1)[0]}*")[:5]
            raise InputError(f"timm has no model {model!r}" + (f"; it has {', '.join(near)} …" if near else ""))
        self.name, self.size, self.pyramid = TIMM + model, (int(size[0]), int(size[1])), pyramid
        try:
            self.model = self.create()
        except REFUSALS as error:
            raise self._refused(error) from error
        if pyramid:
            self.stage_channels = tuple(map(int, self.model.feature_info.channels()))
        self.channels = self.stage_channels[-1] if pyramid else int(self.model.num_features)
        # The channel statistics that its pretrained weights were made with.
        config = getattr(self.model, "pretrained_cfg", None)
        config = config if config is not None else timm.get_pretrained_cfg(model).to_dict()
        self.pixel_mean = tuple(config.get("mean", IMAGENET_MEAN))
        self.pixel_std = tuple(config.get("std", IMAGENET_STD))
        self._freeze_what_is_not_used()

    def _refused(self, error: Exception) -> InputError:
        """For a model of timm that cannot be built, or computed, as a backbone."""
        if isinstance(error, InputError):
            return error
        size = f"{self.size[0]}×{self.size[1]}"
        return InputError(f"backbone {self.name} cannot be used for images of {size}: {first_line(error)}")

    def _freeze_what_is_not_used(self) -> None:
        """Turn off gradients of what timm's model has for its classifier: several processes would wait for them."""
        parameters = list(self.model.parameters())
        pixels = torch.zeros(1, 3, *self.size, device=parameters[0].device, dtype=parameters[0].dtype)
        training = self.model.training
        self.model.eval()
        try:
            with torch.enable_grad():
                features = self(pixels)
                used = torch.autograd.grad(features.sum(), parameters, allow_unused=True)
        except REFUSALS as error:
            raise self._refused(error) from error
        self.model.train(training)
        if features.ndim != 4 or features.shape[1] != self.channels:
            raise self._refused(
                ValueError(f"its features are {tuple(features.shape)}, not of {self.channels} channels")
            )
        for parameter, gradient in zip(parameters, used, strict=True):
            parameter.requires_grad_(gradient is not None)

    @property
    def stage_parameters(self) -> tuple[tuple[str, ...], ...]:  # type: ignore[override]
        """Names by timm's own groups: stem and stages, of a transformer its blocks; none of a pyramid."""
        from timm.models import group_parameters

        if not hasattr(self.model, "group_matcher"):
            return ()
        groups = group_parameters(self.model, self.model.group_matcher(coarse=True))
        return tuple(tuple(f"model.{name}" for name in groups[number]) for number in sorted(groups))

    @classmethod
    def named(cls, name: str, needs: Needs) -> dict[str, Any] | None:
        """The `config` of a name that begins with "timm/"."""
        if not name.startswith(TIMM):
            return None
        model, size = name.removeprefix(TIMM), list(needs.size)
        return {"kind": cls.kind, "model": model, "size": size, "pyramid": needs.all_branches or needs.fine}

    def argument(self, name: str) -> Any:
        """The value of a constructor argument."""
        return self.name.removeprefix(TIMM) if name == "model" else super().argument(name)

    def create(self, pretrained: bool = False) -> Any:
        """timm's model; pretrained position embeddings are resampled to the size."""
        name = self.name.removeprefix(TIMM)
        if not self.pyramid:
            return _created(name, img_size=self.size, num_classes=0, global_pool="", pretrained=pretrained)
        try:
            with torch.device("meta"):  # for its strides alone
                strides = _created(name, img_size=self.size, features_only=True).feature_info.reduction()
            chosen = tuple(strides.index(stride) for stride in STRIDES)
        except (AttributeError, RuntimeError, ValueError) as error:
            raise InputError(f"{self.name} has no stages of strides 8, 16 and 32, which detectors need") from error
        return _created(name, img_size=self.size, features_only=True, out_indices=chosen, pretrained=pretrained)

    def published(self) -> nn.Module:
        """timm's model itself."""
        return self.model  # type: ignore[no-any-return]

    def imagenet(self) -> dict[str, Tensor]:
        """timm's pretrained weights."""
        return dict(self.create(pretrained=True).state_dict())

    def stages(self, x: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Feature maps of strides 8, 16 and 32, of a backbone with a pyramid."""
        return [_channels_first(level, count) for level, count in zip(self.model(x), self.stage_channels, strict=True)]

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        """Features; the tokens of a transformer in one row (h = 1), its class token left out."""
        if self.pyramid:
            return self.stages(x)[-1]
        features = self.model.forward_features(x)
        if features.ndim == 3:  # B tokens C
            has_class_token = getattr(self.model, "cls_token", None) is not None
            prefix = getattr(self.model, "num_prefix_tokens", int(has_class_token))
            return features[:, prefix:].transpose(1, 2)[:, :, None]  # type: ignore[no-any-return]
        return _channels_first(features, self.channels)


def _created(name: str, img_size: tuple[int, int], **options: Any) -> Any:
    import timm

    try:
        return timm.create_model(name, img_size=img_size, **options)
    except TypeError:  # convolutional models take images of any size and have no such argument
        return timm.create_model(name, **options)


def _channels_first(features: Tensor, channels: int) -> Tensor:
    last = features.shape[1] != channels and features.shape[-1] == channels
    return features.permute(0, 3, 1, 2) if last else features
