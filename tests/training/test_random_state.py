"""Generators continue where they were."""

from __future__ import annotations

import io
import random

import numpy as np
import torch

from logpose.training.random_state import random_state, set_random_state

CPU = torch.device("cpu")


def draws() -> tuple[float, float, float, float]:
    return random.random(), random.gauss(), float(np.random.normal()), float(torch.randn(()))  # noqa: NPY002


def test_the_same_numbers_follow() -> None:
    random.gauss()  # which keeps a second number for later
    np.random.normal()  # noqa: NPY002
    file = io.BytesIO()
    torch.save(random_state(CPU), file)
    first = draws()
    file.seek(0)
    set_random_state(torch.load(file, weights_only=True), CPU)
    assert draws() == first
    assert draws() != first
