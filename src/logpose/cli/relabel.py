"""`logpose relabel`: labels with exchanged joints put right, in a new file, with a log."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from logpose.core.config import Options
from logpose.core.errors import InputError
from logpose.core.processor import threads_beside

__all__ = ["RelabelOptions", "run"]

log = logging.getLogger("logpose")


@dataclass(kw_only=True)
class RelabelOptions(Options):
    """Put labels right whose joints, sides or people are almost certainly exchanged, in a new file."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("data",)

    data: Path
    """Labels in COCO's form; they are not changed."""
    model: Path
    """Checkpoint of a pose model that was not trained on them, and has a density (RLE, a likelihood loss)."""
    out: Path
    """New file; beside it OUT.log.json lists what was changed."""
    nats: float = 20.0
    """Logarithm of how much likelier the corrected labels have to be; 20 is 5e8 times."""
    images: Path | None = None
    """Folder of the images, if not beside the labels."""
    device: str = "auto"
    """Device: cpu, cuda, cuda:1, mps, auto."""
    json: bool = False
    """Print what was changed as JSON."""


@threads_beside(workers=0)
def run(options: RelabelOptions) -> int:
    """Write the file and its log, and print how many labels of each kind were changed; returns the exit code.

    Raises:
        InputError: if labels or model cannot be used, or the new file is there already.
    """
    from logpose.core.device import choose_device
    from logpose.core.files import whole_file
    from logpose.data.files import open_people
    from logpose.data.problems import log_problems
    from logpose.tasks.evaluation import check_skeletons
    from logpose.tasks.pose.doubtful import doubtful_people
    from logpose.tasks.pose.evaluate import evaluate
    from logpose.tasks.pose.relabel import relabelled
    from logpose.training.checkpoint import load_of_crops
    from logpose.training.learned_images import report_learned

    listed = options.out.with_name(f"{options.out.name}.log.json")
    for path in (options.out, listed):
        if path.exists():
            raise InputError(f"{path}: is there already; labels are not overwritten")
    if not options.nats > 0:
        raise InputError(f"--nats must be above 0, got {options.nats:g}")
    model, loss = load_of_crops(options.model)
    if loss is None or model.dim != 2:
        raise InputError(f"{options.model}: needs a density of errors in two dimensions")
    people = open_people(options.data, options.images, like=model.skeleton)
    log_problems(people)
    check_skeletons(options.model, model, people)
    report_learned(options.model, model, people)
    device = choose_device(options.device)
    found = evaluate(model, people, loss, device=device, show_progress=True).arrays()
    content, changes = relabelled(options.data, people, doubtful_people(found, model, loss), options.nats)
    for path, written in ((options.out, content), (listed, changes)):
        with whole_file(path) as file:
            file.write((json.dumps(written) + "\n").encode())
    kinds = Counter(row["kind"] for row in changes)
    if options.json:
        print(json.dumps({"changed": len(changes), **kinds}))
    else:
        print(f"changed {len(changes)} of {len(people)} people")
        for kind, count in kinds.items():
            print(f"  {count} × {kind}")
    log.info("wrote %s and %s", options.out, listed)
    return 0
