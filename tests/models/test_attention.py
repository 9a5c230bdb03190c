"""Regression by attention: against loops over joints and cells, and where attention is made to be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.models import AttentionModel, HRNet, ResNet
from logpose.models.backbone import FeatureExtractor
from logpose.models.efficientnet import EfficientNetLite
from logpose.models.movenet import MoveNetTrunk

TWO = Skeleton("two", ("left_eye", "right_eye"), (), ((0, 1),), (0.1, 0.1))


class Still(FeatureExtractor):
    """A backbone that gives the features that it was made with."""

    names, name, divisor = ("still",), "still", 1

    def __init__(self, *features: torch.Tensor) -> None:
        super().__init__()
        self.found = list(features)
        self.stage_channels = tuple(each.shape[1] for each in features)
        self.channels = self.stage_channels[-1]

    def stages(self, _: torch.Tensor) -> list[torch.Tensor]:
        return self.found


def model_on(fused: torch.Tensor, size: tuple[int, int], **settings) -> AttentionModel:
    """A model whose fused features are these: one level, passed on as it is."""
    model = AttentionModel(Still(fused), TWO, size, levels=1, width=fused.shape[1], **settings).eval()
    model.top = torch.nn.Identity()
    return model


@pytest.mark.parametrize("dim", [2, 3])
def test_mu_and_sigma_are_those_of_sums_over_cells(dim: int) -> None:
    torch.manual_seed(0)
    height, width, channels = 3, 5, 4
    model = model_on(torch.randn(2, channels, height, width), (48, 60), dim=dim).double()
    model.backbone.found = [each.double() for each in model.backbone.found]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
        found = model(torch.zeros(2, 3, 48, 60))
    fused, layers = model.backbone.found[0].numpy(), {name: p.detach().numpy() for name, p in model.named_parameters()}
    for b in range(2):
        for k in range(2):
            scores = np.einsum("c,chw->hw", layers["maps.weight"][k, :, 0, 0], fused[b]) + layers["maps.bias"][k]
            share = np.exp(scores) / np.exp(scores).sum()
            # A cell's middle is that of its 12 × 16 pixels; pixel i of n lies at i / n - 1/2.
            xs = [np.mean([p / 60 - 0.5 for p in range(12 * i, 12 * i + 12)]) for i in range(width)]
            ys = [np.mean([p / 48 - 0.5 for p in range(16 * j, 16 * j + 16)]) for j in range(height)]
            place = np.array([(share * np.array(xs)).sum(), (share.T * np.array(ys)).sum()])
            spread = [
                np.sqrt((share.sum(0) * (xs - place[0]) ** 2).sum()),
                np.sqrt((share.sum(1) * (ys - place[1]) ** 2).sum()),
            ]
            feature = (fused[b] * share).sum(axis=(1, 2))
            mu = layers["fc_mu.weight"][k] @ feature + layers["fc_mu.bias"][k]
            mu[:2] += place
            logits = (
                layers["fc_sigma.weight"][k] @ np.concatenate([feature, np.log(spread)]) + layers["fc_sigma.bias"][k]
            )
            np.testing.assert_allclose(found.mu[b, k].numpy(), mu, atol=1e-12)
            np.testing.assert_allclose(found.sigma[b, k].numpy(), 1e-6 + (1 - 1e-6) / (1 + np.exp(-logits)), atol=1e-12)


def test_it_starts_in_the_middle_with_sigma_a_half() -> None:
    model = model_on(torch.zeros(1, 4, 4, 4), (64, 64))
    found = model(torch.zeros(1, 3, 64, 64))
    torch.testing.assert_close(found.mu, torch.full((1, 2, 2), -0.5 / 64))  # of pixels 0 … 63
    torch.testing.assert_close(found.sigma, torch.full((1, 2, 2), 0.5))


def test_a_mirror_image_has_the_mirrored_joints() -> None:
    """With features that are mirrored too, a column x stands at W - 1 - x; exactly, or the flip test would blur."""
    torch.manual_seed(1)
    fused = torch.randn(1, 4, 4, 6)
    model = model_on(fused, (64, 96))
    with torch.no_grad():
        model.maps.weight.normal_(0, 2)
        straight = model(torch.zeros(1, 3, 64, 96))
        model.backbone.found = [fused.flip(-1)]
        mirrored = model(torch.zeros(1, 3, 64, 96))
    columns = (straight.mu[..., 0] + 0.5) * 96, (mirrored.mu[..., 0] + 0.5) * 96
    torch.testing.assert_close(columns[0], 95 - columns[1], atol=1e-4, rtol=0)
    torch.testing.assert_close(straight.mu[..., 1], mirrored.mu[..., 1])


def test_certain_attention_stays_finite_with_its_gradients() -> None:
    """All weight on one cell: no spread, and its logarithm is used."""
    fused = torch.zeros(1, 4, 4, 4)
    fused[:, 0, 2, 1] = 1.0
    model = model_on(fused, (64, 64))
    with torch.no_grad():
        model.maps.weight[:, 0] = 1e4
    found = model(torch.zeros(1, 3, 64, 64))
    (found.mu.sum() + found.sigma.log().sum()).backward()
    torch.testing.assert_close(found.mu[0, 0], torch.tensor([23.5 / 64 - 0.5, 39.5 / 64 - 0.5]))
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    "make",
    [lambda: ResNet(18), EfficientNetLite, lambda: MoveNetTrunk("lightning"), lambda: HRNet(32, False, True)],
    ids=["resnet", "efficientnet", "movenet", "hrnet"],
)
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_every_backbone_has_its_levels(make, levels: int) -> None:
    model = AttentionModel(make(), TWO, (64, 96), levels=levels).eval()
    with torch.no_grad():
        found = model(torch.zeros(2, 3, 64, 96))
    assert found.mu.shape == found.sigma.shape == (2, 2, 2)
    assert len(model.lateral) == len(model.smooth) == levels - 1


def test_a_backbone_without_so_many_levels() -> None:
    with pytest.raises(InputError, match="attention over 2 levels of features: the backbone still has 1"):
        AttentionModel(Still(torch.zeros(1, 4, 2, 2)), TWO, (64, 64))


def test_without_sigma_it_is_1() -> None:
    model = model_on(torch.randn(1, 4, 4, 4), (64, 64), predicts_sigma=False)
    assert model.fc_sigma is None
    assert torch.equal(model(torch.zeros(1, 3, 64, 64)).sigma, torch.ones(1, 2, 2))
