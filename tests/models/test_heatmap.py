"""Maps: where their maximum and their mean lie, published sizes, the flip test, and sigma beside."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, H36M
from logpose.core.structures import Prediction
from logpose.models import HeatmapModel, HRNet, IntegralModel, RegressionModel, ResNet, create_backbone
from logpose.models.heatmap import MapHead, decode, expected


def size_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# Published sizes


def test_simplepose_has_the_published_size() -> None:
    with torch.device("meta"):
        assert size_of(HeatmapModel(ResNet(50), COCO, (256, 192))) == 33_999_697


@pytest.mark.parametrize(("joints", "count"), [(18, 34_291_392), (17, 34_274_944)])
def test_integral_pose_in_space_has_the_published_size(joints: int, count: int) -> None:
    with torch.device("meta"):
        assert size_of(ResNet(50)) + size_of(MapHead(ResNet(50), joints * 64)) == count
        if joints == len(H36M):
            assert size_of(IntegralModel(ResNet(50), H36M, (256, 256), dim=3)) == count


@pytest.mark.parametrize(("width", "plain", "with_sigma"), [(32, 28.536, 39.254), (48, 63.596, 75.491)])
def test_hrnet_has_the_published_sizes(width: int, plain: float, with_sigma: float) -> None:
    with torch.device("meta"):
        maps = HeatmapModel(HRNet(width, neck=False), COCO, (256, 192))
        rle = IntegralModel(HRNet(width), COCO, (256, 192), predicts_sigma=True)
    assert (round(size_of(maps) / 1e6, 3), round(size_of(rle) / 1e6, 3)) == (plain, with_sigma)


# Decoding


def naive(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SimplePose's decoding (`get_final_preds`), joint by joint; places in cells."""
    places, peaks = np.zeros((*maps.shape[:2], 2)), np.zeros(maps.shape[:2])
    height, width = maps.shape[2:]
    for b in range(maps.shape[0]):
        for k in range(maps.shape[1]):
            one = maps[b, k]
            y, x = divmod(int(one.argmax()), width)
            peaks[b, k] = one[y, x]
            places[b, k] = x, y
            if 1 < x < width - 1 and 1 < y < height - 1:
                slopes = [one[y, x + 1] - one[y, x - 1], one[y + 1, x] - one[y - 1, x]]
                places[b, k] += np.sign(slopes) * 0.25
    return places, peaks


def test_decoding_is_the_naive_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(7, 17, 12, 9, generator=generator)
    maps[0, 0, 0, 0] = maps[0, 1, 11, 8] = maps[0, 2, 5, 0] = maps[0, 3, 4, 4] = 9  # corners, rim, inside
    maps[0, 4, 1, 4] = maps[0, 5, 4, 1] = maps[0, 6, 2, 2] = maps[0, 7, 10, 7] = 9  # one and two cells from the rim
    maps[0, 3, 4, 3] = maps[0, 3, 4, 5] = 1.0  # neighbours alike: nothing to go by
    places, peaks = naive(maps.numpy())
    mu, peak = decode(maps)
    torch.testing.assert_close((mu + 0.5) * torch.tensor([9.0, 12.0]), torch.from_numpy(places).float())
    torch.testing.assert_close(peak, torch.from_numpy(peaks).float())
    assert (mu[0, 3, 0] + 0.5) * 9 == 4


@pytest.mark.parametrize("dim", [2, 3])
def test_the_mean_of_a_map_is_numpys(dim: int) -> None:
    shape = (5, 6, 7)[-dim:]
    share = torch.rand(2, 4, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    share /= share.flatten(2).sum(dim=2).view(2, 4, *[1] * dim)
    grids = np.meshgrid(*(np.arange(n) / n - 0.5 for n in shape), indexing="ij")
    mean = [(share.numpy() * grid).reshape(2, 4, -1).sum(axis=2) for grid in reversed(grids)]
    np.testing.assert_allclose(expected(share).numpy(), np.stack(mean, axis=-1), atol=1e-12)


def test_one_lit_cell_is_where_the_mean_is() -> None:
    """A cell i of w is the pixel i * W / w, so i / w - 0.5 in crop coordinates (FACTS of the released code)."""
    share = torch.zeros(1, 1, 64, 48)
    share[0, 0, 16, 36] = 1
    assert expected(share).tolist() == [[[36 / 48 - 0.5, 16 / 64 - 0.5]]]
    assert decode(share)[0].tolist() == expected(share).tolist()


# Models


class Drawn(nn.Module):
    """A head that draws what it is given, whatever its input."""

    def __init__(self, maps: Tensor) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, _: Tensor) -> Tensor:
        return self.maps


