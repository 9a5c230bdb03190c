"""What a file of the runtimes has to keep."""

from __future__ import annotations

import pytest


@pytest.fixture
def bare_facts() -> dict:
    """The least that is kept beside a graph of two outputs."""
    names = ("task", "input", "size", "padding", "error_distribution")
    export = dict.fromkeys(names) | {"outputs": ["keypoints", "confidence"]}
    return {"export": export, "model": {"skeleton": {"joints": []}}}
