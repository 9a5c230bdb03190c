"""A run stops when its watched figure does not become better, and is finished then."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import people, tiny

from logpose.core.errors import InputError
from logpose.tasks.pose.evaluate import Evaluation
from logpose.tasks.pose.recipe import Recipe
from logpose.training.checkpoint import read
from logpose.training.run import fit


def watched(monkeypatch: pytest.MonkeyPatch, figures: list[float], name: str = "error_px") -> None:
    """Let validations give these figures, one after the other."""
    values = iter(figures)
    monkeypatch.setattr(Evaluation, "compute", lambda *_, **__: {name: next(values)})


def epochs_of(path: Path) -> int:
    return int(read(path)["epoch"]) + 1


@pytest.mark.parametrize(
    ("watch", "figures", "stopped", "best"),
    [
        ("error_px", [5.0, 4.0, 4.0, 4.5, 1.0], 4, 4.0),
        ("error_px", [5.0, math.nan, math.nan, 1.0], 3, 5.0),
        ("error_px", [math.nan, math.nan, 1.0], 2, None),
        ("pck@0.1", [0.1, 0.3, 0.2, 0.3, 0.9], 4, 0.3),
    ],
)
def test_after_two_validations_without_a_better_figure(
    watch: Any, figures: list[float], stopped: int, best: float | None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    watched(monkeypatch, figures, watch)
    with caplog.at_level("INFO", logger="logpose"):
        run = fit(tiny(loss="l1", patience=2, epochs=9, watch=watch), tmp_path)
    assert not run.interrupted
    assert epochs_of(tmp_path / "last.ckpt") == stopped
    assert caplog.text.count(f"stopped early, after epoch {stopped}: {watch}") == 1
    if best is not None:
        assert run.figures == {watch: best}


def test_it_is_finished_unless_patience_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    figures = [5.0, 6.0, 6.0, 6.0, 6.0, 6.0]
    watched(monkeypatch, figures)
    recipe, last = tiny(loss="l1", patience=1, epochs=5), tmp_path / "last.ckpt"
    fit(recipe, tmp_path)
    assert epochs_of(last) == 2
    before = last.read_bytes()
    with pytest.raises(InputError, match=r"last\.ckpt: .*--patience"):
        fit(recipe, tmp_path, last)
    assert last.read_bytes() == before
    fit(replace(recipe, patience=3), tmp_path, last)
    assert epochs_of(last) == 4
    caplog.clear()
    with caplog.at_level("INFO", logger="logpose"):
        fit(replace(recipe, patience=0), tmp_path, last)
    assert epochs_of(last) == 5
    assert "stopped early" not in caplog.text


def test_a_first_stage_that_stopped_is_followed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched(monkeypatch, [5.0, 6.0, 4.0, 3.0, 3.0, 2.0])

    def before(recipe: Recipe) -> Recipe:
        return replace(recipe, first=None, epochs=9)

    recipe = tiny(loss="l1", patience=1, epochs=4, first=before)
    run = fit(recipe, tmp_path)
    assert (epochs_of(tmp_path / "first" / "last.ckpt"), epochs_of(tmp_path / "last.ckpt")) == (2, 3)
    assert run.figures == {"error_px": 3.0}


def test_on_other_validation_data_the_count_starts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One validation without a better figure, then two of higher figures, the second of them better."""
    watched(monkeypatch, [5.0, 6.0, 9.0, 8.0, 9.0, 9.0, 1.0])
    recipe = tiny(loss="l1", patience=2, epochs=2)
    fit(recipe, tmp_path)

    def others(_: Any, part: str) -> Any:
        return people(_, "val" if part == "train" else "train")

    run = fit(replace(recipe, people=others, epochs=9), tmp_path, tmp_path / "last.ckpt")
    assert epochs_of(tmp_path / "last.ckpt") == 6
    assert run.figures == {"error_px": 8.0}
