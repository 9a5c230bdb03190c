"""NumPy archives (`.npz`) that hold pickled dictionaries of arrays: numbers and names out of them, and nothing else.

The lifting data sets are written with `np.savez` from dictionaries, so they are pickles, and a pickle may say "call
this function with these arguments". No unpickler runs here. `pickletools` tells one instruction of the pickle after
the other, and this module carries out the few that build containers, text and numbers; a call is compared with the
handful of calls that NumPy's own pickles of arrays make, and what they would have made is made here. So no instruction
can import, call or change anything, and no size that a file declares is believed before its bytes are there.
"""

from __future__ import annotations

import math
import pickletools
import re
import reprlib
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

import numpy as np
from numpy.lib import format as npy

from logpose.core.errors import InputError

__all__ = ["of_cameras", "printable", "read_archive"]

MOST_BYTES = 4 * 2**30
"""Uncompressed size of an archive; the 2-D poses of Human3.6M, 3.6 million of 17 joints, have half a gigabyte."""
MOST_STEPS = 5_000_000
"""Instructions of one pickle; Human3.6M's takes some forty for each of its 840 arrays."""
DEEPEST = 16
"""Containers within containers; the data sets need three."""
MOST_PLACES = 2_000_000
"""Places of the whole tree, where what is shared counts as often as it is met; Human3.6M's has some thousand."""
MOST_CAMERAS = 1000
"""Views of one sequence."""
LONGEST = 1000
"""Letters of a name."""

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
"""Of each version of the `.npy` format that arrays of numbers come in."""
NUMBER = re.compile(r"b1|[iu][1248]|f[248]")

RECONSTRUCT, FROM_BUFFER = "numpy.core.multiarray._reconstruct", "numpy.core.numeric._frombuffer"
SCALAR, ARRAY, TYPE, ENCODE = "numpy.core.multiarray.scalar", "numpy.ndarray", "numpy.dtype", "_codecs.encode"
ADMITTED = {RECONSTRUCT, FROM_BUFFER, SCALAR, ARRAY, TYPE, ENCODE}
"""What pickles of arrays name: protocol 5 `_frombuffer`, older ones `_reconstruct`, protocol 2 writes bytes as text."""

LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE", "BINBYTES", "BINBYTES8", "SHORT_BINBYTES", "BYTEARRAY8"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Foreign(Exception):  # noqa: N818 - it never leaves this module
    """What the archive holds that is no array of numbers."""


@dataclass(frozen=True, slots=True)
class _Named:
    """A function or class that the pickle names; only its name."""

    name: str


@dataclass(slots=True, eq=False)
class _Type:
    """A NumPy dtype: code ("f4") and byte order."""

    code: str
    order: str = "="


@dataclass(slots=True, eq=False)
class _Array:
    """A NumPy array, made empty and filled by a later instruction; one of objects is kept as their list."""

    value: Any = None


def printable(value: Any, most: int = LONGEST) -> str:
    """Something foreign for a message: on one line, of letters that a terminal shows as they are, and not long."""
    text = value if isinstance(value, str) else reprlib.repr(value)
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text[:most])
    return shown if len(text) <= most else f"{shown}..."


def of_cameras(views: Any) -> TypeGuard[Sequence[Any] | np.ndarray]:
    """Whether this is a list of what each camera saw, or an array of as many views; not what each view is."""
    array = isinstance(views, np.ndarray) and views.ndim == 4 and len(views) <= MOST_CAMERAS
    return array or isinstance(views, list | tuple)


def read_archive(file: str | Path) -> dict[str, Any]:
    """The arrays of an `.npz` file by name, without running the pickles in it.

    Args:
        file: a zip archive of `.npy` files, as `np.savez` and `np.savez_compressed` write it, from Python 3.

    Returns:
        Of an array of numbers that array; of a pickled object the object: dictionaries, lists and tuples of text,
        numbers and arrays of numbers, in this machine's byte order. Arrays of objects come as lists. Keys are numbers
        and printable text of `LONGEST` letters at most. The tree has no more than `MOST_PLACES` places.

    Raises:
        InputError: if the file is missing or damaged, holds anything else, or is larger than `MOST_BYTES`.
    """
    file = Path(file)
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _check_size(sum(entry.file_size for entry in entries))
            names = [entry.filename.removesuffix(".npy") for entry in entries]
            _check_keys(names)
            return {name: _entry(archive, entry) for name, entry in zip(names, entries, strict=True)}
    except _Foreign as foreign:
        raise InputError(f"{file}: holds {printable(str(foreign))}; refused") from foreign
    except zipfile.BadZipFile as error:
        raise InputError(f"{file}: not a NumPy archive (.npz), or a damaged one ({printable(str(error))})") from error
    except Exception as error:  # whatever is wrong in a hostile file, its readers may fail in any way
        told = printable(" ".join(str(error)[:LONGEST].split()))
        raise InputError(f"{file}: a damaged NumPy archive ({type(error).__name__}: {told})") from error


