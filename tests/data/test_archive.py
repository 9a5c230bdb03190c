"""NumPy archives of pickled dictionaries: what `np.load` would give, and no more, whatever the pickle states."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import pickle
import zipfile
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy

from logpose.core.errors import InputError
from logpose.data import archive
from logpose.data.archive import printable, read_archive

RECONSTRUCT = np.empty(0).__reduce__()[0]
FLOATS = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
TREE = {
    "Train/S1": {"Walking 1": FLOATS, "Box": [FLOATS[:1], FLOATS[:, 1:]]},
    "sizes": {
        "heights": np.arange(3),
        "flags": np.array([True, False]),
        "scale": np.float64(2.5),
        "count": np.int16(-3),
    },
    "layout": ("é", 15, -1, 2**70, 0.5, True, [[1, 2], [3]]),
    7: np.asfortranarray(FLOATS),
    "big-endian": FLOATS.astype(">f8"),
    "every other": FLOATS[:, ::2],
    "bytes": np.arange(5, dtype=np.uint8),
    "half": FLOATS.astype(np.float16),
    "no frames": FLOATS[:0],
    "one": np.array(3.5),
    "swapped": FLOATS.transpose(2, 0, 1),
}


def same(found: Any, expected: Any) -> bool:
    """Whether two trees agree in values, kinds and (up to byte order) dtypes."""
    if isinstance(expected, np.ndarray):
        native = expected.dtype.newbyteorder("=")
        return type(found) is np.ndarray and found.dtype == native and np.array_equal(found, expected)
    if isinstance(expected, np.generic):
        return found == expected.item() and type(found) is type(expected.item())
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list | tuple):
        return type(found) is type(expected) and len(found) == len(expected) and all(map(same, found, expected))
    return type(found) is type(expected) and found == expected


def pickled(file: Path, content: bytes, name: str = "positions", header: dict[str, Any] | None = None) -> Path:
    """An archive with one entry: a header, of one object unless given another, and then these bytes."""
    entry = io.BytesIO()
    npy.write_array_header_1_0(entry, header or {"descr": "|O", "fortran_order": False, "shape": ()})
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr(f"{name}.npy", entry.getvalue() + content)
    return file


def boxed(tree: Any) -> np.ndarray:
    """An array of one object, as `np.savez` makes it of a dictionary."""
    box = np.empty((), dtype=object)
    box[()] = tree
    return box


class Calls:
    """An object that makes its pickle call a function, or fill what it returns."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("compressed", [False, True])
def test_what_numpy_writes(tmp_path: Path, compressed: bool) -> None:
    save = np.savez_compressed if compressed else np.savez
    save(tmp_path / "a.npz", positions=TREE, plain=FLOATS, wide=np.asfortranarray(FLOATS), number=3)  # type: ignore[arg-type]
    found = read_archive(tmp_path / "a.npz")
    assert list(found) == ["positions", "plain", "wide", "number"]
    assert same(found["positions"], TREE)
    assert same(found["plain"], FLOATS)
    assert same(found["wide"], FLOATS)
    assert found["number"] == 3
    found["positions"]["Train/S1"]["Walking 1"] += 1  # its own memory, that may be written


@pytest.mark.parametrize("protocol", [3, 4])
def test_numpys_protocols_and_both_modules_of_its_functions(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps(boxed(TREE), protocol=protocol)
    assert same(read_archive(pickled(tmp_path / "a.npz", content))["positions"], TREE)
    if protocol < 4:  # a name is followed by a newline there, so its length is free
        for other in (b"numpy.core.", b"numpy._core."):
            moved = content.replace(b"numpy._core.", b"numpy.core.").replace(b"numpy.core.", other)
            assert same(read_archive(pickled(tmp_path / "a.npz", moved))["positions"], TREE)


def test_an_array_of_arrays_is_a_list(tmp_path: Path) -> None:
    ragged = np.empty(2, dtype=object)
    ragged[:] = [FLOATS[:1], FLOATS]
    np.savez(tmp_path / "a.npz", positions={"S1": ragged}, loose=ragged)  # type: ignore[arg-type]
    found = read_archive(tmp_path / "a.npz")
    assert same(found, {"positions": {"S1": [FLOATS[:1], FLOATS]}, "loose": [FLOATS[:1], FLOATS]})


def test_what_is_in_two_places_is_read_once(tmp_path: Path) -> None:
    doubled: Any = FLOATS
    for _ in range(5):
        doubled = [doubled] * 10  # a hundred thousand places, five lists
    np.savez(tmp_path / "a.npz", positions={"S1": FLOATS, "S2": FLOATS, "many": doubled})  # type: ignore[arg-type]
    found = read_archive(tmp_path / "a.npz")["positions"]
    assert found["S1"] is found["S2"]
    assert found["many"][0] is found["many"][9]


def test_what_is_in_very_many_places_is_refused(tmp_path: Path) -> None:
    many: Any = {"laugh": 1}
    for _ in range(10):
        many = (many,) * 5 + ([many] * 5,)
    np.savez(tmp_path / "a.npz", positions={"S1": FLOATS, "many": many})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="2,000,000"):
        read_archive(tmp_path / "a.npz")


