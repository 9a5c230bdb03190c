"""Settings of a whole process that several threads change while they read images: the last one out puts them back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import cv2

__all__ = ["SILENT", "Shared"]


class Shared:
    """A context in which a setting of the process has another value, for any number of threads at once.

    Args:
        change: sets the value for the context, and returns the one before.
        restore: sets that one again.
    """

    def __init__(self, change: Callable[[], Any], restore: Callable[[Any], object]) -> None:
        self._change, self._restore = change, restore
        self._lock, self._inside, self._before = threading.Lock(), 0, None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = self._change()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._restore(self._before)


SILENT = Shared(
    lambda: cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT), cv2.utils.logging.setLogLevel
)
"""OpenCV prints nothing."""