@pytest.fixture
def simple() -> HeatmapModel:
    torch.manual_seed(0)
    return HeatmapModel(ResNet(18), COCO, (64, 64)).eval()


def test_a_heatmap_model_predicts_from_its_maps(simple: HeatmapModel) -> None:
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        found = simple(images)
    assert found.maps.shape == (2, 17, 16, 16)
    places, peaks = naive(found.maps.numpy())
    torch.testing.assert_close(found.mu, torch.from_numpy(places / 16 - 0.5).float())
    torch.testing.assert_close(found.confidence, torch.from_numpy(peaks).float().clamp(0, 1))
    assert found.std.isnan().all(), "the distribution of its errors is unknown"


def test_its_flip_test_averages_maps(simple: HeatmapModel) -> None:
    maps, other = torch.rand(2, 1, 17, 16, 16, generator=torch.Generator().manual_seed(0))

    def read(of: Tensor) -> Prediction:
        simple.head = Drawn(of)
        return simple(torch.zeros(1, 3, 64, 64))

    both = simple.flip_average(read(maps), read(other))
    back = np.empty((1, 17, 16, 16), dtype=np.float32)
    for joint, mirrored in enumerate(COCO.flip_index):
        turned = other[0, mirrored].numpy()[:, ::-1]
        back[0, joint, :, 1:], back[0, joint, :, 0] = turned[:, :-1], turned[:, 0]
    places, _ = naive((maps.numpy() + back) / 2)
    torch.testing.assert_close(both.mu, torch.from_numpy(places / 16 - 0.5).float())


def test_a_mirrored_bump_comes_back_where_it_was(simple: HeatmapModel) -> None:
    """A joint at pixel x of W = 64 stands at 63 - x in the mirror: of cells of four pixels, at most half a cell off."""
    for x in (8, 21, 40, 55):
        cells = torch.arange(16.0)
        bump = [torch.exp(-((cells - at / 4) ** 2) / 8) for at in (x, 63 - x)]
        rows = torch.exp(-((cells - 7) ** 2) / 8)
        maps, mirrored = (rows[:, None] * line for line in bump)
        predictions = []
        for one in (maps, mirrored):
            simple.head = Drawn(one.expand(1, 17, 16, 16).clone())
            predictions.append(simple(torch.zeros(1, 3, 64, 64)))
        found = (simple.flip_average(*predictions).mu[0, 0, 0] + 0.5) * 64
        assert abs(float(found) - x) <= 2


