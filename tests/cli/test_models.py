"""`logpose models`: what is built in, and what the Hub has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from logpose.core.errors import InputError


def test_built_in_models_are_listed_with_their_cards(command):
    code, out, _ = command("models")
    assert code == 0
    assert out.startswith("person  ")
    assert "14 joints, crops of 192×192" in out
    assert "research use" in out
    content = json.loads(command("models", "--json")[1])
    assert list(content) == ["built_in"]
    assert Path(content["built_in"]["person"]["card"]).is_file()
    assert content["built_in"]["person"]["figures"]["coverage@0.9"] == pytest.approx(0.9, abs=0.02)


def test_those_of_the_hub_where_it_is_asked(command, refused, monkeypatch):
    monkeypatch.setattr("logpose.training.interop.models_on_hub", lambda: ["someone/hands"])
    assert "hf://someone/hands" in command("models", "--hub")[1]
    assert json.loads(command("models", "--hub", "--json")[1])["hub"] == ["someone/hands"]

    def offline():
        raise InputError("the Hub cannot be reached (no network)")

    monkeypatch.setattr("logpose.training.interop.models_on_hub", offline)
    assert "cannot be reached" in refused("models", "--hub")
