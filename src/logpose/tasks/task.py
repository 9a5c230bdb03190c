"""`Task`: one kind of problem, as the commands see it.

A task defines which options the commands `eval`, `predict` and `inspect` take for it, how its data are opened, how its
models are evaluated and predict, and what its report page and its inspection show. The commands look the task of a
model up (`tasks.task_of`) and do not depend on which it is. Training needs no more than a recipe.

This module and the files `task.py` import nothing slow, so that help texts come at once: a task's methods import what
they need.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from logpose.core.calibration import Group
from logpose.core.config import Options
from logpose.core.errors import InputError

__all__ = ["CalibrateOptions", "EvalOptions", "InspectOptions", "PredictOptions", "Predictions", "ReportedTask", "Task"]


@dataclass(kw_only=True)
class ModelOptions(Options):
    """Options of `logpose eval` and `logpose predict` that every task has."""

    checkpoint: Path
    """Checkpoint: best.ckpt of a run, the run's folder, one that `logpose convert` wrote, or hf://OWNER/NAME."""
    task: str | None = None
    """Task of the model: its name, or path/to/file.py:NAME; the checkpoint's own unless given."""
    batch_size: int | None = None
    """Inputs in a batch: 64 crops, 8 images, 1024 poses or 8 windows of B-scans unless given."""
    device: str = "auto"
    """Device: cpu, cuda, cuda:1, mps, auto."""

    def batches(self) -> dict[str, int]:
        """`batch_size` as an argument of a function that has a default for it."""
        return {"batch_size": self.batch_size} if self.batch_size else {}


@dataclass(kw_only=True)
class EvalOptions(ModelOptions):
    """Options of `logpose eval` that every task has."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("checkpoint", "data")

    data: Path
    """Labelled data, as for `train`."""
    workers: int | Literal["auto"] = "auto"
    """Processes that prepare batches; 0: none beside this one; auto: as many as the cores at hand allow."""
    report: Path | None = None
    """Write a page (HTML): the figures and what they mean, examples, calibration of sigma, the error's density."""
    json: bool = False
    """Print the figures as JSON."""

    def running(self) -> dict[str, Any]:
        """The arguments that the tasks' functions of evaluation share."""
        return {**self.batches(), "workers": self.workers, "device": self.device, "show_progress": True}


@dataclass(kw_only=True)
class CalibrateOptions(EvalOptions):
    """Options of `logpose calibrate` that every task has, beside those of its `logpose eval`."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("checkpoint",)

    data: Path
    """Labelled data that the model was not trained on."""
    level: tuple[float, ...] = (0.5, 0.9, 0.95)
    """Nominal levels of the regions."""
    group: Group | None = None
    """What is exchangeable: each image (B-scan, frame), person (subject), or clip (folder of images, sequence); unless
    given image, of lifting models clip."""
    by: Literal["joint", "joint,size"] = "joint"
    """What radii depend on: the joint, or also the size of the person's box, in three ranges."""
    out: Path | None = None
    """Checkpoint to write, a folder as of `logpose convert`; the checkpoint itself unless given."""


@dataclass(kw_only=True)
class PredictOptions(ModelOptions):
    """Options of `logpose predict` that every task has."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("checkpoint", "inputs")

    inputs: tuple[Path, ...]
    """Files to predict on: images, folders of images or COCO files that list them; of lifting models files of
    keypoints; of boundary models B-scans, in images or .mat files in the Duke layout."""
    save_json: Path | None = None
    """Write the predictions as JSON."""
    save_npz: Path | None = None
    """Write the predictions as NumPy arrays."""
    json: bool = False
    """Print the predictions as JSON."""


@dataclass(kw_only=True)
class InspectOptions(Options):
    """Options of `logpose inspect` that every task has."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("data",)

    data: Path
    """Annotation file, or a folder with annotations and images; B-scans; or data_3d_NAME.npz: as for `train`."""
    task: str | None = None
    """Task that the data are for: its name, or path/to/file.py:NAME; detected from the data unless given."""
    out: Path = Path("runs/inspect")
    """Folder for contact sheets."""
    json: bool = False
    """Print the findings as JSON."""


@dataclass(frozen=True)
class Predictions:
    """What `logpose predict` prints and writes; made when it is asked for."""

    rows: Callable[[], Iterable[Mapping[str, Any]]]
    """As plain values, one row for each person, pose or scan."""
    arrays: Callable[[], Mapping[str, Any]]
    """As arrays of NumPy, by name."""
    text: Callable[[], Iterable[str]]
    """As lines for a person to read."""
    saved_rows: Callable[[], Iterable[Mapping[str, Any]]] | None = None
    """The rows that a file of JSON gets, where they are others."""


