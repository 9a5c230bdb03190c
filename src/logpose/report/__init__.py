"""Pages, plots and drawings of results."""

from __future__ import annotations

from logpose.core.moved import names_of_module

__getattr__ = names_of_module("report")
