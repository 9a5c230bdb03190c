"""The rule for precision, by network and processor."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from logpose.models import create_backbone
from logpose.recipes.coco import coco_resnet18_rle
from logpose.training.hardware import fastest_precision, has_depthwise_convolutions

RECIPE = replace(coco_resnet18_rle(), accelerator="cpu")


@pytest.mark.parametrize(
    ("name", "depthwise"), [("resnet18", False), ("hrnet_w32", False), ("efficientnet_lite0", True)]
)
def test_networks_of_depthwise_convolutions(name: str, depthwise: bool) -> None:
    with torch.device("meta"):
        assert has_depthwise_convolutions(create_backbone(name, (64, 64))) is depthwise


@pytest.mark.parametrize(
    ("name", "instructions", "expected"),
    [
        ("resnet18", True, "bf16-mixed"),
        ("resnet18", False, "32-true"),
        ("efficientnet_lite0", True, "32-true"),
        ("efficientnet_lite0", False, "32-true"),
    ],
)
def test_on_a_processor(monkeypatch: pytest.MonkeyPatch, name: str, instructions: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: instructions)
    with torch.device("meta"):
        network = create_backbone(name, (64, 64))
    assert fastest_precision(RECIPE, network) == expected


def test_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    network = create_backbone("efficientnet_lite0", (64, 64))
    assert fastest_precision(replace(RECIPE, accelerator="auto"), network) == "bf16-mixed"


def test_what_the_recipe_says_is_taken() -> None:
    assert fastest_precision(replace(RECIPE, precision="64-true"), torch.nn.Linear(1, 1)) == "64-true"