def _check_size(declared: int) -> None:
    if declared > MOST_BYTES:
        raise _Foreign(f"{declared:,} bytes once unpacked, more than the {MOST_BYTES:,} that are read")


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Any:
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _Foreign(f"{entry.filename} in a compression that NumPy does not write")
    with archive.open(entry) as stream:
        header = HEADERS.get(npy.read_magic(stream))
        if header is None:
            _refuse(f"{entry.filename} in a version of the .npy format for records")
        shape, fortran, dtype = header(stream)
        content = stream.read()  # no more than the archive's directory says, so no more than MOST_BYTES
    if dtype.kind == "O":
        return _plain(_unpickled(content), (), {})[0]
    if dtype.kind not in "biuf":
        _refuse(f"{entry.filename}, an array of {dtype}")
    return _numbers(dtype, shape, content, "F" if fortran else "C")


def _refuse(what: str) -> NoReturn:
    raise _Foreign(f"{what}, which is not an array of numbers")


def _unpickled(content: bytes) -> Any:
    """What a pickle builds, by the instructions that containers, text, numbers and arrays need."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def popped(count: int) -> list[Any]:
        values = stack[len(stack) - count :]
        if len(values) != count:
            raise ValueError("the pickle takes what it has not put down")
        del stack[len(stack) - count :]
        return values

    def since_mark() -> list[Any]:
        return popped(len(stack) - marks.pop())

    argument: Any
    for step, (instruction, argument, _) in enumerate(pickletools.genops(BytesIO(content))):
        if step == MOST_STEPS:
            raise _Foreign(f"more than {MOST_STEPS:,} things")
        name = instruction.name
        if name in ("PROTO", "FRAME"):
            pass
        elif name in LITERALS:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "MARK":
            marks.append(len(stack))
        elif name == "TUPLE":
            stack.append(tuple(since_mark()))
        elif name in TUPLES:
            stack.append(tuple(popped(TUPLES[name])))
        elif name in ("APPEND", "APPENDS"):
            values = popped(1) if name == "APPEND" else since_mark()
            _within(stack[-1], list).extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            values = popped(2) if name == "SETITEM" else since_mark()
            _within(stack[-1], dict).update(_items(values))
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "GLOBAL":
            stack.append(_named(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack.append(_named(*popped(2)))
        elif name == "REDUCE":
            stack.append(_made(*popped(2)))
        elif name == "BUILD":
            state = popped(1)[0]
            _fill(stack[-1], state)
        elif name == "STOP":
            break
        else:
            _refuse(f"something made by the pickle instruction {name}")
    return popped(1)[0]


def _described(value: Any) -> str:
    """What a value is, for a message; not what it holds, which may be endless."""
    if isinstance(value, _Named):
        return value.name
    return {_Array: "an array", _Type: "a dtype", type(None): "None"}.get(type(value), f"a {type(value).__name__}")


def _within(container: Any, kind: type) -> Any:
    if type(container) is not kind:
        raise TypeError("the pickle puts something into what is no container")
    return container


def _items(values: list[Any]) -> Iterable[tuple[Any, Any]]:
    """Keys and values; only text and numbers are keys, so that nothing deep is ever hashed."""
    keys = values[::2]
    _check_keys(keys)
    return zip(keys, values[1::2], strict=True)


def _check_keys(keys: Iterable[Any]) -> None:
    """Keys end up in messages: text of letters that can be shown, not long, and numbers of few digits."""
    for key in keys:
        if not isinstance(key, str | int | float):
            _refuse(f"{_described(key)} as a key")
        if isinstance(key, str) and not (len(key) <= LONGEST and key.isprintable()):
            raise _Foreign(f"a name of more than {LONGEST:,} letters, or of some that cannot be shown: {key[:50]!a}")
        if isinstance(key, int) and key.bit_length() > 64:
            raise _Foreign("a number of more than 64 bits as a key")


def _named(module: Any, name: Any) -> _Named:
    """A name that the pickle mentions; NumPy 1 and 2 keep the same functions in two places."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise TypeError("the pickle names something by other than text")
    full = f"{module}.{name}".replace("numpy._core.", "numpy.core.")
    if full not in ADMITTED:
        _refuse(f"{module}.{name}")
    return _Named(full)


