"""`logpose eval`: how good a checkpoint is on a data set: labelled pictures, poses in space, or B-scans."""

from __future__ import annotations

import logging

from jsonargparse import Namespace

from logpose.cli.output import (
    check_output,
    check_picture_folder,
    device_named,
    print_figures,
    refuse_flags,
    write_json,
)
from logpose.core.errors import InputError
from logpose.core.space import InSpace
from logpose.data.files import LabelledPeople, annotation_files, open_people
from logpose.data.image_sets import whole_images
from logpose.data.inputs import DetectedBoxes
from logpose.data.lifting import open_poses, subject_fingerprints
from logpose.data.oct import LabelledScans, check_height, open_scans
from logpose.data.problems import log_problems
from logpose.losses import LikelihoodLoss
from logpose.models import BoundaryModel, Detector, LiftingModel, Model, PoseModel
from logpose.report.evaluation import AnyEvaluation, draw_scan, write_report
from logpose.report.page import save_picture
from logpose.tasks.boundaries.evaluate import evaluate_scans
from logpose.tasks.detection.evaluate import evaluate_detector
from logpose.tasks.figures import uniform_sigmas
from logpose.tasks.lifting.evaluate import evaluate_lifting
from logpose.tasks.pose.evaluate import check_skeletons, evaluate
from logpose.training.checkpoint import load

__all__ = ["run_eval"]

log = logging.getLogger("logpose")

OF_PICTURES = {"images": None, "category": None, "boxes": None, "score": None, "save_json": None}
OF_SPACE = {
    "keypoints": None, "detected": None, "subjects": None, "picture": None, "cameras": None, "camera_seed": None,
}  # fmt: skip
OF_CROPS = {"boxes": None, "flip_test": None}
OF_SCANS = {"grader": None, "columns": None, "um_per_px": None, "save_images": None}
OF_PLACED = {"cameras": None, "camera_seed": None}
"""Flags that are about one kind of data, and what they are unless given."""
CAMERAS = 4
"""How many cameras are placed around each sequence without keypoints, as in training."""


def run_eval(given: Namespace) -> int:
    """Measure a checkpoint and print its figures; returns the exit code.

    Raises:
        InputError: if the checkpoint, the data or a flag is not what it should be.
    """
    if given.workers < 0 or (given.batch_size is not None and given.batch_size < 1):
        raise InputError("--batch-size must be at least 1, --workers at least 0")
    check_output(given.save_json)
    check_output(given.report)
    model, loss = load(given.checkpoint)
    if isinstance(model, LiftingModel):
        _eval_lifting(given, model, loss)
    elif isinstance(model, Detector):
        _eval_detector(given, model, loss)
    elif isinstance(model, BoundaryModel):
        _eval_scans(given, model, loss)
    else:
        assert isinstance(model, PoseModel)
        _eval_crops(given, model, loss)
    return 0


def _tell(given: Namespace, evaluation: AnyEvaluation, loss: LikelihoodLoss | None) -> None:
    """Print the figures; and, where it is asked for, write the page."""
    figures = evaluation.compute()
    if "oks" in figures and (told := uniform_sigmas(evaluation.model.skeleton)):
        log.info(told)
    if given.report:
        write_report(given.report, given.checkpoint, given.data, evaluation, figures, loss)
        log.info("wrote %s", given.report)
    print_figures(figures, as_json=given.json)


def _refuse_diverged(given: Namespace, evaluation: AnyEvaluation) -> None:
    """Refuse what a model says if it is not finite, before anything is written.

    Raises:
        InputError: if so.
    """
    if not (
        evaluation.is_finite() and evaluation.model.is_finite()
    ):  # who finds nobody says nothing that is not finite
        raise InputError(f"{given.checkpoint}: the model gives numbers that are not finite; it has diverged")


