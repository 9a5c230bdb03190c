"""ResNets: torchvision's names and shapes, derived here from the rule of the architecture."""

from __future__ import annotations

import pytest
import torch

from logpose.models import ResNet

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def torchvision_shapes(depth: int) -> dict[str, tuple[int, ...]]:
    """Parameters of torchvision's resnet without fc, by name."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, out: int, channels: int, size: int) -> None:
        shapes[f"{name}.weight"] = (out, channels, size, size)

    def norm(name: str, channels: int) -> None:
        for entry in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{entry}"] = (channels,)
        shapes[f"{name}.num_batches_tracked"] = ()

    conv("conv1", 64, 3, 7)
    norm("bn1", 64)
    expansion = 4 if depth >= 50 else 1
    inside = 64
    for stage, count in enumerate(BLOCKS[depth], start=1):
        width = 32 * 2**stage
        for block in range(count):
            name = f"layer{stage}.{block}"
            kernels = (1, 3, 1) if expansion == 4 else (3, 3)
            channels = inside
            for i, kernel in enumerate(kernels, start=1):
                out = width * expansion if i == len(kernels) else width
                conv(f"{name}.conv{i}", out, channels, kernel)
                norm(f"{name}.bn{i}", out)
                channels = out
            if block == 0 and (stage > 1 or inside != width * expansion):
                conv(f"{name}.downsample.0", width * expansion, inside, 1)
                norm(f"{name}.downsample.1", width * expansion)
            inside = width * expansion
    return shapes


@pytest.mark.parametrize("depth", BLOCKS)
def test_names_and_shapes_are_torchvisions(depth: int) -> None:
    with torch.device("meta"):
        state = ResNet(depth).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == torchvision_shapes(depth)


@pytest.mark.parametrize(
    ("depth", "count"),
    [(18, 11_176_512), (34, 21_284_672), (50, 23_508_032), (101, 42_500_160), (152, 58_143_808)],
)
def test_parameter_counts(depth: int, count: int) -> None:
    with torch.device("meta"):
        model = ResNet(depth)
    assert sum(p.numel() for p in model.parameters()) == count
    assert model.name == f"resnet{depth}"
    assert model.channels == (2048 if depth >= 50 else 512)


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize(("size", "features"), [((64, 48), (2, 2)), ((70, 33), (3, 2)), ((32, 32), (1, 1))])
def test_features_are_a_32nd_of_the_image(depth: int, size: tuple[int, int], features: tuple[int, int]) -> None:
    model = ResNet(depth).eval()
    with torch.no_grad():
        assert model(torch.randn(2, 3, *size)).shape == (2, model.channels, *features)


def test_the_stride_sits_in_the_3x3_convolution() -> None:
    model = ResNet(50)
    first = model.layer2[0]
    assert first.conv1.stride == (1, 1)
    assert first.conv2.stride == (2, 2)
    assert first.downsample[0].stride == (2, 2)
    assert model.layer1[0].conv2.stride == (1, 1)
    assert all(block.conv2.stride == (1, 1) for block in model.layer2[1:])


@pytest.mark.parametrize("depth", [18, 50])
def test_a_gradient_reaches_every_parameter(depth: int) -> None:
    torch.manual_seed(0)
    model = ResNet(depth)
    model(torch.randn(2, 3, 64, 64)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


def test_other_depths_do_not_exist() -> None:
    with pytest.raises(ValueError, match="no ResNet-20"):
        ResNet(20)


def test_stages_are_what_the_features_come_from() -> None:
    torch.manual_seed(0)
    for depth, channels in ((18, (64, 128, 256, 512)), (50, (256, 512, 1024, 2048))):
        net = ResNet(depth).eval()
        with torch.no_grad():
            image = torch.randn(1, 3, 64, 96)
            stages = net.stages(image)
            assert torch.equal(stages[-1], net(image))
        assert net.stage_channels == channels
        shapes = [(c, 64 // s, 96 // s) for c, s in zip(channels, (4, 8, 16, 32), strict=True)]
        assert [tuple(stage.shape[1:]) for stage in stages] == shapes
