"""Every constructor argument of every loss is restored from its configuration, also from those of version 0.1."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from logpose.core.config import Family
from logpose.core.errors import InputError
from logpose.flows import GaussianMixture, RealNVP
from logpose.losses import (
    CellLoss,
    FactorsRLELoss,
    Gaussian,
    HeatmapLoss,
    L1Loss,
    L2Loss,
    Laplace,
    MixedRLELoss,
    PoseLoss,
    RLELoss,
    RowsLoss,
    WithHeatmaps,
    loss_from_config,
)
from logpose.losses.conventions import BasicRLELoss, MmposeRLELoss, ReleasedRLELoss

# Of each class, objects that together have every argument at another value than its default.
OTHERS: dict[type[PoseLoss], list[PoseLoss]] = {
    **{kind: [kind(3)] for kind in (L1Loss, L2Loss, Laplace, Gaussian)},
    HeatmapLoss: [HeatmapLoss(1.5)],
    CellLoss: [CellLoss(True)],
    FactorsRLELoss: [FactorsRLELoss(3, 5, "gaussian", False)],
    RowsLoss: [RowsLoss(3, 0.5), RowsLoss(2, 0.5, Laplace(2)), RowsLoss(2, loss=RLELoss(gradient_reweighting=0.0))],
    WithHeatmaps: [WithHeatmaps(L2Loss(2), 0.5, 1.5), WithHeatmaps(RLELoss(convention="released"), cells=True)],
    RLELoss: [
        RLELoss(RealNVP(3, 2, (4,), "silu"), 3, "gaussian", gradient_reweighting=0.5, symmetric=False),
        RLELoss(convention="paper", with_s=True),
        RLELoss(convention="paper", mode="dle"),
        RLELoss(GaussianMixture(3), 1),
    ],
    ReleasedRLELoss: [RLELoss(RealNVP(3, 2, (4,)), 3, convention="released", mode="dle")],
    MmposeRLELoss: [RLELoss(RealNVP(2, 2, (4,)), base="gaussian", convention="mmpose", mode="dle")],
    BasicRLELoss: [RLELoss(RealNVP(3, 2, (4,)), 3, "gaussian", "paper", "basic")],
    MixedRLELoss: [
        MixedRLELoss(RLELoss(RealNVP(3, 2, (4,)), 3, "gaussian"), RLELoss(RealNVP(2, 3, (5,)), base="gaussian"))
    ],
}
# Arguments of which a formula has only the default.
SETTLED: dict[type[PoseLoss], set[str]] = {ReleasedRLELoss: {"base"}, MmposeRLELoss: {"dim"}}
every_kind = pytest.mark.parametrize("kind", PoseLoss.members().values(), ids=lambda kind: kind.__name__)


def plain(value: Any) -> Any:
    return value.config() if isinstance(value, Family) else value


@every_kind
def test_every_argument_survives_a_round_trip(kind: type[PoseLoss]) -> None:
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    unchanged = {p.name for p in parameters} - SETTLED.get(kind, set())
    for loss in OTHERS[kind]:
        config = json.loads(json.dumps(loss.config()))
        for again in (type(loss).from_config(config), loss_from_config(config)):
            assert type(again) is kind
            for parameter in parameters:
                ours, theirs = (plain(x.argument(parameter.name)) for x in (loss, again))
                assert ours == theirs
                if ours != plain(parameter.default):
                    unchanged.discard(parameter.name)
            again.load_state_dict(loss.state_dict())
    assert not unchanged, f"give {unchanged} another value than the default"


@every_kind
def test_an_unknown_key_is_refused_by_its_name(kind: type[PoseLoss]) -> None:
    config = {**OTHERS[kind][0].config(), "sharpnes": 1.0}
    with pytest.raises(InputError, match="sharpnes"):
        loss_from_config(config)


OLD_FLOW = {"dim": 2, "layers": 3, "hidden": [8, 8], "activation": "relu"}
OLD = {
    **{"dim": 2, "base": "laplace", "convention": "normalized", "mode": "rle", "with_s": True, "balance": 0.5},
    **{"symmetric": False, "flow": OLD_FLOW},
}
MAPS = {"kind": "WithHeatmaps", "loss": {"kind": "RLELoss", **OLD}, "weight": 2.0, "sigma": None, "cells": True}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"kind": "RLELoss", **OLD}, {"gradient_reweighting": 0.5, "symmetric": False}),
        ({"kind": "L1Loss", "dim": 3}, {"dim": 3}),
        (MAPS, {"weight": 2.0, "cells": True}),
        ({"kind": "RowsLoss", "dim": 3, "weight": 0.5, "loss": None}, {"dim": 3, "weight": 0.5}),
        ({"kind": "MixedRLELoss", "space": {**OLD, "dim": 3, "flow": {**OLD_FLOW, "dim": 3}}, "plane": OLD}, {}),
    ],
    ids=["RLELoss", "L1Loss", "WithHeatmaps", "RowsLoss", "MixedRLELoss"],
)
def test_configurations_of_version_0_1(config: dict[str, Any], expected: dict[str, Any]) -> None:
    loss = loss_from_config(config)
    assert loss is not None
    described = loss.config()
    assert described["kind"] == config["kind"]
    for name, value in expected.items():
        assert described[name] == value


class Own:
    """A density of the user's own."""

    def log_prob(self, x: Tensor) -> Tensor:
        return -x.square().sum(dim=-1)

    def sample(self, count: int) -> Tensor:
        return torch.randn(count, 2)


class OwnLoss(Laplace):
    """A loss of the user's own."""


@pytest.mark.parametrize(
    "make",
    [lambda: RLELoss(Own()), OwnLoss, lambda: WithHeatmaps(OwnLoss()), lambda: WithHeatmaps(RLELoss(Own()))],
    ids=["flow", "loss", "inner loss", "inner flow"],
)
def test_classes_of_the_user_s_own_give_none_and_a_warning(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert loss_from_config(make().config()) is None
    assert caplog.records


def test_no_loss_is_none_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert loss_from_config({"kind": None}) is None
    assert not caplog.records


ANEW = """
import json, sys
from logpose.losses.base import PoseLoss
import logpose.losses
for config in json.load(sys.stdin):
    loss = logpose.losses.loss_from_config(config)
    assert loss is not None and json.loads(json.dumps(loss.config())) == config, config["kind"]
"""


def test_every_loss_is_restored_in_a_process_that_has_imported_none() -> None:
    configs = json.dumps([loss.config() for losses in OTHERS.values() for loss in losses])
    done = subprocess.run([sys.executable, "-c", ANEW], input=configs, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
