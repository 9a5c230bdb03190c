"""Signals that end a run."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from logpose.training import signals
from logpose.training.signals import Signals, Stopped, requeue, stopped_by, was_requeued


@pytest.fixture(autouse=True)
def default_handlers() -> Iterator[None]:
    """Those of a program in a terminal: a shell's background jobs ignore SIGINT."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_program_at_once_or_is_noted(number: int) -> None:
    with pytest.raises(Stopped) as stopped, Signals():
        signal.raise_signal(number)
    assert stopped.value.number == number
    with Signals() as signals:
        signals.deferred = True
        os.kill(os.getpid(), number)
        time.sleep(0.01)
        assert signals.received == number
        assert not signals.preempted
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
    assert signals.received == 0


def test_slurm_s_signal_counts_in_its_jobs_only() -> None:
    signal.signal(signal.SIGUSR1, lambda *_: None)
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGUSR1)
    assert signals.received == 0
    with Signals(slurm=True) as signals:
        signals.deferred = True
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.01)
        assert signals.preempted
        os.kill(os.getpid(), signal.SIGTERM)  # follows when the job is put in the queue
        time.sleep(0.01)
        assert signals.received == signal.SIGTERM


def in_child(run: Callable[[], Any]) -> int:
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(30)
    assert process.exitcode is not None
    return process.exitcode


def test_a_second_signal_ends_the_process_and_its_workers() -> None:
    reading, writing = os.pipe()  # at its end when no process has the other end any longer

    def worker() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(writing, b"1")
        time.sleep(60)

    def run() -> None:
        child = multiprocessing.get_context("fork").Process(target=worker, daemon=True)
        child.start()
        os.read(reading, 1)
        with Signals() as signals:
            signals.deferred = True
            for pause in (0.05, 1.1, 0.05):  # the second is together with the first
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(pause)
            time.sleep(20)

    assert in_child(run) == 128 + signal.SIGTERM
    os.close(writing)
    assert select.select([reading], [], [], 20)[0]
    assert os.read(reading, 1) == b""
    os.close(reading)


@pytest.mark.parametrize(
    ("variables", "job"),
    [
        ({"SLURM_JOB_ID": "17"}, "17"),
        ({"SLURM_JOB_ID": "17", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}, "12_3"),
        ({"SLURM_JOB_ID": "17; rm x"}, None),
    ],
)
def test_the_job_is_put_in_the_queue_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, variables: Any, job: str | None
) -> None:
    script = tmp_path / "scontrol"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path / "called"}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for name in ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    requeue()
    if job is None:
        assert "SLURM_JOB_ID" in caplog.text
        assert not (tmp_path / "called").exists()
    else:
        assert (tmp_path / "called").read_text().split() == ["requeue", job]
    script.write_text("#!/bin/sh\nexit 1\n")
    requeue()
    assert caplog.records


def test_a_first_start_is_no_second(monkeypatch: pytest.MonkeyPatch) -> None:
    for count, again in ((None, False), ("", False), ("0", False), ("2", True)):
        monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
        if count is not None:
            monkeypatch.setenv("SLURM_RESTART_COUNT", count)
        assert was_requeued() is again


def test_what_fails_after_a_signal_is_the_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal to the group ends compilers and the like too; Slurm's puts the job in the queue again."""
    requeued: list[int] = []
    monkeypatch.setattr(signals, "requeue", lambda: requeued.append(1))
    handlers = Signals()
    with pytest.raises(ZeroDivisionError), stopped_by(handlers):
        1 / 0  # noqa: B018
    handlers.received = signal.SIGTERM
    with pytest.raises(Stopped) as stopped, stopped_by(handlers):
        1 / 0  # noqa: B018
    assert stopped.value.number == signal.SIGTERM
    assert not requeued
    handlers.received = signal.SIGUSR1
    with pytest.raises(Stopped), stopped_by(handlers):
        raise Stopped(signal.SIGUSR1)
    assert requeued == [1]
