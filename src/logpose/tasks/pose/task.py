"""The task of pose models: the joints of a person in a crop of an image."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from logpose.core.calibration import Group
from logpose.core.errors import InputError
from logpose.tasks.options import (
    PeopleEvalOptions,
    PeopleInspectOptions,
    PeoplePredictOptions,
    PoseCalibrateOptions,
    PoseEvalOptions,
    PoseInspectOptions,
    PosePredictOptions,
)
from logpose.tasks.task import CalibrateOptions, ReportedTask

__all__ = ["PoseTask"]

log = logging.getLogger("logpose")


class PoseTask(ReportedTask):
    """Joints of a person in a crop of an image, in two dimensions or three."""

    name = "pose"
    description = "a person's joints in a crop"
    module = "logpose.tasks.pose.report"
    eval_options: ClassVar[type[PeopleEvalOptions]] = PoseEvalOptions
    calibrate_options: ClassVar[type[CalibrateOptions]] = PoseCalibrateOptions
    predict_options: ClassVar[type[PeoplePredictOptions]] = PosePredictOptions
    inspect_options: ClassVar[type[PeopleInspectOptions]] = PoseInspectOptions

    def evaluate(self, model: Any, loss: Any, options: Any) -> Any:
        """Predict every labelled person, or in every detected box, and collect the predictions."""
        from logpose.data.detected_boxes import DetectedBoxes
        from logpose.data.problems import log_problems
        from logpose.data.symmetry import flip_test_note
        from logpose.tasks.pose.evaluate import evaluate, labelled_people
        from logpose.tasks.scoring import without_confidence
        from logpose.training.learned_images import report_learned

        people: Any = labelled_people(model, options)
        learned = report_learned(options.checkpoint, model, people)
        if options.boxes:
            people = DetectedBoxes(people, options.boxes)
            log_problems(people)
            if over := people.passed_over:
                log.warning("%s: %d boxes on other images or of other categories left out", options.boxes, over)
        if note := flip_test_note(model.skeleton, options.flip_test):
            log.warning(note)
        settings = {"flip_test": options.flip_test, "nms": options.boxes is not None, "scoring": options.score}
        evaluation = evaluate(model, people, loss, **settings, **options.running())
        evaluation.images_learned = learned
        for note in without_confidence(row[2] for row in evaluation.rows.values()):
            log.info(note)
        return evaluation

    def save(self, evaluator: Any, options: Any) -> None:
        """Write the COCO results file."""
        from logpose.report.results import write_json

        if options.save_json:
            write_json(options.save_json, evaluator.results())

    def errors(self, evaluator: Any, group: Group) -> Any:
        """The errors of everybody who is labelled and was predicted.

        Raises:
            InputError: if there is nobody.
        """
        from logpose.tasks.evaluation import errors_of

        if not evaluator.rows or (at := evaluator.arrays()) is None:
            raise InputError("nobody to calibrate on")
        skeleton = getattr(evaluator, "skeleton", evaluator.model.skeleton)
        return errors_of(at, group, skeleton, evaluator.model)

    def has_learned(self, evaluator: Any, options: Any) -> bool:
        """Whether images are among those that the model was trained on, or the file is, where images are not known."""
        from logpose.training.learned_images import trained_on

        if evaluator.images_learned is not None:
            return bool(evaluator.images_learned)
        people = getattr(evaluator, "people", None)
        file = getattr(people, "file", None)
        return (
            getattr(options, "part", "all") in ("train", "all")
            and file is not None
            and trained_on(options.checkpoint, file)
        )

    def opens(self, data: str | Path) -> bool:
        """Whether the data are annotations of people in images: JSON, or a MATLAB file of joints."""
        from logpose.tasks.pose.evaluate import holds_people

        return holds_people(data)

    def inspection_text(self, facts: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """Joints and boxes; and the labels that a model finds unlikely, if one was given."""
        skeleton = facts["skeleton"]
        pairs = ", ".join(f"{a}/{b}" for a, b in skeleton["mirror pairs"]) or "none"
        lines = [
            *(
                f"  {own['name']} (id {own['id']}): {own['people']} people, joints {', '.join(own['joints'])}"
                for own in facts.get("categories", ())
            ),
            f"  {skeleton['name']}: {len(skeleton['joints'])} joints, {skeleton['bones']} bones",
            f"  mirror pairs: {pairs}",
            f"  OKS sigmas: {skeleton['oks sigmas']}",
            "  longer side of boxes: "
            + ", ".join(f"{q} below {px:g} px" for q, px in facts["longer side of boxes, px"].items()),
            "  joint             labelled  of these hidden",
            *(f"  {j:16} {n:9} {facts['hidden'][j]:9}" for j, n in facts["labelled"].items()),
        ]
        if twice := facts.get("labelled twice"):
            lines.append(
                f"  sigmas of OKS, of {twice['people']} people labelled twice (a list `sigmas` in the category of the "
                "file makes OKS, AP and AR take them):"
            )
            lines += [
                f"    {joint:16} {own['sigma']:.4f}  {own['labels']} labels"
                for joint, own in twice["oks sigmas"].items()
            ]
        from logpose.report.inspection import LISTED

        if "unlikely labels" not in facts:
            return lines, []
        end = ["  labels that are least likely by the model, each person's worst:"]
        end += [
            f"    {row['image']}: annotation of id {row['id']}, {row['joint']}: {row['px off']:g} px off, "
            f"{row['px expected']} px expected"
            for row in facts["unlikely labels"]
        ]
        end.append(f"  their images: {facts['unlikely_sheet']}")
        doubtful = facts["doubtful labels"]
        kinds = Counter(row["kind"] for row in doubtful)
        end.append(f"  probably wrong: {', '.join(f'{n} × {kind}' for kind, n in kinds.items()) or 'nothing'}")
        end += [
            f"    {row['image']}: annotation of id {row['id']}, {row['kind']}: {row['of']} ({row['nats']:g} nats)"
            for row in doubtful[:LISTED]
        ]
        return lines, end
