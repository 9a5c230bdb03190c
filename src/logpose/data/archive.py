"""NumPy archives (`.npz`) that hold pickled dictionaries of arrays, read without calling anything that they name.

A pickle may contain any call. `_Unpickler` is Python's own with the few instructions that data need. The four names
that NumPy's pickles of arrays use (`ADMITTED`) become objects of this module, which check their arguments and make the
arrays; any other name is refused. So nothing is imported, and no size that a file declares is allocated before its
bytes are there.
"""

from __future__ import annotations

import math
import pickle
import re
import reprlib
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.lib import format as npy

from logpose.core.errors import InputError

__all__ = ["of_cameras", "printable", "read_archive"]

MOST_BYTES = 4 * 2**30  # of an archive, uncompressed; Human3.6M's 3.6 million 2-D poses have half a gigabyte
LARGE, MOST_TIMES = 2**28, 100  # bytes, and how many times an archive's that may be: arrays of numbers shrink tenfold
MOST_STEPS = 5_000_000  # instructions of one pickle; Human3.6M's takes some forty for each of its 840 arrays
DEEPEST = 16  # containers within containers; the data sets need three
MOST_ITEMS = 2_000_000  # of the whole tree, where a shared one counts each time; Human3.6M's has some thousand
MOST_CAMERAS = 1000  # views of one sequence
LONGEST = 1000  # letters of a name

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
"""Of each version of the `.npy` format that arrays of numbers come in."""
NUMBER = re.compile(r"b1|[iu][1248]|f[248]")
RECONSTRUCT, SCALAR = "numpy.core.multiarray._reconstruct", "numpy.core.multiarray.scalar"
ARRAY, TYPE = "numpy.ndarray", "numpy.dtype"
ADMITTED = {RECONSTRUCT, SCALAR, ARRAY, TYPE}
"""The names in pickles of arrays, in the protocols that `np.savez` has used, 3 and 4."""
INSTRUCTIONS = (
    *("PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "NONE", "NEWTRUE", "NEWFALSE"),
    *("BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE", "BINBYTES", "BINBYTES8", "SHORT_BINBYTES"),
    *("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("APPEND", "APPENDS", "SETITEM", "SETITEMS", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
)
"""Of the pickle format, by the names of Python's `pickle` module."""


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    """The archive holds something other than trees of numbers; the message is what."""


def printable(value: Any, most: int = LONGEST) -> str:
    """Foreign text or values for a message: one line of printable letters, at most `most` of them."""
    text = value if isinstance(value, str) else reprlib.repr(value)
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text[:most])
    return shown if len(text) <= most else f"{shown}..."


def of_cameras(views: Any) -> TypeGuard[Sequence[Any] | np.ndarray]:
    """Whether this is a list with an entry for each camera, or an array of as many views."""
    array = isinstance(views, np.ndarray) and views.ndim == 4 and len(views) <= MOST_CAMERAS
    return array or isinstance(views, list | tuple)


def read_archive(file: str | Path) -> dict[str, Any]:
    """The arrays of an `.npz` file by name, without calling what the pickles in it name.

    The file is as `np.savez` and `np.savez_compressed` write it, from Python 3. Of an array of objects the result is a
    list; of a pickled object it is dictionaries, lists and tuples of text, numbers and arrays of numbers, in this
    machine's byte order.

    Raises:
        InputError: if the file is missing or damaged, holds anything else, or exceeds the limits above.
    """
    if not Path(file).is_file():
        raise InputError(f"{file}: no such file")
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _check_size(sum(entry.file_size for entry in entries), Path(file).stat().st_size)
            names = [entry.filename.removesuffix(".npy") for entry in entries]
            _check_keys(names)
            return {name: _entry(archive, entry) for name, entry in zip(names, entries, strict=True)}
    except _Refused as refused:
        raise InputError(f"{file}: holds {printable(str(refused))}; expected arrays of numbers") from refused
    except Exception as error:  # a hostile file can make its readers fail in any way
        detail = printable(" ".join(str(error)[:LONGEST].split()))
        raise InputError(f"{file}: damaged NumPy archive (.npz; {type(error).__name__}: {detail})") from error


def _check_size(declared: int, stored: int) -> None:
    if declared > MOST_BYTES:
        raise _Refused(f"{declared:,} bytes once unpacked, more than {MOST_BYTES:,}")
    if declared > max(LARGE, MOST_TIMES * stored):
        raise _Refused(f"{declared:,} bytes once unpacked, more than {MOST_TIMES} times its size")


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Any:
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _Refused(f"{entry.filename} in a compression that NumPy does not write")
    with archive.open(entry) as stream:
        header = HEADERS.get(npy.read_magic(stream))
        if header is None:
            raise _Refused(f"{entry.filename} in a version of the .npy format for records")
        shape, fortran, dtype = header(stream)
        content = stream.read()  # no more than the archive's directory declares, so no more than MOST_BYTES
    if dtype.kind == "O":
        return _plain(_Unpickler(content).load(), (), {})[0]
    if dtype.kind not in "biuf":
        raise _Refused(f"{entry.filename}, an array of {dtype}")
    return _numbers(dtype, shape, content, fortran)


def _check_keys(keys: Iterable[Any]) -> None:
    """Keys go into messages and are hashed: short printable text and numbers of 64 bits."""
    for key in keys:
        if not isinstance(key, str | int | float):
            raise _Refused(f"a {type(key).__name__} as a key")
        if isinstance(key, str) and not (len(key) <= LONGEST and key.isprintable()):
            raise _Refused(f"a name of more than {LONGEST:,} letters, or of unprintable ones: {key[:50]!a}")
        if isinstance(key, int) and key.bit_length() > 64:
            raise _Refused("a number of more than 64 bits as a key")


def _numbers(dtype: np.dtype[Any], shape: tuple[Any, ...], content: bytes, fortran: bool = False) -> np.ndarray:
    """An array from its bytes, if there are as many as its shape needs."""
    sane = len(shape) <= DEEPEST and all(type(side) is int and side >= 0 for side in shape)
    if not sane or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"{len(content)} bytes do not fill an array of shape {reprlib.repr(shape)} of {dtype}")
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="))  # a copy: its own memory, this machine's byte order


