"""Exceptions that logpose raises."""

from __future__ import annotations

__all__ = ["InputError", "UnknownKindError"]


class InputError(ValueError):
    """A file, row or option from outside is not what it should be; the message is one sentence naming it."""


class UnknownKindError(InputError):
    """A configuration names a class that is not of this package, such as a loss or a flow of the user's own."""
