"""A checkpoint to files for other runtimes: written, opened again, compared with the checkpoint, and only then kept."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from logpose.core.calibration import Calibration
from logpose.core.errors import InputError
from logpose.export.bundle import check_bundle, write_bundle
from logpose.export.graph import UNCALIBRATED, ExportGraph, facts_of, graph_of
from logpose.export.target import Precision, Target
from logpose.export.targets import TARGETS
from logpose.export.verification import LIMITS, Observed, Verified, data_of, observe, refuse_nobody, verify
from logpose.models import Detector, KeypointModel
from logpose.models.exported import is_exported
from logpose.models.weight_files import checkpoint_path
from logpose.tasks import task_of
from logpose.tasks.calibrate import calibrate
from logpose.tasks.task import EvalOptions, Task
from logpose.training.checkpoint import load, load_model, notes, read

__all__ = ["CALIBRATED_ON", "VERIFIED_ON", "Written", "default_folder", "export"]

log = logging.getLogger("logpose")

BUNDLE = "bundle"  # the folder's name
VERIFIED_ON = 200
"""People, or other rows, that are predicted by both."""
CALIBRATED_ON = 300
"""Rows from which int8 takes the ranges of activations and, being labelled, the new calibration of sigma."""


@dataclass(frozen=True)
class Written:
    """A file, or a bundle's folder, that was written, or, where something is in excess of its limit, was not kept."""

    path: Path
    verified: Verified | None
    excess: tuple[str, ...] = ()


def default_folder(checkpoint: str | Path) -> Path:
    """Where files are written by default: a folder `export` beside the file of a checkpoint, or in its folder."""
    path = Path(checkpoint)
    if not path.exists():
        return Path("export")
    return (path if path.is_dir() else path.parent) / "export"


def export(
    checkpoint: str | Path,
    to: Sequence[str] = ("onnx",),
    precision: Precision = "single",
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    verify_on: str | Path | None = None,
    images: str | Path | None = None,
    unverified: bool = False,
    licence: str | None = None,
    bundle: bool = False,
    people: int | None = None,
    predictions: str | Path | None = None,
    mirrored: str | Path | None = None,
) -> list[Written]:
    """Write a checkpoint's model as files of other kinds, each kept if it predicts what the checkpoint predicts.

    Args:
        checkpoint: as of `load_model`.
        to: names of `TARGETS`.
        precision: of the weights.
        out: folder for the files; see `default_folder`.
        data: for int8: labelled data that the model was not trained on.
        verify_on: labelled data to predict; those that the run was validated on unless given.
        images: folder of the images of these, if not beside them.
        unverified: whether to keep the files without a proof.
        licence: of the weights and of the data that they were trained on; the checkpoint's own unless given.
        bundle: whether to write a folder `bundle` too, which predicts by itself; see `write_bundle`.
        people: most that a detector's file finds in an image; see `graph.MOST_PEOPLE`.
        predictions: of wrappers: what the program predicts in the images of `verify_on`.
        mirrored: the same in the mirrored images, of wrappers that take it.

    Raises:
        InputError: if the checkpoint cannot be exported, a library or the data are missing, the model was trained on
            what it is to be calibrated on, or a folder is where a file is to be written. No file is written then.
    """
    if is_exported(checkpoint_path(checkpoint)):
        raise InputError(f"{checkpoint}: is a file of `logpose export`; export the checkpoint that it was made of")
    if unknown := [name for name in to if name not in TARGETS]:
        raise InputError(f"--to {unknown[0]}: choose from {', '.join(TARGETS)}")
    to = tuple(dict.fromkeys(to))
    model, loss = load(checkpoint)
    task, kept = task_of(model), notes(checkpoint)
    if licence is not None:
        kept["licence"] = licence
    recipe = read(checkpoint)["logpose"].get("recipe", {})
    graph = graph_of(model, people)  # refuses other models
    if precision == "int8" and not isinstance(model, KeypointModel):
        raise InputError(f"--int8 is not for models of {model.task}")
    for name in to:
        TARGETS[name].check(precision, graph)
    folder = default_folder(checkpoint) if out is None else Path(out)
    if bundle:
        check_bundle(model, to, folder / BUNDLE)
    stem = "model" if precision == "single" else f"model-{precision}"
    for place in (folder / f"{stem}{TARGETS[name].suffix}" for name in to):
        if place.is_dir() or (folder.exists() and not folder.is_dir()):
            raise InputError(f"{place}: a file cannot be written there")
    before = None
    if not unverified:
        options = data_of(task, checkpoint, recipe, verify_on, images, predictions=predictions, mirrored=mirrored)
        if isinstance(model, Detector):  # whose joints may be elsewhere than where their density is
            loss = None
        before = observe(task, model, loss, options, VERIFIED_ON)
        refuse_nobody(before, model, options)
    seen: Observed | None = None
    if precision == "int8":
        if data is None:
            raise InputError("int8 needs labelled data that the model was not trained on: --data DATA")
        given = data_of(task, checkpoint, recipe, data, images, "--data DATA")
        seen = observe(task, model, loss, given, CALIBRATED_ON)
        if task.has_learned(seen.evaluator, given):
            raise InputError(f"{data}: the model was trained on some of it; give --data that it was not trained on")
        _calibrated(task, model, loss, model.calibration, seen, given)  # refuses too few labels before the work is done
    written, is_new = [], not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished-") as unfinished:
            kept_files: list[Path] = []
            bundled = Path(unfinished) / BUNDLE
            for name in to:
                target, part = TARGETS[name], Path(unfinished) / name
                part.mkdir()
                file = part / f"{stem}{target.suffix}"
                if seen is None:
                    _write(target, graph, precision, kept, file, ())
                else:
                    _write_int8(task, target, model, loss, kept, file, seen, given)
                verified, excess = None, []
                if before is not None:
                    verified = verify(
                        before, observe(task, load_model(file), loss, options, VERIFIED_ON), model, graph.most
                    )
                    excess = verified.excess(LIMITS[precision])
                kept_files += () if excess else sorted(part.iterdir())
                written.append(Written(folder / file.name, verified, tuple(excess)))
                if bundle and name == "onnx" and not excess:
                    write_bundle(file, bundled)
            for each in kept_files:
                each.replace(folder / each.name)
            if bundled.exists():
                (folder / BUNDLE).mkdir(exist_ok=True)
                for each in sorted(bundled.iterdir()):
                    each.replace(folder / BUNDLE / each.name)
                written.append(Written(folder / BUNDLE, None))
    finally:
        if is_new and not any(folder.iterdir()):
            folder.rmdir()
    return written