def _made(function: Any, arguments: Any) -> Any:
    """What a call of the pickle would make, if it is one of those that pickles of arrays need."""
    # In `_frombuffer` the contents' axes are in another order ("K") for arrays that are neither C's nor Fortran's.
    match function, arguments:
        case _Named(name=name), (_Named(name=made), tuple(), bytes()) if (name, made) == (RECONSTRUCT, ARRAY):
            return _Array()
        case _Named(name=name), (content, _Type() as kind, tuple() as shape, "C" | "F" as order, *_) if (
            name == FROM_BUFFER
        ):
            return _Array(_numbers(_dtype(kind), shape, content, order))
        case _Named(name=name), (content, _Type() as kind, tuple() as shape, "K", tuple() as axes) if (
            name == FROM_BUFFER
        ):
            return _Array(_numbers(_dtype(kind), shape, content, "C").transpose(axes))
        case _Named(name=name), (str() as code, *_) if name == TYPE:
            return _Type(code)
        case _Named(name=name), (_Type() as kind, bytes() as content) if name == SCALAR:
            return _numbers(_dtype(kind), (), content, "C").item()
        case _Named(name=name), (str() as text, "latin1") if name == ENCODE:
            return text.encode("latin-1")
    _refuse(f"a call of {_described(function)}")


def _fill(target: Any, state: Any) -> None:
    """Fill an array, or give a dtype its byte order."""
    match target, state:
        case _Type(), (3, "<" | ">" | "=" | "|" as order, None, None, None, int(), int(), int()):
            target.order = order
        case _Array(), (1, tuple() as shape, _Type(code="O8" | "O4" | "O"), _, list() as objects):
            if shape not in ((), (len(objects),)) or (shape == () and len(objects) != 1):
                _refuse("a table of objects")
            target.value = objects if shape else objects[0]
        case _Array(), (1, tuple() as shape, _Type() as kind, bool() as fortran, bytes() as content):
            target.value = _numbers(_dtype(kind), shape, content, "F" if fortran else "C")
        case _:
            _refuse(f"{_described(target)} with a state of its own")


def _dtype(kind: _Type) -> np.dtype[Any]:
    if not NUMBER.fullmatch(kind.code):
        _refuse(f"an array of {kind.code}")
    return np.dtype(kind.order + kind.code)


def _numbers(dtype: np.dtype[Any], shape: tuple[Any, ...], content: bytes | bytearray, order: str) -> np.ndarray:
    """An array from its bytes, if there are as many as its shape needs."""
    sane = len(shape) <= DEEPEST and all(type(side) is int and side >= 0 for side in shape)
    if not sane or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"an array's {len(content)} bytes do not fill its shape {reprlib.repr(shape)} of {dtype}")
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if order == "F" else "C")
    return array.astype(dtype.newbyteorder("="))  # a copy: its own memory, this machine's byte order


def _plain(value: Any, above: tuple[int, ...], done: dict[int, tuple[Any, int]]) -> tuple[Any, int]:
    """The same tree of dictionaries, lists and tuples with the arrays in their places, and how many places it has.

    Args:
        value: what the pickle built.
        above: of the containers that it lies in.
        done: by identity, so that a container that is in many places is looked at once.
    """
    if isinstance(value, str | int | float | np.ndarray):
        return value, 1
    key = id(value)
    if key in done:
        return done[key]
    if key in above or len(above) > DEEPEST:
        raise _Foreign(f"containers that hold themselves, or more than {DEEPEST} within one another")
    inside = (*above, key)
    if isinstance(value, dict | list | tuple):
        held = [_plain(each, inside, done) for each in (value.values() if isinstance(value, dict) else value)]
        places = 1 + sum(count for _, count in held)
        plain: Any = [each for each, _ in held]
        if isinstance(value, dict):
            plain = dict(zip(value, plain, strict=True))
        elif isinstance(value, tuple):
            plain = tuple(plain)
    elif isinstance(value, _Array) and value.value is not None:
        plain, places = _plain(value.value, inside, done)
    else:
        _refuse(f"{_described(value)} by itself")
    if places > MOST_PLACES:
        raise _Foreign(f"more than {MOST_PLACES:,} things, counting what is in many places in each")
    done[key] = plain, places
    return plain, places
