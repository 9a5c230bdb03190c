"""The learning rate of every step, and which figures are better when larger."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.callbacks import Callback
from tiny_runs import tiny

from logpose.losses import L1Loss
from logpose.training.checkpoint import read
from logpose.training.module import RunningMeans, higher_is_better, learning_rate, rank
from logpose.training.run import fit


def test_step_schedule_falls_tenfold_at_each_milestone(make_recipe):
    recipe = make_recipe(schedule="step", epochs=270, milestones=(170, 200))
    share = learning_rate(recipe, 2700)
    assert [share(step) for step in (0, 1699, 1700, 1999, 2000, 2699)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_warm_up_rises_in_equal_steps_to_its_height(make_recipe):
    share = learning_rate(make_recipe(schedule="constant", warmup_steps=4), 100)
    assert [share(step) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])


def test_warm_up_from_a_share_is_detectron2s(make_recipe):
    share = learning_rate(make_recipe(schedule="constant", warmup_steps=10, warmup_start=0.2), 100)
    assert [share(step) for step in (0, 5, 10, 11)] == pytest.approx([0.2, 0.6, 1, 1])


def test_milestones_are_steps_where_steps_are_counted(make_recipe):
    share = learning_rate(make_recipe(schedule="step", steps=90, milestones=(30, 60)), 96)
    assert [share(step) for step in (29, 30, 59, 60, 95)] == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize(("schedule", "top"), [("cosine", 0), ("one_cycle", 10)])
def test_cosine_ends_at_zero(make_recipe, schedule, top):
    share = learning_rate(make_recipe(schedule=schedule), 100)
    assert share(top) == pytest.approx(1)
    assert share(100) == pytest.approx(0, abs=1e-12)
    assert all(share(step) >= share(step + 1) for step in range(top, 100))
    middle = top + (100 - top) / 2
    assert share(int(middle)) == pytest.approx(0.5)


def test_exponential_falls_after_every_epoch(make_recipe):
    share = learning_rate(make_recipe(schedule="exponential", decay=0.9, epochs=5), 50)
    assert [share(step) for step in (0, 9, 10, 49)] == pytest.approx([1, 1, 0.9, 0.9**4])


@pytest.mark.parametrize(
    ("figure", "higher"), [("ap", True), ("pck@0.1", True), ("pckh@0.5", True), ("nll", False), ("mpjpe", False)]
)
def test_which_figures_are_better_when_larger(figure, higher):
    assert higher_is_better(figure) is higher


def test_running_means_continue_from_their_state() -> None:
    values = [(torch.tensor(0.1), 4), (torch.tensor(0.7, dtype=torch.bfloat16), 4), (torch.tensor(1 / 3), 3)]
    whole, first, second = RunningMeans(), RunningMeans(), RunningMeans()
    for value, count in values:
        whole.add("loss", value, count)
    first.add("loss", *values[0])
    second.load_state_dict(first.state_dict())
    for value, count in values[1:]:
        second.add("loss", value, count)
    assert torch.equal(whole.means()["loss"], second.means()["loss"])
    assert whole.means()["loss"] == pytest.approx((0.4 + 4 * float(values[1][0]) + 1) / 11)
    assert RunningMeans().means() == {}


class MeanOfMu(L1Loss):
    """A loss whose gradient is the same for every batch."""

    def of_prediction(self, prediction: Any, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return 0 * super().of_prediction(prediction, target, weight) + prediction.mu.mean()


class Gradients(Callback):
    """Keeps a gradient at each step, and the learning rate."""

    def __init__(self) -> None:
        self.found: list[torch.Tensor] = []
        self.rates: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
        self.found.append(module.model.fc_mu.bias.grad.clone())
        self.rates.append(optimizer.param_groups[0]["lr"])


def test_a_step_takes_the_mean_gradient_also_of_the_batches_that_are_left(tmp_path: Path) -> None:
    """Six batches an epoch, of which four and two make a step."""
    seen = Gradients()
    recipe = tiny(loss=MeanOfMu, accumulate=4, gradient_clip=0.0, warmup_steps=0, epochs=2)
    fit(recipe, tmp_path, callbacks=(seen,))
    assert len(seen.found) == read(tmp_path / "last.ckpt")["global_step"] == 4
    assert seen.found[0].abs().max() > 0
    for found in seen.found:
        assert torch.allclose(found, torch.full_like(found, 1 / found.numel()))
    assert seen.rates == pytest.approx([recipe.lr * learning_rate(recipe, 4)(step) for step in range(4)])


AP = st.sampled_from([0.0, 0.5, 1.0])


@given(st.tuples(AP, AP), st.tuples(st.floats(-9, 9), st.floats(-9, 9)))
def test_ties_of_the_watched_figure_are_decided_by_the_likelihood(ap: Any, nll: Any) -> None:
    first, second = ({"ap": a, "nll": n, "error_px": -n} for a, n in zip(ap, nll, strict=True))
    expected = ap[0] > ap[1] if ap[0] != ap[1] else nll[0] < nll[1]
    assert (rank(first, "ap") > rank(second, "ap")) == expected


def test_without_a_likelihood_by_the_error_and_unknown_figures_are_worst() -> None:
    assert rank({"ap": 0.0, "error_px": 3.0}, "ap") > rank({"ap": 0.0, "error_px": 4.0}, "ap")
    assert rank({"mpjpe": 30.0}, "pa_mpjpe") > rank({"mpjpe": 40.0}, "pa_mpjpe")
    assert rank({"ap": 0.0}, "ap") > rank({"ap": math.nan, "error_px": 1.0}, "ap")
    assert rank({"error_px": 1e9}, "error_px") > rank({}, "error_px")
    assert not rank({"nll": math.nan}, "nll") > rank({}, "nll")