def test_a_hundred_thousand_arrays_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", positions={"S1": [FLOATS] * 100_000})  # type: ignore[arg-type]
    assert len(read_archive(tmp_path / "a.npz")["positions"]["S1"]) == 100_000


def test_a_shape_is_not_shown_in_full(tmp_path: Path) -> None:
    shape = b"(" + b"K\x01" * 100_000 + b"t"
    with pytest.raises(InputError, match=r"\(1, 1,") as refusal:
        read_archive(pickled(tmp_path / "a.npz", b"\x80\x03" + array(shape, "f4", b"1234") + b"."))
    assert len(str(refusal.value)) < 1000


@pytest.mark.parametrize(
    "key", ["\x1b[31mred", "two\nlines", "a" * 1001, "\u202eleft", 10**5000, -(2**65)], ids=range(6)
)
def test_names_that_cannot_be_shown(tmp_path: Path, key: Any) -> None:
    np.savez(tmp_path / "a.npz", positions={"S1": {key: FLOATS}})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"1,000|64") as no:
        read_archive(tmp_path / "a.npz")
    assert str(no.value).isprintable()
    if isinstance(key, str):
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as target:
            target.writestr(f"{key}.npy", b"")
        with pytest.raises(InputError, match="1,000"):
            read_archive(tmp_path / "a.npz")


def test_what_is_foreign_is_shown_on_one_line() -> None:
    assert printable("é\n\x1b[0m\u202e") == r"é\n\x1b[0m\u202e"
    assert printable("a" * 2000, 5) == "aaaaa..."
    assert len(printable([["x" * 10**6] * 1000] * 1000)) < 1100


