"""L1, L2, Laplace and Gaussian against SciPy's densities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from logpose.core.structures import LEVELS
from logpose.losses import Gaussian, L1Loss, L2Loss, Laplace

SCIPY = {Laplace: stats.laplace, Gaussian: stats.norm, L1Loss: stats.laplace, L2Loss: stats.norm}
learned = pytest.mark.parametrize("kind", [Laplace, Gaussian])
constant = pytest.mark.parametrize("kind", [L1Loss, L2Loss])


def case(dim: int = 2, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """mu, sigma and labels of 3 images with 5 joints each."""
    generator = torch.Generator().manual_seed(seed)
    mu, target, raw = torch.randn(3, 3, 5, dim, generator=generator, dtype=torch.float64)
    return mu, raw.sigmoid(), target


# Learned scale


@learned
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_loss_is_the_mean_negative_log_density(kind: type, dim: int) -> None:
    mu, sigma, target = case(dim)
    expected = -SCIPY[kind].logpdf(target, loc=mu, scale=sigma).sum(axis=-1).mean()
    assert float(kind(dim)(mu, sigma, target)) == pytest.approx(expected, rel=1e-9)
    each = kind(dim).log_prob(mu, sigma, target)
    np.testing.assert_allclose(each, SCIPY[kind].logpdf(target, loc=mu, scale=sigma).sum(axis=-1), rtol=1e-9)


def test_the_loss_by_hand() -> None:
    mu, sigma, target = torch.zeros(1, 1, 2), torch.tensor([[[0.5, 2.0]]]), torch.tensor([[[1.0, -3.0]]])
    # log(2 σ) + |d| / σ: log 1 + 2 and log 4 + 1.5
    assert float(Laplace()(mu, sigma, target)) == pytest.approx(math.log(4) + 3.5)
    # log(√(2π) σ) + d² / 2σ²: 2 and 1.125, and log 1 for σ = 0.5 × 2
    assert float(Gaussian()(mu, sigma, target)) == pytest.approx(math.log(2 * math.pi) + 3.125)


@learned
def test_the_best_sigma_is_the_scale_of_the_errors(kind: type) -> None:
    _, _, target = case(seed=1)
    zero = torch.zeros_like(target)
    scale = SCIPY[kind].fit(target.numpy().ravel(), floc=0)[1]
    sigma = torch.full_like(target, float(scale)).requires_grad_()
    (gradient,) = torch.autograd.grad(kind()(zero, sigma, target), sigma)
    assert float(gradient.sum()) == pytest.approx(0, abs=1e-9)
    assert gradient.abs().max() > 1e-3


@pytest.mark.parametrize("kind", SCIPY)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_draws_moments_and_radii_of_errors(kind: type, dim: int) -> None:
    loss = kind(dim)
    scales = torch.linspace(0.5, 2.0, dim)
    if not loss.learns_sigma:
        loss.moment.copy_(scales if kind is L1Loss else scales**2)
    scales = np.ones(dim) if loss.learns_sigma else scales.numpy()
    torch.manual_seed(0)
    points, weight = loss.error_draws(20_000)
    assert float(weight.sum()) == pytest.approx(1, abs=1e-4)
    for column, scale in zip(points.T.numpy(), scales, strict=True):
        assert stats.kstest(column / scale, SCIPY[kind].cdf).pvalue > 1e-3
    error_distribution = loss.error_distribution()
    std = scales * SCIPY[kind].std()
    np.testing.assert_allclose(error_distribution.std, std, rtol=0.015)
    np.testing.assert_allclose(error_distribution.mean, 0, atol=0.02 * std.max())
    if SCIPY[kind] is stats.norm:  # the radius of a Gaussian is chi-distributed
        np.testing.assert_allclose(error_distribution.radius, stats.chi(dim).ppf(LEVELS), rtol=0.03)
    elif dim == 1:
        np.testing.assert_allclose(
            error_distribution.radius, stats.laplace.ppf(0.5 + np.array(LEVELS) / 2) / math.sqrt(2), rtol=0.05
        )
    assert error_distribution.bands is not None
    for band in error_distribution.bands.T:  # of each dimension alone
        half = SCIPY[kind].ppf(0.5 + np.array(LEVELS) / 2) / SCIPY[kind].std()
        np.testing.assert_allclose(band, half, rtol=0.05)


# Constant scale


@constant
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_what_is_minimised_is_the_distance(kind: type, dim: int) -> None:
    mu, sigma, target = case(dim)
    apart = np.abs((target - mu).numpy())
    expected = (apart if kind is L1Loss else apart**2).sum(axis=-1).mean()
    loss = kind(dim)
    assert float(loss(mu, sigma, target)) == pytest.approx(expected)
    assert float(loss(mu, 7 * sigma, target)) == pytest.approx(expected), "sigma has no effect"
    assert not loss.learns_sigma


@constant
def test_weights_choose_whose_distance(kind: type) -> None:
    mu, sigma, target = case()
    weight = torch.tensor([[1, 0, 0, 0.5, 0]] * 3).double()
    apart = (target - mu).abs()
    each = (apart if kind is L1Loss else apart**2).sum(dim=-1)
    expected = (each[:, 0].sum() + 0.5 * each[:, 3].sum()) / 4.5
    assert float(kind()(mu, sigma, target, weight)) == pytest.approx(float(expected))


@constant
def test_the_moment_is_a_running_mean(kind: type) -> None:
    loss = kind().train()
    expected = None
    for seed in range(4):
        mu, sigma, target = case(seed=seed)
        apart = (target - mu).abs().numpy()
        new = (apart if kind is L1Loss else apart**2).mean(axis=(0, 1))
        expected = new if expected is None else 0.98 * expected + 0.02 * new
        loss(mu, sigma, target)
        np.testing.assert_allclose(loss.moment, expected, rtol=1e-5)
    # The moment does not change by a batch without labels, nor in evaluation.
    loss(mu, sigma, target, torch.zeros(3, 5))
    loss(mu, sigma, torch.full_like(target, math.nan))
    loss(mu[:0], sigma[:0], target[:0])
    loss.eval()(mu + 9, sigma, target)
    np.testing.assert_allclose(loss.moment, expected, rtol=1e-5)


@constant
def test_a_first_batch_without_labels_does_not_set_the_moment(kind: type) -> None:
    loss = kind().train()
    mu, sigma, target = case()
    loss(mu, sigma, target, torch.zeros(3, 5))
    assert not loss.moment.any()
    loss(mu, sigma, target)
    apart = (target - mu).abs()
    np.testing.assert_allclose(loss.moment, (apart if kind is L1Loss else apart**2).mean(dim=(0, 1)), rtol=1e-5)


@constant
def test_after_training_it_has_the_density_of_its_errors(kind: type) -> None:
    torch.manual_seed(0)
    loss, scales = kind().train(), np.array([0.05, 0.2])
    for _ in range(400):
        errors = SCIPY[kind].rvs(scale=scales, size=(8, 17, 2), random_state=int(torch.randint(2**31, ())))
        zero = torch.zeros(8, 17, 2)
        loss(zero, torch.ones_like(zero), torch.from_numpy(errors).float())
    scale = loss.moment if kind is L1Loss else loss.moment.sqrt()
    np.testing.assert_allclose(scale, scales, rtol=0.06)
    mu, sigma, target = case(seed=3)
    expected = SCIPY[kind].logpdf(target, loc=mu, scale=scale).sum(axis=-1)
    np.testing.assert_allclose(loss.eval().log_prob(mu, sigma, target), expected, rtol=1e-5)
    distribution = loss.distribution(mu.float(), sigma.float())
    np.testing.assert_allclose(distribution.std, np.broadcast_to(scale * SCIPY[kind].std(), (3, 5, 2)), rtol=0.02)


@constant
def test_the_moment_is_saved_with_the_loss(kind: type) -> None:
    loss = kind(3)
    loss.moment.copy_(torch.tensor([1.0, 2.0, 3.0]))
    again = kind.from_config(loss.config())
    again.load_state_dict(loss.state_dict())
    assert again.moment.tolist() == [1, 2, 3]


@constant
def test_of_a_joint_without_depth_x_and_y_count(kind: type) -> None:
    mu, sigma, target = case(3)
    target[0, :, 2] = math.nan
    distance = (target - mu).abs() if kind is L1Loss else (target - mu).square()
    loss = kind(3).double()
    expected = distance.nanmean(dim=(0, 1)).sum()
    assert float(loss(mu, sigma, target).detach()) == pytest.approx(float(expected), rel=1e-9)
    torch.testing.assert_close(loss.moment, distance.nanmean(dim=(0, 1)))
    target[:] = math.nan
    assert float(kind(3)(mu, sigma, target)) == 0


@pytest.mark.parametrize("kind", [L1Loss, L2Loss])
def test_a_batch_that_overflowed_does_not_stay_in_the_moment(kind: type) -> None:
    loss = kind()
    mu, sigma = torch.zeros(4, 3, 2), torch.ones(4, 3, 2)
    loss(mu, sigma, mu + 2)
    known = loss.moment.clone()
    loss(torch.full_like(mu, math.inf), sigma, mu + 2)
    assert torch.equal(loss.moment, known)
    loss(mu, sigma, mu + 3)
    assert (loss.moment > known).all()


@pytest.mark.parametrize("make", [L1Loss, L2Loss])
def test_dimensions_without_any_label_have_no_scale(make: type) -> None:
    loss, mu = make(4), torch.zeros(6, 5, 4)
    target, weight = torch.randn(6, 5, 4), torch.ones(6, 5, 4)
    target[..., 2], weight[..., 2] = torch.nan, 0
    value = loss.of_each(mu, target, weight)
    distance = target.abs() if make is L1Loss else target.square()
    assert float(value) == pytest.approx(float(distance[..., [0, 1, 3]].mean(dim=(0, 1)).sum()), rel=1e-5)
    assert loss.error_distribution().std.isnan().tolist() == [False, False, True, False]
