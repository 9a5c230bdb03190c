"""Cures for libraries that do not work together; each is applied only where it is needed, and says so once."""

from __future__ import annotations

import importlib.metadata
import logging

import torch
from torch import Tensor

__all__ = ["mend_torchvision"]

log = logging.getLogger("logpose")


def mend_torchvision() -> None:
    """Let torchvision be imported next to a torch that its compiled operators were not built for.

    The wheel of torchvision that pip finds is built for CUDA. Next to a CPU-only torch its library does not load, and
    `import torchvision` fails with "operator torchvision::nms does not exist", and with it every library that imports
    it when it is there (lightning, torchmetrics, timm). Declaring the two operators that the import asks for is enough;
    `nms` is also implemented, in plain PyTorch, for the CPU.

    Does nothing when torchvision is absent or works.
    """
    try:
        importlib.metadata.version("torchvision")
    except importlib.metadata.PackageNotFoundError:
        return
    if _compiled_operators_load() or hasattr(torch.ops.torchvision, "nms"):
        return
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    library.define(f"nms{signature}")  # type: ignore[no-untyped-call]
    library.define(f"qnms{signature}")  # type: ignore[no-untyped-call]
    library.impl("nms", _nms, "CPU")  # type: ignore[no-untyped-call]
    _kept.append(library)
    log.warning(
        "torchvision's compiled operators do not fit this torch; logpose stands in for nms in plain PyTorch "
        "(install matching builds of both to have torchvision's own)"
    )


_kept: list[torch.library.Library] = []  # a library's operators vanish with the object that defined them


def _compiled_operators_load() -> bool:
    """Whether torchvision's shared library can be loaded into this torch (found without importing torchvision)."""
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
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    order = scores.argsort(descending=True, stable=True)
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        top_left = torch.maximum(boxes[best, :2], boxes[order, :2])
        bottom_right = torch.minimum(boxes[best, 2:], boxes[order, 2:])
        overlap = (bottom_right - top_left).clamp_min(0).prod(dim=1)
        order = order[overlap / (area[best] + area[order] - overlap) <= iou_threshold]
    return torch.stack(kept) if kept else order
