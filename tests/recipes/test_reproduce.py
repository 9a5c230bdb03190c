"""The paper's tables: every row that has a command gives a recipe, and a finished run is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from logpose.core.errors import InputError
from logpose.recipes import synthetic
from logpose.recipes.reproduce import TABLES, measure, table_named
from logpose.training.run_folder import last_checkpoint


def test_rows_have_a_figure_for_each_metric_and_a_command_or_a_reason() -> None:
    assert len({table.name for table in TABLES}) == len(TABLES)
    for table in TABLES:
        for row in table.rows:
            assert len(row.published) == len(table.metrics), (table.name, row.method)
            assert row.command or row.reason
            assert row.command.startswith("logpose train ") or not row.preset


@pytest.mark.parametrize(
    ("table", "method", "figures"),
    [
        ("1", "RLE", (70.5,)),
        ("2c", "Mask R-CNN with RLE", (66.7,)),
        ("7", "Laplace", (67.4,)),
        ("8", "RLE", (48.6, 38.5)),
        ("12", "RLE, pre-trained", (85.8, 27.1, 55.5)),
        ("14", "RLE, weight 0.5", (70.2,)),
    ],
)
def test_the_papers_figures(table: str, method: str, figures: tuple[float, ...]) -> None:
    assert [row.published for row in table_named(table).rows if row.method == method] == [figures]


def test_a_table_that_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match=r"'99'.*2a"):
        table_named("99")


@pytest.mark.usefixtures("thin_resnets")
def test_a_run_is_trained_resumed_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "TRAIN", 16)
    monkeypatch.setattr(synthetic, "VAL", 6)
    small = {"batch_size": 8, "loggers": (), "precision": "32-true", "accelerator": "cpu"}
    recipe = replace(synthetic.synthetic_resnet18_rle(), epochs=1, **small)
    assert last_checkpoint(tmp_path) is None
    figures = measure(recipe, tmp_path)
    assert figures is not None
    assert figures["error_px"] > 0
    last = last_checkpoint(tmp_path)
    assert last == tmp_path / "last.ckpt"
    saved = last.stat().st_mtime_ns
    assert measure(recipe, tmp_path) == pytest.approx(dict(figures), nan_ok=True)
    assert last.stat().st_mtime_ns == saved, "a finished run is not trained again"
    assert measure(replace(recipe, epochs=2), tmp_path) is not None
    assert last.stat().st_mtime_ns != saved
    with pytest.raises(InputError, match="--out"):
        measure(replace(recipe, data=Path("others")), tmp_path)
