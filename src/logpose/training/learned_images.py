"""Which images a model has learned from, and how many of a data set are among them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from logpose.core.errors import InputError
from logpose.data.files import annotation_files
from logpose.data.fingerprints import Fingerprints, fingerprint, fingerprints, image_files
from logpose.models import Model
from logpose.models.weight_files import TENSORS, fetched
from logpose.training.checkpoint import learned_images, read
from logpose.training.recipe import TrainingRecipe

__all__ = ["count_learned", "held_out", "note_learned", "report_learned", "report_shared", "trained_on"]

log = logging.getLogger("logpose")


def note_learned(model: Model, data: Any, recipe: TrainingRecipe, resume: str | Path | None) -> None:
    """Note in a model the images of its training data, and those that the weights it starts from have learned from.

    Args:
        model: its `learned_images` are set.
        data: the training data.
        recipe: its `weights` may name a checkpoint of logpose.
        resume: the checkpoint that training is resumed from, if any.
    """
    found = [fingerprints(image_files(data)), _learned(fetched(str(getattr(recipe, "weights", "random"))))]
    if resume is not None:
        found.append(_learned(Path(resume)))
    model.learned_images = np.unique(np.concatenate(found))


def _learned(weights: Path) -> Fingerprints:
    """The fingerprints in a checkpoint; none in those of earlier versions, and in other files of weights."""
    path = weights.parent if weights.name == TENSORS else weights
    try:
        content = read(path)
    except InputError:  # of another code: what is wrong with it has been reported
        content = {"logpose": {}}
    return learned_images(path, content)


def count_learned(learned: Fingerprints, data: Any) -> tuple[int, list[Path]]:
    """How many images of files a data set has, and those of them that have one of these fingerprints."""
    files = image_files(data)
    known, seen = set(learned.tolist()), []
    for path in files:
        try:
            if fingerprint(path) in known:
                seen.append(path)
        except OSError:  # removed since the labels were read
            continue
    return len(files), seen


def report_shared(train: Any, val: Any) -> None:
    """Warn if images of the validation data are training images too."""
    count, shared = count_learned(fingerprints(image_files(train)), val)
    if shared:
        words = "%d of %d validation images are training images too (the first: %s): these are not held-out data"
        log.warning(words, len(shared), count, shared[0])


def report_learned(checkpoint: str | Path, model: Model, data: Any) -> int | None:
    """Warn if a model has learned from images that it is evaluated on.

    Args:
        checkpoint: of the model.
        model: the same.
        data: what it is evaluated on.

    Returns:
        how many images these are; None where it is not known, of checkpoints without fingerprints.
    """
    if len(model.learned_images):
        count, seen = count_learned(model.learned_images, data)
        if seen:
            words = "%s was trained on %d of the %d images measured (the first: %s): these are not held-out data"
            log.warning(words, checkpoint, len(seen), count, seen[0])
        return len(seen) if count else None
    if (file := getattr(data, "file", None)) is not None and trained_on(checkpoint, file):
        log.warning("%s: %s was trained on images of this file; --part val takes those held out, if any",
                    file, checkpoint)  # fmt: skip
    return None


def trained_on(checkpoint: str | Path, file: str | Path) -> bool:
    """Whether a checkpoint's recipe names this annotation file, or its folder, as the training data."""
    named = read(checkpoint)["logpose"].get("recipe", {}).get("data")
    if not isinstance(named, str) or not Path(named).exists():
        return False
    try:
        return annotation_files(named)["train"].resolve() == Path(file).resolve()
    except InputError:  # other files are there by now
        return False


def held_out(checkpoint: str | Path, file: str | Path) -> bool:
    """Whether a checkpoint's run was trained on one part of this annotation file and validated on the other."""
    recipe = read(checkpoint)["logpose"].get("recipe", {})
    if recipe.get("val_data") is not None or not trained_on(checkpoint, file):
        return False
    files = annotation_files(recipe["data"])
    return files["train"] == files["val"]
