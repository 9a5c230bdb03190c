"""Cores at hand, and how threads and workers share them."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from logpose.core import processor
from logpose.core.processor import (
    MOST_WORKERS,
    SPINS,
    OtherWork,
    cores,
    default_workers,
    spin_briefly,
    threads_beside,
)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores")
def test_cores_are_those_that_the_process_is_bound_to() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from logpose.core.processor import cores; print(cores())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def control_group(folder: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    """A tree of control groups, and the file of which a process is in."""
    for name, content in files.items():
        (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "tree" / name).write_text(content)
    (folder / "own").write_text(own)
    return folder / "tree", folder / "own"


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),  # a container's own tree
        ("0::/a/b\n", {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n"}, 2.0),  # a limit further up
        ("0::/a\n", {"a/cpu.max": "max 100000\n"}, math.inf),
        ("0::/gone\n", {"cpu.max": "400000 100000\n"}, 4.0),
        (
            "4:memory:/m\n1:cpu,cpuacct:/docker/x\n0::/\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "50000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            0.5,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ("0::/\n", {"cpu.max": "nonsense"}, math.inf),
        ("", {}, math.inf),
    ],
)
def test_the_share_of_a_control_group(own: str, files: dict[str, str], expected: float, tmp_path: Path) -> None:
    assert processor.quota(*control_group(tmp_path, own, files)) == expected


def test_cores_are_no_more_than_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(processor, "quota", lambda: 2.5)
    assert cores() == 3
    monkeypatch.setattr(processor, "quota", lambda: 0.2)
    assert cores() == 1


@pytest.mark.parametrize(
    ("count", "processes", "on_cpu", "expected"),
    [
        (1, 1, True, 0), (2, 1, True, 0), (3, 1, True, 1), (8, 1, True, 2), (8, 4, True, 0),
        (128, 1, True, MOST_WORKERS),
        (1, 1, False, 0), (2, 1, False, 1), (8, 1, False, 7), (16, 4, False, 3), (2, 4, False, 0),
        (128, 1, False, MOST_WORKERS),
    ],
)  # fmt: skip
def test_default_workers(
    count: int, processes: int, on_cpu: bool, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "cores", lambda: count)
    assert default_workers(on_cpu, processes) == expected


@pytest.mark.parametrize(("workers", "processes", "expected"), [(0, 1, 8), (2, 1, 6), (9, 1, 1), (1, 4, 1)])
def test_threads_are_the_cores_left(
    workers: int, processes: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "cores", lambda: 8)
    before = torch.get_num_threads()
    torch.set_num_threads(16)
    try:
        with threads_beside(workers, processes):
            assert torch.get_num_threads() == expected
        assert torch.get_num_threads() == 16
        torch.set_num_threads(1)
        with threads_beside(workers, processes):
            assert torch.get_num_threads() == 1  # the user's
    finally:
        torch.set_num_threads(before)


def test_a_number_of_threads_that_is_asked_for() -> None:
    before = torch.get_num_threads()
    with threads_beside(1, threads=3):
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


@pytest.mark.skipif(not Path("/proc/stat").is_file(), reason="this system counts no work of other processes")
def test_the_work_of_others_counts_and_ones_own_does_not() -> None:
    others = OtherWork()
    assert others.cores() == 0  # too early
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(1.5)
        found = others.cores()
    finally:
        busy.kill()
        busy.wait()
    assert found > 0.4
    alone, began, own = OtherWork(), time.monotonic(), time.process_time()
    while time.monotonic() - began < 1.2:
        pass
    own = (time.process_time() - own) / 1.2
    assert alone.cores() <= (os.cpu_count() or 1) - own + 0.2


def test_other_work_in_a_share_of_a_machine_is_not_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    others = OtherWork()
    time.sleep(1.05)
    monkeypatch.setattr(processor, "quota", lambda: 0.5)
    assert others.cores() == 0


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system binds no process to cores")
def test_other_work_counts_on_the_cores_of_this_process(tmp_path: Path) -> None:
    bound = min(os.sched_getaffinity(0))

    def write(own: int, other: int) -> None:
        rows = [
            f"cpu {own + other} 0 0 9",
            f"cpu{bound} {own} 0 0 9",
            f"cpu{max(os.sched_getaffinity(0)) + 1} {other} 0 0 9",
        ]
        (tmp_path / "stat").write_text("\n".join([*rows, "intr 5"]))

    write(0, 0)
    others = OtherWork(tmp_path / "stat")
    time.sleep(1.05)
    write(0, 10**6)
    assert others.cores() == 0
    write(10**6, 0)
    assert others.cores() > 100


def test_without_statistics_no_work_is_known_of(tmp_path: Path) -> None:
    others = OtherWork(tmp_path / "stat")
    time.sleep(1.05)
    assert others.cores() == 0


@pytest.mark.parametrize(
    ("given", "loaded", "expected"),
    [
        ({}, False, {"GOMP_SPINCOUNT": str(SPINS)}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, False, {"OMP_WAIT_POLICY": "ACTIVE"}),
        ({"GOMP_SPINCOUNT": "7"}, False, {"GOMP_SPINCOUNT": "7"}),
        ({}, True, {}),
    ],
)
def test_how_threads_wait_is_set_before_torch_is_loaded(
    given: dict[str, str], loaded: bool, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    if not loaded:
        monkeypatch.delitem(sys.modules, "torch")
    spin_briefly()
    assert {name: os.environ[name] for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY") if name in os.environ} == expected


def test_the_command_sets_it_before_it_imports_torch() -> None:
    code = "import os, sys\nfrom logpose.cli.main import main\nassert 'torch' not in sys.modules\n"
    code += "main(['recipes'])\nprint(os.environ['GOMP_SPINCOUNT'])"
    environment = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == str(SPINS)
