"""Correlations from logits, what heads predict beside mu and sigma, and what they learn from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Batch
from logpose.data.batches import collate
from logpose.losses import Laplace
from logpose.models import AttentionModel, RegressionModel, ResNet
from logpose.models.heads import MOST_CORRELATED, checked_correlation, correlation_of

SKELETON = Skeleton("bird", ("left_wing", "right_wing", "beak"))


def made(kind: type, **options):
    torch.manual_seed(0)
    return kind(ResNet(18), SKELETON, (64, 64), **options)


def batch(count: int = 4) -> Batch:
    rng = torch.Generator().manual_seed(1)
    images = torch.randint(0, 255, (count, 3, 64, 64), generator=rng, dtype=torch.uint8)
    target, visible = torch.rand(count, 3, 2, generator=rng) - 0.5, torch.ones(count, 3)
    visible[:, 1] = 0
    eye = torch.eye(2, 3).expand(count, 2, 3)
    return Batch(images, target, torch.ones(count, 3), eye, torch.arange(count), visible)


def test_no_logit_gives_a_singular_covariance():
    found = correlation_of(torch.tensor([[-1e9, 0.0, 1e9]]))
    assert found.tolist() == [[-np.float32(MOST_CORRELATED), 0, np.float32(MOST_CORRELATED)]]
    assert checked_correlation(False, False, 3) is False
    for sigma, dim in ((False, 2), (True, 3)):
        with pytest.raises(InputError, match="correlation"):
            checked_correlation(True, sigma, dim)


@pytest.mark.parametrize("kind", [RegressionModel, AttentionModel])
def test_what_is_asked_for_is_predicted_and_nothing_else(kind):
    plain = made(kind).eval()
    both = made(kind, visibility=True, correlated=True).eval()
    images = batch().images
    assert plain(images).correlation is None
    assert plain(images).visibility is None
    found = both(images)
    assert found.correlation.shape == found.visibility.shape == (4, 3)
    assert found.correlation.abs().max() < 0.5, "it starts near none"
    assert type(both).from_config(both.config()).config() == both.config()
    assert both.config()["correlated"] is True
    assert {"fc_visibility", "fc_correlation"} <= set(both.joint_outputs())
    # Mu and sigma of the same weights are the same.
    plain.load_state_dict(both.state_dict(), strict=False)
    assert torch.equal(plain(images).mu, found.mu)
    assert torch.equal(plain(images).sigma, found.sigma)


class Corners(nn.Module):
    """Features of an image: its mean colours."""

    channels = 3

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3), keepdim=True)


def test_both_learn():
    """Visibility and correlation of one batch are learned by heart."""
    torch.manual_seed(0)
    model = RegressionModel(Corners(), SKELETON, (64, 64), visibility=True, correlated=True)
    loss, data = Laplace(2), batch()
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(200):
        data.target = 0.15 * torch.randn(4, 3, 1).expand(4, 3, 2) * torch.tensor([1.0, -1.0])
        losses = model.training_losses(data, loss)
        optimiser.zero_grad()
        losses.total.backward()
        optimiser.step()
    assert set(losses.losses) == {"keypoints", "visibility"}
    found = model(data.images)
    assert (found.visibility.sigmoid()[:, 1] < 0.2).all()
    assert (found.visibility.sigmoid()[:, [0, 2]] > 0.8).all()
    assert (found.correlation < -0.5).all(), "errors along x and y are opposite"


def test_the_loss_of_labels_is_that_of_coin_flips_at_the_start():
    model = made(AttentionModel, visibility=True)
    value = model.training_losses(batch(), Laplace(2)).losses["visibility"]
    assert value.item() == pytest.approx(np.log(2), abs=1e-5)


def test_a_batch_without_visibility_is_refused_by_a_model_that_learns_it():
    data = batch()
    data.visible = None
    with pytest.raises(ValueError, match="visibility"):
        made(AttentionModel, visibility=True).training_losses(data, Laplace(2))
    assert collate([data, data]).visible is None
    assert collate([batch(), batch()]).visible.shape == (8, 3)
