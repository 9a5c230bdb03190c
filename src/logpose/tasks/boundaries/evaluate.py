"""How good a model that finds boundaries in B-scans is on a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import distributed

from logpose.core.structures import Prediction
from logpose.data.scans import ScanBatch, Scans, ScanWindows, scan_loader
from logpose.losses import LikelihoodLoss
from logpose.metrics import calibration
from logpose.metrics.boundaries import boundary_errors, central, mean_over_scans
from logpose.models import BoundaryModel
from logpose.tasks.figures import calibrated
from logpose.tasks.pose.evaluate import measure

__all__ = ["BoundaryEvaluation", "FoundBoundaries", "Stitching", "evaluate_scans"]

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


class Stitching:
    """Windows of scans put together: of each column the prediction from the window in which it is nearest the middle.

    Args:
        model: tells size and law.
        loss: for the likelihood; None leaves it out.
    """

    def __init__(self, model: BoundaryModel, loss: LikelihoodLoss | None = None) -> None:
        self.model, self.loss = model, loss
        self.parts: dict[int, list[tuple[int, np.ndarray]]] = {}
        self._found: dict[int, FoundBoundaries] = {}

    @torch.no_grad()
    def update(self, batch: ScanBatch, prediction: Prediction) -> None:
        """Take in the prediction on one batch."""
        height = self.model.size[0]
        scale = batch.scale[:, None, None] * height  # rows of the scan to a unit of crop coordinates
        nll = torch.full_like(prediction.confidence, float("nan"))
        if self.loss is not None:
            # The density is centred on mu; what is reported is its mean.
            mu = prediction.mu - prediction.sigma * self.model.error_distribution.mean
            whole = batch.target.isfinite().all(dim=-1) & (batch.weight > 0)
            target = torch.where(whole[..., None], batch.target, mu)
            nll = -self.loss.log_prob(mu, prediction.sigma, target) + mu.shape[-1] * scale[..., 0].log()
            nll = nll.where(whole, float("nan"))
        mean, std, nll, unit = (x.cpu().double() for x in (prediction.mean, prediction.std, nll, scale))
        each = torch.cat([batch.to_scan(mean), std * unit, nll[..., None]], dim=-1).transpose(1, 2).numpy()
        for index, start, part in zip(batch.index.tolist(), batch.start.tolist(), each, strict=True):
            self.add(index, [(start, part)])

    def add(self, index: int, windows: Sequence[tuple[int, np.ndarray]]) -> None:
        """Take in windows of a scan: the first column of each, and rows, deviations and nats of its columns."""
        self.parts.setdefault(index, []).extend(windows)
        self._found.pop(index, None)

    def found(self, index: int, width: int) -> FoundBoundaries:
        """The boundaries of a scan that is so many columns wide."""
        if index not in self._found:
            self._found[index] = self._joined(index, width)
        return self._found[index]

    def _joined(self, index: int, width: int) -> FoundBoundaries:
        columns = self.model.size[1]
        joined = np.full((2 * self.model.dim + 1, width), np.nan)
        nearest = np.full(width, np.inf)
        for start, part in sorted(self.parts[index], key=lambda each: each[0]):
            at = np.arange(start, min(start + columns, width))
            away = abs(at - start - (columns - 1) / 2)
            better = at[away < nearest[at]]
            joined[:, better] = part[:, better - start]
            nearest[better] = away[better - start]
        dim = self.model.dim
        rows = np.maximum.accumulate(joined[:dim], axis=0)  # the density's mean may have moved one over another
        return FoundBoundaries(rows, joined[dim : 2 * dim], joined[-1])


class BoundaryEvaluation:
    """Collects predictions, batch by batch, and measures them.

    Args:
        scans: the data set that the windows are of.
        model: tells the law of its errors.
        loss: for the likelihood; None leaves it out.
        columns: how many columns in the middle of each scan are measured; all when None.
    """

    def __init__(
        self, scans: Scans, model: BoundaryModel, loss: LikelihoodLoss | None = None, columns: int | None = None
    ) -> None:
        self.scans, self.model, self.columns = scans, model, columns
        self.learns_sigma = loss is None or loss.learns_sigma
        self.stitching = Stitching(model, loss)

    def update(self, batch: ScanBatch, prediction: Prediction) -> None:
        """Take in the prediction on one batch."""
        self.stitching.update(batch, prediction)

    def gather(self) -> None:
        """Bring together what the processes of a distributed run have collected."""
        if distributed.is_available() and distributed.is_initialized():
            gathered: list[Any] = [None] * distributed.get_world_size()
            distributed.all_gather_object(gathered, self.stitching.parts)
            self.stitching = Stitching(self.model, self.stitching.loss)
            for parts in gathered:
                for index, windows in parts.items():
                    self.stitching.add(index, windows)

    def columns_labelled(self) -> int:
        """How many of the columns that are measured have a label."""
        rows = (self.scans[i].rows for i in self.stitching.parts)
        return sum(int(np.isfinite(r[:, central(r.shape[1], self.columns)]).any(axis=0).sum()) for r in rows)

    def is_finite(self) -> bool:
        """Whether all that was predicted is; sigma may be unknown."""
        found = (self.stitching.found(i, self.scans[i].rows.shape[1]) for i in self.stitching.parts)
        return all(bool(np.isfinite(each.rows).all()) for each in found)

    def compute(self, costly: bool = True) -> dict[str, float]:  # noqa: ARG002  (none of these is)
        """Every figure, by name.

        Lengths are in pixels of the scans, and in micrometres where their pixels' height is known; see
        `metrics.boundaries`. `nll` is in nats per column, its rows in pixels; `band@l` is the share of labels in their
        own boundary's band that should hold the share l, `coverage@l` that of columns in the ellipsoid of all
        boundaries together; `sigma_rank` is Spearman's correlation of a boundary's spread and error. Where labels are
        known to be noisy, `truth_px` is the error to what they are about.
        """
        indices = sorted(self.stitching.parts)
        if not indices:
            return {"scans": 0, "columns": 0}
        scans = [self.scans[i] for i in indices]
        seen = [central(scan.rows.shape[1], self.columns) for scan in scans]
        found = [self.stitching.found(i, scan.rows.shape[1]) for i, scan in zip(indices, scans, strict=True)]
        rows = [each.rows[:, part] for each, part in zip(found, seen, strict=True)]
        truth = [scan.rows[:, part] for scan, part in zip(scans, seen, strict=True)]
        labelled = sum(int(np.isfinite(t).any(axis=0).sum()) for t in truth)
        figures: dict[str, float] = {"scans": len(scans), "columns": labelled}
        if not labelled:
            return figures
        if not all(np.isfinite(r).all() for r in rows):
            return figures | {"error_px": float("nan")}  # of a model that has diverged
        errors = boundary_errors(rows, truth, self.model.skeleton.joints, [scan.um_per_px for scan in scans])
        of_one = {name for name in errors if "px_" in name or "um_" in name}
        figures |= {name: value for name, value in errors.items() if name not in of_one}
        nll = np.concatenate([each.nll[part] for each, part in zip(found, seen, strict=True)])
        if np.isfinite(nll).any():
            figures["nll"] = float(np.nanmean(nll))
        drawn = [getattr(scan, "truth", None) for scan in scans]
        if all(isinstance(true, np.ndarray) for true in drawn):
            away = [abs(r - true[:, part]) for r, true, part in zip(rows, drawn, seen, strict=True) if true is not None]
            figures["truth_px"] = float(np.nanmean(mean_over_scans(away)))
        if all(np.isfinite(each.std[:, part]).all() for each, part in zip(found, seen, strict=True)):
            figures |= {f"band@{level:g}": float(np.nanmean(self.in_bands(level))) for level in BAND_LEVELS}
            figures |= calibrated(self.deviations(), self.model.error_distribution, self.learns_sigma)
        return figures | {name: value for name, value in errors.items() if name in of_one}

    def columns_of_all(self) -> tuple[Float[np.ndarray, "D N"], Float[np.ndarray, "D N"], Float[np.ndarray, "D N"]]:
        """Rows, their standard deviations and labels (NaN where there is none) of every column that is measured."""
        parts = []
        for i in sorted(self.stitching.parts):
            labels = self.scans[i].rows
            found, seen = self.stitching.found(i, labels.shape[1]), central(labels.shape[1], self.columns)
            parts.append((found.rows[:, seen], found.std[:, seen], labels[:, seen]))
        rows, std, labels = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
        return rows, std, labels

    def in_bands(self, level: float) -> Float[np.ndarray, "D N"]:
        """Of each label 1 if it is in its boundary's own band, which should hold the share `level`; NaN of none."""
        rows, std, truth = self.columns_of_all()
        inside = abs(rows - truth) <= self.model.error_distribution.bands_at(level)[:, None] * std
        return np.where(np.isfinite(truth), inside, np.nan)

    def deviations(self) -> calibration.Deviations:
        """Of each label; `radius` of each column in which every boundary has one."""
        rows, std, truth = self.columns_of_all()
        known = np.isfinite(truth)
        whole = known.all(axis=0)
        radius = calibration.scaled_radius(rows[:, whole].T, std[:, whole].T, truth[:, whole].T)
        return calibration.Deviations(radius, std[known], abs(rows - truth)[known], "px")


def evaluate_scans(
    model: BoundaryModel,
    scans: Scans,
    loss: LikelihoodLoss | None = None,
    *,
    columns: int | None = None,
    flip_test: bool = True,
    batch_size: int = 8,
    workers: int = 0,
    device: torch.device | str = "cpu",
    show_progress: bool = False,
) -> BoundaryEvaluation:
    """Find the boundaries of every B-scan of a data set.

    Args:
        model: put on `device` and into evaluation mode.
        scans: with the model's boundaries.
        loss: for the likelihood; None leaves it out.
        columns: how many columns in the middle of each scan are measured; all when None.
        flip_test: whether to average with the prediction on mirrored windows.
        batch_size: windows at a time.
        workers: processes that cut windows.
        device: where to predict.
        show_progress: whether to draw a bar on stderr.
    """
    model = model.to(device).eval()
    evaluation = BoundaryEvaluation(scans, model, None if loss is None else loss.to(device).eval(), columns)
    windows = ScanWindows(scans, model.size, model.shown, um_per_px=model.um_per_px)
    batches = scan_loader(windows, batch_size, training=False, workers=workers)
    measure(model, evaluation, batches, flip_test=flip_test, device=device, show_progress=show_progress)
    return evaluation
