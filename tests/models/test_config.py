"""Every constructor argument of every class comes back from plain values; signatures are walked, none is forgotten."""

from __future__ import annotations

import importlib.util
import inspect
import json
from typing import Any

import pytest
import torch
from torch import nn

from logpose.core.config import Configurable, plain
from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, H36M_LIFTING, Category, Skeleton
from logpose.models import (
    MODELS,
    AttentionModel,
    BoundaryModel,
    HeatmapModel,
    HRNet,
    IntegralModel,
    KeypointWrapper,
    LiftingModel,
    MaskRCNN,
    MaskRCNNOptions,
    PointSetAnchors,
    PointSetOptions,
    RegressionModel,
    ResNet,
)
from logpose.models.backbones import BACKBONES
from logpose.models.efficientnet import EfficientNetLite
from logpose.models.lifting import NETWORKS, FCBaseline, Martinez, SRNet
from logpose.models.movenet import MoveNetTrunk
from logpose.models.movenet_pose import MoveNet
from logpose.models.timm_backbone import TimmBackbone
from logpose.training.checkpoint import build_model

FACE = Skeleton("face", ("a", "b", "c"), ((0, 2),), ((0, 1),), (0.2, 0.3, 0.4))
POINT_SET = {
    "channels": 16, "depth": 1, "thresholds": ((0.6, 0.3),), "forced": 3, "scale": 8.0, "pose_weight": 2.0,
    "maps_weight": 0.5, "offsets_weight": 3.0, "background": 0.2, "snap": False, "least_peak": 0.3, "farthest": 0.4,
    "scales": (0.5, 1.0), "least_score": 0.1, "candidates": 50, "nms": 0.4, "most": 7,
}  # fmt: skip
MASK_RCNN = {
    "channels": 16, "anchor_sizes": (8, 16, 24, 32, 40), "aspect_ratios": (1.0, 2.0),
    "rpn_iou_thresholds": (0.6, 0.2), "rpn_pre_nms_top_n": (60, 40), "rpn_post_nms_top_n": (30, 20),
    "samples_per_image": (32, 16), "detections_per_image": 7, "box_head_width": 32, "norm_eps": 1e-3,
    "keypoint_head_channels": (16, 8), "coordinates": "maps", "sharpness": 3.0, "with_logits": True, "roi_scale": 1.5,
    "min_map_size": 77, "outside": "mask", "frozen": False,
}  # fmt: skip
PIXELS = {"pixel_mean": (0.1, 0.2, 0.3), "pixel_std": (0.4, 0.5, 0.6)}
CROPS = {"skeleton": FACE, "size": (64, 96), "padding": 1.5, **PIXELS}
LIFTED = {"outputs": 2, "width": 40, "dropout": 0.1}


def cases() -> list[tuple[type[Configurable], dict[str, Any]]]:
    """Every class, and every argument of its constructor: none of them its default."""
    return [
        (
            Skeleton,
            {"name": "face", "joints": ("a", "b"), "bones": ((0, 1),), "flip_pairs": ((0, 1),)}
            | {"oks_sigmas": (0.2, 0.3), "categories": (Category(7, Skeleton("eyes", ("b", "a"))),)},
        ),
        (ResNet, {"depth": 18}),
        (EfficientNetLite, {"size": 2}),
        (MoveNetTrunk, {"size": "lightning"}),
        (HRNet, {"width": 48, "neck": False, "all_branches": True}),
        (TimmBackbone, {"model": "resnet18", "size": (64, 96), "pyramid": True}),
        (
            RegressionModel,
            {**CROPS, "backbone": ResNet(18), "dim": 3, "predicts_sigma": False, "unit_features": True}
            | {"auxiliary": True, "visibility": True, "correlated": False},
        ),
        (
            RegressionModel,
            {**CROPS, "backbone": ResNet(18), "dim": 2, "predicts_sigma": True, "unit_features": True}
            | {"auxiliary": True, "visibility": True, "correlated": True},
        ),
        (
            AttentionModel,
            {**CROPS, "backbone": ResNet(18), "dim": 3, "predicts_sigma": False, "levels": 2, "width": 16}
            | {"sharpness": 2.0, "auxiliary": True, "visibility": True, "correlated": False},
        ),
        (
            AttentionModel,
            {**CROPS, "backbone": ResNet(18), "dim": 2, "predicts_sigma": True, "levels": 2, "width": 16}
            | {"sharpness": 2.0, "auxiliary": True, "visibility": True, "correlated": True},
        ),
        (HeatmapModel, {**CROPS, "backbone": ResNet(18)}),
        (
            IntegralModel,
            {**CROPS, "backbone": ResNet(18), "dim": 3, "predicts_sigma": True, "normalisation": "sigmoid", "depth": 8},
        ),
        (MoveNet, {**CROPS, "backbone": MoveNetTrunk("lightning")}),
        (PointSetOptions, POINT_SET),
        (
            PointSetAnchors,
            {"backbone": ResNet(18), "skeleton": FACE, "predicts_sigma": False, "options": PointSetOptions(**POINT_SET)}
            | {"short": 64, "longest": 96, **PIXELS},
        ),
        (MaskRCNNOptions, MASK_RCNN),
        (
            MaskRCNN,
            {"skeleton": FACE, "backbone": "resnet18", "head": "regression", "predicts_sigma": False, "short": 64}
            | {"longest": 96, "options": MaskRCNNOptions(**MASK_RCNN)},
        ),
        (
            MaskRCNN,
            {"skeleton": FACE, "backbone": "resnet18", "head": "heatmap", "predicts_sigma": False, "short": 64}
            | {"longest": 96, "options": MaskRCNNOptions(**MASK_RCNN | {"with_logits": False})},
        ),
        (FCBaseline, {"joints": 5, "blocks": 1, **LIFTED}),
        (Martinez, {"joints": 5, "blocks": 1, "root": 1, "unseen": (3,), **LIFTED}),
        (SRNet, {"parts": ((0, 1), (0, 2, 3)), "filters": (3, 1), **LIFTED}),
        (
            LiftingModel,
            {"network": "srnet", "skeleton": H36M_LIFTING, "predicts_sigma": False}
            | {"settings": {"filters": (3, 3), "width": 40, "dropout": 0.1}, "learned_from": ("x", "y")},
        ),
        (
            BoundaryModel,
            {"skeleton": FACE, "size": (32, 48), "head": "rows", "predicts_sigma": False, "channels": 4, "depth": 2}
            | {"cells": 8, "shown": 100, "learned_from": ("x",), "um_per_px": 3.5},
        ),
        (
            KeypointWrapper,
            {"skeleton": FACE, "mirrored": True, "deviations": True, "refine": True, "probabilities": False}
            | {"categories": (3, 7), "members": 2, "hidden": 5},
        ),
    ]  # fmt: skip


