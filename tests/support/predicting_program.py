"""What a program predicts of drawn people: joints that are the harder the less its scores are, in two views."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

JOINTS = ("left_hand", "right_hand", "nose")


@dataclass(frozen=True)
class World:
    """N people with their labels, what is predicted of them, and how far off that is on average."""

    truth: np.ndarray
    predicted: np.ndarray
    mirrored: np.ndarray
    scores: np.ndarray
    std: np.ndarray


def world(count: int, seed: int = 0) -> World:
    """People of 100 to 300 pixels, whose joints err by .5 to 10 % of that."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(100, 300, (count, 1, 1))
    place = rng.uniform(300, 700, (count, 1, 2))
    truth = place + size * (np.array([[-0.5, 0.2], [0.5, 0.3], [0, -0.5]]) + rng.normal(0, 0.05, (count, 3, 2)))
    share = np.exp(rng.uniform(np.log(0.005), np.log(0.1), (count, 3)))
    std = share * size[..., 0]
    predicted, mirrored = (truth + std[..., None] * rng.laplace(0, np.sqrt(0.5), (count, 3, 2)) for _ in range(2))
    scores = 1 / (1 + np.exp(np.log(share) + 3.8 + rng.normal(0, 0.5, (count, 3))))
    return World(truth, predicted, mirrored, scores, std)


def write(folder: Path, drawn: World, name: str = "") -> tuple[Path, Path, Path]:
    """Predictions, labels, and predictions in the mirrored images; names and numbers of images are 0, 1, …."""

    def rows(points: np.ndarray) -> list[dict[str, Any]]:
        triplets = np.concatenate([points, drawn.scores[..., None]], axis=-1).round(3)
        return [
            {"image_id": i, "category_id": 1, "keypoints": row.ravel().tolist(), "score": 0.5, "own": f"row {i}"}
            for i, row in enumerate(triplets)
        ]

    annotations = []
    for i, points in enumerate(drawn.truth.round(3)):
        low, extent = points.min(axis=0), np.ptp(points, axis=0)
        keypoints = np.column_stack([points, np.full(3, 2)]).ravel().tolist()
        annotations.append(
            {"id": i + 1, "image_id": i, "category_id": 1, "iscrowd": 0, "num_keypoints": 3, "keypoints": keypoints,
             "bbox": [*low.tolist(), *extent.tolist()], "area": float(extent.prod())}
        )  # fmt: skip
    images = [{"id": i, "file_name": f"{name}{i}.jpg", "width": 1000, "height": 1000} for i in range(len(drawn.truth))]
    labels = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": list(JOINTS), "skeleton": []}],
    }
    contents = {"predictions": rows(drawn.predicted), "labels": labels, "mirrored": rows(drawn.mirrored)}
    paths = []
    for kind, content in contents.items():
        (path := folder / f"{name}{kind}.json").write_text(json.dumps(content))
        paths.append(path)
    return paths[0], paths[1], paths[2]
