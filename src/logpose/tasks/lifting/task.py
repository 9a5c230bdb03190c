"""The task of lifting models: joints in space, of keypoints in images."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from logpose.core.calibration import Group
from logpose.core.errors import InputError
from logpose.tasks.options import LiftingCalibrateOptions, LiftingEvalOptions, LiftingPredictOptions
from logpose.tasks.task import ReportedTask

__all__ = ["LiftingTask"]

log = logging.getLogger("logpose")

CAMERAS = 4
"""How many synthetic cameras each sequence without keypoints has, as in training."""


class LiftingTask(ReportedTask):
    """Joints in space relative to the root, of keypoints of one frame or several."""

    name = "lifting"
    description = "joints in space, of keypoints"
    module = "logpose.tasks.lifting.report"
    eval_options = LiftingEvalOptions
    calibrate_options = LiftingCalibrateOptions
    default_group = "clip"
    predict_options = LiftingPredictOptions

    def evaluate(self, model: Any, loss: Any, options: LiftingEvalOptions) -> Any:
        """Lift every frame, and collect the poses."""
        from logpose.tasks.lifting.evaluate import evaluate_lifting

        poses = self._open(model, options)
        return evaluate_lifting(model, poses, loss, flip_test=options.flip_test, **options.running())

    def errors(self, evaluator: Any, group: Group) -> Any:
        """The errors of every frame's joints but the root; a sequence that several cameras saw is one clip."""
        names = []
        for each in evaluator.poses.sequences:
            clip = each.subject if group == "person" else f"{each.subject}/{each.action}"
            names += [f"{clip}/{frame}" if group == "image" else clip for frame in range(len(each))]
        return evaluator.errors(names)

    def has_learned(self, evaluator: Any, options: Any) -> bool:  # noqa: ARG002
        """Whether subjects are among those that the model was trained on."""
        poses = evaluator.poses
        return any(poses.fingerprints[name] in evaluator.model.learned_from for name in poses.subjects)

    def _open(self, model: Any, options: LiftingEvalOptions) -> Any:
        """The poses that a model is evaluated on, checked against it."""
        from logpose.data.lifting import open_poses
        from logpose.data.problems import log_problems
        from logpose.tasks.evaluation import check_skeletons

        cameras = CAMERAS if options.cameras is None else options.cameras
        seed = options.camera_seed or 0
        if cameras < 1 or seed < 0 or min(options.picture or (1, 1)) < 1:
            raise InputError("--cameras and the sides of --picture must be at least 1, --camera-seed at least 0")
        if not self.opens(options.data):
            there = "" if options.data.exists() else "no such file; "
            raise InputError(f"{options.data}: {there}lifting models are evaluated on VideoPose3D's data_3d_NAME.npz")
        subjects = options.subjects or _unseen_subjects(model, options)
        poses = open_poses(options.data, options.keypoints, subjects, options.picture, cameras, seed, options.detected)
        flags = {"--cameras": options.cameras, "--camera-seed": options.camera_seed}
        placed = [flag for flag, value in flags.items() if value is not None]
        if poses.file_2d and placed:
            raise InputError(f"{' and '.join(placed)}: about synthetic cameras, and {poses.file_2d} has its own")
        if not poses.file_2d and options.picture is not None:
            raise InputError("--picture: about a file of --keypoints, and without one cameras are synthetic")
        log_problems(poses)
        check_skeletons(options.checkpoint, model, poses)
        if seen := [name for name in poses.subjects if poses.fingerprints[name] in model.learned_from]:
            log.warning("%s was trained on %s: these figures are of training data", options.checkpoint, ", ".join(seen))
        used = poses.detected or poses.file_2d
        by = f"the keypoints of {used}" if used else f"{cameras} synthetic cameras around each sequence"
        log.info("evaluating %d frames of %s, %s", len(poses), ", ".join(poses.subjects), by)
        return poses

    def opens(self, data: str | Path) -> bool:
        """Whether the data are an archive of NumPy, as those of poses in space are; a .zip is another one."""
        data = Path(data)
        if not data.is_file() or data.suffix.lower() == ".zip":
            return False
        with data.open("rb") as file:
            return file.read(2) == b"PK"

    def inspection_text(self, facts: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """Joints, keypoints, frames of each subject."""
        return [
            f"  {len(facts['joints'])} joints: {', '.join(facts['joints'])}",
            f"  keypoints: {facts['keypoints']}",
            "  subject             frames",
            *(f"  {name:16} {frames:9}" for name, frames in facts["frames of subjects"].items()),
        ], []


def _unseen_subjects(model: Any, options: LiftingEvalOptions) -> list[str] | None:
    """The subjects to evaluate where none is named: those that the model was not trained on; None for all."""
    from logpose.data.lifting import subject_fingerprints

    if not model.learned_from:
        return None
    every = subject_fingerprints(options.data)
    unseen = [name for name, mark in every.items() if mark not in model.learned_from]
    if not unseen:
        raise InputError(f"{options.data}: {options.checkpoint} was trained on all of it; name subjects as --subjects")
    if left := [name for name in every if name not in unseen]:
        log.info("%s: trained on and left out; --subjects names them", ", ".join(left))
    return unseen