def _labelled(given: Namespace, model: Model) -> LabelledPeople:
    """The people that a model of pictures is measured on, checked against it."""
    refuse_flags(given, OF_SPACE, f"about poses to be lifted into space, and {given.checkpoint} looks at pictures")
    refuse_flags(given, OF_SCANS, f"about B-scans, and {given.checkpoint} looks at pictures of people")
    if given.data.suffix == ".npz":
        raise InputError(f"{given.data}: poses to be lifted into space, and {given.checkpoint} looks at pictures")
    files = annotation_files(given.data)
    alone = files["train"] == files["val"]
    # COCO's person_keypoints_val2017.json with no other file beside it is the validation part, not to be split again.
    whole = not given.data.is_dir() or (alone and any(word in files["val"].stem for word in ("val", "test")))
    wanted = given.part or ("all" if whole else "val")
    part = wanted if alone and wanted != "all" else None
    people = open_people(
        files["train" if wanted == "train" else "val"], given.images, part=part, category=given.category
    )
    log_problems(people)
    check_skeletons(given.checkpoint, model, people)
    if isinstance(model, PoseModel) and model.dim == 3 and not isinstance(people, InSpace):
        log.info("%s does not say where joints are in space: there are no figures in millimetres", people.file)
    log.info("measuring %d people of %s%s", len(people), people.file, f", its part {part!r}" if part else "")
    return people


def _eval_detector(given: Namespace, model: Detector, loss: LikelihoodLoss | None) -> None:
    """Figures of a model that finds people itself, on whole pictures."""
    refuse_flags(given, OF_CROPS, f"about crops of people, and {given.checkpoint} finds them in whole pictures")
    people = _labelled(given, model)
    evaluation = evaluate_detector(
        model,
        whole_images(people),
        loss,
        scoring=given.score or "box",
        batch_size=given.batch_size or 8,
        workers=given.workers,
        device=device_named(given.device),
        show_progress=True,
    )
    _refuse_diverged(given, evaluation)
    if given.save_json:
        write_json(given.save_json, evaluation.results(getattr(people, "category", 1)))
    _tell(given, evaluation, loss)


def _eval_crops(given: Namespace, model: PoseModel, loss: LikelihoodLoss | None) -> None:
    """Figures of a model that looks at crops, on labelled people."""
    people = _labelled(given, model)
    detected = DetectedBoxes(people, given.boxes) if given.boxes else None
    if detected is not None:
        log_problems(detected)
        if detected.passed_over:
            told = "%s: %d boxes on other images or of other categories were passed over"
            log.warning(told, given.boxes, detected.passed_over)
    evaluation = evaluate(
        model,
        people if detected is None else detected,
        loss,
        flip_test=given.flip_test is not False,
        nms=detected is not None,
        scoring=given.score or "sum",
        batch_size=given.batch_size or 64,
        workers=given.workers,
        device=device_named(given.device),
        show_progress=True,
    )
    _refuse_diverged(given, evaluation)
    if given.save_json:
        write_json(given.save_json, evaluation.results())
    _tell(given, evaluation, loss)


def _eval_lifting(given: Namespace, model: LiftingModel, loss: LikelihoodLoss | None) -> None:
    """Figures of a model that lifts keypoints, on poses whose places in space are known."""
    lifts = f"{given.checkpoint} lifts keypoints into space"
    refuse_flags(given, OF_PICTURES | {"part": None}, f"about people in pictures, and {lifts}")
    refuse_flags(given, OF_SCANS, f"about B-scans, and {lifts}")
    if given.data.suffix != ".npz":
        there = "" if given.data.exists() else "no such file; "
        raise InputError(f"{given.data}: {there}{lifts}, and is measured on VideoPose3D's data_3d_NAME.npz")
    cameras, seed = (CAMERAS if given.cameras is None else given.cameras), given.camera_seed or 0
    if cameras < 1 or seed < 0 or min(given.picture or (1, 1)) < 1:
        raise InputError("--cameras and the sides of a --picture must be at least 1, --camera-seed at least 0")
    device = device_named(given.device)
    subjects = given.subjects or _unseen_subjects(given, model)
    poses = open_poses(given.data, given.keypoints, subjects, given.picture, cameras, seed, given.detected)
    if poses.file_2d:
        refuse_flags(given, OF_PLACED, f"about cameras that are placed around, and {poses.file_2d} has its own")
    else:
        refuse_flags(given, {"picture": None}, "about a file of --keypoints, and without one cameras are placed around")
    log_problems(poses)
    check_skeletons(given.checkpoint, model, poses)
    if seen := [name for name in poses.subjects if poses.fingerprints[name] in model.learned_from]:
        log.warning("%s learned from %s: figures of what is known by heart", given.checkpoint, ", ".join(seen))
    used = poses.detected or poses.file_2d
    by = f"the keypoints of {used}" if used else f"{cameras} cameras placed around each sequence"
    log.info("measuring %d frames of %s, %s", len(poses), ", ".join(poses.subjects), by)
    evaluation = evaluate_lifting(
        model,
        poses,
        loss,
        flip_test=given.flip_test is not False,
        batch_size=given.batch_size or 1024,
        workers=given.workers,
        device=device,
        show_progress=True,
    )
    _refuse_diverged(given, evaluation)
    _tell(given, evaluation, loss)


