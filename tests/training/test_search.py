"""Searches: what they try, that they survive being stopped, and what they leave."""

from __future__ import annotations

import csv
import logging
import math
import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Callback
from tiny_runs import quick

from logpose.core.errors import InputError, OtherRunError
from logpose.training.checkpoint import read
from logpose.training.run import fit
from logpose.training.run_folder import RunLock
from logpose.training.search import search
from logpose.training.search_results import SearchResult
from logpose.training.search_space import Range

pytest.importorskip("optuna", reason="the extra `search` is not installed")

SPACE: dict[str, Any] = {"lr": Range(1e-4, 1e-2), "weight_decay": (0.0, 1e-2), "size": ((32, 32), (64, 64))}
TRIALS = 4


def outcome(found: SearchResult) -> list[tuple[Any, ...]]:
    return [(trial.number, trial.values, trial.figure, trial.state) for trial in found.trials]


def same_weights(one: Path, other: Path) -> bool:
    first, second = read(one)["state_dict"], read(other)["state_dict"]
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


class Trained(Callback):
    """Counts trials that are trained, and steps."""

    def __init__(self) -> None:
        self.trials = self.steps = 0

    def on_train_start(self, *_: Any) -> None:
        self.trials += 1

    def on_train_batch_end(self, *_: Any) -> None:
        self.steps += 1


class Send(Callback):
    """Sends this process a signal in a step of a trial, or with `at_end` after its last one."""

    def __init__(self, number: int, trial: int, step: int, at_end: bool = False) -> None:
        self.number, self.trial, self.step, self.at_end = number, trial, step, at_end

    def _is_it(self, trainer: Any) -> bool:
        return Path(trainer.default_root_dir).name == f"trial_{self.trial:04d}"

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if self._is_it(trainer) and trainer.global_step == self.step and not self.at_end:
            os.kill(os.getpid(), self.number)

    def teardown(self, trainer: Any, *_: Any, **__: Any) -> None:
        if self._is_it(trainer) and self.at_end:
            os.kill(os.getpid(), self.number)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """A search that was not stopped."""
    return search(quick(), tmp_path_factory.mktemp("searches") / "whole", TRIALS, SPACE)


