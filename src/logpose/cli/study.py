"""`logpose study`: what models of one person predict of covered joints, and of people who are cut off."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from logpose.cli.task_options import check_places
from logpose.core.config import Options
from logpose.core.errors import InputError
from logpose.core.processor import threads_beside

if TYPE_CHECKING:
    from logpose.tasks.pose.studies import Covered, Cut, Occlusion, Side, Truncation

__all__ = ["StudyOptions", "run"]

log = logging.getLogger("logpose")


@dataclass(kw_only=True)
class StudyOptions(Options):
    """Measure what one or several models predict where a joint is covered, or a part of the person cut off."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("what", "checkpoints")

    what: Literal["occlusion", "truncation"]
    """occlusion: a grey square over each joint in turn (the paper's Tables 15, 16); truncation: the image ends in the
    middle of the person (Fig. 5)."""
    checkpoints: tuple[Path, ...]
    """Checkpoints of models of one person's crop, in two dimensions."""
    data: Path
    """Labelled people."""
    part: Literal["val", "train", "all"] | None = None
    """Part of the data, as of `logpose eval`."""
    images: Path | None = None
    """Folder of the images, if not beside the labels."""
    people: int = 200
    """People, evenly spread over the data."""
    square: float | None = None
    """Side of the square, relative to the longer side of a person's box; 0.2 unless given."""
    cut: tuple[float, ...] | None = None
    """Shares of the box that are cut off; 0.25 0.5 0.75 unless given."""
    side: Literal["bottom", "top", "left", "right"] | None = None
    """Where people are cut off; at the bottom unless given."""
    device: str = "auto"
    """Device: cpu, cuda, cuda:1, mps, auto."""
    report: Path | None = None
    """Write a page (HTML): tables, and people as the models see them."""
    json: bool = False
    """Print tables as JSON."""


@threads_beside(workers=0)
def run(options: StudyOptions) -> int:
    """Print the tables of each model, and write the page; returns the exit code.

    Raises:
        InputError: if data, a model or an option are not what they should be.
    """
    from logpose.core.device import choose_device
    from logpose.models import PoseModel
    from logpose.report.inspection import evenly
    from logpose.tasks.options import PoseEvalOptions
    from logpose.tasks.pose.evaluate import labelled_people
    from logpose.tasks.pose.studies import Covered, Cut, occlusion, truncation
    from logpose.tasks.pose.study_page import facts, study_text, write_study_page
    from logpose.training.checkpoint import load_of_crops
    from logpose.training.learned_images import report_learned

    square, cut, side = _settings(options)
    check_places([options.report] if options.report else [], [], [options.data, *options.checkpoints])
    device = choose_device(options.device)
    studies: dict[str, Occlusion | Truncation] = {}
    altered: dict[str, list[Covered | Cut]] = {}
    for checkpoint in options.checkpoints:
        model, _ = load_of_crops(checkpoint)
        if not isinstance(model, PoseModel) or model.dim != 2 or model.skeleton.categories:
            raise InputError(
                f"{checkpoint}: studies are of models of one person's crop in two dimensions, of one category"
            )
        given = {name: getattr(options, name) for name in ("data", "part", "images")}
        people = labelled_people(model, PoseEvalOptions(checkpoint=checkpoint, **given))
        report_learned(checkpoint, model, people)
        labelled = [row for row in range(len(people)) if (people[row].visible > 0).any()]
        rows = [labelled[i] for i in evenly(len(labelled), options.people)]
        if not rows:
            raise InputError(f"{options.data}: nobody has a labelled joint")
        running = {"flip_test": False, "device": device, "show_progress": True}
        if options.what == "occlusion":
            covers = occlusion(model, people, rows, square, **running)
            shown = [None, *(joints[0] for joints in covers.kinds().values())]
            studies[str(checkpoint)] = covers
            altered[str(checkpoint)] = [Covered(people, rows, joint, square) for joint in shown]
        else:
            cuts = truncation(model, people, rows, cut, side, **running)
            studies[str(checkpoint)] = cuts
            altered[str(checkpoint)] = [Cut(people, rows, share, side) for share in cuts.shares]
    if options.report:
        write_study_page(options.report, options.what, options.data, studies, altered)
        log.info("wrote %s", options.report)
    if options.json:
        print(json.dumps({name: facts(study) for name, study in studies.items()}, indent=2))
        return 0
    for name, study in studies.items():
        print("\n".join([name, *(f"  {line}" for line in study_text(study))]))
    return 0


def _settings(options: StudyOptions) -> tuple[float, tuple[float, ...], Side]:
    """Size of squares, shares that are cut off, and from where.

    Raises:
        InputError: if one is the other study's, or not in its range.
    """
    for what, names in (("occlusion", ("square",)), ("truncation", ("cut", "side"))):
        for name in names:
            if what != options.what and getattr(options, name) is not None:
                raise InputError(f"--{name}: for {what}, not for {options.what}")
    if options.people < 1:
        raise InputError(f"--people must be at least 1, got {options.people}")
    square = 0.2 if options.square is None else options.square
    if not 0 < square < 1:
        raise InputError(f"--square lies between 0 and 1, got {square:g}")
    cut = (0.25, 0.5, 0.75) if options.cut is None else options.cut
    if not cut or not all(0 < share < 1 for share in cut):
        raise InputError("--cut: shares between 0 and 1")
    return square, cut, options.side or "bottom"
