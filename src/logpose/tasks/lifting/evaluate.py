"""How good a model that lifts keypoints into space is on a data set."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed

from logpose.core.structures import Prediction
from logpose.data.windows import Poses, WindowBatch, Windows, window_loader
from logpose.losses import LikelihoodLoss
from logpose.metrics import calibration
from logpose.metrics.mpjpe import spatial_errors
from logpose.models import LiftingModel
from logpose.tasks.figures import calibrated
from logpose.tasks.pose.evaluate import measure

__all__ = ["LiftingEvaluation", "evaluate_lifting"]

MM = 1000.0  # millimetres in a metre


class LiftingEvaluation:
    """Collects predictions, batch by batch, and measures them.

    Args:
        poses: the data set that the windows are of.
        model: tells the law of its errors.
        loss: for the likelihood; None leaves it out.
    """

    def __init__(self, poses: Poses, model: LiftingModel, loss: LikelihoodLoss | None = None) -> None:
        self.poses, self.model, self.loss = poses, model, loss
        self.found: list[tuple[np.ndarray, ...]] = []

    @torch.no_grad()
    def update(self, batch: WindowBatch, prediction: Prediction) -> None:
        """Take in the prediction on one batch."""
        nll = torch.full_like(prediction.confidence, float("nan"))
        if self.loss is not None:
            # The density is centred on mu; what is reported is its mean.
            mu = prediction.mu - prediction.sigma * self.model.error_distribution.mean
            nll = -self.loss.log_prob(mu, prediction.sigma, batch.target).where(batch.weight > 0, nll)
        columns: tuple[Tensor, ...] = (batch.index, prediction.mean, prediction.std, nll)
        self.found.append(tuple(column.cpu().numpy() for column in columns))

    def gather(self) -> None:
        """Bring together what the processes of a distributed run have collected."""
        if distributed.is_available() and distributed.is_initialized():
            parts: list[Any] = [None] * distributed.get_world_size()
            distributed.all_gather_object(parts, self.found)
            self.found = [row for part in parts for row in part]

    def is_finite(self) -> bool:
        """Whether all that was predicted is; sigma may be unknown."""
        return all(bool(np.isfinite(mean).all()) for _, mean, *_ in self.found)

    def compute(self, costly: bool = True) -> dict[str, float]:  # noqa: ARG002  (none of these is)
        """Every figure, by name.

        Lengths are in millimetres, of positions relative to the root, which counts as a joint without an error;
        `mpjpe` is the mean over frames, `mpjpe_mean` over actions, see `metrics.mpjpe`; `nll` is in nats per joint but
        the root, in metres; `coverage@l` is the share of labels in the ellipsoid that should hold the share l;
        `sigma_rank` is Spearman's correlation of predicted and true distance.
        """
        if not self.found:
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
            learns_sigma = self.loss is None or self.loss.learns_sigma
            figures |= calibrated(self.deviations(), self.model.error_distribution, learns_sigma)
        return figures

    def deviations(self) -> calibration.Deviations:
        """Of every joint but the root."""
        index, mean, std, _ = self._columns()
        away = [joint for joint in range(len(self.model.skeleton)) if joint not in self.model.skeleton.root]
        predicted, spread, labels = (x[:, away].reshape(-1, 3) for x in (mean, std, self.poses.targets[index]))
        radius = calibration.scaled_radius(predicted, spread, labels)
        apart = np.linalg.norm(predicted - labels, axis=-1)
        return calibration.Deviations(radius, MM * np.sqrt((spread**2).sum(axis=-1)), MM * apart, "mm")

    def _columns(self) -> tuple[np.ndarray, ...]:
        """Index, mean, standard deviation and nats of every frame, in the order of the data set."""
        columns = [np.concatenate(column) for column in zip(*self.found, strict=True)]
        order = np.argsort(columns[0], kind="stable")
        return tuple(column[order] for column in columns)


def evaluate_lifting(
    model: LiftingModel,
    poses: Poses,
    loss: LikelihoodLoss | None = None,
    *,
    flip_test: bool = True,
    batch_size: int = 1024,
    workers: int = 0,
    device: torch.device | str = "cpu",
    show_progress: bool = False,
) -> LiftingEvaluation:
    """Lift every frame of a data set.

    Args:
        model: put on `device` and into evaluation mode.
        poses: with the model's skeleton.
        loss: for the likelihood; None leaves it out.
        flip_test: whether to average with the prediction on mirrored keypoints.
        batch_size: windows at a time.
        workers: processes that cut windows.
        device: where to predict.
        show_progress: whether to draw a bar on stderr.
    """
    model = model.to(device).eval()
    evaluation = LiftingEvaluation(poses, model, None if loss is None else loss.to(device).eval())
    batches = window_loader(Windows(poses, model.frames), batch_size, training=False, workers=workers)
    measure(model, evaluation, batches, flip_test=flip_test, device=device, show_progress=show_progress)
    return evaluation
