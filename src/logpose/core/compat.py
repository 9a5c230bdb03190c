"""Fixes for libraries that do not work together; each is applied only where it is needed, and logged once."""

from __future__ import annotations

import ctypes
import importlib.metadata
import logging
import platform

import numpy as np
import torch
from torch import Tensor
from torch import library as operators

__all__ = ["keep_freed_memory", "patch_torchvision"]

log = logging.getLogger("logpose")


# glibc's `mallopt`: names of the settings (malloc.h), and values. Blocks of up to 32 MiB, the most that it takes, come
# from the heap; the heap's end goes back to the system only when more than 2 GiB of it are free.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
ALLOCATOR = ((MMAP_THRESHOLD, 32 << 20), (TRIM_THRESHOLD, (2 << 30) - 1), (TOP_PAD, 64 << 20))


def keep_freed_memory() -> bool:
    """Let this process keep the memory of freed tensors for the next ones; returns whether it could be set.

    glibc returns large blocks to the system at once: on a CPU that is a good part of a training step.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(name, value) for name, value in ALLOCATOR)


NMS_ROWS = 256
"""Boxes whose overlaps with all others are computed at once: some megabytes of a few thousand boxes."""


def patch_torchvision() -> None:
    """Let torchvision be imported next to a torch that its compiled operators were not built for.

    Next to a CPU-only torch, `import torchvision` from PyPI's wheel fails with "operator torchvision::nms does not
    exist", and with it lightning, torchmetrics and timm. Declaring the two operators that the import asks for is
    enough; `nms` is also implemented, in plain PyTorch. Does nothing when torchvision is absent or works.
    """
    try:
        importlib.metadata.version("torchvision")
    except importlib.metadata.PackageNotFoundError:
        return
    if _compiled_operators_load() or hasattr(torch.ops.torchvision, "nms"):
        return
    for name in ("nms", "qnms"):
        operators.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    operators.impl("torchvision::nms", "CompositeExplicitAutograd", _nms)
    log.warning(
        "torchvision's compiled operators do not fit this torch; nms runs in plain PyTorch "
        "(install matching builds of both for torchvision's own)"
    )


def _compiled_operators_load() -> bool:
    """Whether torchvision's shared library can be loaded into this torch (checked without importing torchvision)."""
    for file in importlib.metadata.files("torchvision") or ():
        if file.name.startswith("_C.") and file.suffix in (".so", ".pyd", ".dylib"):
            try:
                torch.ops.load_library(str(file.locate()))  # type: ignore[no-untyped-call]
            except OSError:
                return False
            return True
    return False


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Greedy non-maximum suppression of (N, 4) boxes x1, y1, x2, y2: indices kept, best first."""
    order = scores.argsort(descending=True, stable=True)
    boxes = boxes[order].detach()
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    alive = np.ones(len(boxes), dtype=bool)
    for start in range(0, len(boxes), NMS_ROWS):
        rows = start + np.flatnonzero(alive[start : start + NMS_ROWS])
        own, rest = boxes[rows, None], boxes[None, start:]
        top_left = torch.maximum(own[..., :2], rest[..., :2])
        overlap = (torch.minimum(own[..., 2:], rest[..., 2:]) - top_left).clamp_min(0).prod(dim=2)
        covers = (overlap / (area[rows, None] + area[None, start:] - overlap) > iou_threshold).cpu().numpy()
        for row, covered in zip(rows, covers, strict=True):
            if alive[row]:
                alive[row + 1 :] &= ~covered[row + 1 - start :]
    return order[torch.from_numpy(np.flatnonzero(alive)).to(order.device)]
