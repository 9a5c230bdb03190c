"""`logpose audit`: what any program's keypoints are worth, on labelled images; no network, no torch."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from logpose.cli.task_options import check_places
from logpose.core.config import Options
from logpose.core.errors import InputError

__all__ = ["AuditOptions", "run"]

log = logging.getLogger("logpose")


@dataclass(kw_only=True)
class AuditOptions(Options):
    """Measure keypoints that any program predicted: errors by joint, scores against errors, regions of scores."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("predictions",)

    predictions: Path
    """COCO results (ours too), rows with covariances, DeepLabCut's table of predictions, or YOLO's folder of labels."""
    labels: Path
    """Labels of the same images, in any format that `train` takes; the images are needed for the page alone."""
    second: Path | None = None
    """Labels of the same images by somebody else, for the labels' own noise."""
    split: float = 0.5
    """Share of the images on which the regions of scores are learned; the others measure them."""
    seed: int = 0
    """Seed of that division."""
    images: Path | None = None
    """Folder of the images, if not beside the labels."""
    category: str | None = None
    """Name of the category, in labels in which several have keypoints of their own."""
    report: Path | None = None
    """Write a page (HTML): figures, joints, sparsification, regions, largest errors."""
    json: bool = False
    """Print figures, joints and the regions of scores as JSON."""


def run(options: AuditOptions) -> int:
    """Print the figures, and write the page; returns the exit code.

    Raises:
        InputError: if predictions or labels cannot be read, are of other joints, or of other images.
    """
    from logpose.data.files import open_people
    from logpose.data.predictions import read_predictions
    from logpose.data.problems import log_problems
    from logpose.tasks.audit import Audit, labelled_images, matched_people
    from logpose.tasks.audit_page import audit_text, write_audit_page
    from logpose.tasks.label_noise import label_noise, labelled_twice

    if not 0 < options.split < 1:
        raise InputError(f"--split lies between 0 and 1, got {options.split:g}")
    if options.seed < 0:
        raise InputError(f"--seed must be at least 0, got {options.seed}")
    inputs = [path for path in (options.predictions, options.labels, options.second) if path is not None]
    check_places([options.report] if options.report else [], [], inputs)
    people = open_people(options.labels, options.images, category=options.category, need_images=False)
    log_problems(people)
    labels = labelled_images(people)
    predictions = read_predictions(options.predictions, labels)
    predictions.log_passed_over()
    noise = None
    if options.second is not None:
        second = open_people(options.second, options.images, category=options.category, need_images=False)
        log_problems(second)
        noise = label_noise(labelled_twice(people, second))
    audit = Audit(matched_people(predictions, list(people.samples)), options.split, noise, options.seed)
    for note in audit.notes():
        log.warning("%s", note)
    if options.report:
        write_audit_page(options.report, options.predictions, options.labels, audit, labels.names)
        log.info("wrote %s", options.report)
    if options.json:
        print(json.dumps({"figures": audit.figures(), "joints": audit.by_joint(), "regions": audit.map()}, indent=2))
        return 0
    for line in audit_text(audit):
        print(line)
    return 0
