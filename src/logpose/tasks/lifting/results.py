"""Lifted poses as results: rows of plain values, arrays, lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from logpose.core.skeletons import Skeleton
from logpose.data.keypoint_files import KeypointSequence
from logpose.tasks.lifting.predict import LiftedPoses
from logpose.tasks.pose.results import in_mm, rounded, rows_mm

__all__ = ["Lifted", "lifted_arrays", "lifted_rows", "lifted_text"]

Lifted = tuple[str, KeypointSequence, LiftedPoses]
"""A sequence of a file of keypoints, the file's name before it, and its poses in space."""


def lifted_rows(found: Lifted) -> Iterator[dict[str, Any]]:
    """The poses of a sequence as plain values, one after the other.

    `joints_mm` and `sigma_mm` are K rows of x, y, z: relative to the root, along the axes of the camera's frame; sigma
    is None where the model knows none. `frame` counts from 0.
    """
    file, sequence, poses = found
    image = {} if sequence.image_id is None else {"image_id": sequence.image_id}
    for frame in range(len(poses)):
        yield {
            "file_name": file,
            "sequence": sequence.name,
            **image,
            "frame": frame,
            "joints_mm": rows_mm(poses.joints_mm[frame]),
            "sigma_mm": rows_mm(poses.sigma_mm[frame]),
            "confidence": rounded(poses.confidence[frame]),
        }


def lifted_arrays(found: Sequence[Lifted], skeleton: Skeleton) -> dict[str, np.ndarray]:
    """The poses of some sequences as arrays to be saved: a row for each of N poses.

    Returns:
        `joints`, the K names; `file_name` and `sequence` as text; `frame`; `keypoints`, the pixels of the model's
        joints that were lifted; `joints_mm`, `sigma_mm`, `confidence`.
    """
    each = [(file, sequence.name, frame) for file, sequence, poses in found for frame in range(len(poses))]
    return {
        "joints": np.array(skeleton.joints),
        "file_name": np.array([file for file, _, _ in each], dtype=np.str_),
        "sequence": np.array([name for _, name, _ in each], dtype=np.str_),
        "frame": np.array([frame for _, _, frame in each], dtype=np.int64),
        "keypoints": np.concatenate([sequence.keypoints for _, sequence, _ in found]),
        **{
            name: np.concatenate([getattr(poses, name) for _, _, poses in found])
            for name in ("joints_mm", "sigma_mm", "confidence")
        },
    }


def lifted_text(rows: Iterable[Mapping[str, Any]], joints: Sequence[str]) -> Iterator[str]:
    """Rows of `lifted_rows` as lines, in the same way."""
    for row in rows:
        yield f"{row['file_name']}: {row['sequence']}, frame {row['frame']}"
        for i, joint in enumerate(joints):
            yield f"  {joint:16}{in_mm(row, i)}  confidence {row['confidence'][i]:.3f}"
