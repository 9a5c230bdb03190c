"""Signals that end a training run: it saves its state after the step at hand and stops; a second one ends it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Signals", "Stopped", "requeue", "stopped_by", "was_requeued"]

log = logging.getLogger("logpose")

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM") if hasattr(signal, name))
TOGETHER = 1.0  # seconds within which several are one: `timeout` sends one to its child, and one to all
PREEMPTION = getattr(signal, "SIGUSR1", None)  # `#SBATCH --signal=USR1@90`, as Lightning's documentation has it


class Stopped(KeyboardInterrupt):
    """A signal stopped the program."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Signals:
    """While it is entered, SIGINT and SIGTERM, and SIGUSR1 in a job of Slurm, stop the run.

    Where `deferred` is set they are only noted, in `received`, and the training loop stops after the step at hand;
    elsewhere `Stopped` is raised. A second SIGINT or SIGTERM, a second or more later, ends the process and its workers.

    Args:
        slurm: whether the process is a job of Slurm, which gets SIGUSR1 before it is preempted.
    """

    def __init__(self, slurm: bool = False) -> None:
        self.received, self.deferred = 0, False
        self._received_at = 0.0
        self._numbers = [*ENDING, *([PREEMPTION] if slurm and PREEMPTION is not None else [])]
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            # A signal that is ignored stays so: shells start background jobs without Ctrl-C.
            handlers = {number: signal.getsignal(number) for number in self._numbers}
            self._before = {number: before for number, before in handlers.items() if before is not signal.SIG_IGN}
            self.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)

    def install(self) -> None:
        """Set the handlers, again after Lightning has set its own."""
        for number in self._before:
            signal.signal(number, self._handle)

    @property
    def preempted(self) -> bool:
        """Whether Slurm is about to end the job."""
        return self.received != 0 and self.received == PREEMPTION

    def _handle(self, number: int, _: FrameType | None) -> None:
        now, before = time.monotonic(), self._received_at
        again = self.received in ENDING and number in ENDING
        if again and now - before < TOGETHER:
            return
        if again:
            for child in multiprocessing.active_children():
                child.kill()
            os._exit(128 + number)
        if self.received not in ENDING:
            self.received, self._received_at = number, now
        if not self.deferred:
            raise Stopped(number)


def was_requeued() -> bool:
    """Whether this is a job of Slurm that has been started before."""
    return os.environ.get("SLURM_RESTART_COUNT", "0") not in ("", "0")


def requeue() -> None:
    """Put this job of Slurm in the queue again."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")
    if not re.fullmatch(r"\d+(_\d+)?", job):
        log.warning("SLURM_JOB_ID is %r, not the number of a job: the job is not put in the queue again", job)
        return
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("the job %s cannot be put in the queue again: %s", job, error)


@contextmanager
def stopped_by(signals: Signals) -> Iterator[None]:
    """Where a signal stops the run before its first step, a job of Slurm that is preempted is put in the queue again.

    A signal to all processes of the group ends compilers too, and what fails for that is no error of its own.
    """
    try:
        yield
    except (Exception, Stopped) as error:
        if not signals.received:
            raise
        if signals.preempted and os.environ.get("SLURM_PROCID", "0") == "0":
            requeue()
        raise Stopped(signals.received) from error
