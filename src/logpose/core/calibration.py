"""`Calibration`: what `logpose calibrate` measures on held-out labels and a checkpoint keeps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from logpose.core.config import Configurable
from logpose.core.errors import InputError

__all__ = ["LEVELS", "PLURAL", "Calibration", "Group"]

LEVELS = (*(0.05 * i for i in range(1, 20)), 0.99)
"""The nominal levels at which an error distribution has the radius of its region."""
Group = Literal["image", "person", "clip"]
"""What is exchangeable: the images of the calibration data, their people, or whole clips (folders, sequences)."""
PLURAL: dict[Group, str] = {"image": "images", "person": "people", "clip": "clips"}
"""Each as several are called."""


def _are_numbers(values: Iterable[object]) -> bool:
    """Whether all are finite numbers."""
    return all(isinstance(value, int | float) and math.isfinite(value) for value in values)


class Calibration(Configurable):
    """A factor on each joint's standard deviation, and the radii of its regions.

    J is the number of joints, of models of boundaries that of boundaries; S of ranges of sizes; L of levels.

    Args:
        factor: of each joint, by which its predicted sigma is multiplied.
        levels: nominal levels, ascending.
        radii: for each range of sizes, joint and level, the r of the region of that level: the ellipse
            sum_d ((x_d - mean_d) / std_d)^2 <= r^2, with the standard deviation already multiplied by the factor; of
            boundaries the band |x - mean| <= r std.
        sizes: the S - 1 lengths that the ranges of sizes lie between: the longer side of a person's box, in pixels.
        group: what was taken as exchangeable.
        groups: how many of those there were.
        oks: of models of people, three rows: the OKS expected from the regions, ascending; the mean OKS of people of
            whom as much was expected; the share of them whose OKS is above .5. Empty where it is not known.
        visibility: slope and shift of the logit of the probability that a joint is visible; empty where that is not
            predicted, or not known.
        uncertain: of models of people, the median standard deviation of a person's joints, relative to the longer side
            of their box, that hardly anybody of the calibration data exceeded; above it nobody is thought to be there.

    Raises:
        InputError: if the numbers of joints, sizes or levels do not agree, or a value cannot be.
    """

    def __init__(
        self,
        factor: Sequence[float],
        levels: Sequence[float],
        radii: Sequence[Sequence[Sequence[float]]],
        sizes: Sequence[float] = (),
        group: Group = "image",
        groups: int = 0,
        uncertain: float | None = None,
        oks: Sequence[Sequence[float]] = (),
        visibility: Sequence[float] = (),
    ) -> None:
        self.factor, self.levels, self.sizes = tuple(factor), tuple(levels), tuple(sizes)
        self.group, self.groups, self.uncertain = group, groups, uncertain
        try:
            table = np.array(radii, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError("radii are numbers, of sizes × joints × levels") from error
        if table.shape != (len(sizes) + 1, len(factor), len(levels)):
            raise InputError(f"radii of {len(factor)} joints at {len(levels)} levels, got an array of {table.shape}")
        if not (_are_numbers([*factor, *table.ravel()]) and min(factor, default=0) > 0 and (table >= 0).all()):
            raise InputError("a calibration has factors above 0 and radii of 0 or more")
        for name, values, largest in (("levels", self.levels, 1.0), ("sizes", self.sizes, math.inf)):
            if (
                not _are_numbers(values)
                or list(values) != sorted({*values})
                or not all(0 < v < largest for v in values)
            ):
                raise InputError(f"{name} of a calibration ascend, between 0 and {largest:g}; got {values}")
        if group not in PLURAL or not isinstance(groups, int):
            raise InputError(f"a calibration is on a number of images, people or clips, got {groups!r} of {group!r}")
        if uncertain is not None and not (_are_numbers([uncertain]) and uncertain > 0):
            raise InputError(f"uncertain is a share above 0, got {uncertain!r}")
        self.visibility = tuple(visibility)
        if len(self.visibility) not in (0, 2) or not _are_numbers(self.visibility):
            raise InputError(f"visibility of a calibration is a slope and a shift, got {visibility}")
        self.oks = tuple(tuple(row) for row in oks)
        shares = [value for row in self.oks for value in row]
        whole = len(self.oks) in (0, 3) and len({len(row) for row in self.oks}) <= 1 and all(self.oks)
        if not whole or not _are_numbers(shares) or not all(0 <= value <= 1 for value in shares):
            raise InputError("oks of a calibration has three rows of equally many shares, or none")
        if any(list(row) != sorted(row) for row in self.oks):
            raise InputError("each row of oks of a calibration ascends")
        self.radii: Float[np.ndarray, "S J L"] = table

    def argument(self, name: str) -> object:
        """The value of a constructor argument."""
        return self.radii.tolist() if name == "radii" else getattr(self, name)

    def has(self, level: float) -> bool:
        """Whether there are radii of a level."""
        return level in self.levels

    def of_expected_oks(
        self, expected: Float[np.ndarray, "N"]
    ) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]] | None:
        """The mean OKS, and the probability of one above .5, of people of whom an OKS is expected; None: not known."""
        if not self.oks:
            return None
        at, mean, above = self.oks
        return np.interp(expected, at, mean), np.interp(expected, at, above)

    def radius_at(self, level: float, sizes: Float[np.ndarray, "N"] | None = None) -> Float[np.ndarray, "N J"]:
        """The radius of each joint's region of a level, in standard deviations.

        Args:
            level: one of `levels`.
            sizes: of N people, the longer side of the box in pixels; needed where radii depend on it. One row without.
        """
        column = self.radii[:, :, self.levels.index(level)]
        if sizes is None:
            return column[:1] if len(column) == 1 else column.max(axis=0, keepdims=True)
        return np.asarray(column[np.searchsorted(self.sizes, sizes)])
