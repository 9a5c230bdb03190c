"""The lock on a run's folder, and the checkpoint that a run is resumed from."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pytest

from logpose.core.errors import OtherRunError
from logpose.training.run_folder import CONFIG, RunLock, is_unbegun, last_checkpoint


def holds(folder: Path, ready: Any) -> None:
    """Take the lock and keep it, with a child that outlives this process, as workers do for a while."""
    lock = RunLock(folder)
    lock.take()
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)
    ready.set()
    time.sleep(60)
    lock.release()


def test_one_process_has_the_folder_until_it_ends_however_it_ends(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=holds, args=(tmp_path / "run", ready))
    process.start()
    try:
        assert ready.wait(60)
        with pytest.raises(OtherRunError, match="run"):
            RunLock(tmp_path / "run").take()
    finally:
        process.kill()
        process.join()
    with RunLock(tmp_path / "run") as lock:
        lock.take()
        lock.take()


def test_a_run_that_was_begun_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    early = RunLock(tmp_path)
    (tmp_path / CONFIG).touch()  # by another, which has ended
    with pytest.raises(OtherRunError):
        early.take()
    with RunLock(tmp_path) as resumed:
        resumed.take()


def test_a_folder_without_a_checkpoint_was_begun_only(tmp_path: Path) -> None:
    assert not is_unbegun(tmp_path)
    (tmp_path / "config.yaml").touch()
    assert is_unbegun(tmp_path)
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "last.ckpt").touch()
    assert not is_unbegun(tmp_path)


def test_the_last_checkpoint_is_that_of_the_last_stage(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    (tmp_path / "first").mkdir()
    for name in ("first/last.previous.ckpt", "first/last.ckpt", "last.previous.ckpt", "last.ckpt"):
        (tmp_path / name).touch()
        assert last_checkpoint(str(tmp_path)) == tmp_path / name
