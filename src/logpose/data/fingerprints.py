"""Fingerprints of image files: whether two data sets have an image in common, whatever its names and folders are."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64

from logpose.data.pages import TIFF

__all__ = ["Fingerprints", "HasImageFiles", "decoded", "encoded", "fingerprint", "fingerprints", "image_files"]

Fingerprints = Int64[np.ndarray, "N"]
"""Of N files: sorted, each once."""

BLOCK, BLOCKS = 4096, 8
"""Bytes, and how many times so many are read: a file of up to 32 KiB is read whole."""
UNCOMPRESSED = (b"BM", *TIFF)
"""What files begin with that need not be compressed."""


@runtime_checkable
class HasImageFiles(Protocol):
    """A data set whose images are files; those of others are made on the fly, or in memory."""

    @property
    def image_files(self) -> Iterable[Path]:
        """The files of images with labels, some perhaps several times."""
        ...


def image_files(data: object) -> list[Path]:
    """The files of a data set's labelled images, each once; none of a data set without files."""
    return list(dict.fromkeys(data.image_files)) if isinstance(data, HasImageFiles) else []


def fingerprint(path: str | Path) -> int:
    """64 bits of an image file's content: BLAKE2b of its size, and of eight blocks from its first byte to its last.

    Files of formats that need not be compressed (BMP, TIFF) are read whole: of two frames with one background, these
    blocks may be alike.

    A copy has the same fingerprint; the same image resized or saved again has another.

    Raises:
        OSError: if the file cannot be read.
    """
    with Path(path).open("rb") as file:
        size = file.seek(0, 2)
        digest = hashlib.blake2b(size.to_bytes(8, "little"), digest_size=8)
        file.seek(0)
        whole = size <= BLOCK * BLOCKS or file.read(4).startswith(UNCOMPRESSED)
        for start in (0,) if whole else (i * (size - BLOCK) // (BLOCKS - 1) for i in range(BLOCKS)):
            file.seek(start)
            digest.update(file.read(size if whole else BLOCK))
    return int.from_bytes(digest.digest(), "little", signed=True)


def fingerprints(files: Iterable[str | Path]) -> Fingerprints:
    """The fingerprints of files; those that cannot be read are left out."""
    found = set()
    for path in files:
        try:
            found.add(fingerprint(path))
        except OSError:  # removed since the labels were read
            continue
    return np.array(sorted(found), dtype=np.int64)


def encoded(marks: Fingerprints) -> str:
    """Fingerprints as text: base64 of little-endian integers, 11 characters each."""
    return base64.b64encode(marks.astype("<i8").tobytes()).decode()


def decoded(text: str) -> Fingerprints:
    """The fingerprints of a text that `encoded` wrote.

    Raises:
        ValueError: if it is another text.
    """
    return np.unique(np.frombuffer(base64.b64decode(text, validate=True), "<i8").astype(np.int64))
