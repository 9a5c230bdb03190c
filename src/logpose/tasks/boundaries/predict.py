"""From B-scans to boundaries: rows in the scan's own pixels, each with a standard deviation and a band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from logpose.core.errors import InputError
from logpose.core.placement import refuse_diverged
from logpose.core.skeletons import Skeleton
from logpose.data.batches import check_batch_size
from logpose.data.oct import LEAST, LabelledScans
from logpose.data.pixels import ImageLike, as_grey
from logpose.data.scans import Scan, ScanWindows, scan_loader
from logpose.models import BoundaryModel
from logpose.tasks.boundaries.evaluate import BoundaryEvaluation
from logpose.tasks.evaluation import evaluate, loaded

__all__ = ["Boundaries", "Segmenter", "boundary_arrays", "boundary_rows"]

SHOWN_LEVEL = 0.9  # share of the probability that the bands of `Boundaries.band` hold


@dataclass(frozen=True)
class Boundaries:
    """Boundaries in one B-scan."""

    skeleton: Skeleton
    rows: Float[np.ndarray, "D W"]
    """Expected row of each boundary in each column, in the scan's own pixels, centres at whole numbers from 0."""
    sigma: Float[np.ndarray, "D W"]
    """Standard deviations, in rows; NaN from a model that was trained without a likelihood."""
    band: Float[np.ndarray, "D W"]
    """Half the height of the band around each row that holds the boundary with a probability of 90 %."""
    faint: bool = False
    """Whether the detected retina may as well be noise."""


class Segmenter:
    """A trained model that takes B-scans.

    Args:
        model: a checkpoint: a file, the folder of a run or of `logpose convert`, or hf://OWNER/NAME; or a model, of
            which a copy is taken, so that it stays where it is and in its mode.
        device: where to compute; a GPU if there is one when None.
        flip_test: average with the prediction on the mirrored scan: a little better, half as fast.
        batch_size: windows at a time.

    Raises:
        InputError: if the checkpoint cannot be used, or its model is of another kind.
    """

    def __init__(
        self,
        model: Path | str | BoundaryModel,
        device: torch.device | str | None = None,
        flip_test: bool = False,
        batch_size: int = 8,
    ) -> None:
        self.model, self.device = loaded(model, BoundaryModel, device, "does not find boundaries in B-scans")
        self.flip_test, self.batch_size = flip_test, check_batch_size(batch_size)

    def __call__(self, image: Scan | ImageLike) -> Boundaries:
        """The boundaries of a B-scan, or of a `Scan`, whose pixels may have a known height.

        Args:
            image: an array (H, W) of grey values from 0 to 255, or what `data.pixels` makes one of.

        Raises:
            InputError: if it is no image, has colours, is too small, or the model has diverged.
        """
        pixels = as_grey(image.image if isinstance(image, Scan) else image)
        if min(pixels.shape) < LEAST:
            raise InputError(f"a B-scan of {pixels.shape[0]}×{pixels.shape[1]} pixels is too small")
        nothing = np.full((self.model.dim, pixels.shape[1]), np.nan)
        scan = replace(image, image=pixels, rows=nothing) if isinstance(image, Scan) else Scan(pixels, nothing, "", "")
        model = self.model
        alone = LabelledScans(model.skeleton, (scan,), Path(scan.name))
        windows = ScanWindows(alone, model.size, model.shown, um_per_px=model.um_per_px)
        loader, collected = scan_loader(windows, self.batch_size, training=False), BoundaryEvaluation(alone, model)
        evaluate(model, collected, loader, flip_test=self.flip_test, device=self.device)
        found = collected.boundaries(0)
        refuse_diverged(found.rows, found.rows)
        half = model.region_radius(SHOWN_LEVEL).T
        return Boundaries(model.skeleton, found.rows, found.std, half * found.std, windows.flattened(0)[2].faint)


def boundary_rows(file: str, name: str, found: Boundaries) -> dict[str, Any]:
    """The boundaries of a scan as plain values, each a list over columns; sigma is None where the model has none."""
    known = bool(np.isfinite(found.sigma).all())
    return {
        "file_name": file,
        "scan": name,
        "boundaries": list(found.skeleton.joints),
        "rows": np.round(found.rows, 3).tolist(),
        "sigma": np.round(found.sigma, 3).tolist() if known else None,
        "band90": np.round(found.band, 3).tolist() if known else None,
        "faint": found.faint,
    }


def boundary_arrays(found: Sequence[tuple[Path, str, Boundaries]]) -> dict[str, np.ndarray]:
    """Boundaries of scans as arrays to be saved; of scans that are less wide than the widest, NaN beyond their edge."""
    width = max((boundaries.rows.shape[1] for _, _, boundaries in found), default=0)
    arrays: dict[str, np.ndarray] = {
        "boundaries": np.array(found[0][2].skeleton.joints if found else [], dtype=np.str_),
        "file_name": np.array([file.name for file, _, _ in found], dtype=np.str_),
        "scan": np.array([name for _, name, _ in found], dtype=np.str_),
        "faint": np.array([boundaries.faint for _, _, boundaries in found], dtype=np.bool_),
    }
    for kept in ("rows", "sigma", "band"):
        parts = [getattr(boundaries, kept) for _, _, boundaries in found]
        padded = [np.pad(p, ((0, 0), (0, width - p.shape[1])), constant_values=np.nan) for p in parts]
        arrays[kept] = np.stack(padded) if padded else np.empty((0, 0, 0))
    return arrays
