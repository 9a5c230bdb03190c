"""Joints that lie symmetric in the labels: left-right pairs to propose where the joints' names do not give them."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Complex, Float

from logpose.core.samples import Sample
from logpose.core.skeletons import Skeleton

__all__ = ["flip_test_note", "proposed_pairs", "unmirrored"]

MOST = 500  # rows of a data set that are looked at
LEAST = 5  # people with the same labelled joints, of whom something can be inferred
OFTEN = 0.8  # share of people who have a label of a joint that is looked at
AXES = 90  # directions of an axis of symmetry that are tried
UPRIGHT = 0.02  # of two directions alike, the one closer to the vertical: what a right angle costs, of the size
ON_AVERAGE, OFTEN_WITHIN = 0.1, 0.3
"""Of the size: how far joints may be from their mirror images, as a root mean square, in the mean shape, and in more
than half of the people. Faces of 300W have .04 and, as the median, .22; no random shape had less than .15."""
TOLERANCE = 0.25  # of a pair's distance in the mean shape: the same of a single joint


def unmirrored(data: Any) -> str:
    """Why the images of a data set of people, or of whole images, are not mirrored, and pairs that its labels propose.

    Empty if it is known which joints a mirrored image swaps.
    """
    if data.skeleton.mirrors:
        return ""
    joints = data.skeleton.unpaired
    listed = ", ".join(joints[:5]) + (" …" if len(joints) > 5 else "")
    pairs = " ".join(f"{a}-{b}" for a, b in proposed_pairs(data))
    proposal = f"; in most labels these lie symmetric: --pairs {pairs}" if pairs else ""
    return f"no left-right counterpart is known of {listed}: images are not mirrored. --pairs A-B gives pairs{proposal}"


def flip_test_note(skeleton: Skeleton, flip_test: bool | None) -> str:
    """What to report of a flip test, asked for, refused or (None) left to the skeleton, where pairs are not known."""
    if skeleton.mirrors or flip_test is False:
        return ""
    unknown = f"no left-right counterpart is known of {', '.join(skeleton.unpaired[:5])}"
    if flip_test is None:
        return f"no flip test: {unknown}; --flip-test asks for it"
    return f"--flip-test: {unknown}; it is right of objects alone that look the same mirrored"


def proposed_pairs(data: Any) -> list[tuple[str, str]]:
    """Joints without a known counterpart that lie symmetric in most of the labels, by name.

    People are brought to one position, size and direction (Procrustes alignment). Of all axes the one is taken about
    which their mean shape is most like its mirror image, joints matched by assignment. Nothing is proposed unless that
    shape, and more than half of the people, are nearly symmetric about it.
    """
    skeleton: Skeleton = data.skeleton
    rows = (data[row] for row in range(min(len(data), MOST)))
    samples: list[Sample] = [sample for row in rows for sample in getattr(row, "people", (row,))]
    if len(samples) < LEAST:
        return []
    labelled = np.stack([sample.visible > 0 for sample in samples])
    often = np.flatnonzero(labelled.mean(axis=0) >= OFTEN)
    points = np.stack([sample.keypoints[often, :2] for sample in samples])[labelled[:, often].all(axis=1)]
    if len(points) < LEAST or len(often) < 2:
        return []
    shapes = _aligned(points[..., 0] + 1j * points[..., 1])
    turn, partner = _symmetry(shapes.mean(axis=0))
    apart = np.abs(turn * shapes.conj() - shapes[:, partner])
    mean = shapes.mean(axis=0)
    missed, across = np.abs(turn * mean.conj() - mean[partner]), np.abs(mean - mean[partner])
    in_most = (_rms(apart) <= OFTEN_WITHIN).mean() > 0.5
    if not in_most or _rms(missed) > ON_AVERAGE:
        return []
    names = [skeleton.joints[joint] for joint in often]
    paired = {skeleton.joints[joint] for pair in skeleton.pairs for joint in pair}
    return [
        (names[a], names[b])
        for a, b in enumerate(partner)
        if a < b and partner[b] == a and missed[a] <= TOLERANCE * across[a] and not paired & {names[a], names[b]}
    ]


def _rms(distances: Float[np.ndarray, "*N K"]) -> Any:
    """Root mean square over joints."""
    return np.sqrt((distances**2).mean(axis=-1))


def _aligned(shapes: Complex[np.ndarray, "N K"]) -> Complex[np.ndarray, "N K"]:
    """Shapes, as x + iy, around 0, of size 1, and turned to lie on their mean."""
    shapes = shapes - shapes.mean(axis=1, keepdims=True)
    size = np.sqrt((np.abs(shapes) ** 2).mean(axis=1, keepdims=True))
    shapes = shapes / np.maximum(size, np.finfo(np.float64).tiny)
    for _ in range(3):
        turns = (shapes.mean(axis=0) * shapes.conj()).sum(axis=1, keepdims=True)
        shapes = shapes * np.exp(1j * np.angle(turns))
    return shapes


def _symmetry(shape: Complex[np.ndarray, "K"]) -> tuple[complex, list[int]]:
    """How the conjugate of a shape is turned to be most like it, and the joint that then lies on each."""
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]  # takes long to import

    best, found = np.inf, (-1 + 0j, list(range(len(shape))))
    for angle in np.arange(AXES) * np.pi / AXES:
        turn = complex(np.exp(2j * angle))
        apart = np.abs((turn * shape.conj())[:, None] - shape[None])
        partner = linear_sum_assignment(apart**2)[1]
        cost = float(np.sqrt((apart[np.arange(len(shape)), partner] ** 2).mean()) + UPRIGHT * abs(np.cos(angle)))
        if cost < best:
            best, found = cost, (turn, partner.tolist())
    return found