@pytest.fixture
def terminal() -> Iterator[None]:
    """Ctrl-C is not ignored, as it is in a shell's background jobs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_trial_is_the_recipe_itself(whole: SearchResult, tmp_path: Path) -> None:
    first = next(trial for trial in whole.trials if trial.number == 0)
    assert first.values == {"lr": 1e-3, "weight_decay": 0.0, "size": (32, 32)}
    run = fit(quick(), tmp_path)
    assert first.figure == run.figures["error_px"]
    assert same_weights(first.folder / "best.ckpt", run.best)


def test_trials_lie_in_the_space_and_are_ranked_by_the_figure(whole: SearchResult) -> None:
    assert sorted(trial.number for trial in whole.trials) == list(range(TRIALS))
    assert [trial.figure for trial in whole.trials] == sorted(trial.figure or math.inf for trial in whole.trials)
    for trial in whole.trials:
        values = trial.values
        assert 1e-4 <= values["lr"] <= 1e-2
        assert float(f"{values['lr']:.3g}") == values["lr"]
        assert values["weight_decay"] in SPACE["weight_decay"]
        assert values["size"] in SPACE["size"]
        recorded = yaml.safe_load((trial.folder / "config.yaml").read_text())
        assert (recorded["lr"], tuple(recorded["size"]), recorded["seed"]) == (values["lr"], values["size"], 0)
    assert len({trial.values["lr"] for trial in whole.trials}) == TRIALS


def test_the_best_trial_s_model_and_settings_are_in_the_folder(whole: SearchResult) -> None:
    best = whole.trials[0]
    assert whole.best == whole.folder / "best.ckpt"
    assert same_weights(whole.best, best.folder / "best.ckpt")
    assert tuple(read(whole.best)["logpose"]["model"]["size"]) == best.values["size"]
    assert whole.figures["error_px"] == best.figure
    assert (whole.folder / "config.yaml").read_bytes() == (best.folder / "config.yaml").read_bytes()
    with (whole.folder / "search.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["trial"]) for row in rows] == [trial.number for trial in whole.trials]
    assert [float(row["error_px"]) for row in rows] == [trial.figure for trial in whole.trials]
    assert rows[0]["size"] == "x".join(map(str, best.values["size"]))
    for trial in whole.trials:
        assert [file.name for file in trial.folder.rglob("*.ckpt")] == ["best.ckpt"]


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("at_end", [False, True])
def test_a_search_that_is_stopped_by_a_signal_continues_to_the_same_end(
    whole: SearchResult, tmp_path: Path, number: int, at_end: bool
) -> None:
    stopped = search(quick(), tmp_path, TRIALS, SPACE, callbacks=(Send(number, 1, 4, at_end),))
    assert (stopped.interrupted, stopped.signal) == (True, number)
    assert [trial.number for trial in stopped.trials] == [0]
    assert (tmp_path / "trial_0001" / "last.ckpt").exists()
    assert stopped.best == tmp_path / "best.ckpt"
    counted = Trained()
    found = search(quick(), tmp_path, callbacks=(counted,))
    assert not found.interrupted
    assert outcome(found) == outcome(whole)
    assert same_weights(tmp_path / "best.ckpt", whole.folder / "best.ckpt")
    assert counted.trials == TRIALS - 1 - at_end
    assert counted.steps == (TRIALS - 1 - at_end) * 9 - (0 if at_end else 5)  # five steps of the second were saved


@pytest.mark.usefixtures("terminal")
def test_a_signal_between_trials_ends_the_search(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class SendOnce(logging.Handler):
        sent = False

        def emit(self, _: logging.LogRecord) -> None:
            if not self.sent and (tmp_path / "trial_0000" / "best.ckpt").exists():
                self.sent = True
                os.kill(os.getpid(), signal.SIGTERM)

    handler = SendOnce()
    logging.getLogger("logpose").addHandler(handler)
    try:
        with caplog.at_level("INFO", logger="logpose"):
            found = search(quick(), tmp_path, 3, SPACE)
    finally:
        logging.getLogger("logpose").removeHandler(handler)
    assert (found.interrupted, found.signal, len(found.trials)) == (True, signal.SIGTERM, 1)
    assert not (tmp_path / "trial_0001").exists()


def killed(folder: Path, trial: int, step: int, at_end: bool) -> None:
    search(quick(), folder, TRIALS, SPACE, callbacks=(Send(signal.SIGKILL, trial, step, at_end),))


@pytest.mark.parametrize(("trial", "step", "at_end"), [(0, 0, False), (1, 7, False), (2, 0, True)])
def test_a_search_that_is_killed_continues_to_the_same_end(
    whole: SearchResult, tmp_path: Path, trial: int, step: int, at_end: bool
) -> None:
    process = multiprocessing.get_context("fork").Process(target=killed, args=(tmp_path, trial, step, at_end))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    with (tmp_path / "search.log").open("ab") as file:
        file.write(b'{"op_code":')  # as if it had been killed while it wrote a line
    counted = Trained()
    found = search(quick(), tmp_path, callbacks=(counted,))
    assert outcome(found) == outcome(whole)
    assert same_weights(tmp_path / "best.ckpt", whole.folder / "best.ckpt")
    assert counted.trials == TRIALS - trial - at_end


def test_trials_that_are_done_are_not_repeated_and_more_can_be_added(tmp_path: Path) -> None:
    counted = Trained()
    one = search(quick(), tmp_path, 1, {"lr": Range(1e-4, 1e-2)}, callbacks=(counted,))
    assert outcome(search(quick(), tmp_path, callbacks=(counted,))) == outcome(one)
    assert counted.trials == 1
    two = search(quick(workers=1, save_every="epoch"), tmp_path, 2, callbacks=(counted,))
    assert counted.trials == 2
    assert outcome(one)[0] in outcome(two)
    with pytest.raises(InputError, match=r"--search 1: .* 2 trials"):
        search(quick(), tmp_path, 1)


def test_worse_trials_are_pruned(tmp_path: Path) -> None:
    counted = Trained()
    found = search(quick(), tmp_path, 8, {"lr": Range(1e-9, 1e-2)}, callbacks=(counted,))
    complete = [trial for trial in found.trials if trial.state == "complete"]
    pruned = [trial for trial in found.trials if trial.state == "pruned"]
    assert found.trials == (*complete, *pruned)
    assert pruned
    assert all(trial.number >= 5 for trial in pruned)
    assert min(trial.figure for trial in pruned) > complete[0].figure
    assert (counted.trials, counted.steps) == (8, len(complete) * 9 + len(pruned) * 6)  # two epochs of three


def test_settings_that_are_proposed_again_are_not_trained_again(tmp_path: Path) -> None:
    counted = Trained()
    found = search(quick(), tmp_path, 5, {"weight_decay": (0.0, 0.1)}, callbacks=(counted,))
    assert (len(found.trials), counted.trials) == (5, 2)
    assert len({(trial.values["weight_decay"], trial.figure, trial.folder) for trial in found.trials}) == 2
    assert len(list(tmp_path.glob("trial_*"))) == 2


def test_a_trial_that_diverges_has_failed_and_the_search_continues(tmp_path: Path) -> None:
    found = search(quick(), tmp_path, 4, {"lr": (1e30, 1e-3)})
    states = {trial.values["lr"]: (trial.state, trial.figure is None) for trial in found.trials}
    assert states == {1e-3: ("complete", False), 1e30: ("failed", True)}
    assert found.trials[0].values["lr"] == 1e-3
    assert "no longer finite" in (tmp_path / "search.csv").read_text()


def test_a_search_without_any_figure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no trial .* finite"):
        search(quick(lr=1e30), tmp_path, 2, {"weight_decay": (0.0, 1e-3)})
    assert not (tmp_path / "best.ckpt").exists()


def test_what_cannot_be_trained_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    def nobody(_: Any, part: str) -> Any:
        raise InputError(f"there is no {part} data")

    with pytest.raises(InputError, match="there is no train data"):
        search(quick(people=nobody), tmp_path / "search", 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "space", "token"),
    [
        ({"epochs": 5}, None, "--epochs 3, not 5"),
        ({"seed": 1}, None, "--seed 0, not 1"),
        ({}, {"lr": Range(1e-4, 1e-1)}, "--search-space"),
        ({}, {"lr": Range(1e-4, 1e-2), "weight_decay": (0.0, 1e-2)}, "--search-space"),
    ],
)
def test_another_search_in_the_folder_is_refused(
    whole: SearchResult, changes: dict[str, Any], space: Any, token: str
) -> None:
    before = (whole.folder / "search.yaml").read_bytes()
    with pytest.raises(InputError, match=token):
        search(quick(**changes), whole.folder, TRIALS + 1, space)
    assert (whole.folder / "search.yaml").read_bytes() == before
    assert len(list(whole.folder.glob("trial_*"))) == TRIALS


def test_a_folder_is_searched_by_one_process_at_a_time(whole: SearchResult) -> None:
    with RunLock(whole.folder) as lock:
        lock.take()
        with pytest.raises(OtherRunError):
            search(quick(), whole.folder, TRIALS + 1)


def test_trials_train_in_one_way(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--tune"):
        search(quick(tune=True), tmp_path / "out", 1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("changes", [{"devices": "2"}, {"devices": "0,1"}, {"devices": "-1"}, {"num_nodes": 2}])
def test_several_devices_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="--devices"):
        search(quick(**changes), tmp_path / "search", 2)
    assert not (tmp_path / "search").exists()


def test_a_damaged_storage_is_refused_by_name(tmp_path: Path) -> None:
    search(quick(), tmp_path, 1, {"lr": (1e-3, 1e-2)})
    lines = (tmp_path / "search.log").read_text().splitlines()
    (tmp_path / "search.log").write_text("\n".join([lines[0], "garbage", *lines[1:]]) + "\n")
    with pytest.raises(InputError, match=r"search\.log"):
        search(quick(), tmp_path, 2)


@pytest.mark.usefixtures("terminal")
def test_a_search_of_a_recipe_of_two_stages_is_resumed_in_the_first(tmp_path: Path) -> None:
    class SendInFirst(Send):
        def _is_it(self, trainer: Any) -> bool:
            return Path(trainer.default_root_dir).name == "first"

    recipe = quick(first=lambda recipe: replace(recipe, first=None, epochs=1))
    whole = search(recipe, tmp_path / "whole", 1, SPACE)
    folder = tmp_path / "search"
    assert search(recipe, folder, 1, SPACE, callbacks=(SendInFirst(signal.SIGTERM, 0, 1),)).interrupted
    assert outcome(search(recipe, folder)) == outcome(whole)
    assert [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*.ckpt"))] == [
        "best.ckpt",
        "trial_0000/best.ckpt",
    ]
