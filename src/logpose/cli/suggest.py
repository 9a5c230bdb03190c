"""`logpose suggest`: which images to label next."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from logpose.cli.task_options import check_places
from logpose.core.config import Options
from logpose.core.errors import InputError
from logpose.core.processor import threads_beside

if TYPE_CHECKING:
    from logpose.data.inputs import Boxes

__all__ = ["SuggestOptions", "run"]

log = logging.getLogger("logpose")


@dataclass(kw_only=True)
class SuggestOptions(Options):
    """Choose images to label next: those in which a model is uncertain, and that are unlike those it knows."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("checkpoint",)

    checkpoint: Path
    """Checkpoint of a model of one person's crop that has standard deviations."""
    unlabelled: tuple[Path, ...]
    """Images, or folders of images; without --boxes one person is looked for in each."""
    boxes: Path | None = None
    """Boxes of the people in them: COCO detections, or labels."""
    count: int = 100
    """Images to choose."""
    labelled: Path | None = None
    """Labels that there are already; images unlike these are preferred."""
    images: Path | None = None
    """Folder of the images of these, if not beside them."""
    clips: bool = False
    """Images of a folder are frames of a clip: no clip gets more than its share."""
    looks: int = 4
    """How often an image is looked at, see `logpose predict`; 1: each image is a person's crop."""
    device: str = "auto"
    """Device: cpu, cuda, cuda:1, mps, auto."""
    save_json: Path | None = None
    """Write the predictions in the chosen images, as `logpose predict` does: `convert-labels` makes tasks of them."""
    json: bool = False
    """Print the choice as JSON."""


@threads_beside(workers=0)
def run(options: SuggestOptions) -> int:
    """Print the chosen images, best first; returns the exit code.

    Raises:
        InputError: if an input or an option is not what it should be.
    """
    from logpose.core.device import choose_device
    from logpose.core.progress import track
    from logpose.data.files import open_people
    from logpose.data.fingerprints import fingerprint, fingerprints, image_files
    from logpose.data.inputs import named_images, read_boxes
    from logpose.data.label_boxes import label_boxes
    from logpose.data.problems import log_problems
    from logpose.report.results import write_json
    from logpose.tasks.evaluation import check_skeletons
    from logpose.tasks.pose.poses import coco_results
    from logpose.tasks.pose.predict import Predictor
    from logpose.tasks.pose.suggest import candidates, labelled_features, wanting

    if options.count < 1:
        raise InputError(f"--count must be at least 1, got {options.count}")
    check_places(
        [options.save_json] if options.save_json else [],
        [],
        [options.checkpoint, *options.unlabelled, *filter(None, [options.boxes, options.labelled])],
    )
    predictor = Predictor(options.checkpoint, choose_device(options.device), looks=options.looks)
    if predictor.skeleton.categories:
        raise InputError(f"{options.checkpoint}: suggestions are by models of one category")
    names = named_images(options.unlabelled)

    def is_known(path: Path) -> bool:
        try:
            return fingerprint(path) in known
        except OSError:  # that it cannot be read is reported with the others
            return False

    known, people = {*predictor.model.learned_images.tolist()}, []
    if options.labelled is not None:
        labels = open_people(options.labelled, options.images, like=predictor.model.skeleton)
        log_problems(labels)
        check_skeletons(options.checkpoint, predictor.model, labels)
        known |= {*fingerprints(image_files(labels)).tolist()}
        people = [who for who in labels.samples if (who.visible > 0).any()]
    new = [path for path in names if not is_known(path)]
    if not new:
        raise InputError("all of the images are labelled already")
    if len(new) < len(names):
        log.info("%d of %d images are labelled already", len(names) - len(new), len(names))
    boxes: Mapping[Path, Boxes] = {}
    if options.boxes is not None:
        ids = {path: names[path].number for path in new}
        own = label_boxes(options.boxes, predictor.model.skeleton.joints)
        boxes = read_boxes(options.boxes, ids, labels=own).boxes
    unread: list[str] = []
    images = ((path, boxes.get(path)) for path in track(new, "looking", unit="images"))
    found = candidates(predictor, images, lambda error: unread.append(str(error)))
    rows, reasons = wanting(found, options.count, labelled_features(predictor, people), options.clips)
    if unread:
        log.warning("left out %d images that cannot be read; the first: %s", len(unread), unread[0])
    if reasons:
        log.info("left out: %s", ", ".join(f"{count} {why}" for why, count in reasons.items()))
    if len(rows) < options.count:
        log.warning("%d images are left to choose, of the %d wanted", len(rows), options.count)
    chosen = [found.poses[row] for row in rows]
    paths = [each.path for each in chosen if each.path is not None]
    if options.save_json:
        each = [(names[path], poses) for path, poses in zip(paths, chosen, strict=True)]
        write_json(
            options.save_json,
            [row for name, poses in each for row in coco_results(poses, name.number, 1, name.file_name)],
        )
        log.info("wrote %s", options.save_json)
    if options.json:
        listed = [
            {"image": str(path), "uncertainty": round(float(found.uncertainty[row]), 5)}
            for path, row in zip(paths, rows, strict=True)
        ]
        print(json.dumps({"images": listed, "left out": dict(reasons)}, indent=2))
        return 0
    for path in paths:
        print(path)
    return 0
