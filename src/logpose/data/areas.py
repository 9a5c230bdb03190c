"""The area of a person's segment, which OKS scales distances by, where a label has none or one that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.core.json_files import numbers

__all__ = ["COVERED", "segment_area"]

COVERED = 0.53
"""Mean share of a box that its person covers in COCO's labels (.52 and .54 in two samples of 2017's): OKS scales
distances by a person's area, and of a detected person only the box is known."""
LEAST = 0.01
"""Share of a box that no segment is below; of 154 people with labelled joints of COCO's 2017 the least has .16."""
NOTHING = 1  # square pixel: area of a point, or a share of something
OVER = 2  # pixels by which a mask may be wider and higher than its box, which cuts pixels


def segment_area(given: Any, box: Float[np.ndarray, "4"]) -> tuple[float, bool]:
    """COCO's `area` of a person in square pixels, and whether it is that of the label.

    An area that is missing, no number, at most a square pixel, larger than the box or below a hundredth of it is not:
    in its place stands COCO's mean share of a box.

    Args:
        given: what the label has; None where it has nothing.
        box: x, y, width, height in pixels, clipped to the image.
    """
    values, (width, height) = numbers([given], 1), box[2:]
    extent = float(width * height)
    if values is not None and max(NOTHING, LEAST * extent) < values[0] <= (width + OVER) * (height + OVER):
        return float(values[0]), True
    return COVERED * extent, False
