"""Point-set anchors of random weights that find people who differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from logpose.core.skeletons import COCO
from logpose.losses import Laplace
from logpose.models import PointSetAnchors, PointSetOptions, create_backbone


def anchors(words: Sequence[str] = (), bias: float | None = None, **options: Any) -> PointSetAnchors:
    """A detector on a small ResNet.

    Args:
        words: weights whose names have one of these are larger than they begin with; those of the last layers if none
            is given.
        bias: of the classification. Features outside of an image are 0, and their scores would all be 1/2 without.
        options: of the network.
    """
    torch.manual_seed(0)
    backbone = create_backbone("resnet18", (64, 64), neck=False, all_branches=True)
    chosen = PointSetOptions(**{"channels": 16, "depth": 1, **options})
    model = PointSetAnchors(backbone, COCO, options=chosen, short=64, longest=128)
    for name, parameter in model.named_parameters():
        if any(word in name for word in words or (f"stages.{len(model.stages) - 1}.last",)) and parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    if bias is not None:
        torch.nn.init.constant_(model.stages[-1].last["classification"].bias, bias)
    model.set_error_distribution(Laplace(2).error_distribution())
    return model.eval()
