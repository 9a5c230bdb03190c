"""The processor's cores: how many there are for this process, and how threads and worker processes share them.

Without torch: what OpenMP reads from the environment has to be there before torch loads it.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from logpose.core.errors import InputError

__all__ = [
    "SPINS",
    "OtherWork",
    "cores",
    "default_workers",
    "quota",
    "spin_briefly",
    "threads_beside",
    "worker_processes",
]

SPINS = 3000
"""How often a thread of libgomp looks whether the others are done before it sleeps; libgomp's own default is 300,000,
some milliseconds. `benchmarks/beside_other_work.py` measures it."""

MOST_WORKERS = 8  # per process that trains; more seldom help, and each takes memory


def spin_briefly() -> None:
    """Let the threads of OpenMP wait for each other without taking the processor from other processes.

    Sets `GOMP_SPINCOUNT` for libgomp, which PyTorch's wheels for Linux have, unless the user has set how to wait. Has
    no effect in a process that has imported torch.
    """
    if "torch" not in sys.modules and not os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)


def cores() -> int:
    """Cores that this process may use: those it is bound to, and no more than its control group's share of time.

    In a container that may use two of a machine's 64 cores, 64 threads are many times slower than two.
    """
    return max(1, math.ceil(min(_bound(), quota())))


def _bound() -> int:
    """Cores that this process is bound to."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def quota(root: str | Path = "/sys/fs/cgroup", own: str | Path = "/proc/self/cgroup") -> float:
    """Seconds of processor time a second that the control groups allow, of version 2 or 1; infinite without a limit.

    Args:
        root: where they are mounted.
        own: the file of the groups that this process is in.
    """
    shares = [math.inf]
    try:
        for folder in _control_groups(Path(root), Path(own)):
            if (limit := folder / "cpu.max").is_file():
                allowed, period = limit.read_text().split()
            elif (limit := folder / "cpu.cfs_quota_us").is_file():
                allowed, period = limit.read_text().strip(), (folder / "cpu.cfs_period_us").read_text()
            else:
                continue
            if allowed.isdigit():  # "max" and -1 are no limit
                shares.append(int(allowed) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # no such system
        return math.inf
    return min(shares)


def _control_groups(root: Path, own: Path) -> Iterator[Path]:
    """Folders of the groups that limit the processor's time, from this process's up to the root."""
    if not own.is_file():
        return
    for line in own.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            top = root / controllers
            group = top / path.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))


def default_workers(on_cpu: bool, processes: int = 1) -> int:
    """Worker processes that load data, for the cores at hand.

    Args:
        on_cpu: whether the network is computed on the processor too. It then takes most of the time, and a worker
            takes a core from it: there are none on one or two cores, and one for every four otherwise.
        processes: how many train on this machine.
    """
    share = cores() // processes
    wanted = (max(1, share // 4) if share > 2 else 0) if on_cpu else share - 1
    return min(MOST_WORKERS, max(0, wanted))


def worker_processes(wanted: int | Literal["auto"], on_cpu: bool, processes: int = 1) -> int:
    """How many processes load data, of a number or auto: see `default_workers`.

    Raises:
        InputError: if there are less than none.
    """
    if wanted == "auto":
        return default_workers(on_cpu, processes)
    if wanted < 0:
        raise InputError(f"--workers must be at least 0, got {wanted}")
    return wanted


class OtherWork:
    """The work of other processes, on the cores that this one may use, since this object was made.

    Args:
        statistics: the file in which Linux counts what the cores did; without it, no work is known of.
    """

    def __init__(self, statistics: str | Path = "/proc/stat") -> None:
        self._file = Path(statistics)
        self._began, self._before = time.monotonic(), self._seconds()

    def _seconds(self) -> float:
        """Seconds that the cores have computed for other processes."""
        if not (self._file.is_file() and hasattr(os, "sched_getaffinity")):
            return 0.0
        bound = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        rows = [row.split() for row in self._file.read_text().splitlines() if row.startswith("cpu")]
        ticks = sum(sum(map(int, row[1:4])) for row in rows if row[0] in bound)  # user, nice, system
        return ticks / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])

    def cores(self) -> float:
        """How many cores it took on average; 0 within the first second, which is too short to measure.

        Also 0 in a container with a share of more cores, of which other containers take theirs.
        """
        if quota() < _bound():
            return 0.0
        passed = time.monotonic() - self._began
        return max(0.0, self._seconds() - self._before) / passed if passed >= 1 else 0.0


@contextmanager
def threads_beside(workers: int, processes: int = 1, threads: int | Literal["auto"] = "auto") -> Iterator[None]:
    """Compute with as many of torch's threads as cores are left beside worker processes; before and after, as it was.

    With "auto" a number of threads that is lower already is kept, so that `OMP_NUM_THREADS` and
    `torch.set_num_threads` hold.
    """
    import torch

    before = torch.get_num_threads()
    left = min(before, max(1, cores() // processes - workers))
    torch.set_num_threads(left if threads == "auto" else threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
