"""B-scans of files: what is read, what is refused, who is learned from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from logpose.core.errors import InputError
from logpose.data.oct import chosen, open_scans, read_boundaries, unlabelled_scans
from logpose.data.scans import RETINA, Scans
from logpose.data.synthetic_oct import SyntheticScans


def duke(folder: Path, names=("Subject_01", "Subject_02"), count: int = 3, **more: object) -> Path:
    """Files in the Duke layout: of each, the first B-scan is labelled by the first grader, the last by both."""
    for number, name in enumerate(names):
        scans = SyntheticScans(count, seed=number, size=(96, 70))
        images = np.stack([scans[i].image for i in range(count)], axis=-1)
        layers = np.full((2, 8, 70, count), np.nan)
        for grader, which in ((0, (0, count - 1)), (1, (count - 1,))):
            for i in which:
                layers[grader, :, 5:, i] = scans[i].rows[:, 5:] + 1 + grader
        content = {"images": images, "manualLayers1": layers[0], "manualLayers2": layers[1], **more}
        savemat(folder / f"{name}.mat", content, do_compression=True)
    return folder


def test_the_duke_layout(tmp_path: Path) -> None:
    scans = open_scans(duke(tmp_path))
    assert isinstance(scans, Scans)
    assert scans.skeleton == RETINA
    assert [scan.name for scan in scans.scans] == ["Subject_01-0", "Subject_01-2", "Subject_02-0", "Subject_02-2"]
    assert scans.subjects == ["Subject_01", "Subject_02"]
    drawn = SyntheticScans(3, seed=1, size=(96, 70))[2]
    scan = scans[3]
    assert np.array_equal(scan.image, drawn.image)
    assert np.allclose(scan.rows[:, 5:], drawn.rows[:, 5:])  # counted from 0
    assert np.isnan(scan.rows[:, :5]).all()
    assert scan.um_per_px is None
    second = open_scans(tmp_path / "Subject_02.mat", grader=2)
    assert [scan.name for scan in second.scans] == ["Subject_02-2"]
    assert np.allclose(second[0].rows[:, 5:], drawn.rows[:, 5:] + 1)


def test_the_height_of_a_pixel(tmp_path: Path) -> None:
    duke(tmp_path, ("a",), um_per_px=4.5)
    assert open_scans(tmp_path)[0].um_per_px == 4.5
    assert open_scans(tmp_path, um_per_px=2.0)[0].um_per_px == 2.0
    layers = np.full((8, 768, 1), np.nan)
    layers[:, 9] = np.arange(100, 180, 10)[:, None]
    savemat(tmp_path / "a.mat", {"images": np.zeros((496, 768), np.uint8), "manualLayers1": layers[..., 0]})
    assert open_scans(tmp_path)[0].um_per_px == 3.87
    assert np.allclose(open_scans(tmp_path)[0].rows[:, 9], np.arange(99, 179, 10))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((96, 70, 2), np.uint8)}, "manualLayers1 is 8×70×3, expected 8×70×2"),
        ({"images": np.full((96, 70, 3), 300.0)}, "0 to 255"),
        ({"images": np.full((96, 70, 3), 0.5)}, "0 to 1, "),
        ({"images": np.full((96, 70, 3), np.nan)}, "0 to 255"),
        ({"images": np.zeros((4, 70, 3))}, "got 4×70×3"),
        ({"images": np.zeros(5)}, "images"),
        ({"manualLayers1": np.full((7, 70, 3), 5.0)}, "manualLayers1 is 7×70×3"),
        ({"manualLayers1": np.full((8, 70, 3), 97.0)}, r"a-0, column 0 .*: ILM is in row 97 "),
        ({"manualLayers1": np.full((8, 70, 3), 0.0)}, "ILM is in row 0 "),
        ({"manualLayers1": np.full((8, 70, 3), np.inf)}, "ILM is in row inf"),
        ({"manualLayers1": np.full((8, 70, 3), np.nan)}, "grader 1"),
        ({"manualLayers1": "words"}, "manualLayers1"),
        ({"um_per_px": -1.0}, "um_per_px.* got -1"),
        ({"um_per_px": np.zeros((0, 0))}, "um_per_px has 0 numbers"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    duke(tmp_path, ("a",), **changes)
    with pytest.raises(InputError, match=message):
        open_scans(tmp_path / "a.mat")


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(b"not one" * 100)
    with pytest.raises(InputError, match=r"a\.mat"):
        open_scans(tmp_path / "a.mat")
    with pytest.raises(InputError, match=r"nowhere|gone|no such"):
        open_scans(tmp_path / "b.mat")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="CSV"):
        open_scans(tmp_path / "empty")
    (tmp_path / "c.txt").write_text("x")
    with pytest.raises(InputError, match=r"\.mat"):
        open_scans(tmp_path / "c.txt")
    savemat(tmp_path / "d.mat", {"images": np.zeros((20, 20, 1))})
    with pytest.raises(InputError, match=r"d\.mat.*manualLayers1"):
        open_scans(tmp_path / "d.mat")


def test_what_declares_to_be_huge_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    duke(tmp_path, ("a",))
    monkeypatch.setattr("logpose.data.matlab.LARGEST", 1000)
    with pytest.raises(InputError, match=r"a\.mat.*96×70×3"):
        open_scans(tmp_path / "a.mat")


def pair(folder: Path, name: str, table: str, width: int = 30) -> None:
    image = np.random.default_rng(0).integers(0, 200, (40, width), dtype=np.uint8)
    cv2.imwrite(str(folder / f"{name}.png"), image)
    (folder / f"{name}.csv").write_text(table)


def test_images_with_tables(tmp_path: Path) -> None:
    lines = [f"{5 + column / 10},{20 + column % 3}" for column in range(30)]
    lines[4], lines[7] = "5.4,", "nan,21"
    pair(tmp_path, "eye_1", "top,bottom\n" + "\n".join(lines))
    pair(tmp_path, "eye_2", "top,bottom\n" + "\n".join(["1,2"] * 30))
    pair(tmp_path, "eye_3", "top,bottom\n" + "\n".join([","] * 30))  # nothing is labelled
    (tmp_path / "notes.txt").write_text("not read")
    scans = open_scans(tmp_path, um_per_px=2.0)
    assert scans.skeleton.joints == ("top", "bottom")
    assert [scan.name for scan in scans.scans] == ["eye_1", "eye_2"]
    rows = scans[0].rows
    assert rows.shape == (2, 30)
    assert rows[0, :4].tolist() == pytest.approx([5.0, 5.1, 5.2, 5.3])
    assert rows[1, 8] == 22
    assert np.argwhere(np.isnan(rows)).tolist() == [[0, 7], [1, 4]]
    assert scans[0].um_per_px == 2.0
    assert np.array_equal(scans[0].image, unlabelled_scans(tmp_path / "eye_1.png")[0].image)


def test_tables_must_be_of_the_same_boundaries(tmp_path: Path) -> None:
    pair(tmp_path, "a", "top,bottom\n" + "1,2\n" * 30)
    pair(tmp_path, "b", "top,base\n" + "1,2\n" * 30)
    with pytest.raises(InputError, match=r"b\.csv.*top, base.*top, bottom.*a\.csv"):
        open_scans(tmp_path)
    with pytest.raises(InputError, match="--grader 2"):
        open_scans(tmp_path, grader=2)
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"b\.csv"):
        open_scans(tmp_path)


def test_what_lacks_the_other_is_left_out_and_named(tmp_path: Path) -> None:
    pair(tmp_path, "a", "top,bottom\n" + "1,2\n" * 30)
    pair(tmp_path, "b", "top,bottom\n" + ",\n" * 30)
    pair(tmp_path, "c", "top,bottom\n" + "1,2\n" * 30)
    (tmp_path / "c.png").unlink()
    cv2.imwrite(str(tmp_path / "d.png"), np.zeros((40, 30), np.uint8))
    scans = open_scans(tmp_path)
    assert [scan.name for scan in scans.scans] == ["a"]
    assert sorted(map(str, scans.problems)) == [
        f"{tmp_path / 'b.csv'}: no labelled boundary",
        f"{tmp_path / 'c.csv'}: no image of this name",
        f"{tmp_path / 'd.png'}: no CSV file of boundaries",
    ]
    cv2.imwrite(str(tmp_path / "a.tif"), np.zeros((40, 30), np.uint8))
    with pytest.raises(InputError, match=r"a\.csv.*a\.png.*a\.tif"):
        open_scans(tmp_path)


def test_boundaries_that_cross_are_left_out(tmp_path: Path) -> None:
    """By a row they may; where they cross by more the column is no label, and mostly crossing ones are misnamed."""
    pair(tmp_path, "a", "top,middle,bottom\n" + "5,8,9\n" * 20 + "6,5,9\n" * 4 + "6,4.5,9\n" * 4 + "6,,4\n" * 2)
    scans = open_scans(tmp_path)
    assert np.isfinite(scans[0].rows).all(axis=0).tolist() == [True] * 24 + [False] * 6
    assert np.isnan(scans[0].rows[:, 24:]).all()
    report = "a: columns in which boundaries cross (6 of 30, column 24: middle lies above the one before it)"
    assert [str(problem) for problem in scans.problems] == [f"{tmp_path}: {report}"]
    pair(tmp_path, "a", "top,middle,bottom\n" + "5,8,9\n" * 14 + "8,5,9\n" * 16)
    with pytest.raises(InputError, match="a: column 14: middle"):
        open_scans(tmp_path)


def test_each_part_gives_what_was_left_out_of_its_own_scans(tmp_path: Path) -> None:
    """And the part that is learned from what is no scan at all, so that nothing is reported twice."""
    for name in ("a", "b"):
        pair(tmp_path, name, "top,bottom\n" + "5,8\n" * 28 + "8,5\n" * 2)
    cv2.imwrite(str(tmp_path / "c.png"), np.zeros((40, 30), np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((40, 30), 9, np.uint8))
    scans = open_scans(tmp_path)
    report = {part: [problem.where for problem in chosen(scans, part).problems] for part in ("train", "val")}
    assert report == {"train": [str(tmp_path / "c.png"), f"{tmp_path}: b"], "val": [f"{tmp_path}: a"]}
    folds = {part: [p.where for p in chosen(scans, part, folds=2).problems] for part in ("train", "val")}
    assert sorted(folds["train"] + folds["val"]) == sorted(report["train"] + report["val"])
    assert str(tmp_path / "c.png") in folds["train"]


def test_endings_may_be_capitals(tmp_path: Path) -> None:
    (duke(tmp_path, ("a",)) / "a.mat").rename(tmp_path / "A.MAT")
    assert len(open_scans(tmp_path)) == 2
    assert [scan.name for scan in unlabelled_scans(tmp_path / "A.MAT")] == ["A-0", "A-1", "A-2"]


def test_a_image_in_colours_is_no_scan(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([np.zeros((20, 20)), np.full((20, 20), 200), np.zeros((20, 20))]))
    with pytest.raises(InputError, match="colour"):
        unlabelled_scans(tmp_path / "a.png")


@pytest.mark.parametrize("brightest", [200, 255, 256, 319, 333, 1000, 4096, 40_000, 65535])
def test_of_sixteen_bits_the_brightest_counts(tmp_path: Path, brightest: int) -> None:
    """It becomes 255, if it is more: two images of nearly the same light stay so, wherever their bits end."""
    deep = np.linspace(0, brightest, 20 * 30).reshape(20, 30).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    grey = unlabelled_scans(tmp_path / "deep.png")[0].image
    assert grey.dtype == np.uint8
    assert grey.max() == min(brightest, 255)
    assert np.abs(grey - deep * (min(brightest, 255) / brightest)).max() <= 0.5 + 1e-6


def test_colours_of_twelve_bits_are_colours(tmp_path: Path) -> None:
    green = np.zeros((20, 30, 3), dtype=np.uint16)
    green[..., 1] = 2000
    cv2.imwrite(str(tmp_path / "green.png"), green)
    with pytest.raises(InputError, match="colour"):
        unlabelled_scans(tmp_path / "green.png")


def test_images_that_are_no_single_scan(tmp_path: Path) -> None:
    pages = [np.full((20, 30), 40 * i, np.uint8) for i in range(3)]
    cv2.imwritemulti(str(tmp_path / "volume.tif"), pages)
    with pytest.raises(InputError, match=r"volume\.tif: 3"):
        unlabelled_scans(tmp_path / "volume.tif")
    cv2.imwrite(str(tmp_path / "small.png"), pages[0][:9])
    with pytest.raises(InputError, match=r"small\.png: 9×30"):
        unlabelled_scans(tmp_path / "small.png")


def test_tables_beside_matlab_files_are_reported(tmp_path: Path) -> None:
    duke(tmp_path, ("a",))
    pair(tmp_path, "b", "top,bottom\n" + "1,2\n" * 30)
    assert [str(p) for p in open_scans(tmp_path).problems] == [
        f"{tmp_path / 'b.csv'}: a CSV file in a folder of .mat files"
    ]


def test_the_split_by_subject_is_that_of_the_duke_set(tmp_path: Path) -> None:
    scans = open_scans(duke(tmp_path, [f"Subject_{i:02d}" for i in range(1, 11)], count=2))
    train, val = chosen(scans, "train"), chosen(scans, "val")
    assert val.subjects == [f"Subject_{i:02d}" for i in range(1, 6)]
    assert train.subjects == [f"Subject_{i:02d}" for i in range(6, 11)]
    some = {"train_subjects": ("Subject_01",), "val_subjects": ("Subject_03", "Subject_02")}
    assert chosen(scans, "train", **some).subjects == ["Subject_01"]
    assert chosen(scans, "val", **some).subjects == ["Subject_02", "Subject_03"]
    assert len(chosen(scans, "train", val_subjects=("Subject_03",)).subjects) == 9
    with pytest.raises(InputError, match="Subject_01"):
        chosen(scans, "train", ("Subject_01",), ("Subject_01",))
    with pytest.raises(InputError, match=r"Subject_11.*Subject_01, "):
        chosen(scans, "train", ("Subject_11",))
    with pytest.raises(InputError, match="--folds"):
        chosen(scans, "train", ("Subject_01",), folds=2)
    with pytest.raises(InputError, match="--folds 5"):
        chosen(chosen(scans, "train", ("Subject_01",)), "val")


def test_folds_hold_every_scan_once_and_the_same_image_in_one(tmp_path: Path) -> None:
    duke(tmp_path, ("a", "b"), count=4)
    scans = open_scans(tmp_path)
    twice = scans.of([0, 1, 2, 3, 0, 2])
    names = []
    for fold in range(4):
        train, val = (chosen(twice, part, folds=4, fold=fold, seed=1) for part in ("train", "val"))
        assert len(train) + len(val) == 6
        assert not {scan.image.tobytes() for scan in train.scans} & {scan.image.tobytes() for scan in val.scans}
        names += [scan.name for scan in val.scans]
    assert sorted(names) == sorted(scan.name for scan in twice.scans)
    splits = {tuple(s.name for s in chosen(scans, "val", folds=2, fold=0, seed=seed).scans) for seed in range(6)}
    assert len(splits) > 1
    with pytest.raises(InputError, match=r"4 .*5 folds"):
        chosen(twice, "val", folds=5)


def test_real_scans(data_root: Path) -> None:
    scans = open_scans(data_root / "oct")
    assert len(scans) == 30
    assert len({scan.image.tobytes() for scan in scans.scans}) == 27  # three images are there twice
    assert {scan.image.shape for scan in scans.scans} == {(568, 759), (456, 951)}
    unlabelled = np.mean([np.isnan(scan.rows).mean() for scan in scans.scans])
    assert unlabelled == pytest.approx(0.16, abs=0.01)
    for scan in scans.scans:
        known = np.isfinite(scan.rows)
        assert (known.all(axis=0) == known.any(axis=0)).all()
        assert (np.diff(scan.rows, axis=0)[:, known.all(axis=0)] >= 0).all()


# Tables of boundaries

SIZE = (40, 30)


def read_table(folder: Path, text: str) -> tuple[np.ndarray, tuple[str, ...]]:
    (folder / "a.csv").write_text(text)
    return read_boundaries(folder / "a.csv", SIZE, "a.png")


def test_a_line_for_each_column_below_headings(tmp_path: Path) -> None:
    lines = [f"{5 + column / 10},{20 + column % 3}" for column in range(30)]
    lines[4], lines[7] = "5.4,", "nan,21"
    rows, names = read_table(tmp_path, "top, bottom \n" + "\n".join(lines))
    assert names == ("top", "bottom")
    assert rows.shape == (2, 30)
    assert rows[0, :4].tolist() == pytest.approx([5.0, 5.1, 5.2, 5.3])
    assert rows[1, 8] == 22
    assert np.argwhere(np.isnan(rows)).tolist() == [[0, 7], [1, 4]]


@pytest.mark.parametrize(("count", "names"), [(8, RETINA.joints), (3, ("boundary 1", "boundary 2", "boundary 3"))])
def test_without_headings_a_line_for_each_boundary(tmp_path: Path, count: int, names: tuple[str, ...]) -> None:
    rows, found = read_table(tmp_path, "\n".join(",".join(str(3 * i + 1) for _ in range(30)) for i in range(count)))
    assert found == names
    assert rows[:, 12].tolist() == [3 * i + 1 for i in range(count)]


@pytest.mark.parametrize(
    "text", ["top;bottom\n" + "1,5;2\n" * 29 + ";7,25\n", "\ufefftop\tbottom\n" + "1.5\t2\n" * 29 + "\t7.25\n"]
)
def test_tables_of_spreadsheets(tmp_path: Path, text: str) -> None:
    rows, names = read_table(tmp_path, text)
    assert names == ("top", "bottom")
    assert rows[:, 0].tolist() == [1.5, 2]
    assert np.isnan(rows[0, 29])
    assert rows[1, 29] == 7.25


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("top,bottom\n1,2\n", "1 lines of numbers.*30 .*a.png"),
        ("1,2\n3,4\n", "2 numbers, expected 30 .*a.png"),
        ("top,bottom\n" + "1,2\n" * 29 + "1,x\n", "line 31: 'x' is not a number"),
        ("top,bottom\n" + "1,2\n" * 29 + "1\n", "line 31 has 1 cells, expected 2"),
        ("top,bottom\n" + "1,2\n\n" * 29 + "1,x\n", "line 60: 'x' is not a number"),
        ("top,bottom\n" + "1,2\n" * 29 + "1,inf\n", "line 31: 'inf' is not a number"),
        ("top,bottom\n" + "1,2\n" * 29 + "1,40\n", "image column 29: bottom in row 40"),
        ("top,bottom\n" + "1,2\n" * 29 + "-1,4\n", "image column 29: top in row -1"),
        ("top,bottom,top\n" + "1,2,3\n" * 30, "two columns are named top"),
        ("top\n" + "1\n" * 30, "one boundary"),
        (",top,bottom\n" + "0,1,2\n" * 30, "column 1 has no name"),
        ("", "holds no numbers"),
        ("top,bottom\n", "holds no numbers"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as report:
        read_table(tmp_path, text)
    assert str(report.value).startswith(f"{tmp_path / 'a.csv'}: ")


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"a\.csv"):
        read_boundaries(tmp_path / "a.csv", SIZE, "a.png")


def test_a_table_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logpose.data.oct.LONGEST", 100)
    with pytest.raises(InputError, match=r"a\.csv"):
        read_table(tmp_path, "top,bottom\n" + "1,2\n" * 30)
