"""The base of commands' options."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from logpose.core.options import Options


@dataclass(kw_only=True)
class Copy(Options):
    count: int = 1
    source: Path


def test_required_fields_may_follow_defaults_and_are_required() -> None:
    assert [f.name for f in fields(Copy)] == ["count", "source"]
    assert Copy.POSITIONAL == ()
    with pytest.raises(TypeError, match="source"):
        Copy(count=2)