def _write(
    target: Target, graph: ExportGraph, precision: Precision, kept: dict[str, Any], file: Path,
    inputs: Sequence[np.ndarray],
) -> None:  # fmt: skip
    """Write a model's file."""
    target.write(graph, facts_of(graph, precision, kept), file, inputs)


def _write_int8(
    task: Task,
    target: Target,
    model: Any,
    loss: Any,
    kept: dict[str, Any],
    file: Path,
    seen: Observed,
    options: EvalOptions,
) -> None:
    """Write a model's file with 8-bit weights, and its standard deviations calibrated for these."""
    changed = deepcopy(model)
    changed.calibration = None
    _write(target, ExportGraph(changed), "int8", kept, file, seen.inputs)
    if not changed.error_distribution.std.isfinite().all():
        return
    quantised = load_model(file)
    found = observe(task, quantised, loss, options, CALIBRATED_ON)
    changed.calibration = _calibrated(task, quantised, loss, model.calibration, found, options)
    log.info("sigma calibrated for int8 on %d rows of %s", sum(map(len, found.inputs)), options.data)
    _write(target, ExportGraph(changed), "int8", kept, file, seen.inputs)


def _calibrated(
    task: Task, model: Any, loss: Any, before: Calibration | None, seen: Observed, options: EvalOptions
) -> Calibration | None:
    """The calibration on what was observed, of the levels and groups of the one before; None without sigma."""
    if not model.error_distribution.std.isfinite().all():
        return None
    group = before.group if before else task.default_group
    levels, by_size = (before.levels, bool(before.sizes)) if before else (UNCALIBRATED, False)
    try:
        return calibrate(task.errors(seen.evaluator, group), model, loss, levels, group, by_size)
    except InputError as error:
        raise InputError(f"{options.data}: sigma of the int8 model cannot be calibrated: {error}") from error
