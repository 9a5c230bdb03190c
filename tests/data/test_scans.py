"""Windows of B-scans: what is cut out, where it came from, what counts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logpose.core.skeletons import Skeleton
from logpose.data.flattening import Flattening
from logpose.data.scans import RETINA, Scan, ScanBatch, ScanWindows, Variation, scan_loader, starts
from logpose.data.synthetic_oct import ScanNoise, SyntheticScans

SIZE = (112, 32)


class Listed:
    """B-scans of a list."""

    skeleton: Skeleton = RETINA

    def __init__(self, *scans: Scan) -> None:
        self.scans = scans

    def __len__(self) -> int:
        return len(self.scans)

    def __getitem__(self, index: int) -> Scan:
        return self.scans[index]


def one(width: int = 128, noise: ScanNoise | None = None) -> Scan:
    return SyntheticScans(1, seed=4, size=(160, width), noise=noise, lesions=0.0)[0]


def in_scan(batch, row: int) -> np.ndarray:
    """The rows of the scan that a batch's targets stand for (D, C), by the formula of the docs."""
    crop = (batch.target[row].double().numpy().T + 0.5) * SIZE[0]
    return (crop + 0.5) * float(batch.scale[row]) - 0.5 + batch.top[row].double().numpy()


@given(width=st.integers(1, 300), columns=st.integers(1, 80))
def test_windows_cover_a_scan_and_overlap_by_half(width: int, columns: int) -> None:
    found = starts(width, columns)
    covered = {column for start in found for column in range(start, start + columns)}
    assert covered >= set(range(width))
    assert found[0] == 0
    assert found[-1] == max(0, width - columns)
    assert all(b - a <= columns / 2 + 1 for a, b in pairwise(found))


def test_every_label_comes_back_in_the_scan_s_own_rows() -> None:
    scan = one(noise=ScanNoise(missing=0.5))
    windows = ScanWindows(Listed(scan), SIZE)
    seen = np.zeros(128, dtype=int)
    for batch in scan_loader(windows, 3, training=False):
        for row in range(len(batch.target)):
            start = int(batch.start[row])
            part = scan.rows[:, start : start + 32]
            found = in_scan(batch, row)
            assert np.array_equal(np.isnan(found), np.isnan(part))
            assert np.nanmax(np.abs(found - part), initial=0) < 1e-4
            assert np.array_equal(batch.weight[row].numpy() > 0, np.isfinite(part).any(axis=0))
            seen[start : start + 32] += 1
    assert seen.min() >= 1


@given(
    top=st.lists(st.integers(-300, 500), min_size=1, max_size=5),
    shown=st.integers(16, 400),
    rows=st.sampled_from([32, 112, 224]),
    place=st.floats(-50, 1000),
)
def test_the_way_back_is_exact(top: list[int], shown: int, rows: int, place: float) -> None:
    flat = Flattening(np.array(top), shown, rows)
    at = np.full((2, len(top)), place)
    there, one = torch.from_numpy(flat.to_crop(at).T[None]), torch.zeros(1, dtype=torch.int64)
    batch = ScanBatch(
        images=torch.zeros((1, 1, rows, len(top)), dtype=torch.uint8),
        target=there.float(),
        weight=torch.ones(1, len(top)),
        top=torch.tensor([top], dtype=torch.float32),
        scale=torch.tensor([flat.scale], dtype=torch.float64),
        index=one,
        start=one,
    )
    back = batch.to_scan(there)
    assert back.dtype == torch.float64
    assert np.abs(back[0].T.numpy() - at).max() < 1e-9
    assert np.abs(batch.to_scan(batch.target)[0].T.numpy() - at).max() < 1e-3


def test_pixels_are_the_scan_s_where_the_crop_states() -> None:
    scan = one()
    batch = ScanWindows(Listed(scan), SIZE)[0, 1]
    assert batch.images.dtype == torch.uint8
    start, top = int(batch.start[0]), batch.top[0].long().numpy()
    for column in (0, 15, 31):
        for row in (3, 50, 80):
            at = row + top[column]
            wanted = scan.image[at, start + column] if 0 <= at < 160 else 0
            assert int(batch.images[0, 0, row, column]) == wanted


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_scan_without_a_retina_is_reported_once(workers: int, caplog: pytest.LogCaptureFixture, capfd) -> None:
    """Not by every process that cuts windows."""
    noise = np.random.default_rng(0).normal(60, 20, (200, 128)).clip(0, 255).astype(np.uint8)
    scans = Listed(one(), Scan(noise, np.full((8, 128), np.nan), "noise", "noise"))
    list(scan_loader(ScanWindows(scans, SIZE), 2, training=False, workers=workers))
    assert [record.message for record in caplog.records] == ["noise: no retina detected"]
    assert capfd.readouterr().err.count("no retina") <= 1  # where messages go to stderr


