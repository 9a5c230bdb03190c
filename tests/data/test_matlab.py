"""Numbers out of MATLAB files, and one sentence for anything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from logpose.core.errors import InputError
from logpose.data.matlab import matlab_sizes, read_matlab


def test_numbers_of_any_kind(tmp_path: Path) -> None:
    for kind in (np.float64, np.float32, np.uint8, np.int16, bool):
        savemat(tmp_path / "a.mat", {"a": np.array([[1, 0], [1, 1]], dtype=kind), "b": "text"})
        array = read_matlab(tmp_path / "a.mat", "a")
        assert array.dtype == np.float64
        assert array.tolist() == [[1, 0], [1, 1]]


def test_what_is_not_numbers(tmp_path: Path) -> None:
    file = tmp_path / "a.mat"
    savemat(file, {"a": np.array(["text"]), "b": {"c": 1.0}, "d": np.array([1 + 2j])})
    for name in "abd":
        with pytest.raises(InputError, match=name):
            read_matlab(file, name)
    with pytest.raises(InputError, match=r"a\.mat.*'e'"):
        read_matlab(file, "e")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "MATLAB"),
        (b"not one at all, whatever its name states" * 20, "MATLAB"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400), r"a MATLAB 7\.3 file; save it with -v7"),
    ],
)
def test_what_is_not_such_a_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_matlab(tmp_path / "a.mat", "a")


def test_a_file_cut_short(tmp_path: Path) -> None:
    file = tmp_path / "a.mat"
    savemat(file, {"a": np.random.default_rng(0).random((50, 50))})
    whole = file.read_bytes()
    for size in (60, 128, 140, 3000):
        file.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"\.mat"):
            read_matlab(file, "a")


def test_sizes_are_reported_without_reading(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"a": np.zeros((3, 4, 5)), "b": "text"}, do_compression=True)
    assert matlab_sizes(tmp_path / "a.mat")["a"] == (3, 4, 5)
    (tmp_path / "b.mat").write_bytes(b"not one" * 100)
    with pytest.raises(InputError, match=r"b\.mat"):
        matlab_sizes(tmp_path / "b.mat")
    with pytest.raises(InputError, match=r"c\.mat"):
        matlab_sizes(tmp_path / "c.mat")
