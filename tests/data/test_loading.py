"""Errors of worker processes come out as they were raised; a pass is continued, also after a worker has died."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from logpose.core.errors import InputError, NoImagesError
from logpose.data.batches import epoch_loader
from logpose.data.loading import WORKERS, ErrorsAsRows, InputErrorLoader, JoinedOrError


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """PyTorch looks whether workers live every 5 seconds, here every half; no later test waits for those of this."""
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.5,))
    yield
    if alive := [worker for worker in WORKERS if worker.is_alive()]:
        for worker in alive:
            worker.kill()
        gc.collect()  # an iterator that an error holds


class Rows(Dataset[int]):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, row: int) -> int:
        if row == 4:
            raise NoImagesError("images.json: lists no images")
        return row


@pytest.mark.parametrize("workers", [0, 1])
def test_the_error_is_the_one_that_was_raised(workers) -> None:
    loader = InputErrorLoader(ErrorsAsRows(Rows()), batch_size=2, num_workers=workers, collate_fn=JoinedOrError(sum))
    found = []
    with pytest.raises(NoImagesError) as error:
        found.extend(loader)
    assert str(error.value) == "images.json: lists no images"
    assert isinstance(error.value, InputError)


def test_batches_before_it_are_given() -> None:
    batches = iter(InputErrorLoader(ErrorsAsRows(Rows()), batch_size=2, collate_fn=JoinedOrError(sum)))
    assert [next(batches), next(batches)] == [1, 5]
    with pytest.raises(NoImagesError):
        next(batches)


class WholeBatches(Rows):
    """Makes its batches itself."""

    def __getitems__(self, rows: list[int]) -> tuple[int, ...]:
        if 4 in rows:
            raise NoImagesError("images.json: lists no images")
        return tuple(rows)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_set_may_make_whole_batches(workers: int) -> None:
    loader = InputErrorLoader(
        ErrorsAsRows(WholeBatches()), batch_size=2, num_workers=workers, collate_fn=JoinedOrError(list)
    )
    batches = iter(loader)
    assert [next(batches), next(batches)] == [[0, 1], [2, 3]]
    with pytest.raises(NoImagesError):
        next(batches)


class Numbers(Dataset[Any]):
    """The numbers of the rows; row 7 cannot be read, and the workers that read the rows of `deadly` are killed."""

    def __init__(self, folder: Path | None = None, deadly: tuple[int, ...] = (), times: int = 1) -> None:
        self.folder, self.deadly, self.times = folder, deadly, times

    def __len__(self) -> int:
        return 20

    def __getitem__(self, key: tuple[int, int]) -> int:
        row = key[1]
        if self.folder is not None and row in self.deadly:
            marks = len(list(self.folder.glob(f"{row}-*")))
            if marks < self.times:
                (self.folder / f"{row}-{marks}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if self.folder is None and row == 7:
            raise InputError("images/7.jpg: no such file")
        return row


def loader(rows: Numbers, workers: int, **options: Any) -> InputErrorLoader[Any]:
    return epoch_loader(rows, 4, list, training=True, workers=workers, seed=3, **options)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_pass_is_continued_at_any_batch(workers: int, at: int) -> None:
    """Neither pass nor resuming draws from torch's generator, so that a run does not depend on its workers."""
    torch.manual_seed(0)
    untouched = torch.randn(3)
    whole = loader(Numbers(), workers)
    torch.manual_seed(0)
    batches = []
    for epoch in range(2):
        whole.sampler.set_epoch(epoch)
        batches.append(list(whole))
    assert torch.equal(torch.randn(3), untouched)

    first = loader(Numbers(), workers)
    first.sampler.set_epoch(0)
    passing = iter(first)
    begun = [next(passing) for _ in range(at)]
    state = first.state_dict()
    torch.manual_seed(0)
    second = loader(Numbers(), workers)
    second.load_state_dict(state)
    second.sampler.set_epoch(0)
    if at < 5:  # else the pass is complete
        begun += list(second)
    second.sampler.set_epoch(1)
    assert [begun, list(second)] == batches
    assert torch.equal(torch.randn(3), untouched)


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_that_cannot_be_read_are_counted_and_named_once(workers: int, caplog: pytest.LogCaptureFixture) -> None:
    each = loader(Numbers(), workers)
    for _ in range(3):
        assert sum(map(len, each)) == 20
    assert each.left_out == {"images/7.jpg: no such file": 3}
    assert [record.message for record in caplog.records] == ["left out of training: images/7.jpg: no such file"]
    each.strict = True
    with pytest.raises(InputError, match=r"7\.jpg"):
        list(each)


def test_a_worker_that_dies_is_replaced_and_no_row_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected = list(loader(Numbers(tmp_path), 2))
    torch.manual_seed(0)
    mark = torch.get_rng_state()
    each = loader(Numbers(tmp_path, deadly=(5,)), 2)
    each.load_state_dict({"passes": 1, "batches": 5})  # so that no seed is drawn
    assert list(each) == expected
    assert torch.equal(torch.get_rng_state(), mark)
    assert "SIGKILL" in caplog.text


@pytest.mark.parametrize(("strict", "times"), [(True, 1), pytest.param(False, 9, marks=pytest.mark.slow)])
def test_workers_that_die_end_a_strict_run_at_once_and_others_in_the_end(
    tmp_path: Path, strict: bool, times: int
) -> None:
    each = loader(Numbers(tmp_path, deadly=(5,), times=times), 1)
    each.strict = strict
    with pytest.raises(InputError, match="--workers 1"):
        list(each)
    assert len(list(tmp_path.iterdir())) == (1 if strict else 4)


ENDING = """
from logpose.data.loading import InputErrorLoader
from torch.utils.data import TensorDataset
import signal, torch

def deaf(_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

batches = iter(InputErrorLoader(TensorDataset(torch.zeros(64, 1)), batch_size=1, num_workers=2, worker_init_fn=deaf))
next(batches)
raise KeyboardInterrupt
"""


def test_workers_do_not_outlive_their_process() -> None:
    """They ignore SIGTERM, so Python's own way of ending them at its exit would wait for ever."""
    done = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=60, check=False)
    assert "KeyboardInterrupt" in done.stderr
