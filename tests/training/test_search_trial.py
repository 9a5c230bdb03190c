"""Trials of a search: where they are resumed from, and when one that was stopped is done."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_runs import quick

from logpose.training.run import fit
from logpose.training.search_trial import Report, as_begun, checkpoint_to_resume


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(quick(epochs=2), tmp_path_factory.mktemp("run") / "trial_0000").folder


def trial(**attributes: Any) -> Any:
    """As of Optuna: the first of a study, without reports."""
    frozen = SimpleNamespace(intermediate_values={})
    return SimpleNamespace(number=0, study=SimpleNamespace(trials=[frozen]), user_attrs=attributes)


def test_a_run_at_its_end_is_not_trained_again(run: Path) -> None:
    report = Report(trial(), run)
    assert report.has_ended(run / "last.ckpt", quick(epochs=2))
    assert not report.pruned
    assert not report.has_ended(run / "last.ckpt", quick(epochs=3))


def test_a_run_that_was_stopped_after_it_was_pruned_stays_so(run: Path) -> None:
    for epoch, pruned in ((2, True), (3, False)):
        report = Report(trial(**{"pruned at epoch": epoch}), run)
        assert report.has_ended(run / "last.ckpt", quick(epochs=9)) is pruned
        assert report.pruned is pruned


def test_the_end_of_a_first_stage_is_not_that_of_the_trial(run: Path) -> None:
    assert not Report(trial(), run.parent).has_ended(run / "last.ckpt", quick(epochs=2))


def test_a_trial_keeps_what_it_has_chosen(tmp_path: Path) -> None:
    auto = quick(precision="auto", accelerator="auto")
    assert as_begun(auto, tmp_path) == auto
    (tmp_path / "config.yaml").write_text("precision: bf16-mixed\nlr: 5.0\n")
    assert as_begun(auto, tmp_path) == replace(auto, precision="bf16-mixed")
    assert as_begun(quick(), tmp_path).precision == "32-true"


def test_a_trial_without_a_whole_checkpoint_starts_again(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    assert checkpoint_to_resume(folder) is None
    shutil.copytree(run, folder)
    assert checkpoint_to_resume(folder) == folder / "last.ckpt"
    content = bytearray((folder / "last.ckpt").read_bytes())
    content[len(content) // 2] ^= 0x40
    (folder / "last.ckpt").write_bytes(content)
    assert checkpoint_to_resume(folder) is None
    assert not folder.exists()
    folder.mkdir()
    (folder / "config.yaml").touch()
    assert checkpoint_to_resume(folder) is None
    assert not folder.exists()
