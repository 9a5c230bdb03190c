"""Progress of a training run on stderr: Lightning's bar on a terminal, lines where there is none."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from logpose.core.compat import patch_torchvision
from logpose.core.progress import ProgressLines, duration
from logpose.training.module import PoseModule

patch_torchvision()
import lightning as L  # noqa: E402  (imports torchvision where it is installed)
from lightning.pytorch.callbacks import Callback, RichProgressBar  # noqa: E402

__all__ = ["Bar", "TrainingLines"]


class Bar(RichProgressBar):
    """Lightning's bar, without the "version number", which is the name of a logger's folder here."""

    def __init__(self) -> None:
        super().__init__(leave=False, console_kwargs={"stderr": True})

    def _get_train_description(self, current_epoch: int) -> str:
        """The epoch, counted from 1, as `TrainingLines` have it; Lightning counts from 0, and up to one less."""
        return f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}".ljust(len(self.validation_description))

    def get_metrics(self, trainer: Any, pl_module: Any) -> dict[str, Any]:
        """The figures that stand beside the bar."""
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}


class TrainingLines(Callback):
    """A line now and then: epoch, step, samples per second, losses, watched figure, time left.

    Losses, and the figures beside them, are means over the steps since the last line.

    Args:
        lines: where lines go, and when; stderr, the first after 10 s and then every 30 s, when None.
    """

    def __init__(self, lines: ProgressLines | None = None) -> None:
        self.given = lines

    def on_train_start(self, trainer: L.Trainer, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self.lines = self.given or ProgressLines()
        self.first_step = trainer.global_step
        self.mark = self.lines.clock()
        self._begin()

    def _begin(self) -> None:
        """Nothing has been done since the last line."""
        self.steps, self.samples, self.seconds = 0, 0, 0.0
        self.sums: dict[str, Tensor] = {}

    def on_train_epoch_start(self, *_: Any, **__: Any) -> None:
        """Do not count the time of validation as training."""
        self.mark = self.lines.clock()

    def on_train_batch_end(self, trainer: L.Trainer, *arguments: Any, **_: Any) -> None:
        """Count a step, and write a line if one is due."""
        if not trainer.is_global_zero:
            return
        module, _outputs, batch, batch_idx = arguments
        now = self.lines.clock()
        self.seconds, self.mark = self.seconds + now - self.mark, now
        self.steps, self.samples = self.steps + 1, self.samples + len(batch.index) * trainer.world_size
        for name, value in module.latest.items():
            self.sums[name] = self.sums[name] + value.float() if name in self.sums else value.float()
        if self.lines.write(lambda: self._line(trainer, module, batch_idx + 1)):
            self._begin()

    def _line(self, trainer: L.Trainer, module: PoseModule, step: int) -> str:
        watched = module.figures.get(module.recipe.watch)
        done = trainer.global_step - self.first_step
        left = int(trainer.estimated_stepping_batches) - trainer.global_step
        parts = [
            f"{_epoch(trainer)}, step {step}/{trainer.num_training_batches}",
            f"{self.samples / max(self.seconds, 1e-9):.3g} samples/s",
            *(f"{name} {float(total) / self.steps:.4g}" for name, total in self.sums.items()),
            *([] if watched is None else [f"{module.recipe.watch} {watched:.4g}"]),
            f"{duration(left * self.lines.elapsed / max(done, 1))} left",
        ]
        return ", ".join(parts)

    def on_validation_batch_end(self, trainer: L.Trainer, *arguments: Any, **_: Any) -> None:
        """Write a line if one is due."""
        if trainer.is_global_zero:
            done, total = arguments[3] + 1, trainer.num_val_batches[0]
            self.lines.write(lambda: f"{_epoch(trainer)}, validation batch {done}/{total}")


def _epoch(trainer: L.Trainer) -> str:
    return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
