"""Batches from worker processes, with an `InputError` handed over as it is.

PyTorch raises a worker's exception again with the worker's traceback as its message. A wrong image or row is no fault
of the program: its message alone is to be shown, and callers may need the subclass. So workers return such an error in
the place of a batch, and it is raised where batches are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from torch.utils.data import DataLoader, Dataset

from logpose.core.errors import InputError

__all__ = ["ErrorsAsRows", "InputErrorLoader", "JoinedOrError"]

T = TypeVar("T")


class ErrorsAsRows(Dataset[Any]):
    """Rows, in the place of those that cannot be read the error.

    Args:
        rows: a data set.
    """

    def __init__(self, rows: Dataset[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)  # type: ignore[arg-type]  # PyTorch's class does not say that it has one

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.rows[key]
        except InputError as error:
            return error


class JoinedOrError:
    """Makes a batch of rows, or returns the first error among them.

    Args:
        join: makes a batch.
    """

    def __init__(self, join: Callable[[list[Any]], Any]) -> None:
        self.join = join

    def __call__(self, rows: list[Any]) -> Any:
        """The batch, or the error."""
        error = next((row for row in rows if isinstance(row, InputError)), None)
        return self.join(rows) if error is None else error


class InputErrorLoader(DataLoader[T]):
    """A loader that raises the errors among its batches."""

    def __iter__(self) -> Iterator[T]:  # type: ignore[override]  # PyTorch names its own kind of iterator
        for batch in super().__iter__():
            if isinstance(batch, InputError):
                raise batch
            yield batch
