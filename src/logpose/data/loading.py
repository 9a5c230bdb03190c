"""Batches, also from worker processes, with an `InputError` handed over as it is and dead workers replaced.

A pass over the data can be continued at any batch.

PyTorch raises a worker's exception again with the worker's traceback as its message. A wrong image or row is no fault
of the program: its message alone is to be shown, and callers may need the subclass. So workers return such an error in
the place of a batch, and it is raised where batches are asked for.
"""

from __future__ import annotations

import atexit
import logging
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakSet

import torch
from torch.utils.data import DataLoader, Dataset

from logpose.core.errors import InputError

__all__ = ["ErrorsAsRows", "InputErrorLoader", "JoinedOrError", "Replaced"]

log = logging.getLogger("logpose")

T = TypeVar("T")

RESTARTS = 3  # of worker processes in a run; a machine that ends more of them has too little memory


@dataclass(frozen=True)
class Replaced:
    """A row that stands in for rows that cannot be read."""

    row: Any
    messages: tuple[str, ...]
    """What is wrong with each of those, with its file."""


@dataclass(frozen=True)
class _Noted:
    """A batch with rows that stand in for others."""

    batch: Any
    messages: tuple[str, ...]

    def pin_memory(self) -> _Noted:
        """With the batch in page-locked memory (PyTorch calls this)."""
        return _Noted(self.batch.pin_memory() if hasattr(self.batch, "pin_memory") else self.batch, self.messages)


class ErrorsAsRows(Dataset[Any]):
    """Rows, in the place of those that cannot be read the error.

    Args:
        rows: a data set.
    """

    def __init__(self, rows: Dataset[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)  # type: ignore[arg-type]  # PyTorch's class does not declare it

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.rows[key]
        except InputError as error:
            return error

    def __getitems__(self, keys: list[Any]) -> Any:
        """The rows of a batch; of a data set that makes whole batches, the batch or the error."""
        if not hasattr(self.rows, "__getitems__"):
            return [self[key] for key in keys]
        try:
            return self.rows.__getitems__(keys)
        except InputError as error:
            return error


class JoinedOrError:
    """Makes a batch of rows, or returns the first error among them.

    Args:
        join: makes a batch; of a data set that makes whole batches it gets that.
    """

    def __init__(self, join: Callable[[Any], Any]) -> None:
        self.join = join

    def __call__(self, rows: Any) -> Any:
        """The batch, or the error."""
        if not isinstance(rows, list):
            return rows if isinstance(rows, InputError) else self.join(rows)
        error = next((row for row in rows if isinstance(row, InputError)), None)
        if error is not None:
            return error
        messages = tuple(message for row in rows if isinstance(row, Replaced) for message in row.messages)
        batch = self.join([row.row if isinstance(row, Replaced) else row for row in rows])
        return _Noted(batch, messages) if messages else batch


WORKERS: WeakSet[Any] = WeakSet()
"""Processes of all loaders. They ignore SIGTERM, by which Python would end them, and wait for it, when it exits."""


@atexit.register
def _end_workers() -> None:
    for worker in list(WORKERS):
        if worker.is_alive():
            worker.kill()


class InputErrorLoader(DataLoader[T]):
    """A loader that raises the errors among its batches, replaces workers that die, and can continue a pass.

    To continue a pass, its sampler has an attribute `start`: how many rows the next pass leaves out.

    Attributes:
        strict: whether a row that cannot be read, or a worker that dies, ends the pass; not by default.
        left_out: how often each row that cannot be read was replaced by another, by the message that names it.
    """

    strict = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # An iterator draws a seed for workers. Drawn by PyTorch's own generator, numbers of a run would depend on how
        # many workers it has.
        super().__init__(*arguments, **{"generator": torch.Generator(), **options})
        self.left_out: Counter[str] = Counter()
        self._passes = self._batches = self._continue_at = self._restarts = 0

    def state_dict(self) -> dict[str, int]:
        """Where the loader is: the number of passes begun, and of batches given in the latest."""
        return {"passes": self._passes, "batches": self._batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from there: within the latest pass, or with another one if that was complete."""
        self._passes, self._batches = state["passes"], state["batches"]
        self._continue_at = self._batches if self._batches < len(self) else 0

    def __iter__(self) -> Iterator[T]:  # type: ignore[override]  # PyTorch names its own kind of iterator
        first, self._continue_at = self._continue_at, 0
        self._batches = first
        self._passes += not first
        batches = self._made(first)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except RuntimeError as error:
                batches = self._replaced_workers(error)
                continue
            if isinstance(batch, InputError):
                raise batch
            if isinstance(batch, _Noted):
                self._note(batch.messages)
                batch = batch.batch
            self._batches += 1
            yield batch

    def _made(self, first: int) -> Iterator[Any]:
        """PyTorch's iterator over the batches from the number `first`."""
        if first:
            self.sampler.start = first * (self.batch_size or 1)  # type: ignore[attr-defined]
        with _child_signals_as_they_are():
            batches = iter(super().__iter__())
        WORKERS.update(getattr(batches, "_workers", ()))
        return batches

    def _replaced_workers(self, error: RuntimeError) -> Iterator[Any]:
        """The batches that are left, from other workers; if no worker died, or too many did, the error is raised."""
        workers: list[Any] = getattr(self._iterator, "_workers", [])
        dead = [worker for worker in workers if not worker.is_alive()]
        if not dead:
            raise error
        how = _ending(dead[0].exitcode)
        self._iterator._shutdown_workers()  # type: ignore[union-attr]
        for worker in workers:
            worker.kill()  # one that waits for what the dead one had locked
        self._iterator = None
        self._restarts += 1
        if self.strict or self._restarts > RESTARTS:
            times = "" if self._restarts == 1 else f", for the {self._restarts}th time"
            raise InputError(
                f"a worker process that loads data {how}{times}: is there memory for --workers {self.num_workers}?"
            ) from error
        log.warning("a worker process that loads data %s; others take its place (%d of %d times)",
                    how, self._restarts, RESTARTS)  # fmt: skip
        return self._made(self._batches)

    def _note(self, messages: tuple[str, ...]) -> None:
        """Log rows that others stand in for, each once."""
        if self.strict:
            raise InputError(messages[0])
        for message in messages:
            if message not in self.left_out:
                log.warning("left out of training: %s", message)
            self.left_out[message] += 1


def _ending(code: int) -> str:
    """How a process ended, by its exit code."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


@contextmanager
def _child_signals_as_they_are() -> Iterator[None]:
    """Without the handler that PyTorch sets when it starts workers.

    It raises an error wherever the program is when a worker dies, also in the middle of a step. Without it the error
    is raised where the next batch is waited for.
    """
    main = hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGCHLD) if main else None
    try:
        yield
    finally:
        if main and before is not None:
            signal.signal(signal.SIGCHLD, before)
