"""Stages of a backbone: which of them learn, and at which rate."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tiny_runs import Tiny, tiny
from torch import nn

from logpose.core.compat import patch_torchvision
from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, HUMANEVA
from logpose.losses import L1Loss, RLELoss
from logpose.models import (
    AttentionModel,
    LiftingModel,
    MaskRCNN,
    MaskRCNNOptions,
    Model,
    PointSetAnchors,
    RegressionModel,
    ResNet,
)
from logpose.training.fine_tuning import freeze, parameter_groups
from logpose.training.module import PoseModule
from logpose.training.run import fit


def model(backbone: Any = None) -> RegressionModel:
    return RegressionModel(backbone or Tiny(), COCO, (32, 32), 2)


def pretrained(**changes: Any) -> Any:
    return tiny(**{"weights": "imagenet", **changes})


def names_of(groups: list[dict[str, Any]], *modules: nn.Module) -> list[set[str]]:
    names = {id(p): name for module in modules for name, p in module.named_parameters()}
    return [{names[id(p)] for p in group["params"]} for group in groups]


def test_by_default_groups_are_weights_and_the_rest_in_their_order() -> None:
    network, loss = model(), RLELoss()
    groups = parameter_groups(network, loss, tiny(weight_decay=0.1))
    own = list(network.parameters())
    expected = [[p for p in own if p.ndim > 1], [p for p in own if p.ndim < 2] + list(loss.parameters())]
    assert [[id(p) for p in group["params"]] for group in groups] == [[id(p) for p in part] for part in expected]
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert all("lr" not in group for group in groups)


@pytest.mark.parametrize(
    ("changes", "by_stage"),
    [
        ({"layer_decay": 0.5}, (0.025, 0.05, 0.1, 0.2, 0.4)),
        ({"backbone_lr": 0.25}, (0.2,) * 5),
        ({"backbone_lr": 2.0, "layer_decay": 0.5}, (0.05, 0.1, 0.2, 0.4, 0.8)),
    ],
)
def test_rates_fall_from_the_head_to_the_input(changes: dict[str, float], by_stage: tuple[float, ...]) -> None:
    network, loss = model(ResNet(18)), RLELoss()
    groups = parameter_groups(network, loss, pretrained(lr=0.8, weight_decay=0.1, **changes))
    rates = {}
    for group, names in zip(groups, names_of(groups, network, loss), strict=True):
        for name in names:
            assert name not in rates
            rates[name] = group["lr"]
        assert group["weight_decay"] in (0.0, 0.1)
    assert len(rates) == len([*network.parameters(), *loss.parameters()])
    expected = dict(zip(("conv1", "layer1", "layer2", "layer3", "layer4"), by_stage, strict=True))
    for name, rate in rates.items():
        stage = name.removeprefix("backbone.").split(".")[0].replace("bn1", "conv1") if "backbone" in name else ""
        assert rate == pytest.approx(expected.get(stage, 0.8)), name


class Look(Callback):
    """Keeps modes, gradients and statistics of the two stages in each step."""

    def __init__(self) -> None:
        self.frozen: list[bool] = []
        self.learning: list[bool] = []
        self.statistics: list[torch.Tensor] = []
        self.rates: set[tuple[float, ...]] = set()

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
        layers = module.model.backbone.layers
        grads = [layers[i].weight.grad for i in (0, 1)]
        self.frozen.append(not layers[1].training and module.model.training and all(grad is None for grad in grads))
        self.learning.append(layers[3].weight.grad is not None)
        self.statistics.append(layers[1].running_mean.clone())
        self.rates.add(tuple(group["lr"] for group in optimizer.param_groups))


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_frozen_stage_keeps_weights_and_statistics_also_after_a_validation(ema: float, tmp_path: Path) -> None:
    seen = Look()
    fit(pretrained(freeze=1, layer_decay=0.5, schedule="constant", warmup_steps=0, ema=ema, epochs=2), tmp_path,
        callbacks=(seen,))  # fmt: skip
    assert seen.frozen == [True] * 12
    assert seen.learning == [True] * 12
    assert all(torch.equal(mean, torch.zeros(8)) for mean in seen.statistics)
    assert seen.rates == {(5e-4, 5e-4, 1e-3, 1e-3)}


def test_statistics_alone_can_be_kept() -> None:
    network = model()
    module = PoseModule(network, L1Loss(), pretrained(freeze_norm=True), None)
    module.eval().train()
    assert (network.backbone.layers[1].training, network.backbone.layers[5].training) == (False, True)
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is an extra")
def test_mask_rcnn_freezes_more_than_it_does_itself() -> None:
    patch_torchvision()
    network = MaskRCNN(COCO, "resnet18", options=MaskRCNNOptions(channels=16, box_head_width=32))
    with pytest.raises(InputError, match=r"--freeze 1.* 2 stages"):
        freeze(network, pretrained(freeze=1))
    with pytest.raises(InputError, match="--freeze-norm"):
        freeze(network, pretrained(freeze_norm=True))
    assert freeze(network, pretrained(freeze=3)) == []
    body = network.backbone.body
    assert [any(p.requires_grad for p in part.parameters()) for part in (body.layer2, body.layer3)] == [False, True]


def test_point_set_anchors_are_frozen_on_their_trunk() -> None:
    network = PointSetAnchors(ResNet(18), COCO)
    assert len(freeze(network, pretrained(freeze=2))) == 1 + 4
    groups = parameter_groups(network, RLELoss(), pretrained(freeze=2))
    assert len(groups) == 2
    own = [p for p in network.parameters() if p.requires_grad]
    assert sum(len(group["params"]) for group in groups) == len(own) + len(list(RLELoss().parameters()))


class Unknown(nn.Module):
    channels = 3

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)


def test_a_backbone_s_own_rate_needs_no_stages() -> None:
    network, loss = model(Unknown()), RLELoss()
    assert freeze(network, pretrained(backbone_lr=0.25)) == []
    groups = parameter_groups(network, loss, pretrained(lr=0.8, backbone_lr=0.25))
    rates = {name: group["lr"] for group, names in zip(groups, names_of(groups, network, loss), strict=True)
             for name in names}  # fmt: skip
    assert len(rates) == len([*network.parameters(), *loss.parameters()])
    for name, rate in rates.items():
        assert rate == pytest.approx(0.2 if name.startswith("backbone.") else 0.8), name


def test_biases_of_each_joint_do_not_decay() -> None:
    network, loss = AttentionModel(ResNet(18), COCO, (32, 32)), RLELoss()
    for settings in ({}, {"backbone_lr": 0.5}):
        groups = parameter_groups(network, loss, pretrained(weight_decay=0.1, **settings))
        names = zip(groups, names_of(groups, network, loss), strict=True)
        decaying = set().union(*(own for group, own in names if group["weight_decay"]))
        assert {"fc_mu.weight", "fc_sigma.weight", "maps.weight"} <= decaying
        assert not [name for name in decaying if name.endswith("bias")]


class Partly(Unknown):
    stage_parameters = (("other.",),)


@pytest.mark.parametrize(
    ("make", "changes", "token"),
    [
        (model, {"freeze": 3}, "--freeze 3.* 2 stages"),
        (lambda: model(Unknown()), {"freeze": 1}, "--freeze.*Unknown"),
        (lambda: model(Unknown()), {"layer_decay": 0.5}, "--layer-decay.*Unknown"),
        (lambda: model(Unknown()), {"freeze_norm": True}, "--freeze-norm.*Unknown"),
        (lambda: model(Partly()), {"freeze": 1}, r"layer\.weight.*Partly"),
        (model, {"freeze": 1, "weights": "random"}, "--freeze.*random"),
        (model, {"freeze_norm": True, "weights": "random"}, "--freeze-norm.*random"),
        (lambda: LiftingModel("fc", HUMANEVA, settings={"width": 8}), {"freeze": 1}, "--freeze.*lifting"),
    ],
)
def test_what_cannot_be_frozen_is_refused(make: Any, changes: dict[str, Any], token: str) -> None:
    network: Model = make()
    with pytest.raises(InputError, match=token):
        freeze(network, pretrained(**changes))
    assert all(p.requires_grad for p in network.parameters())


def test_a_backbone_without_batch_normalisation_has_no_statistics_to_keep() -> None:
    network = model()
    network.backbone.layers[1] = nn.Identity()
    with pytest.raises(InputError, match="--freeze-norm"):
        freeze(network, pretrained(freeze_norm=True))


def test_what_a_detector_freezes_itself_is_not_undone() -> None:
    network = model(ResNet(18))
    for part in (network.backbone.conv1, network.backbone.bn1, network.backbone.layer1):
        part.requires_grad_(False)
    with pytest.raises(InputError, match=r"--freeze 1.* 2 stages"):
        freeze(network, pretrained(freeze=1))
    assert len(freeze(network, pretrained(freeze=3))) == 1 + 4 + 5
    assert not any(p.requires_grad for p in network.backbone.layer2.parameters())
    assert all(p.requires_grad for p in network.backbone.layer3.parameters())
