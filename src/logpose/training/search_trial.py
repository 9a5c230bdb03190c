"""A training run of a search: what it reports, when it is pruned, and where it is resumed from."""

from __future__ import annotations

import logging
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml  # type: ignore[import-untyped]

from logpose.core.compat import patch_torchvision
from logpose.core.errors import DamagedFileError
from logpose.training.checkpoint import read
from logpose.training.module import PoseModule
from logpose.training.recipe import TrainingRecipe, plain_fields
from logpose.training.resume import is_finished
from logpose.training.run_folder import CONFIG, last_checkpoint

patch_torchvision()
import lightning as L  # noqa: E402  (imports torchvision where it is installed)
from lightning.pytorch.callbacks import Callback  # noqa: E402

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["Report", "as_begun", "checkpoint_to_resume"]

log = logging.getLogger("logpose")

R = TypeVar("R", bound=TrainingRecipe)

UNTIL_PRUNED = 1 / 3
"""Share of the epochs in which no trial is pruned."""
PRUNED_AT = "pruned at epoch"
"""Attribute of a trial in Optuna's storage."""


class Report(Callback):
    """Reports the watched figure of a trial after each validation, and stops the trial if it is to be pruned.

    Args:
        trial: the trial.
        folder: of its run; its first stages, in folders within, are not reported.
    """

    def __init__(self, trial: Trial, folder: str | Path) -> None:
        self.trial, self.folder = trial, Path(folder)
        self.trains = self.pruned = False
        self._reported = set(trial.study.trials[trial.number].intermediate_values)

    def has_ended(self, checkpoint: str | Path, recipe: TrainingRecipe) -> bool:
        """Whether a checkpoint is of the end of this trial, which was stopped before its figure was stored."""
        if Path(checkpoint).parent != self.folder:
            return False  # of its first stage
        content = read(checkpoint)
        whole = not content.get("resume", {}).get("within_epoch")
        self.pruned = whole and content["epoch"] + 1 >= self.trial.user_attrs.get(PRUNED_AT, math.inf)
        return self.pruned or is_finished(content, recipe)

    def on_train_start(self, *_: Any) -> None:
        """Note that it can be trained."""
        self.trains = True

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report the figure, and stop if others were better at this epoch."""
        assert isinstance(pl_module, PoseModule)
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 0
        figure = pl_module.figures.get(pl_module.recipe.watch, math.nan)
        if Path(trainer.default_root_dir).resolve() != self.folder.resolve() or not math.isfinite(figure):
            return  # a first stage, or a model that has diverged
        if epoch not in self._reported:  # a resumed run repeats a validation
            self.trial.report(figure, epoch)
        if UNTIL_PRUNED * epochs < epoch < epochs and self.trial.should_prune():
            self.trial.set_user_attr(PRUNED_AT, epoch)
            self.pruned = trainer.should_stop = True


def as_begun(recipe: R, folder: str | Path) -> R:
    """A recipe with what its run in a folder chose for fields that are "auto"; the recipe itself if there is no run."""
    path = Path(folder) / CONFIG
    chosen = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    if not isinstance(chosen, dict):
        return recipe
    auto = [name for name, value in plain_fields(recipe).items() if value == "auto" and name in chosen]
    return replace(recipe, **{name: chosen[name] for name in auto})


def checkpoint_to_resume(folder: str | Path) -> Path | None:
    """The checkpoint that a trial is resumed from. One without any, or whose last is damaged, starts again."""
    checkpoint = last_checkpoint(folder)
    if checkpoint is not None:
        try:
            read(checkpoint)
        except DamagedFileError as error:
            log.warning("%s; the trial starts again", error)
        else:
            return checkpoint
    if Path(folder).exists():
        shutil.rmtree(folder)
    return None
