"""Pictures from files: decoded whole or refused, never half."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from logpose.structures import Image, InputError

__all__ = ["SUFFIXES", "check_image", "read_image"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""Names that a folder of pictures is searched for."""

TAIL = 4096  # bytes at a file's end among which its end marker is looked for first


def read_image(source: Path | Image) -> Image:
    """The picture as RGB, turned upright where its EXIF data say so; an array is passed through.

    Raises:
        InputError: if the file is missing, is no picture, or breaks off before its end.
    """
    if not isinstance(source, Path):
        return source
    data = _bytes(source)
    if fault := _fault(data):
        raise InputError(f"{source}: {fault}")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise InputError(f"{source}: not a picture that can be read")
    return image


def check_image(path: Path) -> str | None:
    """What is wrong with a picture's file, found without decoding it; None if nothing is."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            tail = file.read()
    except OSError:
        return "no such image file" if not path.exists() else "the image file cannot be read"
    if not size:
        return "the image file is empty"
    complete = _end_marker(head) in tail if _end_marker(head) else True
    return None if complete else _fault(_bytes(path))


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise InputError(f"{path}: no such image file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _end_marker(head: bytes) -> bytes:
    """What the last bytes of a file with this beginning hold (JPEG's EOI, PNG's IEND); empty for other formats."""
    return b"\xff\xd9" if head.startswith(b"\xff\xd8") else b"IEND" if head.startswith(b"\x89PNG") else b""


def _fault(data: bytes) -> str | None:
    """Why these bytes are not a whole picture; decoders fill what is missing with grey and say nothing."""
    if not data:
        return "the image file is empty"
    marker = _end_marker(data[:8])
    # A JPEG's thumbnail has an end marker of its own; the picture's comes after its last start of scan.
    if marker and data.rfind(marker) < data.rfind(b"\xff\xda" if marker == b"\xff\xd9" else b"IDAT"):
        return "the image file breaks off before its end"
    return None
