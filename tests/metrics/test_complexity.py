"""What the paper prints of its networks, and what they compute."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from logpose.metrics.complexity import complexity, flow_flops


class Small(nn.Module):
    """A layer of each kind that is counted, with sizes that tell them apart."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1, bias=False), nn.BatchNorm2d(5), nn.ReLU())
        self.up = nn.ConvTranspose2d(5, 7, 4, 2, 1, bias=False)
        self.fc = nn.Linear(7, 11)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.up(self.backbone(x)).mean(dim=(2, 3)))


def test_every_kind_of_layer_by_hand() -> None:
    found = complexity(Small(), torch.zeros(1, 3, 8, 12))
    assert found.parameters == 5 * 3 * 9 + 10 + 5 * 7 * 16 + 7 * 11 + 11
    conv = 4 * 6 * 5 * 27
    assert (found.macs, found.backbone_macs) == (conv + 4 * 6 * 5 * 7 * 16 + 77, conv)
    norm, up, pool = 2 * 4 * 6 * 5, 8 * 12 * 7 * 5 * 16, (8 * 12 + 1) * 7
    assert found.printed_backbone == conv + norm
    assert found.printed_head == up + pool + 77
    assert found.head_macs == found.macs - conv


def test_groups_meet_fewer_weights() -> None:
    grouped = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, groups=3))
    assert complexity(grouped, torch.zeros(1, 3, 5, 5), backbone="0").printed == 25 * 6 * 9
    assert complexity(grouped, torch.zeros(1, 3, 5, 5), backbone="0").macs == 25 * 6 * 9


@pytest.mark.parametrize(
    ("hidden", "points", "flops", "printed"),
    [
        ((64, 64), 1, 106_008, None), ((128, 128), 1, 408_600, None), ((256, 256), 1, 1_603_608, None),
        ((32,) * 4, 1, 78_360, None), ((64,) * 4, 1, 304_152, None),
        ((64, 64), 17, None, 1.8), ((128, 128), 17, None, 6.9), ((256, 256), 17, None, 27.3),
        ((32,) * 4, 17, None, 1.3), ((64,) * 4, 17, None, 5.2), ((64, 64), 417, None, 44.2),
    ],
)  # fmt: skip
def test_flops_of_the_flows(hidden: tuple[int, ...], points: int, flops: int | None, printed: float | None) -> None:
    found = flow_flops(2, 6, hidden, points)
    if flops is not None:
        assert found == flops
    if printed is not None:
        assert round(found / 1e6, 1) == printed


def test_the_counters_leave_no_trace() -> None:
    network = Small()
    complexity(network, torch.zeros(1, 3, 8, 12))
    assert not any(module._forward_hooks for module in network.modules())
    torch.testing.assert_close(network(torch.ones(1, 3, 8, 12)), network(torch.ones(1, 3, 8, 12)))
