"""Evaluation of models that lift keypoints into space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader

from logpose.core.geometry import MM
from logpose.core.structures import Evaluator, Prediction
from logpose.data.windows import Poses, WindowBatch, Windows, window_loader
from logpose.losses import LikelihoodLoss
from logpose.metrics import calibration
from logpose.metrics.mpjpe import spatial_errors
from logpose.models import LiftingModel
from logpose.tasks import evaluation
from logpose.tasks.calibrate import Errors

__all__ = ["LiftingEvaluation", "evaluate_lifting", "validation_loader"]

Columns = tuple[np.ndarray, ...]
"""Index, mean, standard deviation and NLL of some frames."""


class LiftingEvaluation(Evaluator[Columns]):
    """Collects the predictions of a lifting model, batch by batch, and computes figures of them.

    Args:
        poses: the data set that the windows are of.
        model: has the skeleton and the error distribution.
        loss: for the likelihood; None leaves it out.

    Attributes:
        rows: columns of the frames of each batch, by the batch's first frame.
    """

    loss: LikelihoodLoss | None

    def __init__(self, poses: Poses, model: LiftingModel, loss: LikelihoodLoss | None = None) -> None:
        super().__init__(loss)
        self.poses, self.model = poses, model

    @torch.no_grad()
    def update(self, batch: WindowBatch, prediction: Prediction) -> None:
        """Collect the prediction on one batch."""
        nll = torch.full_like(prediction.confidence, float("nan"))
        if self.loss is not None:
            nll = -self.loss.log_prob(prediction.mu, prediction.sigma, batch.target).where(batch.weight > 0, nll)
        columns: tuple[Tensor, ...] = (batch.index, prediction.mean, prediction.std, nll)
        self.add(int(batch.index[0]), tuple(column.cpu().numpy() for column in columns))

    def is_finite(self) -> bool:
        """Whether all that was predicted is finite; sigma may be unknown."""
        return all(bool(np.isfinite(mean).all()) for _, mean, *_ in self.rows.values())

    def compute(self, costly: bool = True) -> dict[str, float]:  # noqa: ARG002  (none of these is)
        """Every figure, by name.

        Lengths are in millimetres, of positions relative to the root, which counts as a joint without an error;
        `mpjpe` is the mean over frames, `mpjpe_mean` over actions, see `metrics.mpjpe`; `nll` is in nats per joint but
        the root, in metres; `coverage@l` is the share of labels in the ellipsoid of nominal level l;
        `sigma_rank` is Spearman's correlation of predicted and true distance.
        """
        if not self.rows:
            return {"frames": 0}
        index, mean, std, nll = self._columns()
        truth = self.poses.targets[index]
        figures: dict[str, float] = {"frames": len(index)}
        if not np.isfinite(mean).all():
            return figures | {"mpjpe": float("nan")}  # of a model that has diverged
        figures |= spatial_errors(
            MM * mean,
            MM * truth,
            np.ones(truth.shape[:2]),
            [self.poses.groups[i] for i in index],
            self.model.skeleton.joints,
            self.poses.sequence[index],
        )
        if self.loss is not None:
            figures["nll"] = float(np.nanmean(nll))
        if np.isfinite(std).all():
            figures |= evaluation.calibrated(self.deviations(), self.loss)
        return figures

    def errors(self, groups: Sequence[str]) -> Errors:
        """Errors of every joint but the root, to calibrate on.

        Args:
            groups: the group of each frame of the data set.
        """
        index, mean, std, _ = self._columns()
        with np.errstate(divide="ignore", invalid="ignore"):
            error = (self.poses.targets[index] - mean) / std
        error[:, list(self.model.skeleton.root)] = np.nan
        numbers = np.unique(np.array(groups)[index], return_inverse=True)[1]
        return Errors(error, MM * std.mean(axis=-1), "mm", numbers)

    def deviations(self) -> calibration.Deviations:
        """Of every joint but the root."""
        index, mean, std, _ = self._columns()
        away = [joint for joint in range(len(self.model.skeleton)) if joint not in self.model.skeleton.root]
        predicted, spread, labels = (x[:, away].reshape(-1, 3) for x in (mean, std, self.poses.targets[index]))
        radius = calibration.scaled_radius(predicted, spread, labels)
        apart = np.linalg.norm(predicted - labels, axis=-1)

        def limit(level: float) -> Float[np.ndarray, "M"]:
            each = np.broadcast_to(self.model.region_radius(level), (1, len(self.model.skeleton)))
            return np.tile(each[0, away], len(index))

        return calibration.Deviations(radius, MM * np.sqrt((spread**2).sum(axis=-1)), MM * apart, "mm", limit)

    def _columns(self) -> tuple[np.ndarray, ...]:
        """Index, mean, standard deviation and NLL of every frame, in the order of the data set."""
        columns = [np.concatenate(column) for column in zip(*self.rows.values(), strict=True)]
        order = np.argsort(columns[0], kind="stable")
        return tuple(column[order] for column in columns)


def validation_loader(
    poses: Poses, model: LiftingModel, batch_size: int, *, workers: int = 0, pin: bool = False
) -> DataLoader[WindowBatch]:
    """Batches of windows to evaluate a model on: every frame once, in order."""
    return window_loader(Windows(poses, model.frames), batch_size, training=False, workers=workers, pin=pin)


def evaluate_lifting(
    model: LiftingModel,
    poses: Poses,
    loss: LikelihoodLoss | None = None,
    *,
    batch_size: int = 1024,
    workers: int = 0,
    **running: Any,
) -> LiftingEvaluation:
    """Lift every frame of a data set.

    Arguments are those of `LiftingEvaluation` and (flip_test, device, show_progress) of `evaluation.evaluate`.
    """
    loader = validation_loader(poses, model, batch_size, workers=workers)
    return evaluation.evaluate(model, LiftingEvaluation(poses, model, loss), loader, **running)
