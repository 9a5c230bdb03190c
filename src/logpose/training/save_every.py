"""How often training saves a checkpoint within an epoch: the value of `--save-every`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from logpose.core.errors import InputError

__all__ = ["SaveEvery"]

SECONDS = {"s": 1, "min": 60, "h": 3600}
FORM = re.compile(r"([1-9]\d*) ?(s|min|h|steps?)", re.ASCII)


@dataclass(frozen=True)
class SaveEvery:
    """An interval between checkpoints, in seconds or in optimiser steps; without either, only epochs end with one."""

    seconds: float | None = None
    steps: int | None = None

    @classmethod
    def parse(cls, text: str) -> SaveEvery:
        """The interval that "30s", "10min", "2h", "200steps" or "epoch" name.

        Raises:
            InputError: if the text is of another form.
        """
        if text == "epoch":
            return cls()
        found = FORM.fullmatch(text)
        if found is None:
            raise InputError(
                f"--save-every takes a time (30s, 10min, 2h), a number of steps (200steps) or epoch, not {text!r}"
            )
        count, unit = int(found[1]), found[2]
        return cls(steps=count) if unit not in SECONDS else cls(seconds=float(count * SECONDS[unit]))

    def is_due(self, step: int, seconds: float) -> bool:
        """Whether a checkpoint is due after an optimiser step.

        Args:
            step: how many steps the run has made.
            seconds: time since the latest checkpoint.
        """
        if self.steps is not None:
            return step % self.steps == 0
        return self.seconds is not None and seconds >= self.seconds
