"""MoveNet reads its heads' maps as the published graph does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.support.tensorflow_js import movenet, published

from logpose.core.skeletons import COCO
from logpose.models.movenet import MoveNetTrunk, in_torch
from logpose.models.movenet_pose import MoveNet


@pytest.mark.parametrize("size", ["thunder", "lightning"])
def test_predictions_are_those_of_the_published_graph(size: str) -> None:
    """Random weights, whose maps have their greatest values anywhere."""
    tensors = movenet(size, seed=1)
    model = MoveNet(MoveNetTrunk(size), COCO, (96, 64)).eval()
    found = in_torch({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
    state = {name: found[name.removeprefix("backbone.")] for name, _ in model.named_parameters()}
    assert not model.load_state_dict(state, strict=False).unexpected_keys
    images = np.random.default_rng(0).integers(0, 256, (4, 96, 64, 3), np.uint8)
    with torch.no_grad():
        prediction = model(torch.from_numpy(images).permute(0, 3, 1, 2))
    expected = published(tensors, images)
    np.testing.assert_allclose(prediction.mu.numpy() + 0.5, expected[..., [1, 0]], atol=1e-5)
    np.testing.assert_allclose(prediction.confidence.numpy(), expected[..., 2], atol=1e-5)
    assert len(np.unique(expected[..., 0])) > 17  # the graph does not put all joints into one cell
    assert prediction.maps.shape == (4, 17, 24, 16)


def test_the_person_in_the_middle_is_meant() -> None:
    """Two people with equal maps: the joints are those of the one closer to the middle, where its regression points."""
    model = MoveNet(MoveNetTrunk("lightning"), COCO, (64, 64)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        # Every map is that of the pyramid's first two channels: centres, and joints.
        center, heat = torch.full((16, 16), -4.0), torch.full((16, 16), -4.0)
        center[7, 4] = center[8, 13] = 2.0  # 4.1 and 5 cells from the middle
        heat[3, 4] = heat[3, 13] = 2.0
        drawn = torch.zeros(1, 96, 16, 16)
        drawn[0, 0], drawn[0, 1] = center, heat
        hidden = {"center": 0, "kpt_heatmap": 1, "kpt_regress": 2, "kpt_offset": 2}
        for name, channel in hidden.items():
            layer = model.get_submodule(name)["conv2d"]
            layer.weight[:, channel, 0, 0] = 1.0
        model.kpt_regress["conv2d"].bias.copy_(torch.tensor([-4.0, 0.0] * 17))
        model.kpt_offset["conv2d"].bias.copy_(torch.tensor([0.25, 0.5] * 17))
        model.backbone.pyramid = lambda _: (torch.zeros(1, 24, 16, 16), None)
        model.backbone.kpt_heatmap["separable_conv2d"] = Drawn(drawn)
        for name in MoveNet.HEADS[1:]:
            model.get_submodule(name)["separable_conv2d"] = Drawn(drawn)
        prediction = model(torch.zeros(1, 3, 64, 64))
    place = torch.tensor([(4 + 0.5) / 16 - 0.5, (3 + 0.25) / 16 - 0.5])
    torch.testing.assert_close(prediction.mu, place.expand(1, 17, 2))
    torch.testing.assert_close(prediction.confidence, torch.tensor(2.0).sigmoid().expand(1, 17))


class Drawn(torch.nn.Module):
    """The features that it was made with, whatever it is given."""

    def __init__(self, features: torch.Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        return self.features
