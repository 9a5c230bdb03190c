"""Image files: where they lie, whether they are whole, and their pixels, upright.

Damage in the middle is detected where the format has checksums (PNG). Of a damaged JPEG or WebP decoders make an image
of the right size, wrong from there on, and report nothing: such images are used as they are.
"""

from __future__ import annotations

import io
import logging
import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import cv2
import numpy as np
from jaxtyping import UInt16

from logpose.core.errors import InputError
from logpose.core.samples import Image
from logpose.data.pages import (
    MOST_PIXELS,
    TIFF,
    is_animated,
    missing,
    most_pixels,
    note_pages,
    page,
    tiff_at,
    tiff_pages,
)
from logpose.data.pillow_files import UNREADABLE, by_pillow, check_pixels, has_alpha, header, prepare_heic
from logpose.data.pixels import ImageLike, as_rgb
from logpose.data.shared import SILENT

__all__ = [
    "LOOKED_FOR",
    "SUFFIXES",
    "UPLOADED",
    "check_image",
    "coco_folder",
    "coco_folders",
    "image_folder",
    "image_size",
    "is_sideways",
    "located",
    "most_found",
    "read_deep",
    "read_image",
    "read_reduced",
    "size_or_fault",
]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif")
"""Suffixes of image files."""

JPEG, PNG = b"\xff\xd8", b"\x89PNG"  # what such files begin with
PNG_BITS = 24  # the byte of a PNG that has the number of bits of a value
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)  # EXIF's tag, and its values for an image that lies on its side
SURELY_SMALL = 2**20  # bytes of a JPEG within `MOST_PIXELS`: it needs some bits for every 256; other formats may not
EXIF_WITHIN = 2**16  # bytes of a JPEG within which its EXIF segment begins
REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
STORED_WIDTH, STORED_HEIGHT = 256, 257  # tags of a TIFF
UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the names of uploaded files."""
LOOKED_FOR = 50
"""Files that `most_found` looks for: one missing file decides nothing, and looking for all would take long."""
TAIL = 4096  # bytes at a file's end that are looked at first

Choice = TypeVar("Choice")
NOTED: set[int] = set()
"""Numbers of bits that were reported, once in a process."""

log = logging.getLogger("logpose")


def read_image(source: str | Path | ImageLike) -> Image:
    """A file as RGB, rotated upright by its EXIF data; or an image in memory, see `pixels.as_rgb`.

    Raises:
        InputError: if the file is missing, is not an image, or is truncated; if what is in memory is no image.
    """
    return read_reduced(source, 1.0)[0]


def read_reduced(source: str | Path | ImageLike, factor: float) -> tuple[Image, int]:
    """The image as `read_image` gives it, or smaller where that saves work: a JPEG can be decoded to a fraction.

    Returns:
        the image, and by what it was divided (1, 2, 4 or 8, `factor` at most): each of its pixels is the mean of so
        many by so many.

    Raises:
        InputError: as `read_image`.
    """
    if not isinstance(source, str | Path):
        return as_rgb(source), 1
    data = _whole(Path(source))
    if data.startswith(TIFF) or (data.startswith(PNG) and data[PNG_BITS : PNG_BITS + 1] == b"\x10"):
        return _of_8_bits(source, _decoded(source, data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH)), 1
    reduced = next((k for k in REDUCED if k <= factor and _is_upright_jpeg(data)), 1)
    image = _decoded(source, data, REDUCED.get(reduced, cv2.IMREAD_COLOR_RGB))
    return (image if reduced == 1 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)), reduced


def read_deep(path: str | Path) -> Image | UInt16[np.ndarray, "H W 3"]:
    """An image file as `read_image` gives it, but with all 16 bits where it keeps so many of each value.

    Raises:
        InputError: as `read_image`.
    """
    data = _whole(Path(path))
    pixels = _decoded(path, data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH)
    return pixels if pixels.dtype in (np.uint8, np.uint16) else _decoded(path, data, cv2.IMREAD_COLOR_RGB)


def _of_8_bits(source: str | Path, pixels: np.ndarray) -> Image:
    """Pixels of 16 bits as values from 0 to 255: taken as 8, 12 or 16 bits, the least that holds the largest value."""
    if pixels.dtype != np.uint16:
        return pixels
    bits = next(bits for bits in (8, 12, 16) if pixels.max(initial=0) < 2**bits)
    if bits == 12 and not NOTED:
        NOTED.add(bits)
        log.info("%s: values of 12 bits in 16; such files are taken as from 0 to 4095", source)
    return np.asarray(pixels >> (bits - 8), dtype=np.uint8)


def _whole(path: Path) -> bytes:
    """The bytes of an image file that is not cut: decoders fill missing pixels with grey and report nothing."""
    if (wrong := _not_regular(path)) is not None:
        raise InputError(f"{path}: {wrong}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not data:
        raise InputError(f"{path}: empty file")
    cut_jpeg = data.startswith(JPEG) and not _ends_well(data[:8], data[-TAIL:], len(data)) and not _jpeg_ends(data)
    if cut_jpeg or (data.startswith(PNG) and data.rfind(b"IEND") <= data.rfind(b"IDAT")):
        raise InputError(f"{path}: truncated image")
    prepare_heic(path, data)
    data = _at_page(path, data)
    if len(data) > SURELY_SMALL * most_pixels() / MOST_PIXELS or not data.startswith(JPEG):
        size = (0, 0)
        with suppress(*UNREADABLE), header(io.BytesIO(data)) as opened:
            size = opened.size
        check_pixels(path, size)
    return data


def _at_page(path: Path, data: bytes) -> bytes:
    """The bytes of a file, of which the first page is the one that is to be read, if it is a TIFF."""
    number = page()
    if data.startswith(TIFF):
        note_pages(path, tiff_pages(data))
        try:
            return tiff_at(data, number) if number else data
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    if is_animated(data):
        with suppress(*UNREADABLE), header(io.BytesIO(data)) as opened:
            note_pages(path, getattr(opened, "n_frames", 1))
    elif number:
        raise InputError(f"{path}: {missing(number, 1)}")
    return data


def _not_regular(path: Path) -> str | None:
    """Why a path is no file that can be read to its end: a device has none, and a pipe may wait for ever."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "no such file"
    except (OSError, ValueError):  # no permission; a name that no file can have
        return "cannot be read"
    return None if stat.S_ISREG(mode) else "is a folder" if stat.S_ISDIR(mode) else "not a regular file"