class Task(ABC):
    """One kind of problem.

    Models, evaluators and options have other types in each task, so they are `Any` here: `model` is one whose `task` is
    this one's `name`, `options` an instance of this task's dataclass for the command, with its `device` resolved.
    """

    name: ClassVar[str]
    """That its models have as `task`."""
    description: ClassVar[str]
    """What is predicted of what, in a few words."""
    eval_options: ClassVar[type[EvalOptions]] = EvalOptions
    predict_options: ClassVar[type[PredictOptions]] = PredictOptions
    inspect_options: ClassVar[type[InspectOptions]] = InspectOptions
    calibrate_options: ClassVar[type[CalibrateOptions]] = CalibrateOptions
    default_group: ClassVar[Group] = "image"
    """What is taken as exchangeable in a calibration, unless another is given."""
    models: ClassVar[tuple[type[Any], ...]] = ()
    """Classes of models that checkpoints may hold beside logpose's own."""

    @abstractmethod
    def evaluate(self, model: Any, loss: Any, options: Any) -> Any:
        """The evaluator of `options.data`, which has collected the model's predictions on them.

        Args:
            model: the model.
            loss: what its likelihood is computed by; None where none was kept.
            options: an instance of `eval_options`.

        Raises:
            InputError: if the data or an option are not what they should be.
        """

    def save(self, evaluator: Any, options: Any) -> None:  # noqa: B027  (most have nothing)
        """Write what `options` ask for besides figures and page."""

    def errors(self, evaluator: Any, group: Group) -> Any:  # noqa: ARG002
        """The errors of what was evaluated, as a `calibrate.Errors`.

        Raises:
            InputError: if models of this task are not calibrated.
        """
        raise InputError(f"{self.name} models are not calibrated")

    def has_learned(self, evaluator: Any, options: Any) -> bool:  # noqa: ARG002
        """Whether the model was trained on what was evaluated, as far as is known."""
        return bool(getattr(evaluator, "images_learned", None))

    @abstractmethod
    def page(self, evaluator: Any, figures: Mapping[str, float]) -> Any:
        """This task's part of the report page: a `report.evaluation.PageParts`.

        Args:
            evaluator: what `evaluate` returned.
            figures: what it computed.
        """

    @abstractmethod
    def predict(self, model: Any, options: Any) -> Predictions:
        """The model's predictions on `options.inputs`; images that `options` ask for are written on the way.

        Args:
            model: the model.
            options: an instance of `predict_options`.

        Raises:
            InputError: if an input or an option is not what it should be.
        """

    def opens(self, data: str | Path) -> bool:  # noqa: ARG002
        """Whether a file or folder holds labelled data of this task, by its content; else `--task` is needed."""
        return False

    @abstractmethod
    def inspect(self, options: Any) -> dict[str, dict[str, Any]]:
        """For each file of `options.data`, what it holds, in plain values.

        Every file has `counts`, by name, `problems` (see `report.inspection.summary`), `hints`, a list of sentences,
        and `contact_sheet`, the file of one.

        Raises:
            InputError: if the data cannot be read at all.
        """

    def inspection_text(self, facts: Mapping[str, Any]) -> tuple[list[str], list[str]]:  # noqa: ARG002
        """Lines about one file's facts that only this task knows: some after its counts, and some at the end."""
        return [], []


class ReportedTask(Task):
    """A task whose page, predictions and inspection are functions of a module, which is imported when they are needed.

    They are `page_parts(evaluator, figures)`, `predict(model, options)` and `inspect(options)`.
    """

    module: ClassVar[str]
    """Path of the module."""

    def page(self, evaluator: Any, figures: Mapping[str, float]) -> Any:
        """The module's `page_parts`."""
        return importlib.import_module(self.module).page_parts(evaluator, figures)

    def predict(self, model: Any, options: Any) -> Predictions:
        """The module's predictions."""
        predictions: Predictions = importlib.import_module(self.module).predict(model, options)
        return predictions

    def inspect(self, options: Any) -> dict[str, dict[str, Any]]:
        """The module's inspection."""
        facts: dict[str, dict[str, Any]] = importlib.import_module(self.module).inspect(options)
        return facts
