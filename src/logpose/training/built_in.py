"""The models that come with logpose, and the one that predicts where no checkpoint is given."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any

from logpose.core.json_files import read_json
from logpose.models.weight_files import CARD, CONFIG, PERSON, TENSORS, built_in

__all__ = ["built_in_facts", "note_built_in"]

log = logging.getLogger("logpose")


def built_in_facts() -> dict[str, dict[str, Any]]:
    """What is known of each built-in model, by name, as plain values."""
    return {name: _facts(folder) for name, folder in built_in().items()}


def _facts(folder: Path) -> dict[str, Any]:
    entry = read_json(folder / CONFIG)  # not the tensors
    model = entry["model"]
    return {
        "description": entry.get("description", ""),
        "joints": model["skeleton"]["joints"],
        "size": model["size"],
        "megabytes": round((folder / TENSORS).stat().st_size / 1e6, 1),
        "figures": entry.get("figures", {}),
        "licence": entry.get("licence", ""),
        "card": str(folder / CARD),
    }


@cache
def note_built_in() -> None:
    """Report, once, that the built-in model predicts and what it was trained on."""
    facts = _facts(built_in()[PERSON])
    log.warning(
        "no checkpoint is given: the built-in model %s predicts (%s; %s); `logpose models` has its card",
        PERSON, facts["description"], facts["licence"],
    )  # fmt: skip
