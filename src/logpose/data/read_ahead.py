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
    pool, waiting = ThreadPoolExecutor(READERS, "read_ahead"), deque[tuple[int, tuple[Source, With, Future[Image]]]]()
    try:
        try:
            for source, more in images:
                is_file = isinstance(source, str | Path)
                size = _bytes(source)
                while waiting and (not is_file or not _may_wait([size, *(held for held, _ in waiting)])):
                    yield waiting.popleft()[1]
                item = source, more, pool.submit(read_image, source)
                if is_file:
                    waiting.append((size, item))
                else:
                    item[2].exception()  # waits
                    yield item
        except Exception:
            yield from (item for _, item in waiting)
            raise
        yield from (item for _, item in waiting)
    finally:
        pool.shutdown(cancel_futures=True)


def _may_wait(sizes: list[int]) -> bool:
    """Whether files of these sizes may wait together."""
    return len(sizes) <= READERS or (len(sizes) <= MOST_AHEAD and sum(sizes) <= AHEAD)


def _bytes(source: Source) -> int:
    """The size of a file; 0 if there is none."""
    try:
        return Path(source).stat().st_size if isinstance(source, str | Path) else 0
    except (OSError, ValueError):
        return 0
