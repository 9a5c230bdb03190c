"""Files of several images: pages of a TIFF, frames of an animation; which of them is read, and how many pixels at most.

Both settings are in the environment, so that worker processes have them: `LOGPOSE_PAGE` and `LOGPOSE_MAX_PIXELS`, which
the flags `--page` and `--max-pixels` set.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from logpose.core.errors import InputError

__all__ = [
    "MOST_PIXELS",
    "TIFF",
    "is_animated",
    "missing",
    "most_pixels",
    "note_pages",
    "page",
    "reading_images",
    "tiff_at",
    "tiff_pages",
]

log = logging.getLogger("logpose")

MOST_PIXELS = 2**28
"""Of an image, unless `--max-pixels` sets another number: 268 million, as of 16,384 by 16,384. A file of a few
megabytes may declare more than a machine has memory for."""
TIFF = (b"II*\0", b"MM\0*")
"""What a TIFF begins with (TIFF 6.0, section 2)."""
ENTRY = 12  # bytes of an entry in a directory of a TIFF
NOTED: set[str] = set()
"""What was reported, once in a process."""
SETTINGS = {"page": ("LOGPOSE_PAGE", 0), "max_pixels": ("LOGPOSE_MAX_PIXELS", 1)}
"""Of each setting its variable in the environment, and its least value."""


@contextmanager
def reading_images(options: Any) -> Iterator[None]:
    """While it is entered, images are read as options have it: their `page` and `max_pixels`, where they have these.

    Raises:
        InputError: if there is no such page or number of pixels.
    """
    given = {name: value for name in SETTINGS if (value := getattr(options, name, None)) is not None}
    for name, value in given.items():
        if value < SETTINGS[name][1]:
            raise InputError(f"--{name.replace('_', '-')} must be at least {SETTINGS[name][1]}, got {value}")
    variables = [SETTINGS[name][0] for name in given]
    before = {variable: os.environ.get(variable) for variable in variables}
    os.environ.update(zip(variables, map(str, given.values()), strict=True))
    try:
        yield
    finally:
        for variable, value in before.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value


def page() -> int:
    """Which image of a file of several is read, counted from 0."""
    return _from_environment("page", 0)


def most_pixels() -> int:
    """How many pixels an image may have."""
    return _from_environment("max_pixels", MOST_PIXELS)


def _from_environment(name: str, default: int) -> int:
    variable, least = SETTINGS[name]
    text = os.environ.get(variable, str(default))
    if not text.isdecimal() or int(text) < least:
        raise InputError(f"{variable} must be a whole number of at least {least}, got {text!r}")
    return int(text)


def tiff_at(data: bytes, number: int) -> bytes:
    """A TIFF of which the page of a number, counted from 0, is the first.

    Raises:
        InputError: if it has none of that number.
    """
    pages = _directories(data)
    if number >= len(pages):
        raise InputError(missing(number, len(pages)))
    return data[:4] + struct.pack(_order(data) + "I", pages[number]) + data[8:]


def is_animated(data: bytes) -> bool:
    """Whether the bytes of a file that is no TIFF may hold several images: GIF, HEIC, animated WebP, PNG and AVIF.

    Of a JPEG the first is meant, whatever phones store behind it.
    """
    if data.startswith(b"RIFF"):
        return data[12:16] == b"VP8X" and bool(data[20:21]) and bool(data[20] & 2)
    if data.startswith(b"\x89PNG"):
        return b"acTL" in data[: max(0, data.find(b"IDAT"))]
    return data.startswith(b"GIF8") or (data[4:8] == b"ftyp" and data[8:12] != b"avif")


def note_pages(source: Any, count: int) -> None:
    """Report once that a file has several images, and which of them is read."""
    if count > 1 and not NOTED:
        NOTED.add("pages")
        log.info("%s: has %d pages; of such files page %d is read (counted from 0; --page)", source, count, page())


def tiff_pages(data: bytes) -> int:
    """How many pages a TIFF has."""
    return len(_directories(data))


def missing(number: int, count: int) -> str:
    """Why a page of a file of so many cannot be read."""
    pages = "one page" if count == 1 else f"{count} pages"
    return f"has {pages}, and page {number} is to be read (counted from 0; --page)"


def _order(data: bytes) -> str:
    """The byte order of a TIFF, as `struct` has it."""
    return "<" if data.startswith(b"II") else ">"


def _directories(data: bytes) -> list[int]:
    """Where the directories of a TIFF's pages begin (TIFF 6.0, section 2); those that its end cuts off are left out."""
    order, found = _order(data), dict[int, None]()  # a file may have a million, or go round in a circle
    (at,) = struct.unpack_from(order + "I", data, 4) if len(data) >= 8 else (0,)
    while 0 < at <= len(data) - 2 and at not in found:
        found[at] = None
        (entries,) = struct.unpack_from(order + "H", data, at)
        following = at + 2 + ENTRY * entries
        (at,) = struct.unpack_from(order + "I", data, following) if following <= len(data) - 4 else (0,)
    return [*found]
