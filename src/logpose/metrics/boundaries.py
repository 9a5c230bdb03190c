"""Errors of boundaries, along columns, as usual for layers of the retina.

They are means over columns, then over scans, then over boundaries, as in the evaluation of the Duke data.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

__all__ = ["boundary_errors", "central", "mean_over_scans"]


def central(width: int, columns: int | None) -> slice:
    """The columns in the middle of a scan: of 768 the 500 from the 135th to the 634th; all when None, or fewer are."""
    if columns is None or columns >= width:
        return slice(0, width)
    start = (width - columns) // 2
    return slice(start, start + columns)


def mean_over_scans(values: Sequence[Float[np.ndarray, "D _"]]) -> Float[np.ndarray, "D"]:
    """Of each boundary the mean over scans of its mean over columns, of the values that are known (not NaN)."""
    return _known_mean(np.stack([_known_mean(scan, 1) for scan in values]), 0)


def boundary_errors(
    predicted: Sequence[Float[np.ndarray, "D _"]],
    truth: Sequence[Float[np.ndarray, "D _"]],
    names: Sequence[str],
    um_per_px: Sequence[float | None],
) -> dict[str, float]:
    """Mean absolute distance, root mean square and 95th percentile, in pixels; and in micrometres, where all are known.

    Args:
        predicted: rows of the boundaries, of each scan.
        truth: their labels, NaN where there is none.
        names: of the boundaries.
        um_per_px: height of a pixel of each scan, in micrometres.

    Returns:
        `error_px`, `rmse_px`, `p95_px` (of all distances together), `error_px_NAME` of each boundary; the same with
        `_um` where every scan's pixels have a known height.
    """
    apart = [abs(p - t) for p, t in zip(predicted, truth, strict=True)]
    if not any(np.isfinite(a).any() for a in apart):
        return {"error_px": float("nan"), "rmse_px": float("nan"), "p95_px": float("nan")}
    figures, by_name = _lengths(apart, names, "px")
    heights = [height for height in um_per_px if height is not None]
    if len(heights) == len(apart):
        more = _lengths([a * height for a, height in zip(apart, heights, strict=True)], names, "um")
        figures, by_name = figures | more[0], by_name | more[1]
    return figures | by_name


def _lengths(
    apart: Sequence[Float[np.ndarray, "D _"]], names: Sequence[str], unit: str
) -> tuple[dict[str, float], dict[str, float]]:
    """The figures of all boundaries together, and those of each, in the unit of the distances."""
    each = mean_over_scans(apart)
    return {
        f"error_{unit}": float(np.nanmean(each)),
        f"rmse_{unit}": float(np.sqrt(np.nanmean(mean_over_scans([a**2 for a in apart])))),
        f"p95_{unit}": float(np.quantile(np.concatenate([a[np.isfinite(a)] for a in apart]), 0.95)),
    }, {f"error_{unit}_{name}": float(error) for name, error in zip(names, each, strict=True)}


def _known_mean(values: Float[np.ndarray, "A B"], axis: int) -> Float[np.ndarray, "C"]:
    """Mean of the values that are finite along an axis; NaN where there are none."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0).sum(axis=axis), known.sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