HOSTILE = {
    "a command": (Calls(os.system, ("false",)), rf"{os.system.__module__}\.system"),
    "a command among arrays": ({"S1": [FLOATS, Calls(os.system, ("false",))]}, "system"),
    "eval": (Calls(eval, ("1",)), "eval"),
    "a way to others": (Calls(getattr, (FLOATS, "tofile")), "getattr"),
    "an object": (deque([1]), r"collections\.deque"),
    "an ordered dictionary": (OrderedDict(a=1), "OrderedDict"),
    "a set": ({"S1": {1, 2}}, r"instruction b'\\x8f'|builtin.*set"),
    "nothing": ({"S1": None}, "NoneType"),
    "bytes": ({"S1": b"xyz"}, "bytes"),
    "a complex number": (1j, "complex"),
    "complex numbers": ({"S1": FLOATS.astype(complex)}, "c16"),
    "text": ({"S1": np.array(["a", "b"])}, "U1"),
    "dates": ({"S1": np.array(["2020-01-01"], dtype="M8[D]")}, "M8"),
    "records": ({"S1": np.zeros(2, dtype=[("a", "f4")])}, "V4"),
    "long doubles": ({"S1": np.zeros(2, dtype=np.longdouble)}, "f(8|12|16)"),
    "a table of objects": ({"S1": np.array([[None, 1], [{}, 2]], dtype=object)}, "table of objects"),
    "a class of its own": ({"S1": np.ma.zeros(3)}, r"numpy\.ma"),
    "a matrix": (Calls(RECONSTRUCT, (np.matrix, (0,), b"b")), "matrix"),
    "an array class": ({"S1": np.ndarray}, r"numpy\.ndarray"),
    "a key that is no text": ({(1, 2): FLOATS}, "tuple"),
    "a codec": (Calls(codecs.encode, ("uryyb", "rot13")), r"_codecs\.encode"),
    "attributes for an array": (Calls(RECONSTRUCT, (np.ndarray, (0,), b"b"), {"shape": 1}), "state"),
    "attributes for a function": (Calls(RECONSTRUCT, (np.ndarray, (0,), b"b"), (None, {"value": 1})), "state"),
    "an array without contents": (Calls(RECONSTRUCT, (np.ndarray, (0,), b"b")), "_Array"),
    "an array in another way": (Calls(RECONSTRUCT, (np.ndarray, 10**12, b"b")), r"numpy\.core\.multiarray"),
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("protocol", [3, 4])
def test_anything_else_is_refused(tmp_path: Path, case: str, protocol: int) -> None:
    tree, token = HOSTILE[case]
    file = pickled(tmp_path / "a.npz", pickle.dumps(boxed(tree), protocol=protocol))
    with pytest.raises(InputError, match=token) as refusal:
        read_archive(file)
    assert str(refusal.value).startswith(f"{file}: holds ")


def dtype(code: str, order: bytes = b"<") -> bytes:
    """A dtype in protocol 2."""
    named = b"cnumpy\ndtype\n" + text(code) + b"\x89\x88\x87R"
    return named + b"(K\x03X\x01\0\0\0" + order + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def array(shape: bytes, code: str, content: bytes) -> bytes:
    """An array in protocol 3; `shape` is a pickled tuple."""
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87R"
    return made + b"(K\x01" + shape + dtype(code) + b"\x89B" + len(content).to_bytes(4, "little") + content + b"tb"


def test_the_arrays_that_the_next_tests_spoil(tmp_path: Path) -> None:
    content = b"\x80\x03" + array(b"K\x02\x85", "f4", FLOATS.tobytes()[:8]) + b"."
    assert same(read_archive(pickled(tmp_path / "a.npz", content))["positions"], FLOATS.ravel()[:2])


BROKEN = {
    "too few bytes": array(b"K\x02\x85", "f4", b"1234"),
    "too many bytes": array(b"K\x02\x85", "f4", b"123456789012"),
    "a million million numbers": array(b"\x8a\x06\0\0\0\0\0\x01\x85", "f8", b"12345678"),
    "a side below zero": array(b"J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86", "f4", b"1234"),
    "a side that is no number": array(text("1") + b"\x85", "f4", b"1234"),
    "no numbers, but endless": array(b"\x8a\x09" + b"\xff" * 8 + b"\0K\0\x86", "f4", b""),
    "forty axes": array(b"(" + b"K\x01" * 40 + b"t", "f4", b"1234"),
    "a kind that is none": array(b"K\x02\x85", "i3", b"123456"),
    "a persistent object": b"Pname\n",
    "another one": b"K\x01Q",
    "a registered object": b"\x82\x01",
    "a buffer from elsewhere": b"\x97",
    "an instance": b"(iposix\nsystem\n",
    "an object by its class": b"cnumpy\nndarray\n)\x81",
    "an object by its class, with words": b"cnumpy\nndarray\n)}\x92",
    "a name that is no text": b"K\x01K\x02\x93",
    "no such memory": b"h\x07",
    "nothing put down": b"\x87",
    "no mark": b"t",
    "a mark above what is left": b"K\x01(0\x85t",
    "an append to a number": b"K\x01K\x02a",
    "items for a list": b"]K\x01K\x02s",
    "an odd number of items": b"}(K\x01u",
    "a state for a list": b"]}" + text("a") + b"K\x01sb",
    "a state for a name": b"cnumpy\nndarray\n}b",
    "attributes for a name": b"cnumpy\nndarray\nN}" + text("name") + text("numpy.dtype") + b"s\x86b",
    "a call of text": text("eval") + text("1") + b"\x85R",
    "a list in itself": b"]q\x00h\x00a",
    "a dictionary in itself": b"}q\x00K\x01h\x00s",
    "a hundred thousand lists in one another": b"]" * 100_000 + b"a" * 99_999,
    "a deep key": b"})" + b"\x85" * 100_000 + b"K\x01s",
    "a word without end": b"\x8d" + (2**62).to_bytes(8, "little") + b"abc",
    "bytes without end": b"\x8e" + (2**62).to_bytes(8, "little") + b"abc",
    "no end": b"K\x01" * 3,
}


@pytest.mark.parametrize("case", BROKEN)
def test_pickles_that_no_program_writes(tmp_path: Path, case: str) -> None:
    end = b"" if case == "no end" else b"."
    file = pickled(tmp_path / "a.npz", b"\x80\x03" + BROKEN[case] + end)
    with pytest.raises(InputError, match=r"a\.npz: (holds|damaged)"):
        read_archive(file)


def test_a_far_place_in_memory_costs_nothing(tmp_path: Path) -> None:
    # Python's own unpickler makes room for all places up to this one: 32 GiB.
    content = b"\x80\x03K\x05r" + (2**31 - 1).to_bytes(4, "little") + b"."
    assert read_archive(pickled(tmp_path / "a.npz", content)) == {"positions": 5}


def test_no_more_than_so_many_things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = pickled(tmp_path / "a.npz", b"](" + b"K\x01" * 1000 + b"e.")
    assert read_archive(file) == {"positions": [1] * 1000}
    monkeypatch.setattr(archive, "MOST_STEPS", 1000)
    with pytest.raises(InputError, match="1,000"):
        read_archive(file)


def test_bombs_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.npz"
    np.savez_compressed(file, a=np.zeros(100_000), b=np.zeros(100_000))
    assert file.stat().st_size < 5000
    monkeypatch.setattr(archive, "MOST_BYTES", 1_000_000)
    with pytest.raises(InputError, match=r"1,600,256.*1,000,000"):
        read_archive(file)
    monkeypatch.undo()
    assert len(read_archive(file)["a"]) == 100_000  # small enough for any machine
    monkeypatch.setattr(archive, "LARGE", 1_000_000)
    with pytest.raises(InputError, match=r"1,600,256.*100 times"):
        read_archive(file)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"descr": "<f4", "fortran_order": False, "shape": (10**12,)}, "8 bytes"),
        ({"descr": "<f4", "fortran_order": False, "shape": (3,)}, "8 bytes"),
        ({"descr": "<c8", "fortran_order": False, "shape": (1,)}, r"positions\.npy.*complex64"),
        ({"descr": "<U2", "fortran_order": False, "shape": (1,)}, r"positions\.npy.*<U2"),
        ({"descr": [("a", "<f4")], "fortran_order": False, "shape": (2,)}, r"positions\.npy"),
        ({"descr": "|V4", "fortran_order": False, "shape": (2,)}, r"positions\.npy"),
        ({"descr": "<f3", "fortran_order": False, "shape": (2,)}, "f3"),
        ({"descr": "|O", "fortran_order": False, "shape": ()}, "instruction b'1'"),
    ],
)
def test_headers_that_lie(tmp_path: Path, header: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_archive(pickled(tmp_path / "a.npz", b"12345678", header=header))


def test_files_that_are_no_archives(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    with pytest.raises(InputError, match=r"a\.npz"):
        read_archive(file)
    for content in (b"", b"PK", b"\x93NUMPY", pickle.dumps({"a": 1})):
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.npz"):
            read_archive(file)
    with zipfile.ZipFile(file, "w") as other:
        other.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match=r"a\.npz"):
        read_archive(file)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as other:
        other.writestr("a.npy", "hello")
    with pytest.raises(InputError, match=r"a\.npy"):
        read_archive(file)


def test_damage_anywhere_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez_compressed(file, positions={"S1": FLOATS})  # type: ignore[arg-type]
    content = file.read_bytes()
    for length in range(0, len(content), 7):
        file.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"a\.npz: "):
            read_archive(file)
    whole = pickle.dumps(boxed({"S1": FLOATS}), protocol=4)
    rng = np.random.default_rng(0)
    for _ in range(300):
        spoilt = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            spoilt[place] = rng.integers(256)
        with contextlib.suppress(InputError):  # some are still trees of numbers; no other error may come out
            read_archive(pickled(file, bytes(spoilt)))


@pytest.mark.parametrize("name", ["data_3d_cmu", "data_3d_humaneva15", "data_2d_humaneva15_gt"])
def test_the_real_files_are_what_numpy_reads(data_root: Path, name: str) -> None:
    file = data_root / "lifting" / f"{name}.npz"
    if not file.is_file():
        pytest.skip(f"no {name}.npz in {data_root}")
    found = read_archive(file)
    with np.load(file, allow_pickle=True) as expected:
        assert list(found) == expected.files
        assert all(same(found[key], expected[key].item()) for key in expected.files)
