"""Progress of long work on stderr: a bar on a terminal, a line now and then where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from functools import partial
from io import TextIOBase
from typing import TypeVar

__all__ = ["ProgressLines", "duration", "on_terminal", "track"]

FIRST = 10.0
"""Seconds before the first line: short work prints none."""
INTERVAL = 30.0
"""Seconds between lines."""

T = TypeVar("T")


def on_terminal() -> bool:
    """Whether stderr is a terminal on which a bar can be drawn; not so for log files, most notebooks and CI."""
    from rich.console import Console

    return Console(stderr=True).is_interactive


def duration(seconds: float) -> str:
    """A length of time in words of two units at most: "45 s", "12 min", "3 h 05 min", "2 d 4 h"."""
    minutes = round(seconds / 60)
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


class ProgressLines:
    """Lines of progress on a stream (stderr when None), after `first` seconds and then every `interval` seconds."""

    def __init__(
        self,
        stream: TextIOBase | None = None,
        clock: Callable[[], float] = time.monotonic,
        first: float = FIRST,
        interval: float = INTERVAL,
    ) -> None:
        self.stream, self.clock, self.interval = stream, clock, interval
        self.start = clock()
        self.next = self.start + first

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.start

    def write(self, text: Callable[[], str]) -> bool:
        """Write a line, which `text` returns, if one is due; returns whether it was."""
        now = self.clock()
        if now < self.next:
            return False
        self.next = now + self.interval
        print(text(), file=self.stream or sys.stderr, flush=True)
        return True


def track(
    items: Iterable[T],
    description: str,
    total: int | None = None,
    *,
    unit: str = "",
    lines: ProgressLines | None = None,
) -> Iterator[T]:
    """The items, with progress on stderr: a bar on a terminal; elsewhere lines with the rate and the time left.

    Args:
        items: the items.
        description: what is done with them: "evaluating".
        total: how many there are; their length when None, and if they have none, no time left is given.
        unit: what they are, in the plural: "batches".
        lines: where lines go, and when, also on a terminal.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if lines is None and on_terminal():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            yield from bar.track(items, total=total, description=description)
        return
    lines = lines or ProgressLines()

    def text(done: int) -> str:
        rate = done / max(lines.elapsed, 1e-9)
        share, left = ("", "") if total is None else (f"/{total}", f", {duration((total - done) / rate)} left")
        return f"{description}: {done}{share}{f' {unit}' if unit else ''}, {rate:.3g}/s{left}"

    for done, item in enumerate(items, start=1):
        yield item
        if done != total:
            lines.write(partial(text, done))
