"""The paper's network: its size, its outputs, and what it starts from."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from logpose.core.skeletons import COCO, LSP, Skeleton
from logpose.flows import RealNVP
from logpose.losses import RLELoss
from logpose.models import RegressionModel, ResNet
from logpose.models.heads import SIGMA_FLOOR

SIZE = (64, 48)


class Tiny(nn.Module):
    """A backbone of one's own: has `channels`, and that is all."""

    channels = 8

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).relu()


def images(count: int = 2) -> Tensor:
    return torch.randint(0, 256, (count, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_parameter_counts_of_the_paper() -> None:
    with torch.device("meta"):
        direct = RegressionModel(ResNet(50), COCO, (256, 192), predicts_sigma=False)
        rle = RegressionModel(ResNet(50), COCO, (256, 192))
        loss = RLELoss()
    count = {name: sum(p.numel() for p in m.parameters()) for name, m in [("mu", direct), ("rle", rle), ("loss", loss)]}
    assert count["mu"] == 23_577_698
    assert count["rle"] == 23_647_364
    assert count["rle"] + count["loss"] == 23_701_148


@pytest.mark.parametrize(("joints", "flows", "count"), [(18, 1, 23_784_656), (18, 2, 23_838_440)])
def test_parameter_counts_in_space(joints: int, flows: int, count: int) -> None:
    skeleton = Skeleton("person", tuple(f"joint {i}" for i in range(joints)))
    with torch.device("meta"):
        parts = [RegressionModel(ResNet(50), skeleton, (256, 256), dim=3), RealNVP(3), RealNVP(2)][: flows + 1]
    assert sum(p.numel() for part in parts for p in part.parameters()) == count


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("skeleton", [COCO, LSP])
def test_shapes(skeleton: Skeleton, dim: int) -> None:
    model = RegressionModel(Tiny(), skeleton, SIZE, dim)
    prediction = model(images(3))
    assert prediction.mu.shape == prediction.sigma.shape == (3, len(skeleton), dim)
    assert prediction.confidence.shape == (3, len(skeleton))
    assert prediction.mu.dtype == prediction.sigma.dtype == torch.float32


def test_bytes_and_floats_are_the_same_image() -> None:
    model = RegressionModel(ResNet(18), COCO, SIZE).eval()
    a, b = model(images()), model(images().float() / 255)
    torch.testing.assert_close(a.mu, b.mu)
    torch.testing.assert_close(a.sigma, b.sigma)


def test_what_it_computes() -> None:
    # Average pooling, a linear layer to each of mu and sigma, a sigmoid; joints first, then dimensions.
    torch.manual_seed(0)
    model = RegressionModel(Tiny(), COCO, SIZE)
    with torch.no_grad():
        for layer in (model.fc_mu, model.fc_sigma):
            layer.weight.normal_()
            layer.bias.normal_()
        features = model.backbone(model.normalised(images())).flatten(2).mean(dim=2)
        mu = (features @ model.fc_mu.weight.T + model.fc_mu.bias).reshape(2, 17, 2)
        sigma = 1 / (1 + torch.exp(-(features @ model.fc_sigma.weight.T + model.fc_sigma.bias))).reshape(2, 17, 2)
        prediction = model(images())
    torch.testing.assert_close(prediction.mu, mu)
    torch.testing.assert_close(prediction.sigma, sigma, atol=2e-6, rtol=1e-4)
    torch.testing.assert_close(prediction.confidence, 1 - sigma.mean(dim=2), atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("logit", [-1e4, -100.0, -10.0, 0.0, 10.0, 100.0, 1e4])
def test_sigma_lies_between_its_floor_and_one(logit: float) -> None:
    model = RegressionModel(Tiny(), COCO, SIZE)
    nn.init.zeros_(model.fc_sigma.weight)
    nn.init.constant_(model.fc_sigma.bias, logit)
    prediction = model(images())
    assert (prediction.sigma >= SIGMA_FLOOR).all()
    assert (prediction.sigma <= 1).all()
    assert (prediction.confidence >= 0).all()
    expected = 1 / (1 + math.exp(-logit)) if abs(logit) < 500 else float(logit > 0)
    torch.testing.assert_close(prediction.sigma, torch.full((2, 17, 2), expected), atol=1.1e-6, rtol=1e-6)
    loss = RLELoss()(prediction.mu, prediction.sigma, torch.full((2, 17, 2), 0.3))
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_the_first_prediction_is_the_centre_and_a_half() -> None:
    torch.manual_seed(0)
    prediction = RegressionModel(ResNet(18), COCO, SIZE).eval()(images())
    assert prediction.mu.abs().max() < 0.05
    torch.testing.assert_close(prediction.sigma, torch.full((2, 17, 2), 0.5), atol=0.02, rtol=0)


def test_without_sigma_it_is_one_and_confidence_is_constant() -> None:
    model = RegressionModel(Tiny(), COCO, SIZE, predicts_sigma=False)
    assert model.fc_sigma is None
    prediction = model(images())
    assert torch.equal(prediction.sigma, torch.ones(2, 17, 2))
    assert torch.equal(prediction.confidence, torch.ones(2, 17))


def test_an_export_takes_any_number_of_crops() -> None:
    """With `torch.export`, of which ONNX files are made too."""

    class Plain(nn.Module):
        def __init__(self, model: RegressionModel) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            found = self.model(images)
            return found.mean, found.std, found.confidence

    model = Plain(RegressionModel(Tiny(), COCO, SIZE).eval())
    shapes = ({0: torch.export.Dim("batch", min=2, max=64)},)
    exported = torch.export.export(model, (images(3),), dynamic_shapes=shapes).module()
    for found, expected in zip(exported(images(7)), model(images(7)), strict=True):
        torch.testing.assert_close(found, expected, equal_nan=True)


def test_half_precision_keeps_its_head() -> None:
    model = RegressionModel(ResNet(18), COCO, SIZE).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = model(images())
    assert prediction.mu.dtype == prediction.sigma.dtype == torch.float32
    torch.testing.assert_close(prediction.sigma, model(images()).sigma, atol=0.01, rtol=0)


def test_a_gradient_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    model, loss = RegressionModel(ResNet(18), COCO, SIZE), RLELoss()
    prediction = model(images(4))
    loss(prediction.mu, prediction.sigma, torch.rand(4, 17, 2) - 0.5).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_config_is_plain() -> None:
    model = RegressionModel(ResNet(18), COCO, SIZE, dim=3, predicts_sigma=False)
    assert model.config() == {
        "kind": "regression",
        "backbone": {"kind": "resnet", "depth": 18},
        "skeleton": COCO.config(),
        "size": [64, 48],
        "dim": 3,
        "predicts_sigma": False,
        "unit_features": False,
        "padding": 1.25,
        "pixel_mean": [0.485, 0.456, 0.406],
        "pixel_std": [0.229, 0.224, 0.225],
        "auxiliary": False,
        "visibility": False,
        "correlated": False,
    }
    assert RegressionModel(Tiny(), COCO, SIZE).config()["backbone"] is None
