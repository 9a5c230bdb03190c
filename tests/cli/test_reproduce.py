"""`logpose reproduce`: lists, rows with their commands, and measured beside published figures."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from logpose.cli.recipe_flags import parse_recipe
from logpose.recipes import find, reproduce, synthetic
from logpose.recipes.reproduce import TABLES, Row, Table


def test_the_list_names_every_table(command) -> None:
    code, out, _ = command("reproduce")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [table.name for table in TABLES]
    listed = json.loads(command("reproduce", "--json")[1])
    assert {key: listed[8][key] for key in ("table", "rows")} == {"table": "7", "rows": 6}


def test_a_table_shows_figures_and_commands(command) -> None:
    code, out, _ = command("reproduce", "12")
    assert code == 0
    assert "85.5" in out
    assert "logpose train mpii_resnet50_rle DATA --loss l1" in out
    assert "--boxes" not in out
    assert "--boxes" in command("reproduce", "1")[1]
    table = json.loads(command("reproduce", "3", "--json")[1])
    assert "--boxes" in table["note"]
    rows = table["rows"]
    assert all("test-dev" in row["reason"] for row in rows)
    assert "measured" not in rows[0]


def test_every_command_is_one_that_train_takes() -> None:
    commands = {row.command for table in TABLES for row in table.rows if row.command}
    for words in map(shlex.split, sorted(commands)):
        recipe, _, _ = parse_recipe(words[2], find(words[2])(), [*words[3:], "x"])
        assert recipe.name == words[2]


@pytest.mark.parametrize(
    ("words", "token"),
    [
        (("99",), "99"),
        (("--run",), "TABLE"),
        (("--run", "--epochs", "10", "1"), "TABLE"),
        (("1", "--run"), "DATA"),
        (("1", "--epochs", "3"), "--epochs"),
        (("1", "--run", "DATA"), "TABLE DATA"),
        (("1", "x", "y", "--run"), "y: "),
        (("synthetic", "x", "--run"), "x: "),
    ],
)
def test_wrong_words_are_refused(command, tmp_path: Path, words: tuple[str, ...], token: str) -> None:
    code, out, err = command("reproduce", *words, *(("--out", tmp_path) if "--run" in words else ()))
    assert (code, out) == (2, "")
    assert token.lower() in err.lower()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, thin_resnets: None) -> None:
    monkeypatch.setattr(synthetic, "TRAIN", 16)
    monkeypatch.setattr(synthetic, "VAL", 6)


SMALL = ("--epochs", "1", "--batch-size", "8", "--precision", "32-true", "--accelerator", "cpu", "--loggers", "csv")


@pytest.mark.usefixtures("few")
def test_rows_are_run_and_filled_in(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tables that share a row share its run; a row that cannot be run has its reason and no figure."""
    metrics = (("error px", "error_px", 1.0), ("AP", "ap", 100.0))
    shared = Row("RLE", (3.5, 70.5), "synthetic_resnet18_rle")
    rows = (Row("L1", (None, None), "synthetic_resnet18_rle", "--loss l1"), shared, Row("none", (1, 2), reason="lost"))
    tables = (Table("a", "first", metrics, "", rows), Table("b", "second", metrics, "", (shared,)))
    monkeypatch.setattr(reproduce, "TABLES", tables)
    words = ("--run", "--out", tmp_path, *SMALL, "--json")
    code, out, _ = command("reproduce", "a", *words)
    assert code == 0
    l1, rle, lost = json.loads(out)["rows"]
    assert l1["measured"]["error px"] > 0
    assert rle["published"] == {"error px": 3.5, "AP": 70.5}
    assert 0 <= rle["measured"]["AP"] <= 100
    assert (lost["reason"], "measured" in lost) == ("lost", False)
    assert len(list(tmp_path.glob("*/last.ckpt"))) == 2
    again = json.loads(command("reproduce", "b", *words)[1])["rows"]
    assert again == [rle]
    text = command("reproduce", "b", *words[:-1])[1]
    assert f"{rle['measured']['error px']:.1f}" in text
    assert len(list(tmp_path.glob("*/last.ckpt"))) == 2


@pytest.mark.slow
def test_the_smallest_row_is_real(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The RLE row of the table `synthetic` as it is: its network and people, one epoch of them."""
    table = reproduce.table_named("synthetic")
    monkeypatch.setattr(reproduce, "TABLES", (replace(table, rows=table.rows[1:]),))
    code, out, _ = command("reproduce", "synthetic", "--run", "--out", tmp_path, "--epochs", "1", "--json")
    assert code == 0
    (row,) = json.loads(out)["rows"]
    assert 0 < row["measured"]["error px"] < 20
