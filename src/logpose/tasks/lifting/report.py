"""What the report page and `logpose inspect` show of poses in space."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from logpose.core.geometry import MM
from logpose.core.structures import Image
from logpose.data.lifting import LiftingPoses, open_poses
from logpose.report.draw import contact_sheet, draw_pose
from logpose.report.draw3d import beside, flat_pose
from logpose.report.evaluation import PageParts
from logpose.report.inspection import summary
from logpose.report.page import save_image
from logpose.tasks.lifting.evaluate import LiftingEvaluation
from logpose.tasks.lifting.options import LiftingInspectOptions

__all__ = ["MEANINGS", "inspect_poses", "inspection_text", "page_parts"]

SHOWN, TILE = 8, 400  # poses on a contact sheet, and pixels of each's height

MEANINGS = (
    (r"mpjpe|mpjpe_mean", "mean distance in space, relative to the root, in millimetres; as a mean over actions"),
    (r"pa_mpjpe|pa_mpjpe_mean", "the same after the best similarity transform"),
    (r"velocity", "mean error of the displacement from frame to frame, in millimetres"),
)
"""What figures of poses in space mean."""


def page_parts(evaluation: LiftingEvaluation) -> PageParts:
    """The page's parts about poses in space."""
    deviations = evaluation.deviations() if evaluation.rows else None
    return PageParts("joint", evaluation.model.error_distribution, deviations, MEANINGS)


def inspect_poses(options: LiftingInspectOptions) -> dict[str, dict[str, Any]]:
    """Counts, problems and a contact sheet of a file of poses in space.

    Args:
        options: of `logpose inspect`.

    Raises:
        InputError: if the file cannot be read.
    """
    poses = open_poses(options.data)
    sheet = options.out / f"{options.data.stem}.jpg"
    save_image(_sheet(poses), sheet)
    frames = Counter(poses.sequences[number].subject for number in poses.sequence.tolist())
    placed = "synthetic cameras around each sequence: there is no file of keypoints beside it"
    facts = {
        "counts": {"frames": len(poses), "sequences": len(poses.sequences), "subjects": len(poses.subjects)},
        "joints": list(poses.skeleton.joints),
        "keypoints": str(poses.file_2d) if poses.file_2d else placed,
        "frames of subjects": {name: frames[name] for name in poses.subjects},
        "problems": summary(poses.problems),
        "hints": [f"nothing of {name} can be used" for name in poses.subjects if not frames[name]],
        "contact_sheet": str(sheet),
    }
    return {str(options.data): facts}


def _sheet(poses: LiftingPoses) -> Image:
    """Keypoints, and beside them the pose in space, evenly spaced over the data set."""
    shown = np.unique(np.linspace(0, len(poses) - 1, SHOWN).round().astype(int))
    tiles = []
    for row in shown:
        first = int(np.searchsorted(poses.sequence, number := int(poses.sequence[row])))
        sequence = poses.sequences[number]
        flat, factor = flat_pose(sequence.size)
        draw_pose(flat, poses.skeleton, (sequence.keypoints[row - first] + 0.5) * factor - 0.5)
        title = f"{sequence.subject}, {sequence.action}, camera {sequence.camera_index}, frame {row - first}"
        tiles.append(beside(flat, poses.skeleton, MM * poses.targets[[row]], None, title))
    height, width = tiles[0].shape[:2]
    return contact_sheet(tiles, 2, (TILE, round(TILE * width / height)))


def inspection_text(facts: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Lines about one file: joints, keypoints, frames of each subject."""
    return [
        f"  {len(facts['joints'])} joints: {', '.join(facts['joints'])}",
        f"  keypoints: {facts['keypoints']}",
        "  subject             frames",
        *(f"  {name:16} {frames:9}" for name, frames in facts["frames of subjects"].items()),
    ], []
