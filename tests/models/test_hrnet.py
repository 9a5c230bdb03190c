"""HRNet: the public code's sizes and names, and that every branch hears of every other."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from logpose.models.hrnet import ExchangeModule, HRNet


@pytest.fixture(scope="module")
def nets() -> dict[bool, HRNet]:
    torch.manual_seed(0)
    return {neck: HRNet(32, neck).eval() for neck in (True, False)}


@pytest.mark.parametrize(
    ("width", "neck", "millions"), [(32, False, 28.536), (48, False, 63.596), (32, True, 39.254), (48, True, 75.491)]
)
def test_published_sizes(width: int, neck: bool, millions: float) -> None:
    """With the last layer that they are counted with: 17 maps, and with a neck 34 sigmas of 2,048 features besides."""
    with torch.device("meta"):
        count = sum(p.numel() for p in HRNet(width, neck).parameters())
    count += 17 * width + 17 + (34 * 2048 + 34 if neck else 0)
    assert round(count / 1e6, 3) == millions


def test_names_are_the_public_code_s(nets: dict[bool, HRNet]) -> None:
    names = set(nets[True].state_dict())
    assert names > {
        "conv1.weight", "bn2.running_var", "layer1.0.downsample.0.weight", "layer1.3.conv3.weight",
        "transition1.0.0.weight", "transition1.1.0.0.weight", "transition2.2.0.1.bias", "transition3.3.0.0.weight",
        "stage2.0.branches.1.3.conv2.weight", "stage2.0.fuse_layers.0.1.0.weight",
        "stage3.3.fuse_layers.2.0.1.1.weight", "stage4.2.fuse_layers.3.0.2.0.weight", "incre_modules.3.0.bn3.weight",
        "incre_modules.0.0.downsample.1.weight", "downsamp_modules.2.0.bias", "final_layer.0.bias",
        "final_layer.1.weight",
    }  # fmt: skip
    # A pose network's last module gives out its finest branch alone, and it has no neck.
    assert set(nets[False].state_dict()) == {
        name
        for name in names
        if not name.startswith(("incre_modules", "downsamp_modules", "final_layer"))
        and not any(name.startswith(f"stage4.2.fuse_layers.{to}.") for to in (1, 2, 3))
    }


def test_resolutions_and_channels(nets: dict[bool, HRNet]) -> None:
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        shapes = [tuple(x.shape) for x in nets[True].stages(images)]
        assert shapes == [(2, 32, 16, 24), (2, 64, 8, 12), (2, 128, 4, 6), (2, 256, 2, 3)]
        assert nets[True](images).shape == (2, 2048, 2, 3)
        assert nets[False](images).shape == (2, 32, 16, 24)
    assert (nets[True].channels, nets[True].map_channels, nets[True].name) == (2048, 32, "hrnet_w32")


def test_weights_of_the_larger_fit_the_smaller(nets: dict[bool, HRNet]) -> None:
    smaller = HRNet(32, neck=False).eval()
    names = smaller.state_dict().keys()
    smaller.load_state_dict({k: v for k, v in nets[True].state_dict().items() if k in names})
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(smaller(images), nets[True].stages(images)[0])


def test_branches_are_exchanged_as_published() -> None:
    """Written out for two branches: what goes down passes a strided 3×3, what goes up a 1×1 and is repeated."""
    torch.manual_seed(0)
    module = ExchangeModule((4, 8), 2).eval()
    inputs = [torch.randn(2, 4, 8, 8), torch.randn(2, 8, 4, 4)]
    state = module.state_dict()

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.batch_norm(x, *(state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))

    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        fine, coarse = (blocks(x) for blocks, x in zip(module.branches, inputs, strict=True))
        up = norm(F.conv2d(coarse, state["fuse_layers.0.1.0.weight"]), "fuse_layers.0.1.1")
        down = norm(F.conv2d(fine, state["fuse_layers.1.0.0.0.weight"], stride=2, padding=1), "fuse_layers.1.0.0.1")
        expected = [fine + up.repeat_interleave(2, 2).repeat_interleave(2, 3), coarse + down]
        for found, wanted in zip(module(inputs), expected, strict=True):
            torch.testing.assert_close(found, wanted.relu())


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    net = HRNet(32)
    (net(torch.randn(2, 3, 64, 64)).square().mean()).backward()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not still


def test_other_widths_do_not_exist() -> None:
    with pytest.raises(ValueError, match="no HRNet-W18; widths are 32, 48"):
        HRNet(18)


def test_all_branches_can_be_had_without_a_neck(nets: dict[bool, HRNet]) -> None:
    net = HRNet(32, neck=False, all_branches=True).eval()
    state = nets[True].state_dict()
    net.load_state_dict({name: state[name] for name in net.state_dict()})
    assert net.stage_channels == (32, 64, 128, 256)
    assert nets[False].stage_channels == (32,)
    with torch.no_grad():
        image = torch.randn(1, 3, 64, 64)
        found, expected = net.stages(image), nets[True].stages(image)
        assert [tuple(branch.shape[1:]) for branch in found] == [(32, 16, 16), (64, 8, 8), (128, 4, 4), (256, 2, 2)]
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
        assert torch.equal(net(image), expected[0])
