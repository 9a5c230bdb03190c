"""Weights, masks, and means: the arithmetic that losses share."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logpose.losses.numerics import joint_weight, masked, weighted_mean


def test_of_a_weight_per_dimension_the_least_counts() -> None:
    target = torch.tensor([[[0.0, 1.0], [math.nan, 0.0], [2.0, 3.0], [1.0, math.inf]]])
    weight = torch.tensor([[[1.0, 0.5], [1.0, 1.0], [1.0, 0.0], [1.0, 1.0]]])
    assert joint_weight(target, weight).tolist() == [[0.5, 0, 0, 0]]
    assert joint_weight(target, None).tolist() == [[1, 0, 1, 0]]
    assert joint_weight(target, torch.full((1, 4), 2.0)).tolist() == [[2, 0, 2, 0]]
    assert joint_weight(target, torch.tensor([[math.inf, 1.0, math.nan, -1.0]])).tolist() == [[0, 0, 0, 0]]


weights = st.lists(st.floats(1e-6, 10) | st.just(0.0), min_size=1, max_size=12)


@given(st.data(), weights)
def test_weighted_mean_is_numpys(data: st.DataObject, weight: list[float]) -> None:
    values = data.draw(st.lists(st.floats(-100, 100), min_size=len(weight), max_size=len(weight)))
    ours = float(
        weighted_mean(torch.tensor([values], dtype=torch.float64), torch.tensor([weight], dtype=torch.float64))
    )
    expected = np.average(values, weights=weight) if any(weight) else 0
    assert ours == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_labels_without_weight_are_the_prediction_and_others_are_clamped() -> None:
    mu, target = torch.zeros(1, 3, 2), torch.tensor([[[math.nan, 1.0], [1.0, 2.0], [3e38, -3e38]]])
    weight = torch.tensor([[0.0, 1.0, 1.0]])
    assert masked(target, weight, mu).tolist() == [[[0, 0], [1, 2], [1e6, -1e6]]]
