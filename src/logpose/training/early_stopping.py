"""Early stopping: a run ends when its watched figure has not become better for a number of validations."""

from __future__ import annotations

import logging
import math
from typing import Any

import torch

from logpose.core.compat import patch_torchvision
from logpose.training.module import PoseModule, higher_is_better
from logpose.training.recipe import TrainingRecipe

patch_torchvision()
import lightning as L  # noqa: E402  (imports torchvision where it is installed)
from lightning.pytorch.callbacks import EarlyStopping  # noqa: E402

__all__ = ["Patience", "has_stopped_early"]

log = logging.getLogger("logpose")


class Patience(EarlyStopping):
    """Lightning's `EarlyStopping` on a recipe's watched figure; a resumed run has the recipe's patience.

    A figure that could not be computed is not better. On other validation data the count starts again.

    Args:
        recipe: its `watch` and `patience`.
    """

    def __init__(self, recipe: TrainingRecipe) -> None:
        mode = "max" if higher_is_better(recipe.watch) else "min"
        super().__init__(
            f"val/{recipe.watch}", patience=recipe.patience, mode=mode, check_finite=False,
            check_on_train_epoch_end=False,
        )  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue to count, up to the patience of now."""
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget figures of other validation data."""
        del trainer
        assert isinstance(pl_module, PoseModule)
        if pl_module.measured_on and pl_module.measured_on != pl_module.identity:
            self.wait_count, self.best_score = 0, torch.tensor(math.inf if self.mode == "min" else -math.inf)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report that training stopped early."""
        del pl_module
        whole = trainer.current_epoch >= (trainer.max_epochs or 0)
        if self.wait_count >= self.patience and trainer.is_global_zero and not whole:
            watched = self.monitor.removeprefix("val/")
            log.info(
                "stopped early, after epoch %d: %s was not better in the last %d validations",
                trainer.current_epoch, watched, self.wait_count,
            )  # fmt: skip


def has_stopped_early(content: dict[str, Any], recipe: TrainingRecipe) -> bool:
    """Whether the run of a checkpoint's content has stopped early, by the patience that the recipe has now."""
    state = content.get("callbacks", {}).get(Patience(recipe).state_key, {})
    return 0 < recipe.patience <= int(state.get("wait_count", 0))
