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
    height, width, channels = 4, 3, 4
    model = model_on(torch.randn(2, channels, height, width), (64, 96), dim=dim, sharpness=3.0).double()
    model.backbone.found = [each.double() for each in model.backbone.found]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
        found = model(torch.zeros(2, 3, 64, 96))
    fused, layers = model.backbone.found[0].numpy(), {name: p.detach().numpy() for name, p in model.named_parameters()}
    for b in range(2):
        for k in range(2):
            scores = np.einsum("c,chw->hw", layers["maps.weight"][k, :, 0, 0], fused[b]) + layers["maps.bias"][k]
            share = np.exp(scores) / np.exp(scores).sum()
            # A cell's middle is that of its 32 × 16 pixels; pixel i of n lies at i / n - 1/2.
            xs = [np.mean([p / 96 - 0.5 for p in range(32 * i, 32 * i + 32)]) for i in range(width)]
            ys = [np.mean([p / 64 - 0.5 for p in range(16 * j, 16 * j + 16)]) for j in range(height)]
            sharp = share**3 / (share**3).sum()
            middle = [(share.sum(0) * xs).sum(), (share.sum(1) * ys).sum()]
            place = np.array([(sharp.sum(0) * xs).sum(), (sharp.sum(1) * ys).sum()])
            spread = [
                np.sqrt((share.sum(0) * (xs - middle[0]) ** 2).sum()),
                np.sqrt((share.sum(1) * (ys - middle[1]) ** 2).sum()),
            ]
            feature = (fused[b] * sharp).sum(axis=(1, 2))
            mu = layers["fc_mu.weight"][k] @ feature + layers["fc_mu.bias"][k]
            mu[:2] += place
            known = [*feature, *fused[b].mean(axis=(1, 2)), *np.log(spread), np.log(share.max())]
            logits = layers["fc_sigma.weight"][k] @ known + layers["fc_sigma.bias"][k]
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
    ("make", "levels", "shape"),
    [
        (lambda: ResNet(18), 1, (128, 2, 3)),
        (lambda: ResNet(18), 2, (128, 4, 6)),
        (lambda: EfficientNetLite(), 3, (128, 8, 12)),
        (lambda: EfficientNetLite(), 4, (128, 16, 24)),
        (lambda: MoveNetTrunk("lightning"), 2, (96, 16, 24)),
        (lambda: HRNet(32, False), 2, (32, 16, 24)),
    ],
    ids=["coarsest", "resnet", "efficientnet", "all levels", "movenet", "hrnet"],
)
def test_features_that_are_attended_to(make, levels: int, shape: tuple[int, int, int]) -> None:
    """Fused up to a level, or a backbone's own fine ones."""
    model, reached = AttentionModel(make(), TWO, (64, 96), levels=levels).eval(), []
    model.maps.register_forward_hook(lambda _, inputs, __: reached.append(inputs[0].shape[1:]))
    with torch.no_grad():
        found = model(torch.zeros(2, 3, 64, 96))
    assert found.mu.shape == found.sigma.shape == (2, 2, 2)
    assert reached == [shape]
    model.train()(torch.zeros(2, 3, 64, 96)).sigma.sum().backward()
    own = [(name, p) for name, p in model.named_parameters() if not name.startswith(("backbone.", "fc_mu."))]
    assert not [name for name, p in own if p.grad is None]


def test_of_two_places_mu_is_at_the_likelier() -> None:
    """Attention of 60 and 40 % on two cells; its spread is that of both."""
    fused = torch.full((1, 4, 1, 8), -30.0)
    fused[0, 0, 0, 1], fused[0, 0, 0, 6] = np.log(0.6), np.log(0.4)
    model = model_on(fused, (32, 64), sharpness=16.0)
    with torch.no_grad():
        model.maps.weight.zero_()
        model.maps.weight[:, 0] = 1.0
        model.fc_sigma.weight[..., -3:-1] = torch.eye(2)
        found = model(torch.zeros(1, 3, 32, 64))
    torch.testing.assert_close(found.mu[0, 0, 0], torch.tensor(11.5 / 64 - 0.5), atol=2e-3, rtol=0)
    spread = found.sigma[0, 0, 0].logit().exp()
    torch.testing.assert_close(spread, torch.tensor(5 / 8 * (0.6 * 0.4) ** 0.5), atol=1e-4, rtol=0)


def test_a_backbone_with_fewer_feature_maps() -> None:
    fused = []
    model = AttentionModel(Still(torch.zeros(1, 4, 2, 2)), TWO, (64, 64), levels=3).eval()
    model.maps.register_forward_hook(lambda _, inputs, __: fused.append(inputs[0].shape[2:]))
    model(torch.zeros(1, 3, 64, 64))
    assert fused == [(2, 2)]


@pytest.mark.parametrize(
    ("change", "token"),
    [({"size": (100, 96)}, "multiples of 32"), ({"backbone": torch.nn.Identity()}, "Identity"), ({"levels": 0}, "0")],
)
def test_what_cannot_be(unchecked: None, change, token) -> None:
    settings = {"backbone": ResNet(18), "skeleton": TWO, "size": (64, 64)} | change
    with pytest.raises(InputError, match=token):
        AttentionModel(**settings)


def test_without_sigma_it_is_1() -> None:
    model = model_on(torch.randn(1, 4, 4, 4), (64, 64), predicts_sigma=False)
    assert model.fc_sigma is None
    assert torch.equal(model(torch.zeros(1, 3, 64, 64)).sigma, torch.ones(1, 2, 2))
