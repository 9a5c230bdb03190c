"""Exceptions that logpose raises."""

from __future__ import annotations

__all__ = ["InputError"]


class InputError(ValueError):
    """A file, row or option from outside is not what it should be; the message is one sentence naming it."""