def test_a_column_counts_where_anything_is_labelled() -> None:
    scan = one()
    scan.rows[:, 3], scan.rows[2, 5] = np.nan, np.nan
    batch = ScanWindows(Listed(scan), SIZE)[0, 0]
    assert batch.weight[0, 3] == 0
    assert batch.weight[0, 5] == 1
    assert batch.target[0, 5].isnan().tolist() == [False, False, True, *[False] * 5]


def test_a_scan_that_is_too_narrow_is_filled_up() -> None:
    scan = one()
    narrow = Scan(scan.image[:, :20].copy(), scan.rows[:, :20], "narrow", "narrow")
    windows = ScanWindows(Listed(narrow), SIZE)
    assert len(windows) == 1
    batch = windows[0, 0]
    assert not batch.images[..., 20:].any()
    assert batch.weight[0].tolist() == [1.0] * 20 + [0.0] * 12
    training = ScanWindows(Listed(narrow), SIZE, variation=Variation())[0, 0]
    assert training.weight.sum() == 20


def test_training_windows_are_varied_and_their_labels_with_them() -> None:
    scan = one()
    windows = ScanWindows(Listed(scan), SIZE, variation=Variation(flip=0.5, shift=10, scale=0.2), seed=3)
    assert len(windows) == 4
    batches = [windows[epoch, number] for epoch in range(10) for number in range(4)]
    assert len({int(batch.start) for batch in batches}) > 15
    scales, mirrored = {float(batch.scale) for batch in batches}, 0
    assert min(scales) < 0.95
    assert max(scales) > 1.05
    for batch in batches:
        start = int(batch.start)
        part, found = scan.rows[:, start : start + 32], in_scan(batch, 0)
        flipped = np.abs(found[:, ::-1] - part).max() < 1e-3
        assert flipped or np.abs(found - part).max() < 1e-3
        mirrored += flipped
    assert 8 < mirrored < 32
    tops = {int(batch.top[0].min()) for batch in batches}
    assert max(tops) - min(tops) > 10


def test_a_window_depends_on_its_number_alone() -> None:
    scans = SyntheticScans(3, seed=1)
    first = ScanWindows(scans, SIZE, variation=Variation(), seed=5)
    second = ScanWindows(scans, SIZE, variation=Variation(), seed=5)
    second[0, 2]
    assert torch.equal(first[1, 4].images, second[1, 4].images)
    assert not torch.equal(first[1, 4].images, first[2, 4].images)
    other = ScanWindows(scans, SIZE, variation=Variation(), seed=6)
    assert not torch.equal(first[1, 4].images, other[1, 4].images)


def test_a_brightened_window_shows_a_flip() -> None:
    scan = one()
    scan.image[:, :64] = 0
    windows = ScanWindows(Listed(scan), (112, 128), variation=Variation(flip=1.0, shift=0, scale=0.0))
    batch = windows[0, 0]
    assert not batch.images[..., 64:].any()
    assert batch.images[..., :64].any()


def test_batches_move_and_are_shuffled() -> None:
    windows = ScanWindows(SyntheticScans(2, seed=1), SIZE, variation=Variation())
    (first, second) = (list(scan_loader(windows, 4, training=True, seed=s)) for s in (0, 1))
    assert [len(batch.target) for batch in first] == [4, 4]
    assert first[0].index.tolist() != second[0].index.tolist() or first[0].start.tolist() != second[0].start.tolist()
    assert first[0].to("meta").images.device.type == "meta"
    assert first[0].inputs is first[0].images
    assert sum(len(batch.target) for batch in scan_loader(windows, 5, training=False)) == len(windows)


@pytest.mark.parametrize("shown", [None, 140, 224])
def test_as_many_rows_are_shown_as_are_asked_for(shown: int | None) -> None:
    batch = ScanWindows(Listed(one()), SIZE, shown)[0, 0]
    assert float(batch.scale) * SIZE[0] == pytest.approx(shown or SIZE[0])