@pytest.mark.parametrize("normalisation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("dim", [2, 3])
def test_integral_pose_is_the_mean_of_what_is_drawn(normalisation: str, dim: int) -> None:
    model = IntegralModel(ResNet(18), H36M, (64, 64), dim, normalisation=normalisation, depth=8).eval()
    count = len(H36M) * (8 if dim == 3 else 1)
    drawn = 2 * torch.randn(2, count, 16, 16, generator=torch.Generator().manual_seed(0))
    model.head = Drawn(drawn)
    with torch.no_grad():
        found = model(torch.zeros(2, 3, 64, 64))
    logits = drawn.double().numpy().reshape(2, len(H36M), *(8, 16, 16)[-dim:])
    lit = np.exp(logits) if normalisation == "softmax" else 1 / (1 + np.exp(-logits))
    share = torch.from_numpy(lit / lit.reshape(2, len(H36M), -1).sum(axis=2).reshape(2, -1, *[1] * dim))
    torch.testing.assert_close(found.mu, expected(share).float(), atol=1e-5, rtol=0)
    peak = lit.reshape(2, len(H36M), -1).max(axis=2) if normalisation == "sigmoid" else np.ones((2, len(H36M)))
    torch.testing.assert_close(found.confidence, torch.from_numpy(peak).float())
    assert torch.equal(found.sigma, torch.ones_like(found.mu))


def test_at_first_integral_pose_predicts_the_middle() -> None:
    torch.manual_seed(0)
    model = IntegralModel(ResNet(18), COCO, (64, 64), predicts_sigma=True).eval()
    with torch.no_grad():
        found = model(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    assert (found.mu - (-1 / 32)).abs().max() < 0.02  # the mean of cells 0 … 15 is half a cell before the middle
    assert (found.sigma - 0.5).abs().max() < 0.1


def test_hrnet_with_rle_reads_sigma_from_the_neck() -> None:
    torch.manual_seed(0)
    model = IntegralModel(HRNet(32), COCO, (64, 64), predicts_sigma=True)
    images = torch.randn(2, 3, 64, 64)
    found = model(images)
    of_mu = torch.autograd.grad(found.mu.sum(), model.backbone.final_layer[0].weight, allow_unused=True)[0]
    assert of_mu is None, "mu is read from the finest branch"
    model.eval()
    with torch.no_grad():
        found = model(images)
        pooled = model.backbone(model.normalised(images)).mean(dim=(2, 3))
        assert model.fc_sigma is not None
        logits = pooled @ model.fc_sigma.weight.T + model.fc_sigma.bias
    torch.testing.assert_close(found.sigma, torch.sigmoid(logits).view(2, 17, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.confidence, 1 - found.sigma.mean(dim=-1))


def test_an_auxiliary_head_draws_in_training_only() -> None:
    model = RegressionModel(ResNet(18), COCO, (64, 64), auxiliary=True)
    images = torch.randn(2, 3, 64, 64)
    assert model(images).maps.shape == (2, 17, 16, 16)
    assert model.eval()(images).maps is None
    plain = RegressionModel(ResNet(18), COCO, (64, 64))
    assert size_of(model) - size_of(plain) == size_of(MapHead(ResNet(18), 17))
    model.drop_training_parts()
    assert size_of(model) == size_of(plain)
    assert model.config() == plain.config()


@pytest.mark.parametrize("kind", [IntegralModel, HeatmapModel])
def test_in_half_precision_the_last_layer_and_the_mean_are_not(kind: type) -> None:
    """bf16 has 256 numbers between 16 and 32: places read off such maps would come in steps."""
    torch.manual_seed(0)
    model = kind(ResNet(18), COCO, (64, 64)).eval()
    nn.init.normal_(model.head.final_layer.weight, std=0.3)
    features = torch.randn(2, 256, 16, 16)
    model.head.deconv_layers = Drawn(features)
    images = torch.zeros(2, 3, 64, 64)
    with torch.no_grad():
        plain = model(images)
        with torch.autocast("cpu", torch.bfloat16):
            found = model(images)
    assert found.mu.dtype == torch.float32
    torch.testing.assert_close(found.mu, plain.mu, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.confidence, plain.confidence)


@pytest.mark.parametrize(
    "make",
    [
        lambda size: HeatmapModel(ResNet(18), COCO, size),
        lambda size: IntegralModel(HRNet(32), COCO, size),
        lambda size: RegressionModel(HRNet(32), COCO, size),
        lambda size: RegressionModel(ResNet(18), COCO, size, auxiliary=True),
    ],
)
def test_sizes_of_which_cells_are_not_whole_pixels(make: Callable) -> None:
    with torch.device("meta"):
        with pytest.raises(InputError, match="multiples of 32 pixels"):
            make((64, 48))
        make((64, 96))


def test_backbones_with_and_without_a_neck() -> None:
    with torch.device("meta"):
        assert create_backbone("hrnet_w48", (256, 192)).neck
        assert not create_backbone("hrnet_w48", (256, 192), neck=False).neck
