"""Laplace and Gaussian densities against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from logpose.flows import SimpleDensity
from logpose.flows.simple import gaussian_log_prob, laplace_log_prob, laplace_sample

SCIPY = {"laplace": stats.laplace, "gaussian": stats.norm}


@given(st.floats(-500, 500), st.floats(1e-3, 1e3), st.booleans())
def test_densities_are_scipys(sigmas: float, scale: float, tensor: bool) -> None:
    error = sigmas * scale
    e, b = torch.tensor([error], dtype=torch.float64), torch.tensor(scale, dtype=torch.float64) if tensor else scale
    for ours, theirs in ((laplace_log_prob, stats.laplace), (gaussian_log_prob, stats.norm)):
        assert float(ours(e, b)) == pytest.approx(theirs.logpdf(error, scale=scale), abs=1e-9, rel=1e-9)


def test_draws_of_a_laplace_distribution() -> None:
    torch.manual_seed(0)
    points = laplace_sample(20_000, 2, torch.zeros((), dtype=torch.float64))
    assert points.dtype == torch.float64
    for column in points.T.numpy():
        assert stats.kstest(column, "laplace").pvalue > 1e-3
    assert abs(np.corrcoef(points.T.numpy())[0, 1]) < 0.03


@pytest.mark.parametrize("base", SCIPY)
def test_a_product_over_dimensions_of_one_scale(base: str) -> None:
    density = SimpleDensity(base, 3, 2.5)
    x = torch.randn(20, 3, dtype=torch.float64)
    np.testing.assert_allclose(density.log_prob(x), SCIPY[base].logpdf(x, scale=2.5).sum(axis=1), rtol=1e-12)
    torch.manual_seed(0)
    points = density.sample(20_000)
    assert points.dtype == torch.float32
    for column in points.T.numpy():
        assert stats.kstest(column / 2.5, SCIPY[base].cdf).pvalue > 1e-3
    assert density.sample(2, x).dtype == torch.float64
