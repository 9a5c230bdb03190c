"""`logpose complexity`: the table, JSON, and progress."""

from __future__ import annotations

import json

from logpose.cli import complexity


def test_json_and_a_checkpoint(command, tiny_run):
    code, out, err = command("complexity", "resnet50_rle", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["models"]["resnet50_rle"]["parameters"] == 23_647_364
    code, out, _ = command("complexity", tiny_run / "best.ckpt")
    assert code == 0
    assert "64×48" in out


def test_a_typo(refused):
    assert "resnet50_simplepose" in refused("complexity", "resnet50_simplpose")


def test_progress_goes_to_stderr(command, monkeypatch):
    monkeypatch.setattr(complexity, "PATIENCE", -1.0)
    code, out, err = command("complexity", "lifting_fc", "lifting_srnet", "--json")
    assert code == 0
    assert len(json.loads(out)["models"]) == 2
    assert "2 of 2" in err.splitlines()[-1]
