"""Evaluation of models of boundaries in B-scans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch.utils.data import DataLoader

from logpose.core.calibration import Group
from logpose.core.structures import Evaluator, Prediction
from logpose.data.scans import ScanBatch, Scans, ScanWindows, scan_loader
from logpose.losses import LikelihoodLoss
from logpose.metrics import calibration
from logpose.metrics.boundaries import boundary_errors, central, mean_over_scans
from logpose.models import BoundaryModel
from logpose.tasks import evaluation
from logpose.tasks.calibrate import Errors

__all__ = ["BoundaryEvaluation", "FoundBoundaries", "evaluate_scans", "stitched", "validation_loader"]

BAND_LEVELS = (0.5, 0.9, 0.95)


@dataclass(frozen=True)
class FoundBoundaries:
    """Boundaries in one scan, in its own rows (pixel centres at whole numbers from 0)."""

    rows: Float[np.ndarray, "D W"]
    """Expected rows."""
    std: Float[np.ndarray, "D W"]
    """Their standard deviations, in rows; NaN from a model that was trained without a likelihood."""
    nll: Float[np.ndarray, "W"]
    """Nats of each column in which every boundary is labelled, its rows in pixels; NaN elsewhere, or without a loss."""


Window = Float[np.ndarray, "E W"]
"""Of each column of a window: D rows, D standard deviations, and the NLL."""


def stitched(windows: Mapping[int, Window], width: int) -> FoundBoundaries:
    """The boundaries of a scan from its windows: of each column, those of the window whose middle is closest to it."""
    height, columns = next(iter(windows.values())).shape
    joined = np.full((height, width), np.nan)
    closest = np.full(width, np.inf)
    for start, window in sorted(windows.items()):
        at = np.arange(start, min(start + columns, width))
        away = abs(at - start - (columns - 1) / 2)
        better = at[away < closest[at]]
        joined[:, better] = window[:, better - start]
        closest[better] = away[better - start]
    dim = (height - 1) // 2
    rows = np.maximum.accumulate(joined[:dim], axis=0)  # the error distribution's mean may have moved one over another
    return FoundBoundaries(rows, joined[dim : 2 * dim], joined[-1])


class BoundaryEvaluation(Evaluator[dict[int, Window]]):
    """Collects the predictions on windows, batch by batch, and computes figures of the scans.

    Args:
        scans: the data set that the windows are of.
        model: has the boundaries' names and the error distribution.
        loss: for the likelihood; None leaves it out.
        columns: how many columns in the middle of each scan are evaluated; all when None.

    Attributes:
        rows: of each scan its windows, by the column that they begin at.
    """

    loss: LikelihoodLoss | None

    def __init__(
        self, scans: Scans, model: BoundaryModel, loss: LikelihoodLoss | None = None, columns: int | None = None
    ) -> None:
        super().__init__(loss)
        self.scans, self.model, self.columns = scans, model, columns

    @torch.no_grad()
    def update(self, batch: ScanBatch, prediction: Prediction) -> None:
        """Collect the prediction on one batch."""
        scale = batch.scale[:, None, None] * self.model.size[0]  # rows of the scan to a unit of crop coordinates
        nll = torch.full_like(prediction.confidence, float("nan"))
        if self.loss is not None:
            mu = prediction.mu
            whole = batch.target.isfinite().all(dim=-1) & (batch.weight > 0)
            target = torch.where(whole[..., None], batch.target, mu)
            nll = -self.loss.log_prob(mu, prediction.sigma, target) + mu.shape[-1] * scale[..., 0].log()
            nll = nll.where(whole, float("nan"))
        mean, std, nll, unit = (x.cpu().double() for x in (prediction.mean, prediction.std, nll, scale))
        each = torch.cat([batch.to_scan(mean), std * unit, nll[..., None]], dim=-1).transpose(1, 2).numpy()
        for index, start, window in zip(batch.index.tolist(), batch.start.tolist(), each, strict=True):
            self.add(index, {start: window})

    def add(self, index: int, row: dict[int, Window]) -> None:
        """Keep windows of a scan, beside those that are kept already."""
        self.rows.setdefault(index, {}).update(row)

    def boundaries(self, index: int) -> FoundBoundaries:
        """The predicted boundaries of a scan."""
        return stitched(self.rows[index], self.scans[index].rows.shape[1])

    def is_finite(self) -> bool:
        """Whether all that was predicted is finite; sigma may be unknown."""
        return all(bool(np.isfinite(self.boundaries(i).rows).all()) for i in self.rows)

    def compute(self, costly: bool = True) -> dict[str, float]:  # noqa: ARG002  (none of these is)
        """Every figure, by name.

        Lengths are in pixels of the scans, and in micrometres where their pixels' height is known; see
        `metrics.boundaries`. `nll` is in nats per column, its rows in pixels; `band@l` is the share of labels in their
        own boundary's band of nominal level l, `coverage@l` that of columns in the ellipsoid of all boundaries
        together; `sigma_rank` is Spearman's correlation of a boundary's standard deviation and error. Where the labels
        are noisy and the truth is known, `truth_px` is the error to the truth.
        """
        if not self.rows:
            return {"scans": 0, "columns": 0}
        scans = [self.scans[i] for i in sorted(self.rows)]
        parts = self._evaluated()
        rows, truth = [found.rows for found, _ in parts], [labels for _, labels in parts]
        figures: dict[str, float] = {"scans": len(scans), "columns": self.columns_labelled()}
        if not figures["columns"]:
            return figures
        if not all(np.isfinite(r).all() for r in rows):
            return figures | {"error_px": float("nan")}  # of a model that has diverged
        errors = boundary_errors(rows, truth, self.model.skeleton.joints, [scan.um_per_px for scan in scans])
        of_one = {name for name in errors if "px_" in name or "um_" in name}
        figures |= {name: value for name, value in errors.items() if name not in of_one}
        nll = np.concatenate([found.nll for found, _ in parts])
        if np.isfinite(nll).any():
            figures["nll"] = float(np.nanmean(nll))
        exact = [getattr(scan, "truth", None) for scan in scans]
        if all(isinstance(true, np.ndarray) for true in exact):
            away = [abs(r - self._central(true)) for r, true in zip(rows, exact, strict=True) if true is not None]
            figures["truth_px"] = float(np.nanmean(mean_over_scans(away)))
        if all(np.isfinite(found.std).all() for found, _ in parts):
            figures |= {f"band@{level:g}": float(np.nanmean(self.in_bands(level))) for level in BAND_LEVELS}
            figures |= evaluation.calibrated(self.deviations(), self.loss)
        return figures | {name: value for name, value in errors.items() if name in of_one}

    def columns_labelled(self) -> int:
        """How many of the evaluated columns have a label."""
        return sum(int(np.isfinite(self._central(self.scans[i].rows)).any(axis=0).sum()) for i in self.rows)

    def _central(self, array: np.ndarray) -> np.ndarray:
        """The columns that are evaluated of an array whose last axis is the columns of a scan."""
        return array[..., central(array.shape[-1], self.columns)]

    def _evaluated(self) -> list[tuple[FoundBoundaries, Float[np.ndarray, "D C"]]]:
        """Of each scan its boundaries and their labels, in the columns that are evaluated."""
        parts = []
        for i in sorted(self.rows):
            found = self.boundaries(i)
            columns = FoundBoundaries(*map(self._central, (found.rows, found.std, found.nll)))
            parts.append((columns, self._central(self.scans[i].rows)))
        return parts

    def columns_of_all(self) -> tuple[Float[np.ndarray, "D N"], Float[np.ndarray, "D N"], Float[np.ndarray, "D N"]]:
        """Rows, their standard deviations and labels (NaN where there is none) of every evaluated column."""
        parts = [(found.rows, found.std, labels) for found, labels in self._evaluated()]
        rows, std, labels = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
        return rows, std, labels

    def in_bands(self, level: float) -> Float[np.ndarray, "D N"]:
        """Of each label 1 if it is in its boundary's own band, of nominal level `level`; NaN without a label."""
        rows, std, truth = self.columns_of_all()
        inside = abs(rows - truth) <= self.model.region_radius(level).T * std
        return np.where(np.isfinite(truth), inside, np.nan)

    def errors(self, group: Group) -> Errors:
        """Errors to calibrate on: of each boundary in every evaluated column; B-scans of a subject are a clip."""
        rows, std, truth = (values.T for values in self.columns_of_all())
        scans = [self.scans[i] for i in sorted(self.rows)]
        names = [scan.name if group == "image" else scan.subject for scan in scans]
        widths = [self._central(scan.rows).shape[1] for scan in scans]
        groups = np.unique(np.repeat(np.array(names), widths), return_inverse=True)[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            return Errors(((truth - rows) / std)[..., None], std, "px", groups)

    def deviations(self) -> calibration.Deviations:
        """Of each label; `radius` of each column in which every boundary has one."""
        rows, std, truth = self.columns_of_all()
        known = np.isfinite(truth)
        whole = known.all(axis=0)
        radius = calibration.scaled_radius(rows[:, whole].T, std[:, whole].T, truth[:, whole].T)
        limit = self.model.error_distribution.radius_at
        return calibration.Deviations(radius, std[known], abs(rows - truth)[known], "px", limit)


def validation_loader(
    scans: Scans, model: BoundaryModel, batch_size: int, *, workers: int = 0, pin: bool = False
) -> DataLoader[ScanBatch]:
    """Batches of windows to evaluate a model on: all columns of every scan, in order."""
    windows = ScanWindows(scans, model.size, model.shown, um_per_px=model.um_per_px)
    return scan_loader(windows, batch_size, training=False, workers=workers, pin=pin)


def evaluate_scans(
    model: BoundaryModel,
    scans: Scans,
    loss: LikelihoodLoss | None = None,
    *,
    columns: int | None = None,
    batch_size: int = 8,
    workers: int = 0,
    **running: Any,
) -> BoundaryEvaluation:
    """Predict the boundaries of every B-scan of a data set.

    Arguments are those of `BoundaryEvaluation` and (flip_test, device, show_progress) of `evaluation.evaluate`.
    """
    loader = validation_loader(scans, model, batch_size, workers=workers)
    return evaluation.evaluate(model, BoundaryEvaluation(scans, model, loss, columns), loader, **running)
