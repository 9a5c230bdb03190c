"""Boxes by torchvision's detectors: of a network that finds what it is given, and what is refused."""

from __future__ import annotations

import importlib.util
from urllib.error import URLError

import numpy as np
import pytest
import torch

from logpose.core.compat import patch_torchvision
from logpose.core.errors import InputError
from logpose.tasks.detection.torchvision_boxes import TorchvisionBoxes

installed = importlib.util.find_spec("torchvision") is not None
needed = pytest.mark.skipif(not installed, reason="torchvision is an extra")
NAME = "ssdlite320_mobilenet_v3_large"


class Fixed(torch.nn.Module):
    """Finds two people, of whom one is unlikely, a dog, and a box without width."""

    def forward(self, images):
        (pixels,) = images
        assert pixels.shape == (3, 40, 60)
        assert float(pixels.max()) == 1.0
        corners = [[5.0, 10, 25, 40], [0, 0, 9, 9], [1, 1, 30, 30], [7, 7, 7, 20]]
        scores, labels = torch.tensor([0.9, 0.3, 0.99, 0.8]), torch.tensor([1, 1, 18, 1])
        return [{"boxes": torch.tensor(corners), "scores": scores, "labels": labels}]


@needed
def test_people_alone_with_a_score(monkeypatch):
    patch_torchvision()
    monkeypatch.setattr("torchvision.models.get_model", lambda *_, **__: Fixed())
    image = np.full((40, 60, 3), 255, np.uint8)
    assert TorchvisionBoxes(NAME, "cpu").boxes(image).tolist() == [[5, 10, 20, 30, pytest.approx(0.9)]]
    assert len(TorchvisionBoxes(NAME, "cpu", least_score=0.2).boxes(image)) == 2


@needed
def test_what_cannot_be_had_is_named(monkeypatch, refused, tiny_run, photos):
    patch_torchvision()

    def unreachable(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", unreachable)
    monkeypatch.setattr("torchvision._internally_replaced_utils.load_state_dict_from_url", unreachable, raising=False)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable, raising=False)
    with pytest.raises(InputError, match=f"torchvision/{NAME}: its weights cannot be downloaded.*no network"):
        TorchvisionBoxes(NAME, "cpu")
    message = refused("predict", tiny_run / "best.ckpt", photos[0], "--detector", "torchvision/resnet50")
    assert "no such detector" in message
    assert NAME in message


@pytest.mark.skipif(installed, reason="torchvision is installed")
def test_without_torchvision_the_extra_is_named(refused, tiny_run, photos):
    message = refused("predict", tiny_run / "best.ckpt", photos[0], "--detector", f"torchvision/{NAME}")
    assert "logpose-keypoints[detect]" in message
