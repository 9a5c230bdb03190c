"""From keypoints to poses in space, by a model that lifts them: millimetres relative to the root joint.

Keypoints do not determine how far away a person is, and neither does such a model: its joints lie along the axes of the
camera's frame (x to the right, y down, z away from the camera), but their origin is the root joint, wherever that is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy.typing import ArrayLike

from logpose.core.errors import InputError
from logpose.core.geometry import MM
from logpose.core.placement import refuse_diverged
from logpose.core.skeletons import Skeleton
from logpose.data.batches import check_batch_size
from logpose.data.keypoint_files import KeypointSequence
from logpose.data.lifting import screen
from logpose.data.problems import FARTHEST
from logpose.data.symmetry import flip_test_note
from logpose.data.windows import WindowBatch, windows_around
from logpose.models import LiftingModel
from logpose.report.results import in_mm, rounded, rows_mm
from logpose.tasks.evaluation import loaded

__all__ = ["Lifted", "LiftedPoses", "Lifter", "lifted_arrays", "lifted_rows", "lifted_text"]

log = logging.getLogger("logpose")

SHOWN_LEVEL = 0.5  # share of the probability that the regions of `LiftedPoses.radius` hold


@dataclass(frozen=True)
class LiftedPoses:
    """A person's joints in space, in T frames that follow each other."""

    skeleton: Skeleton
    joints_mm: Float32[np.ndarray, "T K 3"]
    """Expected positions relative to the root joint, along the axes of the camera's frame, millimetres."""
    sigma_mm: Float32[np.ndarray, "T K 3"]
    """Their standard deviations; NaN from a model that was trained without a likelihood."""
    confidence: Float32[np.ndarray, "T K"]
    """Of every joint, in [0, 1]: 1 - the model's relative sigma (the paper's Eq. 9, per joint)."""
    radius: float | Float[np.ndarray, "1 J 1"]
    """The ellipsoid of `radius` standard deviations around a joint holds it with a probability of 50 %; one for each
    joint of a model that is calibrated at this level, else one for all."""

    def __len__(self) -> int:
        return len(self.joints_mm)


class Lifter:
    """A trained model that takes keypoints in pixels.

    Args:
        model: a checkpoint: a file, the folder of a run or of `logpose convert`, or hf://OWNER/NAME; or a model, of
            which a copy is taken, so that it stays where it is and in its mode.
        device: where to compute; a GPU if there is one when None.
        flip_test: average with the prediction on the mirrored keypoints: a little better, half as fast; None: where
            left and right joints are known, as `logpose eval` does.
        batch_size: windows at a time.

    Raises:
        InputError: if the checkpoint cannot be used, its model is of another task, or there is no window at a time.
    """

    def __init__(
        self,
        model: LiftingModel | Path | str,
        device: torch.device | str | None = None,
        flip_test: bool | None = False,
        batch_size: int = 1024,
    ) -> None:
        self.model, self.device = loaded(model, LiftingModel, device, "not a lifting model")
        if batch_size < 1:
            raise InputError(f"one window or more are lifted at a time, not {batch_size}")
        if note := flip_test_note(self.model.skeleton, flip_test):
            log.warning(note)
        self.flip_test, self.batch_size = flip_test, check_batch_size(batch_size)

    def __call__(self, keypoints: ArrayLike, size: tuple[int, int]) -> LiftedPoses:
        """The poses of one person, one for each frame; of the first and the last the window's ends are repeated.

        Args:
            keypoints: (T, K, 2), pixels, of the model's joints in frames that follow each other.
            size: (H, W) of the image.

        Raises:
            InputError: if they are other joints, not finite or 1,000,000 pixels off or more, if there is no such
                image, or the model has diverged.
        """
        return next(self.many([(keypoints, size)]))

    def many(self, sequences: Iterable[tuple[ArrayLike, tuple[int, int]]]) -> Iterator[LiftedPoses]:
        """The poses of many sequences, in order; frames of several are computed together.

        Args:
            sequences: pairs of keypoints and the size of their image, as `__call__` takes them.

        Raises:
            InputError: as `__call__`.
        """
        waiting: list[Float32[np.ndarray, "_ K 2"]] = []
        count = len(self.model.skeleton)
        for keypoints, size in sequences:
            try:
                points = np.asarray(keypoints)
            except ValueError as error:  # rows of several lengths
                raise InputError(f"keypoints are numbers, of frames × {count} × 2: {error}") from error
            if points.dtype.kind not in "iuf" or points.shape[1:] != (count, 2) or not len(points):
                given = "×".join(map(str, points.shape))
                raise InputError(f"keypoints are numbers, of frames × {count} × 2, and not {points.dtype} of {given}")
            points = points.astype(np.float64)
            if not (np.isfinite(points).all() and np.abs(points).max() < FARTHEST):
                raise InputError(f"keypoints must be finite, and less than {FARTHEST:g} pixels off")
            if not all(1 <= side < FARTHEST for side in size):
                raise InputError(f"an image has a height and a width of 1 to {FARTHEST:g} pixels, not {size}")
            waiting.append(screen(points, size).astype(np.float32))
            if sum(map(len, waiting)) >= self.batch_size:
                yield from self._lifted(waiting)
                waiting = []
        yield from self._lifted(waiting)

    def _lifted(self, sequences: list[Float32[np.ndarray, "_ K 2"]]) -> Iterator[LiftedPoses]:
        """The poses of some sequences of screen-normalised keypoints."""
        if not sequences:
            return
        frames = np.concatenate(sequences)
        lengths = [len(sequence) for sequence in sequences]
        ends = np.cumsum(lengths)
        first, last = np.repeat(ends - lengths, lengths), np.repeat(ends - 1, lengths)
        found = []
        for start in range(0, len(frames), self.batch_size):
            rows = np.arange(start, min(start + self.batch_size, len(frames)))
            found.append(self._predicted(windows_around(frames, rows, first[rows], last[rows], self.model.frames)))
        mean, std, confidence = (np.concatenate(column) for column in zip(*found, strict=True))
        refuse_diverged(MM * mean, confidence)
        radius = self.model.region_radius(SHOWN_LEVEL)[..., None]
        for end, length in zip(ends.tolist(), lengths, strict=True):
            part = slice(end - length, end)
            yield LiftedPoses(self.model.skeleton, MM * mean[part], MM * std[part], confidence[part], radius)

    @torch.inference_mode()
    def _predicted(self, windows: Float32[np.ndarray, "B T K 2"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean and standard deviation in metres, and confidence, of the frames in the middle of windows."""
        count, joints = len(windows), len(self.model.skeleton)
        unknown = torch.zeros(count, joints, 3), torch.zeros(count, joints), torch.arange(count)
        batch = WindowBatch(torch.from_numpy(windows), *unknown).to(self.device)
        prediction = self.model.predict(batch, self.flip_test)
        mean, std, confidence = (x.cpu().numpy() for x in (prediction.mean, prediction.std, prediction.confidence))
        return mean, std, confidence


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
