"""Boxes of people by one of torchvision's detectors, trained on COCO."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from logpose.core.compat import patch_torchvision
from logpose.core.device import choose_device
from logpose.core.errors import InputError
from logpose.core.samples import Image

__all__ = ["PREFIX", "TorchvisionBoxes"]

PREFIX = "torchvision/"
"""Of names of detectors, where a checkpoint of a detector may stand."""
PERSON = 1
"""Of COCO's categories."""
LEAST_SCORE = 0.5
"""Of a box, unless another is given."""


class TorchvisionBoxes:
    """A detector of torchvision's (extra `detect`) with its weights, which are downloaded once.

    Args:
        name: of the detector: fasterrcnn_resnet50_fpn_v2, ssdlite320_mobilenet_v3_large, …
        device: where to compute; a GPU if there is one when None.
        least_score: lowest score of a box; 0.5 when None.

    Raises:
        InputError: if torchvision is not installed, has no such detector, or its weights cannot be had.
    """

    def __init__(self, name: str, device: torch.device | str | None = None, least_score: float | None = None) -> None:
        patch_torchvision()
        try:
            from torchvision.models import detection, get_model, list_models
        except ImportError as error:
            install = "pip install 'logpose-keypoints[detect]'"
            raise InputError(f"--detector {PREFIX}{name}: torchvision is not installed: {install}") from error
        names = list_models(module=detection)
        if name not in names:
            raise InputError(f"--detector {PREFIX}{name}: torchvision has no such detector; it has {', '.join(names)}")
        try:
            self.model: Any = get_model(name, weights="DEFAULT", weights_backbone=None)
        except (OSError, RuntimeError) as error:  # no network; a download that broke off
            raise InputError(f"--detector {PREFIX}{name}: its weights cannot be downloaded ({error!s:.120})") from error
        self.device = choose_device(device)
        self.model.to(self.device).eval()
        self.least_score = LEAST_SCORE if least_score is None else least_score

    @torch.inference_mode()
    def boxes(self, image: Image) -> Float[np.ndarray, "N 5"]:
        """x, y, width, height and score of the people of one image, best first."""
        pixels = torch.from_numpy(image).permute(2, 0, 1).to(self.device, torch.float32) / 255
        (found,) = self.model([pixels])
        there = (found["labels"] == PERSON) & (found["scores"] >= self.least_score)
        corners, scores = found["boxes"][there].cpu().numpy(), found["scores"][there].cpu().numpy()
        rows = np.column_stack([corners[:, :2], corners[:, 2:] - corners[:, :2], scores]).astype(np.float64)
        return np.asarray(rows[(rows[:, 2:4] > 0).all(axis=1)])
