"""The search for a learning rate: where the loss falls fastest; the run after it is that of `lr`."""

from __future__ import annotations

import signal
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tiny_runs import tiny

from logpose.core.errors import InputError
from logpose.training import find_lr, run
from logpose.training.checkpoint import read
from logpose.training.find_lr import STEPS, suggestion
from logpose.training.module import PoseModule
from logpose.training.run import fit
from logpose.training.signals import Stopped

RATES = np.geomspace(1e-7, 1, STEPS)


def losses(at: float, depth: float = 1.0) -> np.ndarray:
    """A loss that falls by a depth around a rate, and rises without bound from thirty times that rate on."""
    decades = np.log10(RATES / at)
    return -depth / (1 + np.exp(-6 * decades)) + 10 * np.clip(decades - 1.5, 0, None) ** 2


@pytest.mark.parametrize("at", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("level", [-5.0, 0.0, 5.0])
def test_the_rate_where_the_loss_falls_fastest(at: float, level: float) -> None:
    """Also of losses below 0, and with noise at the lowest rates."""
    noise = 0.05 * np.random.default_rng(0).normal(size=STEPS) * np.linspace(1, 0, STEPS)
    found = suggestion(RATES.tolist(), (losses(at) + noise + level).tolist())
    assert found is not None
    assert at / 3 < found < at * 3


def test_without_a_fall_there_is_no_suggestion() -> None:
    assert suggestion(RATES.tolist(), np.linspace(1, 2, STEPS).tolist()) is None
    assert suggestion(RATES[:9].tolist(), losses(1e-3)[:9].tolist()) is None
    diverged = losses(1e-3)
    diverged[20:] = np.nan
    assert suggestion(RATES.tolist(), diverged.tolist()) is None


def test_what_comes_after_infinite_losses_does_not_count() -> None:
    diverging = losses(1e-3)
    diverging[80] = np.inf
    diverging[81:] = -1e9
    assert suggestion(RATES.tolist(), diverging.tolist()) == suggestion(RATES.tolist(), losses(1e-3).tolist())


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches of 60 steps: what a run makes of the rate does not depend on how exactly it is found."""
    for module in (find_lr, run):
        monkeypatch.setattr(module, "STEPS", 60)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("changes", [{"loss": "l1"}, pytest.param({"layer_decay": 0.5}, marks=pytest.mark.slow)])
def test_the_run_is_that_of_the_rate_that_was_found(
    changes: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    recipe = tiny(epochs=1, find_lr=True, **changes)
    with caplog.at_level("INFO", logger="logpose"):
        fit(recipe, tmp_path / "found")
    assert not list((tmp_path / "temporary").iterdir())
    content = read(tmp_path / "found" / "last.ckpt")
    rate = content["logpose"]["recipe"]["lr"]
    assert caplog.text.count(f"--lr {rate:g}") == 1
    assert content["logpose"]["recipe"]["find_lr"] is False
    fit(replace(recipe, lr=rate, find_lr=False), tmp_path / "given")
    names = [sorted(path.name for path in (tmp_path / run).rglob("*")) for run in ("found", "given")]
    assert names[0] == names[1]
    assert (tmp_path / "found" / "config.yaml").read_text() == (tmp_path / "given" / "config.yaml").read_text()
    with pytest.raises(InputError, match="--find-lr"):
        fit(replace(recipe, epochs=2), tmp_path / "found", tmp_path / "found" / "last.ckpt")
    given = read(tmp_path / "given" / "last.ckpt")
    assert repr(given["logpose"]) == repr(content["logpose"])  # figures may be NaN
    assert all(torch.equal(tensor, content["state_dict"][name]) for name, tensor in given["state_dict"].items())


@pytest.mark.usefixtures("short")
def test_a_search_that_finds_nothing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every rate leads to a greater loss."""
    monkeypatch.setattr(find_lr, "suggestion", lambda *_: None)
    with pytest.raises(InputError, match=r"--find-lr.*--lr"):
        fit(tiny(find_lr=True, loss="l1"), tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.mark.usefixtures("short")
def test_batches_are_searched_with_one_at_a_time(tmp_path: Path) -> None:
    """Also with more in a step than there are in an epoch."""
    rates = []
    for name, changes in (("one", {}), ("many", {"accumulate": 100})):
        fit(tiny(epochs=1, find_lr=True, loss="l1", **changes), tmp_path / name)
        rates.append(read(tmp_path / name / "last.ckpt")["logpose"]["recipe"]["lr"])
    assert rates[0] == rates[1]


def test_a_signal_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []

    def stopped(module: PoseModule, batch: Any, number: int) -> None:
        steps.append(number)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(PoseModule, "training_step", stopped)
    with pytest.raises(Stopped) as error:
        fit(tiny(find_lr=True), tmp_path / "run")
    assert (error.value.number, steps) == (signal.SIGTERM, [0])
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.mark.usefixtures("short")
def test_each_stage_has_its_own_and_a_resumed_one_keeps_it(tmp_path: Path) -> None:
    rates = []

    class Stop(Callback):
        def on_train_epoch_start(self, trainer, module) -> None:
            rates.append(module.recipe.lr)
            if len(rates) == 2:
                raise KeyboardInterrupt

    def before(recipe):
        return replace(recipe, first=None, epochs=2, seed=5)

    recipe = tiny(first=before, find_lr=True, loss="l1", epochs=1)
    assert fit(recipe, tmp_path, callbacks=(Stop(),)).interrupted
    fit(recipe, tmp_path, tmp_path / "first" / "last.ckpt", callbacks=(Stop(),))
    assert rates[0] == rates[1] == rates[2]
    assert read(tmp_path / "last.ckpt")["logpose"]["recipe"]["find_lr"] is False
