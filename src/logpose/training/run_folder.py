"""The folder of a run: who may write to it, and which of its checkpoints a run is resumed from."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from logpose.core.errors import OtherRunError

__all__ = ["BEST", "CONFIG", "FIRST", "LAST", "LOCK", "PREVIOUS", "RunLock", "is_unbegun", "last_checkpoint"]

LAST, PREVIOUS, BEST = "last.ckpt", "last.previous.ckpt", "best.ckpt"
"""The latest state of training, the one before it, and the best weights."""
FIRST = "first"
"""Folder, within a run's, of the run that the recipe's `first` describes."""
CONFIG = "config.yaml"
"""The recipe's name and plain values."""
LOCK = ".lock"
"""The file of the lock; it stays, and has no content."""


class RunLock:
    """A lock on a run's folder, which the operating system releases when the process ends, however it ends.

    Args:
        folder: the folder of the run.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._lock: FileLock | None = None
        self._had_config = (self.folder / CONFIG).is_file()

    def take(self) -> None:
        """Take the lock, and make the folder; a lock that this object has is kept.

        Raises:
            OtherRunError: if another process has it, or has begun a run in the folder since this object was made.
        """
        if self._lock is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise OtherRunError(f"{self.folder}: another run is being trained in this folder") from error
        except (OSError, NotImplementedError):  # a file system without locks
            return
        self._lock = lock
        if not self._had_config and (self.folder / CONFIG).is_file():
            self.release()
            raise OtherRunError(f"{self.folder}: another run has been trained in this folder meanwhile")

    def release(self) -> None:
        """Give the lock back, if this object has it."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> RunLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_unbegun(folder: str | Path) -> bool:
    """Whether a run in a folder stopped before its first checkpoint: there is nothing to resume from."""
    folder = Path(folder)
    return (folder / CONFIG).is_file() and not any(folder.rglob("*.ckpt"))


def last_checkpoint(folder: str | Path) -> Path | None:
    """The checkpoint from which a run in a folder resumes, also of its first stage; None if it has none."""
    stages = (Path(folder), Path(folder) / FIRST)
    return next((file for stage in stages for file in (stage / LAST, stage / PREVIOUS) if file.is_file()), None)