def _unseen_subjects(given: Namespace, model: LiftingModel) -> list[str] | None:
    """Who is measured if nobody is named: those that the model has not learned from; None for all."""
    if not model.learned_from:
        return None
    every = subject_fingerprints(given.data)
    unseen = [name for name, mark in every.items() if mark not in model.learned_from]
    if not unseen:
        raise InputError(f"{given.data}: {given.checkpoint} learned from all of it; --subjects names whom to measure")
    if left := [name for name in every if name not in unseen]:
        log.info("%s were learned from and are left out; --subjects names them", ", ".join(left))
    return unseen


def _eval_scans(given: Namespace, model: BoundaryModel, loss: LikelihoodLoss | None) -> None:
    """Figures of a model that finds boundaries, on labelled B-scans."""
    finds = f"{given.checkpoint} finds boundaries in B-scans"
    refuse_flags(given, OF_PICTURES, f"about people in pictures, and {finds}")
    refuse_flags(given, OF_SPACE, f"about poses to be lifted into space, and {finds}")
    if given.columns is not None and given.columns < 1:
        raise InputError(f"--columns must be at least 1, got {given.columns}")
    check_height(given.um_per_px, "--um-per-px")
    check_picture_folder(given.save_images)
    scans = open_scans(given.data, given.grader or 1, given.um_per_px)
    log_problems(scans)
    ours, theirs = model.skeleton.joints, scans.skeleton.joints
    if ours != theirs:
        raise InputError(
            f"{given.checkpoint}: made for the boundaries {', '.join(ours)}; {given.data} has {', '.join(theirs)}"
        )
    scans = _part_of_scans(given, model, scans)
    if model.um_per_px and (unknown := sum(scan.um_per_px is None for scan in scans.scans)):
        told = "%d of them do not say how high their pixels are: their retina is looked for as at %g µm, as in training"
        log.info(told, unknown, model.um_per_px)
    evaluation = evaluate_scans(
        model,
        scans,
        loss,
        columns=given.columns,
        flip_test=given.flip_test is not False,
        batch_size=given.batch_size or 8,
        workers=given.workers,
        device=device_named(given.device),
        show_progress=True,
    )
    _refuse_diverged(given, evaluation)
    if not evaluation.columns_labelled():
        raise InputError(f"{given.data}: no label in the {given.columns} columns in the middle of any of its B-scans")
    if given.save_images:
        for i in range(len(scans)):
            save_picture(draw_scan(evaluation, i), given.save_images / f"{scans[i].name}-boundaries.png")
    _tell(given, evaluation, loss)


def _part_of_scans(given: Namespace, model: BoundaryModel, scans: LabelledScans) -> LabelledScans:
    """Those that the model has not learned from, or the others, or all."""
    part, count = given.part or "val", len(scans)
    if part != "all":
        wanted = part == "train"
        scans = scans.of([i for i, s in enumerate(scans.scans) if (s.fingerprint in model.learned_from) is wanted])
        if not len(scans):
            told = "none was" if wanted else "all were"
            raise InputError(f"{given.data}: of its {count} B-scans {told} learned from; --part all measures them all")
    left = f"; {count - len(scans)} that were learned from are left out" if len(scans) < count and part == "val" else ""
    log.info("measuring %d B-scans of %s%s", len(scans), ", ".join(scans.subjects), left)
    return scans
