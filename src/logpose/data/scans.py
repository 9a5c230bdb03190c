"""B-scans as batches of windows: columns side by side, flattened, for boundary models.

A column takes the place of a joint, and its boundaries that of a joint's dimensions: K columns of the window, D
boundaries. Crop coordinates of a row are row / rows - 0.5, as everywhere.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import Protocol, Unpack, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from logpose.core.samples import LabelledSet
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Inputs
from logpose.data.batches import LoaderOptions, epoch_loader
from logpose.data.flattening import Flattening, cleaned, flatten

__all__ = ["RETINA", "Scan", "ScanBatch", "ScanWindows", "Scans", "SyntheticScan", "Variation", "scan_loader", "starts"]

log = logging.getLogger("logpose")

RETINA = Skeleton(
    "retina",
    ("ILM", "RNFL/GCL-IPL", "GCL-IPL/INL", "INL/OPL", "OPL/ONL-ISM", "ONL-ISM/ISE", "ISE/OS-RPE", "BM"),
    flip_pairs=(),
)
"""The eight boundaries of Chiu et al. 2015, from the inner limiting membrane down to Bruch's membrane."""


@dataclass(frozen=True)
class Scan:
    """A labelled B-scan."""

    image: UInt8[np.ndarray, "H W"]
    rows: Float[np.ndarray, "D W"]
    """The row of each boundary in each column, pixel centres at whole numbers from 0; NaN where it is not labelled."""
    name: str
    """Its file's, and its number there from 0."""
    subject: str
    """The subject, from the file's name."""
    um_per_px: float | None = None
    """Height of a pixel in micrometres, where it is known."""

    @property
    def fingerprint(self) -> str:
        """The same of two scans only if their images are the same."""
        return hashlib.blake2b(str(self.image.shape).encode() + self.image.tobytes(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class SyntheticScan(Scan):
    """A B-scan whose true boundaries are known beside its labels."""

    truth: Float[np.ndarray, "D W"] | None = None
    """Where the boundaries are."""
    label_std: Float[np.ndarray, "D W"] | None = None
    """Standard deviation of the labels about them."""


@runtime_checkable
class Scans(LabelledSet[Scan], Protocol):
    """A data set of labelled B-scans; their boundaries, from the top down, take the place of joints."""


@dataclass(slots=True)
class ScanBatch(Inputs):
    """Windows of scans ready for a model, with labels and the maps back to the scans."""

    images: UInt8[Tensor, "B 1 H W"]
    """Flattened."""
    target: Float[Tensor, "B K D"]
    """Crop coordinates of the boundaries in each column; NaN where there is no label."""
    weight: Float[Tensor, "B K"]
    """1 where a boundary of the column is labelled. A density of all boundaries together learns from columns in which
    all are (elsewhere the target is not finite, and every such loss looks for that); factorised losses from each."""
    top: Float[Tensor, "B K"]
    """Row of the scan that the crop begins with."""
    scale: Float[Tensor, "B"]
    """Rows of the scan to a row of the crop."""
    index: Int64[Tensor, "B"]
    """Which scan."""
    start: Int64[Tensor, "B"]
    """The window's first column."""

    def to_scan(self, places: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
        """Rows of the scans, pixel centres at whole numbers from 0, of crop coordinates in the columns."""
        rows = (places + 0.5) * self.images.shape[-2]
        return (rows + 0.5) * self.scale.to(places)[:, None, None] - 0.5 + self.top.to(places)[..., None]


@dataclass(frozen=True)
class Variation:
    """How training windows are varied; each is drawn afresh for every window."""

    flip: float = 0.5
    """How often a window is mirrored left to right."""
    shift: int = 12
    """Most rows of the scan that the retina is moved up or down."""
    scale: float = 0.15
    """Share by which it is stretched or squeezed at most, in depth."""


def starts(width: int, columns: int) -> list[int]:
    """First columns of the windows that cover a scan, each at most half a window after the last."""
    if width <= columns:
        return [0]
    count = -(-2 * (width - columns) // columns) + 1
    return [round(start) for start in np.linspace(0, width - columns, count)]


class ScanWindows(Dataset[ScanBatch]):
    """Windows of every scan, as batches of one: at random columns and varied, or side by side and as they are.

    `size` is (rows, columns) of a window, which shows `shown` rows of the scan (as many as it has when None). Without a
    `variation` windows that overlap cover every scan; `seed` is that of the variation. `um_per_px` is the height of a
    pixel in micrometres, of scans without their own.
    """

    def __init__(
        self,
        scans: Scans,
        size: tuple[int, int],
        shown: int | None = None,
        variation: Variation | None = None,
        seed: int = 0,
        um_per_px: float | None = None,
    ) -> None:
        self.scans, self.size, self.shown, self.variation, self.seed = scans, size, shown, variation, seed
        self.um_per_px = um_per_px
        self._scans = [scans[i] for i in range(len(scans))]
        self._flat: dict[int, tuple[UInt8[np.ndarray, "H W"], Flattening]] = {}
        self.windows = [
            (i, start)
            for i, width in enumerate(scan.image.shape[1] for scan in self._scans)
            for start in (starts(width, size[1]) if variation is None else range(-(-width // size[1])))
        ]

    def flattened(self, index: int) -> tuple[Scan, UInt8[np.ndarray, "H W"], Flattening]:
        """A scan, its image cleaned, and where its retina is: looked for once."""
        scan = self._scans[index]
        if index not in self._flat:
            image = cleaned(scan.image)
            self._flat[index] = image, flatten(image, self.size[0], self.shown, scan.um_per_px or self.um_per_px)
            if self._flat[index][1].faint:
                log.warning("%s: no retina detected", scan.name or "a B-scan")
        return scan, *self._flat[index]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, key: tuple[int, int]) -> ScanBatch:
        """The window of (epoch, number)."""
        epoch, number = key
        index, start = self.windows[number]
        scan, image, flat = self.flattened(index)
        mirrored, width = False, image.shape[1]
        if self.variation is not None:
            rng = np.random.default_rng((self.seed, epoch, number))
            start = int(rng.integers(0, max(0, width - self.size[1]) + 1))
            factor = float(np.exp(rng.uniform(-1, 1) * np.log1p(self.variation.scale)))
            flat = flat.varied(int(rng.integers(-self.variation.shift, self.variation.shift + 1)), factor)
            mirrored = bool(rng.random() < self.variation.flip)
        columns = slice(start, min(start + self.size[1], width))
        missing = self.size[1] - (columns.stop - columns.start)
        window = np.pad(flat.crop(image, columns), ((0, 0), (0, missing)))
        target = np.pad(flat.to_crop(scan.rows)[:, columns].T, ((0, missing), (0, 0)), constant_values=np.nan)
        top = np.pad(flat.top[columns].astype(np.float32), (0, missing))
        if mirrored:
            window, target, top = window[:, ::-1].copy(), target[::-1].copy(), top[::-1].copy()
        weight = np.isfinite(target).any(axis=1)
        arrays = (window[None], target.astype(np.float32), weight.astype(np.float32), top)
        images, targets, weights, tops = (torch.from_numpy(array)[None] for array in arrays)
        scale = torch.tensor([flat.scale], dtype=torch.float32)
        return ScanBatch(images, targets, weights, tops, scale, torch.tensor([index]), torch.tensor([start]))


def scan_loader(
    windows: ScanWindows, batch_size: int, *, training: bool, **options: Unpack[LoaderOptions]
) -> DataLoader[ScanBatch]:
    """Batches of windows; arguments as of `batches.epoch_loader`."""
    if options.get("workers"):  # else each process would look for every retina, and warn of those not detected
        for index in range(len(windows.scans)):
            windows.flattened(index)
    return epoch_loader(windows, batch_size, training=training, skip_damaged=False, **options)
