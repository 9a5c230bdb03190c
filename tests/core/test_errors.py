"""Exceptions that callers tell apart by their type."""

from __future__ import annotations

import inspect

from logpose.core import errors
from logpose.core.errors import InputError


def test_every_exception_is_an_input_error_with_a_docstring() -> None:
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert issubclass(kind, InputError)
        assert issubclass(kind, ValueError)
        assert inspect.getdoc(kind)
