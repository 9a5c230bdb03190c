"""Words in messages of one sentence: what of a library's error, and the flag of a field."""

from __future__ import annotations

__all__ = ["first_line", "flag"]


def first_line(error: BaseException) -> str:
    """The first line of an error's message; of one without a message the name of its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def flag(field: str) -> str:
    """The flag of a field, as people write it: --batch-size."""
    return "--" + field.replace("_", "-")
