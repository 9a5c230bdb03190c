"""`logpose models`: the models that come with logpose, and those on the Hugging Face Hub."""

from __future__ import annotations

import json
from dataclasses import dataclass

from logpose.core.config import Options

__all__ = ["ModelsOptions", "run"]

SHOWN = ("pck_torso@0.2", "error_px", "nll", "coverage@0.5", "coverage@0.9", "coverage@0.95")
"""Figures of a model that are printed; `--json` has all."""


@dataclass(kw_only=True)
class ModelsOptions(Options):
    """List the trained models that come with logpose; their names stand wherever a checkpoint does."""

    hub: bool = False
    """Also those that `logpose convert --push-to` put on the Hugging Face Hub."""
    json: bool = False
    """Print them as JSON."""


def run(options: ModelsOptions) -> int:
    """Print the models; returns the exit code.

    Raises:
        InputError: if the Hub is asked for and cannot be reached.
    """
    from logpose.training.built_in import built_in_facts
    from logpose.training.interop import models_on_hub

    found = built_in_facts()
    on_hub = models_on_hub() if options.hub else []
    if options.json:
        print(json.dumps({"built_in": found, **({"hub": on_hub} if options.hub else {})}, indent=2))
        return 0
    for name, facts in found.items():
        height, width = facts["size"]
        print(f"{name}  {facts['description']}")
        print(f"  {len(facts['joints'])} joints, crops of {height}×{width}, {facts['megabytes']:g} MB")
        print(f"  {facts['licence']}")
        figures = {name: facts["figures"][name] for name in SHOWN if name in facts["figures"]}
        print("  held out: " + ", ".join(f"{figure} {value:.3f}" for figure, value in figures.items()))
        print(f"  card: {facts['card']}")
    for name in on_hub:
        print(f"hf://{name}")
    return 0
