"""The fit: it finds the errors' spread, on people that it does not know, and keeps the process's random state."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.support.predicting_program import JOINTS, World, world

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.metrics.calibration import rank_correlation
from logpose.models import KeypointWrapper
from logpose.tasks.wrapping.fit import fit

SKELETON = Skeleton("person", JOINTS)


def inputs(drawn: World) -> np.ndarray:
    return np.concatenate([drawn.predicted, drawn.scores[..., None], drawn.mirrored, drawn.scores[..., None]], axis=-1)


@pytest.mark.usefixtures("unchecked")
def test_spreads_are_found_and_hold_on_other_people(monkeypatch):
    monkeypatch.setattr("logpose.tasks.wrapping.fit.STEPS", 150)
    monkeypatch.setattr("logpose.tasks.wrapping.fit.EPOCHS", 4)
    drawn, other, visible = world(200), world(1000, seed=1), np.full((200, 3), 2)
    visible[:40, 0] = 0
    truth = np.where(visible[..., None] > 0, drawn.truth, np.nan)
    model, state = KeypointWrapper(SKELETON, mirrored=True), torch.get_rng_state()
    fitted = fit(model, inputs(drawn), truth, visible, np.arange(200))
    assert torch.equal(torch.get_rng_state(), state)
    assert not fitted.errors.known[:40, 0].any()
    assert fitted.errors.known[40:].all()
    with torch.no_grad():
        given = torch.from_numpy(inputs(other)).float()
        found = fitted.model(given)
        _, size = fitted.model.placement(given)
    std = (found.std * size[:, None, None]).mean(dim=-1).numpy()
    assert rank_correlation(std.ravel(), other.std.ravel()) > 0.75
    radius = np.sqrt((((other.truth - other.predicted) / std[..., None]) ** 2).sum(axis=-1))
    for level in (0.5, 0.9):
        assert (radius <= fitted.model.error_distribution.radius_at(level)).mean() == pytest.approx(level, abs=0.06)


@pytest.mark.usefixtures("unchecked")
def test_people_of_an_image_are_left_out_together(monkeypatch):
    from logpose.tasks.wrapping import fit as module

    parts = []

    class Noted(module._Fitting):
        def __init__(self, *given):
            parts.append(given[-1])
            super().__init__(*given)

    monkeypatch.setattr(module, "_Fitting", Noted)
    monkeypatch.setattr(module, "STEPS", 2)
    monkeypatch.setattr(module, "EPOCHS", 1)
    drawn, groups = world(100), np.arange(100) // 4
    made = [
        fit(KeypointWrapper(SKELETON, mirrored=True), inputs(drawn), drawn.truth, np.full((100, 3), 2), groups, seed=3)
        for _ in range(2)
    ]
    assert all(len(set(parts[0][groups == group].tolist())) == 1 for group in range(25))
    assert torch.equal(made[0].model.linear, made[1].model.linear), "a seed makes the same wrapper"
    with pytest.raises(InputError, match="20 or more"):
        fit(KeypointWrapper(SKELETON), inputs(drawn)[..., :3], drawn.truth, np.full((100, 3), 2), np.arange(100) // 10)
