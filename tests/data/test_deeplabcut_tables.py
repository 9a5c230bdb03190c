"""DeepLabCut's tables: a CSV file and an HDF5 file of the same labels, and files that are neither."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deeplabcut_cases import names, table

from logpose.core.errors import InputError
from logpose.data.deeplabcut_tables import read_table

POINTS = {("", "nose"): [(10, 12), (None, None)], ("", "tail"): [(30, 20.5), (31, 21)]}


def written(folder: Path, text: str) -> Path:
    file = folder / "CollectedData_ann.csv"
    file.write_text(text)
    return file


def test_rows_are_images(tmp_path: Path) -> None:
    found = read_table(written(tmp_path, table(POINTS, names(2))))
    assert found.scorer == "ann"
    assert found.points == [("", "nose"), ("", "tail")]
    assert list(found.rows) == names(2)
    nan = float("nan")
    for (where, positions), line, values in zip(
        found.rows.values(), (4, 5), ([[10, 12], [30, 20.5]], [[nan, nan], [31, 21]]), strict=True
    ):
        assert where == f"{tmp_path / 'CollectedData_ann.csv'}: line {line}"
        np.testing.assert_array_equal(positions, values)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("31,21", "31,", "line 5"), ("31,21", "31,x", "line 5"), ("31,21", "31", "line 5"),
        ("31,21", "31,21,3", "line 5"), ("img1.png", "img0.png", "line 5"),
        ("10,12", "10,nan", "line 4"), ("10,12", "10;5,12", "line 4"),
    ],
)  # fmt: skip
def test_wrong_rows_are_named(tmp_path: Path, old: str, new: str, line: str) -> None:
    found = read_table(written(tmp_path, table(POINTS, names(2)).replace(old, new)))
    assert [problem.where.split(": ")[-1] for problem in found.problems] == [line]
    assert len(found.rows) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "scorer"),
        (table(POINTS, names(2)).replace(",", ";"), "commas"),
        (table(POINTS, names(2)).replace("tail", "nose"), "nose"),
        (table(POINTS, names(2)).replace("ann,ann,ann,ann", "ann,ann,bob,bob"), "ann, bob"),
        (table(POINTS, names(2)).replace("x,y,x,y", "x,y,x,z"), "x, y, z"),
        (table(POINTS, names(2)).replace("bodyparts", "parts"), "bodyparts"),
        (table(POINTS, names(2)).replace("nose,nose,", "nose,"), "length"),
        (table({("", "nose"): [(1, 2, 0.9)]}, names(1), coords=("x", "y", "likelihood")), "predictions"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_table(written(tmp_path, text))


@pytest.mark.parametrize("data", [b"scorer,\xff\xfe", b"scorer," + b'"' * 200001, b"scorer,a\0b\r"])
def test_files_that_are_no_text_are_refused(tmp_path: Path, data: bytes) -> None:
    file = written(tmp_path, "")
    file.write_bytes(data)
    with pytest.raises(InputError, match=r"CollectedData_ann\.csv"):
        read_table(file)


# HDF5


def frame(file: Path, points: Any = POINTS, split: bool = True, **changes: Any) -> Path:
    """An HDF5 file in the layout of pandas' `to_hdf`, with other datasets in place of some."""
    h5py = pytest.importorskip("h5py", reason="the extra `deeplabcut` is not installed")
    several = any(individual for individual, _ in points)
    levels = ("scorer", "individuals", "bodyparts", "coords") if several else ("scorer", "bodyparts", "coords")
    keys = [("ann", *point, axis) for point in points for axis in "xy"]
    columns = keys if several else [(scorer, part, axis) for scorer, _, part, axis in keys]
    images = [tuple(name.split("/")) if split else (name,) for name in names(len(next(iter(points.values()))))]
    cells = [[value for rows in points.values() for value in rows[i]] for i in range(len(images))]
    with h5py.File(file, "w") as opened:
        group = opened.create_group("df_with_missing")
        group.attrs["nblocks"] = 1
        arrays: dict[str, Any] = {"block0_values": np.array(cells, dtype=np.float64)}
        for key, rows in (("block0_items", columns), ("axis1", images)):
            if len(rows[0]) == 1:
                arrays[key] = np.array([row[0].encode() for row in rows])
                continue
            group.attrs[f"{key}_nlevels"] = len(rows[0])
            for i in range(len(rows[0])):
                words = sorted({row[i] for row in rows})
                arrays[f"{key}_level{i}"] = np.array([word.encode() for word in words])
                arrays[f"{key}_label{i}"] = np.array([words.index(row[i]) for row in rows], dtype=np.int8)
        for name, array in (arrays | changes).items():
            if not isinstance(array, np.ndarray):
                group[name] = array
            elif array.dtype == object:
                data = group.create_dataset(name, (1,), h5py.vlen_dtype(np.uint8))
                data[0] = np.frombuffer(array[0], np.uint8)
            else:
                group.create_dataset(name, data=array)
        for i, level in enumerate(levels):
            group[f"block0_items_level{i}"].attrs["name"] = np.bytes_(level.encode())
    return file


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("individual", ["", "m1"])
def test_hdf5_has_the_labels_of_the_csv(tmp_path: Path, split: bool, individual: str) -> None:
    points = {(individual, part): rows for (_, part), rows in POINTS.items()}
    ours = read_table(frame(tmp_path / "CollectedData_ann.h5", points, split))
    other = read_table(written(tmp_path, table(points, names(2), split=split)))
    assert (ours.scorer, ours.points, list(ours.rows)) == (other.scorer, other.points, list(other.rows))
    for (_, mine), (_, theirs) in zip(ours.rows.values(), other.rows.values(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


class Harmful:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("name", ["block0_values", "axis1_level2", "axis1_label0"])
def test_pickled_objects_are_not_executed(tmp_path: Path, name: str) -> None:
    harm = np.array([pickle.dumps(Harmful(tmp_path / "harmed")), b""], dtype=object)
    with pytest.raises(InputError, match=r"CollectedData_ann\.h5"):
        read_table(frame(tmp_path / "CollectedData_ann.h5", **{name: harm}))
    assert not (tmp_path / "harmed").exists()


def test_links_to_other_files_are_not_followed(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra `deeplabcut` is not installed")
    frame(tmp_path / "other.h5")
    link = h5py.ExternalLink(str(tmp_path / "other.h5"), "/df_with_missing/axis1_level2")
    with pytest.raises(InputError, match="axis1_level2"):
        read_table(frame(tmp_path / "CollectedData_ann.h5", axis1_level2=link))


def test_arrays_larger_than_memory_are_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra `deeplabcut` is not installed")
    file = frame(tmp_path / "CollectedData_ann.h5")
    with h5py.File(file, "r+") as opened:
        del opened["df_with_missing/block0_values"]
        opened["df_with_missing"].create_dataset("block0_values", (10**6, 10**6), chunks=(1000, 1000), dtype="f8")
    with pytest.raises(InputError, match="block0_values"):
        read_table(file)


@pytest.mark.parametrize(
    "changes",
    [
        {"axis1_label0": np.array([0, 5], np.int8)}, {"axis1_label0": np.array([0, -1], np.int8)},
        {"axis1_label0": np.array([0, 0, 0], np.int8)}, {"block0_values": np.zeros((3, 4))},
        {"block0_values": np.zeros(4)}, {"axis1_label0": np.array([0.0, 0.0])},
    ],
)  # fmt: skip
def test_damaged_hdf5_is_refused(tmp_path: Path, changes: dict[str, np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"CollectedData_ann\.h5"):
        read_table(frame(tmp_path / "CollectedData_ann.h5", **changes))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_hdf5_is_refused(tmp_path: Path, share: float) -> None:
    file = frame(tmp_path / "CollectedData_ann.h5")
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"CollectedData_ann\.h5"):
        read_table(file)


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(InputError, match="deeplabcut"):
        read_table(tmp_path / "CollectedData_ann.h5")
