"""Errors of poses in space: as they stand, after the best similarity, and from one frame to the next.

Lengths are in millimetres. For errors relative to the root, as in Human3.6M's protocols, subtract it first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from logpose.metrics.pck import distances

__all__ = ["procrustes", "spatial_errors"]

ONE_POINT = 1e-12  # joints that differ by no more than this share of their coordinates lie in one point


def procrustes(
    predicted: Float[np.ndarray, "N K 3"],
    truth: Float[np.ndarray, "N K 3"],
    visible: Float[np.ndarray, "N K"] | Int[np.ndarray, "N K"] | None = None,
) -> Float[np.ndarray, "N K 3"]:
    """Each predicted pose after the similarity that brings it closest to the truth (Umeyama 1991, eq. 40-42).

    A scale, a rotation without reflection and a translation minimise the sum of squared distances over the pose's
    labelled joints. Predicted joints that all lie in one point go to the mean of the labels; so does a single one.

    Args:
        predicted: positions in any one unit; anything where there is no label.
        truth: labels in the same unit; anything where there is none.
        visible: above 0 where there is a label; None: everywhere.

    Returns:
        the moved poses; NaN where there is no label, and only there.

    Raises:
        ValueError: a labelled joint's position or label is not finite.
    """
    labelled = np.ones(truth.shape[:2], dtype=bool) if visible is None else visible > 0
    source, target = (np.where(labelled[..., None], x, 0).astype(np.float64) for x in (predicted, truth))
    for name, positions in (("position", source), ("label", target)):
        if not (finite := np.isfinite(positions).all(axis=-1)).all():
            pose, joint = np.argwhere(~finite)[0]
            raise ValueError(f"pose {pose}: the {name} of joint {joint} is not finite")

    count = np.maximum(labelled.sum(axis=1), 1)[:, None, None]
    source_mean, target_mean = (x.sum(axis=1, keepdims=True) / count for x in (source, target))
    size = np.abs(source).max(axis=(1, 2), initial=0)
    source = np.where(labelled[..., None], source - source_mean, 0)

    u, stretch, vt = np.linalg.svd(np.swapaxes(source, 1, 2) @ (target - target_mean))
    # Where the best orthogonal matrix mirrors, the best rotation turns back the axis that matters least.
    sign = np.ones_like(stretch)
    sign[:, -1] = np.where(np.linalg.det(u @ vt) < 0, -1, 1)
    rotation = (u * sign[:, None]) @ vt
    spread = (source**2).sum(axis=(1, 2))
    scale = np.zeros_like(spread)
    np.divide((stretch * sign).sum(axis=1), spread, out=scale, where=spread > (ONE_POINT * size) ** 2)
    moved = scale[:, None, None] * (source @ rotation) + target_mean
    return np.where(labelled[..., None], moved, np.nan)


def spatial_errors(
    predicted: Float[np.ndarray, "N K 3"],
    truth: Float[np.ndarray, "N K 3"],
    visible: Float[np.ndarray, "N K"] | Int[np.ndarray, "N K"],
    groups: Sequence[str],
    joints: Sequence[str],
    sequence: Int[np.ndarray, "N"] | None = None,
) -> dict[str, float]:
    """Figures of poses in space, as Human3.6M's tables print them (protocol 1: MPJPE, protocol 2: PA-MPJPE).

    Args:
        predicted: positions in mm.
        truth: labels in mm; anything where `visible` is 0.
        visible: above 0 where there is a label.
        groups: what each pose belongs to, an action for instance; letter case is ignored.
        joints: names of the K joints.
        sequence: number of the video that each pose is from, rows in the order of the frames; no step is taken from one
            video to another.

    Returns:
        lengths in mm; NaN where nothing is labelled. `mpjpe` and `pa_mpjpe` (after `procrustes`): means over all
        labelled joints of all poses; `mpjpe_mean` and `pa_mpjpe_mean`: means over the groups of each group's mean, if
        there is more than one; `velocity`, in mm per frame, if labels follow each other in a sequence; `mpjpe_GROUP`,
        `pa_mpjpe_GROUP` and `velocity_GROUP` of each group, in lower case with _ for a space; `mpjpe_joint_NAME` and
        `pa_mpjpe_joint_NAME` of each joint.

    Raises:
        ValueError: there is not one group to a pose or one name to a joint; a labelled position is not finite.
    """
    if truth.shape[:2] != (len(groups), len(joints)):
        raise ValueError(f"{len(groups)} groups and {len(joints)} joints' names for poses of shape {truth.shape}")
    flags = (visible > 0).astype(np.int64)
    predicted, truth = (np.where(flags[..., None] > 0, x, np.nan).astype(np.float64) for x in (predicted, truth))
    aligned = distances(procrustes(predicted, truth, flags), truth, flags)
    plain = distances(predicted, truth, flags)
    group = np.array([_figure_name(name) for name in groups], dtype=np.str_)
    names = np.unique(group)

    figures = {"mpjpe": _mean(plain), "pa_mpjpe": _mean(aligned)}
    if len(names) > 1:
        for name, apart in (("mpjpe_mean", plain), ("pa_mpjpe_mean", aligned)):
            figures[name] = _mean(np.array([_mean(apart[group == g]) for g in names]))
    steps = np.full((0, len(joints)), np.nan)
    if sequence is not None:  # how far each step from frame to frame is from the true one: MPJVE (Pavllo et al. 2019)
        steps = np.linalg.norm(np.diff(predicted, axis=0) - np.diff(truth, axis=0), axis=-1)
        steps[sequence[1:] != sequence[:-1]] = np.nan
    if not np.isnan(steps).all():
        figures["velocity"] = _mean(steps)
        within = group[1:] == group[:-1]
        figures |= {f"velocity_{g}": _mean(steps[within & (group[1:] == g)]) for g in names}
    for metric, apart in (("mpjpe", plain), ("pa_mpjpe", aligned)):
        figures |= {f"{metric}_{g}": _mean(apart[group == g]) for g in names}
        figures |= {f"{metric}_joint_{joint}": _mean(apart[:, k]) for k, joint in enumerate(joints)}
    return figures


def _figure_name(group: str) -> str:
    """A group's name as part of a figure's name."""
    name = group.lower().replace(" ", "_")
    return f"{name}_" if name == "mean" or name.startswith("joint_") else name


def _mean(values: np.ndarray) -> float:
    """Mean of the values that are not NaN; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
