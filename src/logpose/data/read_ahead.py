"""Images that are decoded by other threads while those before them are worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from logpose.core.samples import Image
from logpose.data.images import read_image
from logpose.data.pixels import ImageLike

__all__ = ["AHEAD", "MOST_AHEAD", "READERS", "read_ahead"]

READERS = 2
"""Threads that decode."""
AHEAD = 2**21
"""Bytes of image files that wait: decoded they are some 15 times as large."""
MOST_AHEAD = 64
"""Images that wait."""

With = TypeVar("With")
Source = str | Path | ImageLike


def read_ahead(images: Iterable[tuple[Source, With]]) -> Iterator[tuple[Source, With, Future[Image]]]:
    """Images in order, of which the next are being read. What is in memory is not: its owner may use it again.

    Args:
        images: pairs of what `read_image` takes and anything that belongs to it; of files, some are taken ahead.

    Returns:
        each pair, with a future whose result is the image; it raises what `read_image` raises. What the iterable
        raises comes after the images before it.
    """
    pool, waiting, failed = ThreadPoolExecutor(READERS, "read_ahead"), deque[tuple[Source, With, Future[Image]]](), None
    sizes: deque[int] = deque()
    taken = iter(images)
    try:
        while True:
            try:
                source, more = next(taken)
            except StopIteration:
                break
            except Exception as error:
                failed = error
                break
            is_file = isinstance(source, str | Path)
            size = _bytes(Path(source)) if isinstance(source, str | Path) else 0
            while waiting and (
                not is_file or len(waiting) == MOST_AHEAD or (len(waiting) >= READERS and sum(sizes) + size > AHEAD)
            ):
                sizes.popleft()
                yield waiting.popleft()
            if is_file:
                waiting.append((source, more, pool.submit(read_image, source)))
                sizes.append(size)
            else:
                yield source, more, _read(source)
        yield from waiting
        if failed is not None:
            raise failed
    finally:
        pool.shutdown(cancel_futures=True)


def _bytes(path: Path) -> int:
    """The size of a file; 0 if there is none."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0


def _read(source: Source) -> Future[Image]:
    """What is in memory, read at once."""
    future: Future[Image] = Future()
    try:
        future.set_result(read_image(source))
    except Exception as error:
        future.set_exception(error)
    return future
