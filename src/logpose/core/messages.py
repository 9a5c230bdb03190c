"""What of a library's error goes into a message of one sentence."""

from __future__ import annotations

__all__ = ["first_line"]


def first_line(error: BaseException) -> str:
    """The first line of an error's message; of one without a message the name of its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
