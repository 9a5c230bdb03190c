"""Distances between predicted and labelled joints, and the percentage of correct keypoints."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

__all__ = ["distances", "pck", "pckh", "torso_size"]

PCKH_AUC = tuple(i / 100 for i in range(51))
"""Thresholds 0, 0.01, …, 0.5 over which MPII's evaluation averages."""
PCKH_LEFT_OUT = ("pelvis", "pelv", "thorax", "thrx", "throax")
"""Joints that the mean of MPII's evaluation leaves out, as its own names or those of files in COCO's form have them."""


def distances(
    predicted: Float[np.ndarray, "N K D"], truth: Float[np.ndarray, "N K D"], visible: Int[np.ndarray, "N K"]
) -> Float[np.ndarray, "N K"]:
    """Euclidean distance of every joint from its label, in the labels' unit; NaN where there is no label."""
    apart = np.sqrt(((predicted - np.where(visible[..., None] > 0, truth, 0)) ** 2).sum(axis=-1))
    return np.where(visible > 0, apart, np.nan)


def pck(distance: Float[np.ndarray, "N K"], reference: Float[np.ndarray, "N"], threshold: float) -> float:
    """Percentage of correct keypoints, as a share: labelled joints within threshold × reference of their label.

    Args:
        distance: as `distances` gives; NaN where there is no label.
        reference: length that each person's distances are relative to (longer side of the box, torso, head), > 0;
            people for whom it is not known (NaN) are left out.
        threshold: fraction of it.

    Returns:
        in [0, 1]; NaN if no joint is labelled.
    """
    labelled = ~np.isnan(distance) & ~np.isnan(reference)[:, None]
    if not labelled.any():
        return float("nan")
    near = distance <= threshold * reference[:, None]
    return float(near[labelled].mean())


def torso_size(
    truth: Float[np.ndarray, "N K D"], visible: Int[np.ndarray, "N K"], diagonals: tuple[tuple[int, int], ...]
) -> Float[np.ndarray, "N"]:
    """Length of each person's torso, from a shoulder to the opposite hip, which LSP's PCK is relative to.

    Args:
        truth: labelled positions.
        visible: 0 where there is no label.
        diagonals: pairs of joints, `Skeleton.torso`; the first of which both ends are labelled is taken.

    Returns:
        in the labels' unit; NaN where no diagonal is labelled, or it has no length.
    """
    size = np.full(len(truth), np.nan)
    for a, b in reversed(diagonals):
        length = np.linalg.norm(truth[:, a] - truth[:, b], axis=-1)
        size = np.where((visible[:, a] > 0) & (visible[:, b] > 0) & (length > 0), length, size)
    return size


def pckh(
    distance: Float[np.ndarray, "N K"],
    head: Float[np.ndarray, "N"] | Float[np.ndarray, "N K"],
    joints: tuple[str, ...],
) -> dict[str, float]:
    """MPII's PCKh: joints within a fraction of the head's size of their label (Andriluka et al. 2014).

    The mean is over labelled joints without pelvis and thorax. A joint at the threshold is not counted, as in the
    benchmark's own evaluation; HRNet's Mean@0.1 is the figure at 0.11.

    Args:
        distance: as `distances` gives; NaN where there is no label.
        head: 0.6 times the diagonal of each person's head box, in the unit of `distance`; NaN of people, or of single
            joints, that do not count.
        joints: names of the K joints, in upper or lower case.

    Returns:
        `pckh@0.5`, `pckh@0.1`, `pckh_auc` (the mean over 0, 0.01, …, 0.5) and `pckh@0.5_JOINT` of every joint, as
        shares; NaN where nothing is labelled.
    """
    size = head[:, None] if head.ndim == 1 else head
    labelled = ~np.isnan(distance) & ~np.isnan(size)
    counted = labelled & ~np.isin([joint.lower() for joint in joints], PCKH_LEFT_OUT)

    def share(threshold: float, where: np.ndarray) -> float:
        near = distance < threshold * size
        return float(near[where].mean()) if where.any() else float("nan")

    figures = {f"pckh@{t:g}": share(t, counted) for t in (0.5, 0.1)}
    figures["pckh_auc"] = float(np.mean([share(t, counted) for t in PCKH_AUC]))
    for k, joint in enumerate(joints):
        figures[f"pckh@0.5_{joint}"] = share(0.5, labelled & (np.arange(len(joints)) == k))
    return figures
