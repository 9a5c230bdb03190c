"""Images that Pillow reads in place of OpenCV, and headers: HEIC, AVIF, alpha in a TIFF, frames of an animation."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from logpose.core.errors import InputError
from logpose.data.pages import TIFF, missing, most_pixels, page

__all__ = ["UNREADABLE", "by_pillow", "check_pixels", "has_alpha", "header", "prepare_heic"]

AVIF = (b"ftypavif", b"ftypavis")  # what follows the first four bytes of such files
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # brands (ISO/IEC 23008-12, annex B)
BRANDS = 64  # bytes of a file within which its brands are
UNREADABLE = (OSError, ValueError, SyntaxError, RuntimeError, EOFError)
"""What Pillow raises of files that it cannot read."""
QUIET = threading.RLock()
STORED_BITS = 258  # a tag of a TIFF


@contextmanager
def header(source: str | Path | io.BytesIO) -> Iterator[Pillow.Image]:
    """An image of which only the header has been read; Pillow's warnings, and its limit of pixels, are ignored."""
    if not isinstance(source, io.BytesIO):
        with Path(source).open("rb") as file:
            prepare_heic(source, file.read(BRANDS))
    with QUIET:  # both are the process's: one thread at a time
        limit, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None
        try:
            with warnings.catch_warnings(action="ignore"), Pillow.open(source) as opened:
                yield opened
        finally:
            Pillow.MAX_IMAGE_PIXELS = limit


def prepare_heic(path: str | Path, head: bytes) -> None:
    """Let Pillow read HEIC, if a file is one.

    Raises:
        InputError: if it is, and pillow-heif is not installed.
    """
    brands = head[8:BRANDS]
    if head[4:8] != b"ftyp" or brands[:4] not in HEIC or b"avif" in brands or "HEIF" in Pillow.OPEN:
        return
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise InputError(f"{path}: HEIC needs pillow-heif: pip install 'logpose-keypoints[heic]'") from error
    register_heif_opener()


def check_pixels(path: str | Path, size: tuple[int, int]) -> None:
    """Refuse images of more pixels than the limit."""
    if size[0] * size[1] > (limit := most_pixels()):
        raise InputError(f"{path}: has {size[0]}×{size[1]} pixels, more than the limit of {limit} (--max-pixels)")


def by_pillow(source: str | Path, data: bytes) -> np.ndarray:
    """The pixels of a file's bytes by Pillow, of the page that is to be read."""
    number = 0 if data.startswith(TIFF) else page()  # of a TIFF it is the first by now
    try:
        with header(io.BytesIO(data)) as opened:
            count = getattr(opened, "n_frames", 1)
            if number < count:
                if number:  # of HEIC the first is another than the primary one, which is read without
                    opened.seek(number)
                check_pixels(source, opened.size)
                return np.array(ImageOps.exif_transpose(opened).convert("RGB"))
    except InputError:
        raise
    except UNREADABLE as error:
        needs = " (AVIF needs Pillow 11.3 or newer)" if data[4:12] in AVIF else ""
        raise InputError(f"{source}: not a readable image{needs}") from error
    raise InputError(f"{source}: {missing(number, count)}")


def has_alpha(data: bytes) -> bool:
    """Whether a file is a TIFF of 8 bits with alpha."""
    if not data.startswith(TIFF):
        return False
    with suppress(*UNREADABLE), header(io.BytesIO(data)) as opened:
        bits = opened.tag_v2.get(STORED_BITS, (1,))  # type: ignore[attr-defined]
        return opened.mode in ("RGBA", "LA", "PA") and max(bits) == 8
    return False
