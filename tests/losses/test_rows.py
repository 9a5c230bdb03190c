"""Cross-entropy of rows and smooth L1 of positions, against a loop that a reader can follow."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from logpose.core.structures import ErrorDistribution, Prediction
from logpose.losses import L1Loss, Laplace, RLELoss, RowsLoss, loss_from_config


def prediction(columns: int = 4, boundaries: int = 2, rows: int = 8) -> Prediction:
    torch.manual_seed(0)
    maps = torch.randn(1, columns, boundaries, rows, requires_grad=True)
    mu = maps.softmax(dim=-1) @ (torch.arange(rows) / rows - 0.5)
    sigma = torch.ones(1, columns, boundaries)
    return Prediction(mu, sigma, sigma.mean(dim=-1), ErrorDistribution.unknown(boundaries), maps)


def test_it_is_a_transcription() -> None:
    given = prediction()
    row = np.array([[0.0, 7.0], [2.25, 3.5], [np.nan, 6.9], [5.0, 5.0]])  # rows of the crop
    target = torch.from_numpy(row / 8 - 0.5).float()[None]
    weight = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    log_p = given.maps.log_softmax(dim=-1)[0].detach().numpy()
    entropy, smooth = [], []
    for column in range(3):
        for boundary in range(2):
            label = row[column, boundary]
            if np.isnan(label):
                continue
            low = min(int(label), 6)
            part = label - low
            entropy.append(-(1 - part) * log_p[column, boundary, low] - part * log_p[column, boundary, low + 1])
            away = abs(float((given.mu[0, column, boundary].detach() + 0.5) * 8) - label)
            smooth.append(away**2 / 2 if away < 1 else away - 0.5)
    assert len(entropy) == 5
    for share in (0.0, 0.5):
        value = RowsLoss(2, share).of_prediction(given, target, weight)
        assert value.item() == pytest.approx(np.mean(entropy) + share * np.mean(smooth), rel=1e-5)


def test_labels_outside_the_crop_count_at_its_edge_and_nan_reaches_no_gradient() -> None:
    given = prediction()
    target = torch.full((1, 4, 2), torch.nan)
    target[0, 0] = torch.tensor([-3.0, 3.0])
    value = RowsLoss(2, 0.0).of_prediction(given, target, torch.ones(1, 4))
    log_p = given.maps.log_softmax(dim=-1)
    assert value.item() == pytest.approx((-(log_p[0, 0, 0, 0] + log_p[0, 0, 1, 7]) / 2).item(), rel=1e-6)
    mu = (given.mu[0, 0].detach() + 0.5) * 8
    apart = [float(mu[0]), float(7 - mu[1])]  # rows 0 and 7 are the nearest
    smooth = [a**2 / 2 if a < 1 else a - 0.5 for a in apart]
    both = RowsLoss(2, 1.0).of_prediction(given, target, torch.ones(1, 4))
    assert (both - value).item() == pytest.approx(sum(smooth) / 2, rel=1e-5)
    RowsLoss(2).of_prediction(given, target, torch.ones(1, 4)).backward()
    assert given.maps.grad is not None
    assert given.maps.grad.isfinite().all()
    assert not given.maps.grad[0, 1:].any()
    assert given.maps.grad[0, 0].any()


def test_without_labels_the_loss_is_0() -> None:
    loss = RowsLoss(2)
    assert loss.of_prediction(prediction(), torch.zeros(1, 4, 2), torch.zeros(1, 4)).item() == 0


def test_the_density_is_a_laplace_of_the_errors_in_training() -> None:
    loss, given = RowsLoss(2), prediction()
    target, weight = torch.full((1, 4, 2), 0.2), torch.ones(1, 4)
    loss.of_prediction(given, target, weight)
    expected = (given.mu - target).abs().mean(dim=(0, 1)).detach()
    assert isinstance(loss.density, L1Loss)
    assert torch.allclose(loss.density.moment, expected)
    assert loss.error_distribution().std.tolist() == pytest.approx((math.sqrt(2) * expected).tolist(), rel=0.03)
    loss.eval()
    loss.of_prediction(given, target + 5, weight)
    assert torch.allclose(loss.density.moment, expected)


def test_invalid_arguments() -> None:
    given = prediction()
    given.maps = None
    with pytest.raises(ValueError, match="rows"):
        RowsLoss(2).of_prediction(given, torch.zeros(1, 4, 2), torch.ones(1, 4))
    with pytest.raises(ValueError, match="weight"):
        RowsLoss(2, -1.0)
    with pytest.raises(ValueError, match="dim"):
        RowsLoss(2, loss=RLELoss(dim=3))


def test_a_likelihood_may_be_in_the_place_of_smooth_l1() -> None:
    torch.manual_seed(1)
    likelihood = Laplace(2)
    loss, given = RowsLoss(2, 0.5, likelihood), prediction()
    given.sigma = torch.full_like(given.sigma, 0.1)
    target, weight = torch.full((1, 4, 2), 0.2), torch.ones(1, 4)
    target[0, 3, 1] = torch.nan  # the rows still have the label of its other boundary
    plain = RowsLoss(2, 0.0).of_prediction(given, target, weight)
    nll = (math.log(0.2) + (given.mu - 0.2).abs() / 0.1).sum(dim=-1)[0, :3].mean()
    assert loss.of_prediction(given, target, weight).item() == pytest.approx((plain + 0.5 * nll).item(), rel=1e-4)
    assert loss.learns_sigma
    assert loss.density is likelihood
    again = loss_from_config(loss.config())
    assert isinstance(again, RowsLoss)
    assert isinstance(again.density, Laplace)
    assert again.config() == loss.config()
