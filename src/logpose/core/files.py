"""Files written atomically, whole or not at all; archives from outside, checked before they are unpacked."""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from logpose.core.errors import DamagedFileError, InputError

__all__ = ["check_archive", "keep_as", "refuse_taken", "sync_folder", "whole_file", "whole_folder"]

AT_ONCE = 1 << 20  # bytes of an archive that are read at a time


@contextmanager
def whole_file(path: str | Path, durable: bool = False, keep: str | Path | None = None) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` once that is done, and leaves nothing if it fails.

    Folders that are missing are made. What is written lies beside `path` until then, as `NAME.part`. A device or a pipe
    keeps its place, and is written to.

    Args:
        path: the file.
        durable: whether it has to be on the disk, also after a power failure, before it takes the place of `path`.
        keep: a name for the file that was `path` before; without one it is gone.

    Raises:
        OSError: if it cannot be written; `filename` is `path`.
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        with path.open("wb") as file:
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if keep is not None and path.is_file():
            keep_as(path, keep)
        part.replace(path)
        if durable:
            sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        # torch reports its own failure to close the archive, which a full disk led to.
        failed = _system_error(error)
        if failed is None or failed.errno is None or failed.filename not in (None, str(part)):
            raise
        raise OSError(failed.errno, os.strerror(failed.errno), str(path)) from error
    finally:
        part.unlink(missing_ok=True)


def refuse_taken(path: str | Path) -> None:
    """Refuse to make a folder where there is something.

    Raises:
        InputError: if there is anything but an empty folder at `path`.
    """
    path = Path(path)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path}: is a file, or a folder that is not empty; choose another")


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `path` once that is done, and leaves nothing if it fails.

    Args:
        path: the folder; may exist if it is empty. Folders above it are made.

    Raises:
        InputError: if there is something at `path` already.
    """
    path = Path(path)
    refuse_taken(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.parent / f".{path.name}.unfinished-{os.getpid()}"
    try:
        unfinished.mkdir()
        yield unfinished
        if path.exists():
            path.rmdir()
        unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _system_error(error: BaseException | None) -> OSError | None:
    """The error of the operating system that led to an error, if any."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def keep_as(path: str | Path, kept: str | Path) -> None:
    """Give a file a second name, in place of the file that had it; at no moment is the file without the first one.

    Where the file system has no second names (FAT, some network shares), the file is renamed.
    """
    path, kept = Path(path), Path(kept)
    link = kept.with_name(kept.name + ".part")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:
        path.replace(kept)
    else:
        link.replace(kept)


def sync_folder(folder: str | Path) -> None:
    """Write the names in a folder to the disk, where the system can (not on Windows)."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def check_archive(path: str | Path) -> None:
    """Check a zip archive as `torch.save` writes it: each record against its CRC32, and all against the file's size.

    Records are stored uncompressed, so an archive that declares more bytes than its file has is no such file; it is
    refused before a byte of it is unpacked.

    Raises:
        DamagedFileError: naming the file, and the record that is damaged.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            if sum(record.file_size for record in records) > path.stat().st_size:
                raise DamagedFileError(f"{path}: declares more bytes than the file has, and is not unpacked")
            for record in records:
                with archive.open(record) as opened:
                    while opened.read(AT_ONCE):
                        pass
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        LookupError,
        ValueError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        if isinstance(error, DamagedFileError):
            raise
        raise DamagedFileError(f"{path}: {error!s:.120}") from error