def _decoded(source: str | Path, data: bytes, flags: int) -> np.ndarray:
    """The pixels of a file's bytes, by OpenCV, or by Pillow where OpenCV reads them otherwise than they are meant.

    It does not turn AVIF, has no HEIC, multiplies the colours of a TIFF by its alpha, and reads first frames.
    """
    if data[4:8] == b"ftyp" or (page() and is_animated(data)) or has_alpha(data):
        return by_pillow(source, data)
    try:
        with SILENT:  # the error is raised below
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:  # a header with more pixels than OpenCV accepts
        raise InputError(f"{source}: not a readable image ({error.err})") from error
    if image is None and data.startswith(TIFF):
        image = _of_floats(source, data)
    if image is None:
        raise InputError(f"{source}: not a readable image")
    return image


def _of_floats(source: str | Path, data: bytes) -> Image | None:
    """A TIFF whose values are floats, from 0 to 1 or to 255 as of `pixels.as_rgb`; None if it is another."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype.kind != "f":
        return None
    try:
        return as_rgb(image[..., ::-1] if image.shape[2:] == (3,) else image)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def _is_upright_jpeg(data: bytes) -> bool:
    """Whether a file is a JPEG that its EXIF data do not turn: of another, blocks of pixels may not begin at 0."""
    if not data.startswith(JPEG):
        return False
    if b"Exif" not in data[:EXIF_WITHIN]:
        return True
    with header(io.BytesIO(data)) as opened:
        return opened.getexif().get(ORIENTATION, 1) == 1  # type: ignore[no-any-return]


def check_image(path: str | Path) -> str | None:
    """What is wrong with an image's file, None if nothing is; decodes it only where its end is unclear."""
    found = size_or_fault(path)
    return found if isinstance(found, str) else None


def size_or_fault(path: str | Path) -> tuple[int, int] | str:
    """(width, height) as of `image_size`, or what `check_image` reports, of one look at the file's header."""
    path = Path(path)
    if (wrong := _not_regular(path)) is not None:
        return wrong
    try:
        with path.open("rb") as file:
            head = file.read(8)
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            tail = file.read()
            begins = not head.startswith(JPEG) or _reaches_scan(file)
    except OSError:  # no permission
        return "cannot be read"
    try:
        if begins and _ends_well(head, tail, size):
            return image_size(path)
        height, width = read_image(path).shape[:2]
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
    return width, height


def _reaches_scan(file: BinaryIO) -> bool:
    """Whether a JPEG's header leads to its pixels: segment after segment, each of the length that it declares."""
    at = 2
    while True:
        file.seek(at)
        marker = file.read(4)
        if len(marker) < 4 or marker[0] != 0xFF or marker[1] == 0xD9:
            return False
        if marker[1] == 0xDA:
            return True
        at += 1 if marker[1] == 0xFF else 2 + int.from_bytes(marker[2:], "big")


