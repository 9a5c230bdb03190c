"""Wrappers: the report page, `logpose inspect` and `logpose predict`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.data.labelled_images import AnyImages
from logpose.data.predictions import result_rows
from logpose.models.wrapper import KeypointWrapper
from logpose.report.evaluation import PageParts
from logpose.report.results import rounded
from logpose.tasks.metric_notes import metric_notes
from logpose.tasks.options import WrappingPredictOptions
from logpose.tasks.pose.report import inspect, people_parts
from logpose.tasks.task import Predictions
from logpose.tasks.wrapping.evaluate import WrappingEvaluation
from logpose.tasks.wrapping.predict import BATCH, Given, WrappedPeople, read_given, wrapped

__all__ = ["differences", "inspect", "page_parts", "predict"]

log = logging.getLogger("logpose")

OTHER = 0.5
"""Standard deviations between the means of a feature from which the people are others."""
FEWEST = 20
"""People from which that is known."""


def page_parts(evaluation: WrappingEvaluation, _: Mapping[str, float]) -> PageParts:
    """The page's parts about matched people."""
    at = evaluation.arrays() if evaluation.rows else None
    model: Any = evaluation.model
    return people_parts(model, at, (), metric_notes(model.skeleton, evaluation.people), None, "")


@dataclass(frozen=True)
class _File:
    """A file of predictions, and what the wrapper adds."""

    path: Path
    given: Given
    names: Mapping[int, str]
    found: WrappedPeople


def predict(model: KeypointWrapper, options: WrappingPredictOptions) -> Predictions:
    """The program's predictions, with their uncertainty.

    Raises:
        InputError: if a file is not what it should be, or what the wrapper takes is not there.
    """
    if options.mirrored is not None and len(options.inputs) > 1:
        raise InputError("--mirrored: goes with one file of predictions")
    model = model.to(options.device).eval()
    files = []
    for path in dict.fromkeys(options.inputs):
        images = AnyImages(options.checkpoint, model.skeleton, folder=options.images, categories=model.categories)
        given = read_given(path, options.mirrored, images)
        for sentence in differences(model, given):
            log.warning("%s: %s", path, sentence)
        found = wrapped(model, given, options.device, options.batch_size or BATCH)
        files.append(_File(path, given, images.names, found))

    def rows() -> Iterator[dict[str, Any]]:
        return (row for file in files for row in _rows(file, model))

    return Predictions(rows, lambda: _arrays(files, model.skeleton), lambda: _text(rows(), model.skeleton))


def differences(model: KeypointWrapper, given: Given) -> list[str]:
    """How the people differ from those that a wrapper was fitted on, in sentences; none where too few are given.

    What is compared are the means over people of the features of `KeypointWrapper`.
    """
    inputs = torch.from_numpy(given.inputs(model.mirrored, model.deviations))
    if len(inputs) < FEWEST:
        return []
    with torch.inference_mode():
        people = model.standardised(inputs.to(model.base.device))[1].cpu().double().numpy()
    means = np.nanmean(people, axis=0) - model.usual.cpu().double().numpy()
    names = model.own_names()
    found = [*zip(names, means[: len(names)], strict=True), ("size of people", means[-1])]
    return [
        f"not like the people that the wrapper was fitted on ({name}: {abs(mean):.1f} standard deviations "
        "away); measure it on labels of these (`logpose eval`), or fit it again"
        for name, mean in found
        if abs(mean) > OTHER
    ][:1]


def _rows(file: _File, model: KeypointWrapper) -> Iterator[dict[str, Any]]:
    """Each person as a row of COCO results; the program's own row, where it is one, with what is added."""
    predictions, found = file.given.predictions, file.found
    content = result_rows(file.path) if any(number is not None for number in predictions.numbers) else []
    for i, number in enumerate(predictions.numbers):
        name = file.names.get(predictions.images[i], "")
        own: dict[str, Any] = {"category_id": 1, "score": round(predictions.scores[i], 6)}
        own |= {"file_name": name} if name else {"image_id": predictions.images[i]}
        row: dict[str, Any] = own if number is None else dict(content[number])
        if number is None or model.refine:
            row["keypoints"] = rounded(np.column_stack([found.keypoints[i], predictions.rows[i][:, 2]]))
        row.pop("covariance", None)  # the program's own, which sigma replaces
        row["sigma"] = rounded(found.std[i])
        if found.radii:
            row["radius"] = {f"{level:g}": rounded(axes[i]) for level, axes in found.radii.items()}
        row["expected_oks"] = round(float(found.expected_oks[i]), 4)
        if found.oks50 is not None:
            row["oks50"] = round(float(found.oks50[i]), 4)
        yield row


def _arrays(files: list[_File], skeleton: Skeleton) -> dict[str, np.ndarray]:
    """All people as arrays."""
    arrays = {"joints": np.array(skeleton.joints)}
    images = [
        name or str(image)
        for file in files
        for image in file.given.predictions.images
        for name in [file.names.get(image, "")]
    ]
    arrays["image"] = np.array(images, dtype=np.str_)
    arrays["keypoints"] = np.concatenate([file.found.keypoints for file in files])
    arrays["sigma"] = np.concatenate([file.found.std for file in files])
    arrays["expected_oks"] = np.concatenate([file.found.expected_oks for file in files])
    for level in files[0].found.radii:
        arrays[f"radius_{level:g}"] = np.concatenate([file.found.radii[level] for file in files])
    return arrays


def _text(rows: Iterator[dict[str, Any]], skeleton: Skeleton) -> Iterator[str]:
    """Rows as lines: one for each person, and one for each joint of theirs."""
    for row in rows:
        image = row.get("file_name", row.get("image_id"))
        yield f"{image}  expected OKS {row['expected_oks']:.3f}"
        for k, joint in enumerate(skeleton.joints):
            x, y = row["keypoints"][3 * k : 3 * k + 2]
            yield "  {:16} {:8.1f} {:8.1f}  ± {:6.1f} {:6.1f}".format(joint, x, y, *row["sigma"][2 * k : 2 * k + 2])