@dataclass(slots=True, eq=False)
class _Type:
    """A NumPy dtype: code ("f4") and byte order."""

    code: str
    order: str = "="

    def __setstate__(self, state: Any) -> None:
        match state:
            case (3, "<" | ">" | "=" | "|" as order, None, None, None, int(), int(), int()):
                self.order = order
            case _:
                raise _Refused(f"a dtype {self.code} with a state of its own")

    def numpy(self) -> np.dtype[Any]:
        if not NUMBER.fullmatch(self.code):
            raise _Refused(f"an array of {self.code}")
        return np.dtype(self.order + self.code)


@dataclass(slots=True, eq=False)
class _Array:
    """A NumPy array, empty until its state is set; one of objects is their list."""

    value: Any = None

    def __setstate__(self, state: Any) -> None:
        match state:
            case (1, tuple() as shape, _Type(code="O8" | "O4" | "O"), _, list() as objects):
                if shape not in ((), (len(objects),)) or (shape == () and len(objects) != 1):
                    raise _Refused("a table of objects")
                self.value = objects if shape else objects[0]
            case (1, tuple() as shape, _Type() as kind, bool() as fortran, bytes() as content):
                self.value = _numbers(kind.numpy(), shape, content, fortran)
            case _:
                raise _Refused("an array with a state of its own")


@dataclass(frozen=True, slots=True, eq=False)
class _Named:
    """A function or class that the pickle names: of the admitted ones, what the call would make."""

    name: str

    def __call__(self, *arguments: Any) -> Any:
        match arguments:
            case (_Named(name="numpy.ndarray"), tuple(), bytes()) if self.name == RECONSTRUCT:
                return _Array()
            case (str() as code, *_) if self.name == TYPE:
                return _Type(code)
            case (_Type() as kind, bytes() as content) if self.name == SCALAR:
                return _numbers(kind.numpy(), (), content).item()
        raise _Refused(f"a call of {self.name}")


class _Dict(dict[Any, Any]):
    """A dictionary that checks its keys before it hashes them: the hash of nested tuples has no bound."""

    def __setitem__(self, key: Any, value: Any) -> None:
        _check_keys([key])
        super().__setitem__(key, value)


class _Unpickler(pickle._Unpickler):  # the one in C allocates as many places of its memo as a file declares
    """Python's unpickler with `INSTRUCTIONS` only, and for each name of `ADMITTED` a `_Named`."""

    def __init__(self, content: bytes) -> None:
        super().__init__(BytesIO(content))
        codes = [getattr(pickle, name)[0] for name in INSTRUCTIONS]
        empty = {pickle.EMPTY_DICT[0]: lambda unpickler: unpickler.append(_Dict())}
        self.dispatch = _Counted({code: self.dispatch[code] for code in codes} | empty)  # type: ignore[misc]

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}".replace("numpy._core.", "numpy.core.")  # NumPy 2's and NumPy 1's
        if full not in ADMITTED:
            raise _Refused(f"{module}.{name}")
        return _Named(full)


class _Counted(dict[int, Any]):
    """Instructions by their code, each use of which counts."""

    steps = 0

    def __getitem__(self, code: int) -> Any:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise _Refused(f"more than {MOST_STEPS:,} pickle instructions")
        return super().__getitem__(code)

    def __missing__(self, code: int) -> Any:
        raise _Refused(f"the pickle instruction {bytes([code])!r}")


def _plain(value: Any, above: tuple[int, ...], done: dict[int, tuple[Any, int]]) -> tuple[Any, int]:
    """The same tree with arrays in the place of `_Array`, and its number of items.

    `above` are the identities of the containers around it; `done` has the results of shared ones by identity.
    """
    if isinstance(value, str | int | float | np.ndarray):
        return value, 1
    key = id(value)
    if key in done:
        return done[key]
    if key in above or len(above) > DEEPEST:
        raise _Refused(f"containers that hold themselves, or more than {DEEPEST} within one another")
    inside = (*above, key)
    if isinstance(value, _Array) and value.value is not None:
        plain, items = _plain(value.value, inside, done)
    elif isinstance(value, dict | list | tuple):
        held = [_plain(each, inside, done) for each in (value.values() if isinstance(value, dict) else value)]
        items, parts = 1 + sum(count for _, count in held), [each for each, _ in held]
        plain = dict(zip(value, parts, strict=True)) if isinstance(value, dict) else type(value)(parts)
    else:
        raise _Refused(f"{value.name if isinstance(value, _Named) else type(value).__name__} by itself")
    if items > MOST_ITEMS:
        raise _Refused(f"more than {MOST_ITEMS:,} items, where a shared one counts each time")
    done[key] = plain, items
    return plain, items
