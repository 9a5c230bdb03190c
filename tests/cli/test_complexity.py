"""`logpose complexity`: the table, JSON, and progress."""

from __future__ import annotations

import json
from functools import partial
from itertools import islice

import pytest

from logpose.cli import complexity
from logpose.core import progress


def test_json(command):
    code, out, err = command("complexity", "resnet50_rle", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["models"]["resnet50_rle"]["parameters"] == 23_647_364


def test_a_checkpoint(command, tiny_run):
    code, out, _ = command("complexity", tiny_run / "best.ckpt")
    assert code == 0
    assert "64×48" in out


def test_a_typo(refused):
    assert "resnet50_simplepose" in refused("complexity", "resnet50_simplpose")


def test_progress_goes_to_stderr(command, monkeypatch):
    often = partial(progress.track, lines=progress.ProgressLines(first=0, interval=0))
    monkeypatch.setattr(progress, "track", often)
    code, out, err = command("complexity", "lifting_fc", "lifting_srnet", "--json")
    assert code == 0
    assert len(json.loads(out)["models"]) == 2
    assert "1/2 networks" in err


def test_the_table_has_the_paper_s_figures_and_what_is_not_counted():
    paper = {"parameters": "23.6M", "gflops": "4.0"}
    counts = {"input": "crops of 256×192", "parameters": 23_647_364, "macs": 4_003_900_000, "macs_head": 69_632}
    rows = iter([("one", {**counts, "paper": paper}), ("other", {"error": "needs a library"})])
    title, one, other = complexity.table(["one", "other"], rows)
    assert title.split() == ["network", "input", "parameters", "paper", "GMAC", "of", "head", "paper"]
    assert one.split() == ["one", "256×192", "23,647,364", "23.6M", "4.0039", "0.0001", "4.0"]
    assert other.split(maxsplit=1) == ["other", "not counted: needs a library"]


def test_a_row_is_printed_before_the_next_is_counted():
    def counts():
        yield "one", {"error": "needs a library"}
        pytest.fail("the second network was counted first")

    assert list(islice(complexity.table(["one", "two"], counts()), 2))[1].split()[0] == "one"
