"""The stand-in for torchvision's operators: right where it is needed, absent where it is not."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logpose.core import compat
from logpose.core.compat import _nms, keep_freed_memory, patch_torchvision

boxes = st.lists(
    st.tuples(*(st.integers(0, 20) for _ in range(2)), *(st.integers(1, 12) for _ in range(2)), st.integers(0, 9)),
    max_size=12,
)


@given(boxes, st.floats(0, 1))
def test_nms_is_the_greedy_loop(rows: list[tuple[int, ...]], threshold: float) -> None:
    def overlap(a: tuple[int, ...], b: tuple[int, ...]) -> float:
        wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
        high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
        common = max(wide, 0) * max(high, 0)
        return common / (a[2] * a[3] + b[2] * b[3] - common)

    kept: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: -rows[i][4]):
        if all(overlap(rows[i], rows[j]) <= threshold for j in kept):
            kept.append(i)
    table = torch.tensor(rows, dtype=torch.float64).reshape(-1, 5)
    corners = torch.cat([table[:, :2], table[:, :2] + table[:, 2:4]], dim=1)
    assert _nms(corners, table[:, 4], threshold).tolist() == kept


def test_without_torchvision_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> str:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "version", absent)
    monkeypatch.setattr(compat.operators, "define", lambda *_: pytest.fail("an operator was declared"))
    patch_torchvision()


BROKEN = """
import importlib.metadata, logging, sys
from pathlib import Path
import torch

class File(type(Path())):
    def locate(self): return self

assert not hasattr(torch.ops.torchvision, "nms")
importlib.metadata.version = lambda name: "0.1"
importlib.metadata.files = lambda name: [File("README"), File(sys.argv[1])]
logging.basicConfig(stream=sys.stdout, format="%(message)s")
from logpose.core.compat import patch_torchvision
patch_torchvision()
patch_torchvision()
boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
print(torch.ops.torchvision.nms(boxes, torch.tensor([0.5, 0.9, 0.1]), 0.5).tolist())
"""


def test_a_library_that_does_not_load_is_stood_in_for_once(tmp_path: Path) -> None:
    library = tmp_path / "_C.so"
    library.write_bytes(b"no library")
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, str(library)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "PATH": "", "OMP_NUM_THREADS": "1"},
    )
    logged, kept = done.stdout.splitlines()
    assert "torchvision's compiled operators do not fit this torch" in logged
    assert kept == "[1, 2]"


PAGES = """
import resource
import torch
from logpose.core.compat import keep_freed_memory

def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(4 << 20)  # 16 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
fresh = faults(20)
assert keep_freed_memory()
faults(2)
print(fresh, faults(20))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is about glibc's allocator")
def test_freed_memory_is_used_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PAGES],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "PATH": "", "OMP_NUM_THREADS": "1"},
    )
    fresh, kept = map(int, done.stdout.split())
    assert kept < fresh / 10


def test_elsewhere_than_on_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
