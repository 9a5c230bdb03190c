"""The people in whole images by a detector of `logpose export`, without torch."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from logpose.runtime import predict
from logpose.runtime.predict import Network, People

__all__ = ["Finder"]

MULTIPLE = 32
"""Sides of inputs are multiples of this, in pixels."""


class Finder(predict.Predictor):
    """Finds the people in an image, and their joints.

    How an image is read and what regions are is the `Predictor`'s, whose file bundles copy and which so stays one.

    Args:
        network: of the file of a detector.
        least_score: lowest score of a box; the model's own threshold when None.

    Raises:
        ValueError: if it is a model of another task.
    """

    def __init__(self, network: Network, least_score: float | None = None) -> None:
        self.network, self.facts = network, network.facts["export"]
        self.calibration = network.facts.get("calibration") or {}
        if self.facts["task"] != "detection":
            raise ValueError("a model of whole images is needed; logpose.runtime.Predictor takes models of crops")
        self.least_score = self.facts["score_threshold"] if least_score is None else least_score

    def __call__(self, image: np.ndarray | str | Path) -> People:  # type: ignore[override]
        """The people of an RGB image (H, W, 3) of 8 bits, or of a file of one; best first.

        Raises:
            ValueError: if it is no such image.
        """
        return super().__call__(image, ())

    def predicted(self, image: np.ndarray, boxes: np.ndarray) -> People:  # noqa: ARG002
        """The people in an image."""
        extent = np.array(image.shape[1::-1])
        factor = min(self.facts["short"] / extent.min(), self.facts["longest"] / extent.max())
        size = np.maximum(1, (extent * factor + 0.5).astype(int))
        # The corners of the image, half a pixel outside the centres of its outer pixels, stay its corners.
        scale = size / extent
        shift = (scale - 1) / 2
        columns, rows = -(-size // MULTIPLE) * MULTIPLE
        inputs = np.zeros((rows, columns, 3), np.uint8)
        inputs[: size[1], : size[0]] = cv2.warpAffine(image, np.column_stack([np.diag(scale), shift]), size.tolist())
        found = self.network(np.ascontiguousarray(inputs.transpose(2, 0, 1)[None]), size[None, ::-1].astype(np.int64))
        kept = (found["scores"] > 0) & (found["scores"] >= self.least_score)
        out = {name: values[kept].astype(np.float64) for name, values in found.items()}
        corners = (out["boxes"].reshape(-1, 2, 2) - 0.5 - shift) / scale + 0.5
        places = np.concatenate([corners[:, 0], corners[:, 1] - corners[:, 0]], axis=1)
        std = out["std"] / scale if "std" in out else None
        regions = {} if std is None else self.regions(places, std, out["radius"])
        return People(places, (out["keypoints"] - shift) / scale, std, out["confidence"], out["scores"], regions)