MAY_BE_DEFAULT = {
    *((MaskRCNN, "head"), (MaskRCNNOptions, "frozen"), (LiftingModel, "network")),
    *((kind, name) for kind in (RegressionModel, AttentionModel) for name in ("correlated", "dim", "predicts_sigma")),
}
"""Arguments of which a test needs the default too: the others are given beside them."""


def skip_without_extras(kind: type) -> None:
    wanted = {MaskRCNN: "torchvision", TimmBackbone: "timm"}.get(kind)
    if wanted and importlib.util.find_spec(wanted) is None:
        pytest.skip(f"{wanted} is an extra")


@pytest.mark.parametrize(("kind", "chosen"), cases(), ids=lambda case: getattr(case, "__name__", ""))
def test_every_argument_is_found_again(kind: type[Configurable], chosen: dict[str, Any]) -> None:
    skip_without_extras(kind)
    parameters = {n: p for n, p in inspect.signature(kind.__init__).parameters.items() if n != "self"}
    assert set(chosen) == set(parameters), "every argument of the constructor"
    for name, parameter in parameters.items():
        if (kind, name) not in MAY_BE_DEFAULT:
            assert chosen[name] != parameter.default, name
    made = kind(**chosen)
    config = json.loads(json.dumps(made.config()))
    again = kind.from_config(config)
    assert again.config() == config == made.config()
    for name, value in chosen.items():
        assert plain(again.argument(name)) == plain(value), name
    if isinstance(made, nn.Module):
        shapes = ({name: t.shape for name, t in module.state_dict().items()} for module in (made, again))
        assert next(shapes) == next(shapes)


def test_no_class_is_forgotten() -> None:
    given = {kind for kind, _ in cases()}
    assert given >= {*MODELS, *BACKBONES, *NETWORKS.values(), Skeleton, PointSetOptions, MaskRCNNOptions}


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
def test_unknown_keys_are_refused_by_name(kind: type) -> None:
    with pytest.raises(InputError, match="'sharpnes'"):
        kind.from_config({"kind": kind.kind, "sharpnes": 2.0})


def test_kinds_are_those_of_one_class_each() -> None:
    assert len({kind.kind for kind in BACKBONES}) == len(BACKBONES)


class Own(nn.Module):
    """A backbone of your own."""

    channels = 4

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :1].expand(-1, 4, -1, -1)


def test_a_backbone_of_your_own_is_passed() -> None:
    config = RegressionModel(Own(), COCO, (32, 32)).config()
    assert config["backbone"] is None
    with pytest.raises(InputError, match="backbone"):
        build_model(config)
    own = Own()
    assert build_model(config, own).backbone is own


class Extended(RegressionModel):
    """A model of your own."""

    kind = "extended"

    def __init__(self, *, depth: int, skeleton: Skeleton, factor: float = 1.0) -> None:
        super().__init__(ResNet(depth), skeleton, (32, 32))
        self.depth, self.factor = depth, factor


def test_a_model_of_your_own_is_looked_up_by_its_kind() -> None:
    config = json.loads(json.dumps(Extended(depth=18, skeleton=FACE, factor=0.5).config()))
    assert set(config) == {"kind", "depth", "skeleton", "factor"}
    with pytest.raises(InputError, match="'extended'"):
        build_model(config)
    again = build_model(config, models=(Extended,))
    assert isinstance(again, Extended)
    assert (again.factor, again.skeleton) == (0.5, FACE)
