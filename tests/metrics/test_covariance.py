"""Ellipses of correlated errors: against NumPy's eigenvectors, inverse and determinant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.metrics.covariance import covariance_of, principal, whitened_errors

POSITIVE, CORRELATION = st.floats(0.01, 100), st.floats(-0.97, 0.97)


@given(POSITIVE, POSITIVE, CORRELATION, st.floats(-50, 50), st.floats(-50, 50))
def test_axes_and_distances_are_those_of_the_covariance(x, y, r, dx, dy):
    std, error = np.array([[x, y]]), np.array([[dx, dy]])
    covariance = covariance_of(std, np.array([r]))[0]
    assert covariance == pytest.approx(np.array([[x * x, r * x * y], [r * x * y, y * y]]))
    axes, angle = principal(std, np.array([r]))
    values = np.linalg.eigvalsh(covariance)
    assert axes[0] ** 2 == pytest.approx(values[::-1], rel=1e-6, abs=1e-9 * values[-1])
    along = np.array([np.cos(angle[0]), np.sin(angle[0])])
    assert along @ covariance @ along == pytest.approx(values[-1])
    mahalanobis = error[0] @ np.linalg.inv(covariance) @ error[0]
    assert (whitened_errors(error, std, np.array([r])) ** 2).sum() == pytest.approx(mahalanobis, rel=1e-6, abs=1e-12)


def test_without_a_correlation_axes_are_x_and_y():
    std = np.array([[1.0, 2.0]])
    axes, angle = principal(std, None)
    assert axes.tolist() == [[1, 2]]
    assert angle.tolist() == [0]
    assert whitened_errors(np.array([[3.0, 4.0, 5.0]]), np.array([[1.0, 2.0, 5.0]])).tolist() == [[3, 2, 1]]
