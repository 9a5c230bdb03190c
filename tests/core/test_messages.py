"""Messages of other libraries' errors."""

from __future__ import annotations

import logging

import pytest

from logpose.core.messages import difference, first_line, flag, missing, only_errors


def test_the_first_line_of_an_error_or_its_name() -> None:
    assert first_line(ValueError("\n no such size\nand a traceback")) == "no such size"
    assert first_line(AssertionError()) == "AssertionError"


def test_flags_of_fields() -> None:
    assert flag("batch_size") == "--batch-size"


@pytest.mark.parametrize(
    ("names", "others", "tokens"),
    [
        ("abx", "aby", ("3", "'x'", "'y'")),
        ("ab", "abc", ("3", "'c'", "missing")),
        ("abc", "ab", ("3", "'c'", "too many")),
    ],
)
def test_the_first_difference_is_named(names: str, others: str, tokens: tuple[str, ...]) -> None:
    assert all(token in difference(list(names), list(others)) for token in tokens)


@pytest.mark.parametrize(
    ("path", "token"),
    [("https:/example.org/a.jpg", "addresses"), ("photos/*.jpg", "pattern"), ("a.jpg", "file or folder")],
)
def test_why_nothing_is_at_a_path(path: str, token: str) -> None:
    assert missing(path).startswith(f"{path}: no such file")
    assert token in missing(path)
    assert ("; " in missing(path)) == (path != "a.jpg")


@pytest.mark.parametrize("name", ["some.package", None])
def test_a_logger_reports_errors_only_and_then_what_it_did(name):
    logger = logging.getLogger(name)
    before = logger.level
    with only_errors(name):
        assert not logger.isEnabledFor(logging.WARNING)
        assert logger.isEnabledFor(logging.ERROR)
    assert logger.level == before
    with pytest.raises(ZeroDivisionError), only_errors(name):
        _ = 1 / 0
    assert logger.level == before