def image_size(path: str | Path) -> tuple[int, int]:
    """(width, height) of an image as `read_image` returns it, read from the file's header.

    Raises:
        InputError: if the file is not an image, or has too many pixels.
    """
    path = Path(path)
    if page():  # not of the first
        height, width = read_image(path).shape[:2]
        return width, height
    try:
        with header(path) as opened:
            check_pixels(path, opened.size)  # before the next line, which decodes a PNG
            tags = opened.getexif()
            size = opened.size
            if opened.format == "TIFF":  # versions of Pillow differ in whether they have turned it
                size = tags.get(STORED_WIDTH, size[0]), tags.get(STORED_HEIGHT, size[1])
            size = size[::-1] if tags.get(ORIENTATION, 1) in SIDEWAYS else size
    except InputError:
        raise
    except UNREADABLE:
        height, width = read_image(path).shape[:2]
        return width, height
    return size


def is_sideways(path: str | Path) -> bool:
    """Whether an image's EXIF data turn it by a right angle; False of a file that Pillow cannot read."""
    with suppress(*UNREADABLE), header(Path(path)) as opened:
        return opened.getexif().get(ORIENTATION, 1) in SIDEWAYS
    return False


def _ends_well(head: bytes, tail: bytes, size: int) -> bool:
    """Whether a file ends as its format requires: by an end marker, or at the length in its header."""
    if head.startswith(JPEG):
        return tail.rstrip(b"\0").endswith(b"\xff\xd9")
    if head.startswith(PNG):
        return tail[-8:-4] == b"IEND"  # a checksum follows it
    return head.startswith(b"RIFF") and int.from_bytes(head[4:8], "little") + 8 <= size  # WebP


def _jpeg_ends(data: bytes) -> bool:
    """Whether a JPEG's own end marker is there: after its header with its thumbnail, before what cameras append."""
    at = 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        marker = data[at + 1]
        if marker == 0xD9:
            return True
        # Stuffed bytes, restart markers and fill bytes are part of the scan; all others begin a segment with a length.
        alone = marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8
        at += (1 if marker == 0xFF else 2) if alone else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def most_found(choices: Sequence[Choice], files: Callable[[Choice], Iterable[Path]]) -> Choice:
    """The choice, of folders or the like, by which most of a data set's first files exist; the first of equal ones."""
    # Not Path.is_file, which raises where a name is longer than any file's may be.
    return max(choices, key=lambda choice: sum(map(os.path.isfile, islice(files(choice), LOOKED_FOR))))


def image_folder(file: str | Path, names: Iterable[str]) -> Path:
    """The folder that has most of the first images: `images` beside a file or its folder, or its folder itself."""
    root = Path(file).parent
    known = [name for name in dict.fromkeys(names) if name]
    places = [root.parent / "images", root / "images", root]
    return most_found(places, lambda place: (place / name for name in known))


def coco_folder(file: str | Path, rows: Sequence[Any]) -> Path:
    """The folder beside a COCO file that has most of the first images of its `images`."""
    names = [row["file_name"] for row in rows if isinstance(row, dict) and isinstance(row.get("file_name"), str)]
    return most_found(coco_folders(file), lambda folder: (located(folder, name) for name in names))


def located(folder: str | Path, name: str, named: bool = False) -> Path:
    """The file that a name in a list of images means in a folder.

    Names with backslashes are read as paths too. In a folder that a person has `named` the last parts of a name are
    looked for as well, since a list may have the paths of another machine, and without Label Studio's prefix.
    """
    folder = Path(folder)
    path = folder / name
    is_file = os.path.isfile  # not Path.is_file, which raises where a name is longer than any file's may be
    elsewhere = Path(name).is_absolute()
    if not (named or "\\" in name) or (is_file(path) and not (named and elsewhere)):
        return path
    parts = [part for part in re.split(r"[\\/]+", name) if part not in ("", ".", "..")]
    tries = [folder.joinpath(*parts[start:]) for start in (range(len(parts)) if named else range(1))]
    tries += [folder / UPLOADED.sub("", parts[-1])] if named and parts else []
    return next(filter(is_file, tries), path)


def coco_folders(file: str | Path) -> list[Path]:
    """The folders beside a COCO file in which its images may be."""
    file = Path(file)
    split = file.stem.rsplit("_", maxsplit=1)[-1]
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    folders = [root / split, root / split.replace("test-dev", "test"), root / "images" / split, root / "images", root]
    return list(dict.fromkeys([*folders, file.parent, root / "data"]))  # the last as FiftyOne has it
