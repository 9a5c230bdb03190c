"""`logpose predict` on files of keypoints by lifting models."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from logpose.core.errors import InputError
from logpose.core.progress import track
from logpose.data.json_files import read_json
from logpose.data.keypoint_files import LAYOUTS, KeypointFile, read_keypoints
from logpose.models import LiftingModel
from logpose.report.draw import draw_pose
from logpose.report.draw3d import beside, flat_pose
from logpose.report.page import save_image
from logpose.tasks.lifting.options import LiftingPredictOptions
from logpose.tasks.lifting.predict import Lifter
from logpose.tasks.lifting.results import Lifted, lifted_arrays, lifted_rows, lifted_text
from logpose.tasks.task import Predictions

__all__ = ["predict_in_space"]

log = logging.getLogger("logpose")

DRAWN = 50
"""Most images of lifted poses: a video has thousands."""
REGION = "each ellipsoid holds its joint with a probability of 50 %"


def predict_in_space(model: LiftingModel, options: LiftingPredictOptions) -> Predictions:
    """Predictions of a lifting model.

    Args:
        model: the model.
        options: of `logpose predict`.

    Raises:
        InputError: if an option or an input is not what it should be.
    """
    contents = {
        file: read_keypoints(file, model.skeleton, options.picture, options.skeleton)
        for file in dict.fromkeys(options.inputs)
    }
    _check_contradictions(options, contents, model)
    for file, content in contents.items():  # once all can be read
        _say_changes(file, content, model)
    sequences = [(str(file), sequence) for file, content in contents.items() for sequence in content.sequences]
    lifter = Lifter(model, options.device, options.flip_test, options.batch_size or 1024)
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


def _say_changes(file: Path, content: KeypointFile, model: LiftingModel) -> None:
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
    chosen = np.unique(np.linspace(0, len(each) - 1, min(DRAWN, len(each))).round().astype(int)).tolist()
    if len(chosen) < len(each):
        log.warning("%s: images of %d of the %d poses, evenly over all", folder, len(chosen), len(each))
    files = list(dict.fromkeys(name for name, _, _ in found))
    stems = Counter(Path(name).stem for name in files)
    for number in chosen:
        i, frame = each[number]
        name, sequence, poses = found[i]
        stem = Path(name).stem + (f"-{files.index(name)}" if stems[Path(name).stem] > 1 else "")
        flat, factor = flat_pose(sequence.size)
        draw_pose(flat, poses.skeleton, (sequence.keypoints[frame] + 0.5) * factor - 0.5)
        joints, std = poses.joints_mm[[frame]], poses.radius * poses.sigma_mm[[frame]]
        title = f"{sequence.name}, frame {frame}\nrelative to the root; {REGION}"
        save_image(beside(flat, poses.skeleton, joints, std, title), folder / f"{stem}-pose-{number:06d}.png")
