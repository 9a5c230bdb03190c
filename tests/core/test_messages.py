"""Messages of other libraries' errors."""

from __future__ import annotations

from logpose.core.messages import first_line


def test_the_first_line_of_an_error_or_its_name() -> None:
    assert first_line(ValueError("\n no such size\nand a traceback")) == "no such size"
    assert first_line(AssertionError()) == "AssertionError"
