"""Counts of layers, worked out by hand and compared with PyTorch's own counter."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from logpose.metrics.complexity import WithoutValues, complexity
from logpose.models import ResNet
from logpose.models.efficientnet import EfficientNetLite
from logpose.models.movenet import MoveNetTrunk


class Small(nn.Module):
    """A layer of each kind that is counted, all of different sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1, bias=False), nn.BatchNorm2d(5), nn.ReLU())
        self.up = nn.ConvTranspose2d(5, 7, 4, 2, 1, bias=False)
        self.fc = nn.Linear(7, 11)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.up(self.backbone(x)).mean(dim=(2, 3)))


class Products(nn.Module):
    """Matrix products, written in each way."""

    def forward(self, x: Tensor) -> Tensor:
        square = torch.matmul(x, x.transpose(2, 3)) @ x
        return torch.bmm(square[0], square[1].mT)


class ByKeyword(nn.Module):
    """A layer whose arguments are given by their names."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, torch.ones(6, 2, 3, 3), bias=torch.ones(6), stride=2, groups=2)


def test_every_kind_of_layer_by_hand() -> None:
    found = complexity(Small(), torch.zeros(1, 3, 8, 12))
    assert found.parameters == 5 * 3 * 9 + 10 + 5 * 7 * 16 + 7 * 11 + 11
    conv = 4 * 6 * 5 * 27
    assert (found.macs, found.backbone_macs) == (conv + 4 * 6 * 5 * 7 * 16 + 77, conv)
    assert found.head_macs == found.macs - conv


def test_groups_meet_fewer_weights() -> None:
    grouped = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, groups=3))
    assert complexity(grouped, torch.zeros(1, 3, 5, 5), backbone="0").macs == 25 * 6 * 9


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (ResNet(18), (1, 3, 64, 96)),
        (EfficientNetLite(), (1, 3, 64, 96)),
        (MoveNetTrunk("lightning"), (1, 3, 64, 96)),
        (nn.Sequential(nn.Conv1d(4, 6, 3, stride=2, padding="valid", dilation=2), nn.LeakyReLU()), (1, 4, 40)),
        (nn.Sequential(nn.Conv2d(4, 6, (3, 5), padding="same", groups=2), nn.Dropout(), nn.Sigmoid()), (1, 4, 9, 11)),
        (nn.ConvTranspose2d(4, 6, 3, stride=(2, 3), padding=1, output_padding=1, groups=2, dilation=2), (1, 4, 9, 7)),
        (nn.Sequential(nn.Conv2d(4, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 2, 3)), (1, 4, 9, 7)),
        (ByKeyword(), (1, 4, 9, 7)),
        (Products(), (2, 3, 7, 4)),
    ],
)
def test_counts_are_those_of_pytorch(network: nn.Module, shape: tuple[int, ...]) -> None:
    example = torch.zeros(shape)
    network.eval()
    counter = FlopCounterMode(display=False)
    with counter:
        network(example)
    assert complexity(network, example).macs == counter.get_total_flops() // 2 > 0


def test_attention_is_counted() -> None:
    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.scaled_dot_product_attention(x, x[:, :, :5], x[:, :, :5])

    # 2 batches × 3 heads: 7 queries × 5 keys × 4 numbers, and the same for the values
    assert complexity(Attention(), torch.zeros(2, 3, 7, 4)).macs == 2 * (2 * 3 * 7 * 5 * 4)


def test_the_network_works_afterwards() -> None:
    network = Small()
    before = network.eval()(torch.ones(1, 3, 8, 12))
    complexity(network, torch.zeros(1, 3, 8, 12))
    torch.testing.assert_close(network(torch.ones(1, 3, 8, 12)), before)


def test_networks_without_values_need_no_memory() -> None:
    with WithoutValues():
        network = nn.Sequential(nn.Linear(10**5, 10**5), nn.BatchNorm1d(10**5))
    assert network[0].weight.is_meta
    assert complexity(network, torch.zeros(1, 10**5)).macs == 10**10
    assert not nn.Linear(2, 2).weight.is_meta
