"""Pages, plots and drawings of results."""

from __future__ import annotations

from typing import Any

from logpose.core.moved import moved_name


def __getattr__(name: str) -> Any:
    """Names of version 0.1's module `logpose.report`."""
    if name.startswith("_"):
        raise AttributeError(name)
    return moved_name("report", name)
