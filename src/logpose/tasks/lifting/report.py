"""Poses in space of files: the report page, `logpose inspect` and `logpose predict`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from logpose.core.errors import InputError
from logpose.core.geometry import MM
from logpose.core.json_files import read_json
from logpose.core.progress import track
from logpose.core.samples import Image
from logpose.core.skeletons import Skeleton
from logpose.data.keypoint_files import LAYOUTS, KeypointFile, read_keypoints
from logpose.data.lifting import LiftingPoses, open_poses
from logpose.models import LiftingModel
from logpose.report.draw import contact_sheet, draw_pose
from logpose.report.draw3d import beside, flat_pose
from logpose.report.evaluation import PageParts
from logpose.report.inspection import evenly, summary
from logpose.report.page import save_image
from logpose.tasks.lifting.evaluate import LiftingEvaluation
from logpose.tasks.lifting.predict import Lifted, Lifter, lifted_arrays, lifted_rows, lifted_text
from logpose.tasks.options import LiftingPredictOptions
from logpose.tasks.task import InspectOptions, Predictions

__all__ = ["MEANINGS", "inspect", "page_parts", "predict"]

log = logging.getLogger("logpose")

DRAWN = 50
"""Most images of lifted poses: a video has thousands."""
REGION = "each ellipsoid holds its joint with a probability of 50 %"
SHOWN, TILE = 8, 400  # poses on a contact sheet, and pixels of each's height

MEANINGS = (
    (r"mpjpe|mpjpe_mean", "mean distance in space, relative to the root, in millimetres; as a mean over actions"),
    (r"pa_mpjpe|pa_mpjpe_mean", "the same after the best similarity transform"),
    (r"velocity", "mean error of the displacement from frame to frame, in millimetres"),
)
"""What figures of poses in space mean."""


def page_parts(evaluation: LiftingEvaluation, _: Mapping[str, float]) -> PageParts:
    """The page's parts about poses in space."""
    deviations = evaluation.deviations() if evaluation.rows else None
    return PageParts("joint", deviations, MEANINGS)


def inspect(options: InspectOptions) -> dict[str, dict[str, Any]]:
    """Counts, problems and a contact sheet of a file of poses in space.

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
    tiles = []
    for row in evenly(len(poses), SHOWN):
        first = int(np.searchsorted(poses.sequence, number := int(poses.sequence[row])))
        sequence = poses.sequences[number]
        flat = _flat(sequence.size, poses.skeleton, sequence.keypoints[row - first])
        title = f"{sequence.subject}, {sequence.action}, camera {sequence.camera_index}, frame {row - first}"
        tiles.append(beside(flat, poses.skeleton, MM * poses.targets[[row]], None, title))
    height, width = tiles[0].shape[:2]
    return contact_sheet(tiles, 2, (TILE, round(TILE * width / height)))


def _flat(size: tuple[int, int], skeleton: Skeleton, keypoints: np.ndarray) -> Image:
    """Keypoints alone, in a small image in place of one of `size`."""
    flat, factor = flat_pose(size)
    draw_pose(flat, skeleton, (keypoints + 0.5) * factor - 0.5)
    return flat


def predict(model: LiftingModel, options: LiftingPredictOptions) -> Predictions:
    """Predictions of a lifting model.

    Raises:
        InputError: if an option or an input is not what it should be.
    """
    contents = {
        file: read_keypoints(file, model.skeleton, options.picture, options.skeleton)
        for file in dict.fromkeys(options.inputs)
    }
    _check_contradictions(options, contents, model)
    for file, content in contents.items():  # once all can be read
        _report_changes(file, content, model)
    sequences = [(str(file), sequence) for file, content in contents.items() for sequence in content.sequences]
    lifter = Lifter(model, options.device, options.flip_test, **options.batches())
    lifted = lifter.many((sequence.keypoints, sequence.size) for _, sequence in sequences)
    progress = track(lifted, "lifting", len(sequences), unit="sequences")
    found: list[Lifted] = [(name, sequence, poses) for (name, sequence), poses in zip(sequences, progress, strict=True)]
    if options.save_images:
        _draw(found, options.save_images)

    def rows() -> Iterator[dict[str, Any]]:
        return (row for each in found for row in lifted_rows(each))

    return Predictions(
        rows, partial(lifted_arrays, found, model.skeleton), lambda: lifted_text(rows(), model.skeleton.joints)
    )


def _check_contradictions(
    options: LiftingPredictOptions, contents: Mapping[Path, KeypointFile], model: LiftingModel
) -> None:
    """Refuse --picture and --skeleton where every file itself has another size, or names other joints."""
    first = options.inputs[0]
    sizes = [sequence.size for content in contents.values() for sequence in content.sequences]
    if options.picture is not None and options.picture not in sizes:
        own, flag = ("{}×{}".format(*size) for size in (sizes[0], options.picture))
        raise InputError(f"--picture: {first} has images of {own} pixels (height × width), not {flag}")
    if options.skeleton is None:
        return
    meant = [model.skeleton] if options.skeleton == "model" else LAYOUTS[options.skeleton]
    named = [_named_joints(file) for file in contents]
    if all(joints and not any(joints == set(skeleton.joints) for skeleton in meant) for joints in named):
        raise InputError(f"--skeleton {options.skeleton}: {first} names its joints, and they are others")


def _named_joints(file: Path) -> set[str]:
    """The joints that a file of annotations names; nothing of other files."""
    content = read_json(file) if file.suffix == ".json" else None
    categories = content["categories"] if isinstance(content, dict) else []
    return {str(joint) for row in categories if isinstance(row, dict) for joint in row.get("keypoints") or ()}


def _report_changes(file: Path, content: KeypointFile, model: LiftingModel) -> None:
    """Report what was left out of a file, and what was made of it."""
    if content.problems:
        count, first = len(content.problems), content.problems[0]
        log.warning("%s: left out %d of its poses or sequences; the first: %s", file, count, first)
    if content.derived:
        derived = "; ".join(f"{joint} of {others}" for joint, others in content.derived.items())
        log.warning("%s: joints that it does not have are the middle of others: %s", file, derived)
    if content.guessed:
        message = "%s: does not name its joints; by their number they are taken as --skeleton %s"
        log.warning(message, file, content.guessed)
    if model.frames > 1 and all(len(sequence) == 1 for sequence in content.sequences):
        log.warning("%s: its poses are lifted one by one, and the model is made for %s", file, model.input_spec)


def _draw(found: Sequence[Lifted], folder: Path) -> None:
    """Keypoints and, beside them, the pose in space: of each, or of `DRAWN` evenly over all."""
    each = [(i, frame) for i, (_, _, poses) in enumerate(found) for frame in range(len(poses))]
    chosen = evenly(len(each), DRAWN)
    if len(chosen) < len(each):
        log.warning("%s: images of %d of the %d poses, evenly over all", folder, len(chosen), len(each))
    files = list(dict.fromkeys(name for name, _, _ in found))
    stems = Counter(Path(name).stem for name in files)
    for number in chosen:
        i, frame = each[number]
        name, sequence, poses = found[i]
        stem = Path(name).stem + (f"-{files.index(name)}" if stems[Path(name).stem] > 1 else "")
        flat = _flat(sequence.size, poses.skeleton, sequence.keypoints[frame])
        joints, std = poses.joints_mm[[frame]], poses.radius * poses.sigma_mm[[frame]]
        title = f"{sequence.name}, frame {frame}\nrelative to the root; {REGION}"
        save_image(beside(flat, poses.skeleton, joints, std, title), folder / f"{stem}-pose-{number:06d}.png")
