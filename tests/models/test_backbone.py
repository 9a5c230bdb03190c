"""What backbones say of their features, each of them; any module with `channels` has the least of it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from logpose.core.errors import InputError
from logpose.models import HRNet, ResNet
from logpose.models.backbone import Backbone, FeatureExtractor, Needs, features
from logpose.models.efficientnet import EfficientNetLite
from logpose.models.movenet import MoveNetTrunk


class Own(nn.Module):
    channels = 3

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def test_a_module_of_your_own_gives_its_output_for_maps_and_for_averaging() -> None:
    image = torch.rand(1, 3, 8, 8)
    assert isinstance(Own(), Backbone)
    assert all(torch.equal(found, 2 * image) for found in features(Own(), image))


@pytest.mark.parametrize(
    "make",
    [lambda: ResNet(18), lambda: ResNet(50), HRNet, lambda: HRNet(neck=False), lambda: HRNet(32, False, True)],
    ids=["resnet18", "resnet50", "neck", "no neck", "all branches"],
)
def test_features_have_the_channels_of_their_description(make) -> None:
    backbone: FeatureExtractor = make().eval()  # on "meta" HRNets take ten times as long
    image = torch.zeros(1, 3, 64, 96)
    with torch.no_grad():
        for_maps, for_averaging = backbone.features(image)
        assert for_averaging.shape == backbone(image).shape
        assert for_averaging.shape[1] == backbone.channels
        assert for_maps.shape[1] == (backbone.map_channels or backbone.channels)
        stages = backbone.stages(image)
    assert tuple(stage.shape[1] for stage in stages) == backbone.stage_channels
    assert [64 // stage.shape[2] for stage in stages] == [4, 8, 16, 32][: len(stages)]
    names = backbone.state_dict()
    assert all(any(name.startswith(start) for name in names) for start in backbone.neck_parameters)
    assert backbone.named("vgg", Needs((64, 96), True, False)) is None


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: ResNet(18), 5), (lambda: ResNet(50), 5), (lambda: EfficientNetLite(1), 8),
        (lambda: MoveNetTrunk("lightning"), 8),
        (HRNet, 6), (lambda: HRNet(neck=False), 5), (lambda: HRNet(32, False, True), 5),
    ],
    ids=["resnet18", "resnet50", "efficientnet", "movenet", "neck", "no neck", "all branches"],
)  # fmt: skip
def test_stages_hold_every_parameter_once_in_the_order_of_computation(make, count: int) -> None:
    reached: list[int] = []
    backbone: FeatureExtractor = make().eval()
    assert len(backbone.stage_parameters) == count
    for name, module in backbone.named_modules():
        if module._parameters:
            own = [i for i, each in enumerate(backbone.stage_parameters) if f"{name}.".startswith(each)]
            assert len(own) == 1, name
            module.register_forward_hook(lambda *_, stage=own[0]: reached.append(stage))
    with torch.no_grad():
        backbone.features(torch.zeros(1, 3, 64, 64))
    assert reached == sorted(reached)
    assert set(reached) == set(range(count))


class Plain(FeatureExtractor):
    names = ("plain",)
    name, channels = "plain", 3


def test_a_backbone_without_published_weights_is_refused() -> None:
    with pytest.raises(InputError, match="plain"):
        Plain().imagenet()
