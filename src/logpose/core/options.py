"""`Options`: base of the dataclasses that the flags of commands are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["Options"]


@dataclass(kw_only=True)
class Options:
    """A command's options: each field is a flag, the docstring under it the help; one without a default is required."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that are given without a flag."""
