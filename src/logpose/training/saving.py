"""Checkpoints of a run: written beside themselves, the one before kept, and enough in them to resume exactly."""

from __future__ import annotations

import itertools
import logging
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from logpose.core.compat import patch_torchvision
from logpose.core.errors import InputError
from logpose.core.files import whole_file
from logpose.data.loading import InputErrorLoader
from logpose.training.checkpoint import read
from logpose.training.module import PoseModule, higher_is_better, rank
from logpose.training.random_state import random_state, set_random_state
from logpose.training.run_folder import BEST, LAST, PREVIOUS
from logpose.training.save_every import SaveEvery
from logpose.training.signals import Signals, Stopped, requeue

patch_torchvision()
import lightning as L  # noqa: E402  (imports torchvision where it is installed)
from lightning.fabric.plugins import TorchCheckpointIO  # noqa: E402
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint  # noqa: E402

__all__ = ["Best", "CheckpointFiles", "Saver"]

log = logging.getLogger("logpose")

BEFORE_VALIDATION = 60.0  # seconds of training that are saved before a validation, which may be long
SAVE, STOP = 1, 2  # what a process wants done after a step; the largest of all processes' is done


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's plugin for files of checkpoints: none is ever half written, and none is read without its checksum.

    Args:
        resumed: the checkpoint that the run is resumed from. If it is the one before the last, that is damaged: it is
            not kept in the other's place.
    """

    def __init__(self, resumed: str | Path | None = None) -> None:
        super().__init__()
        self._keep = resumed is None or Path(resumed).name != PREVIOUS

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint beside its place, wait until it is on the disk, and put it there."""
        del storage_options  # of remote file systems
        path = Path(path)
        is_last = path.name == LAST
        with whole_file(path, durable=True, keep=path.with_name(PREVIOUS) if is_last and self._keep else None) as file:
            torch.save(checkpoint, file)
        self._keep |= is_last

    def load_checkpoint(self, path: str | Path, *_: Any, **__: Any) -> dict[str, Any]:
        """The content of a checkpoint, on the CPU; see `checkpoint.read`."""
        return read(path)


class Best(ModelCheckpoint):
    """Keeps the weights with the best watched figure as `best.ckpt`; ties are decided by others, see `module.rank`.

    What the best figures are, the file itself records: they hold also for a run whose folder was moved. Figures of
    other validation data are not compared: the first validation on these replaces the file, which is kept beside.

    Args:
        folder: of the run.
        watch: the figure.
        resumed: whether the run is resumed.
    """

    def __init__(self, folder: str | Path, watch: str, resumed: bool) -> None:
        super().__init__(
            folder, filename=Path(BEST).stem, monitor=f"val/{watch}", mode="max" if higher_is_better(watch) else "min",
            enable_version_counter=False, save_weights_only=True, save_on_train_epoch_end=False,
        )  # fmt: skip
        self._watch, self._resumed = watch, resumed
        self._path = Path(str(self.dirpath)) / BEST
        self._rank: tuple[float, ...] | None = None
        self._aside: Path | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Look up the best figures so far."""
        assert isinstance(pl_module, PoseModule)
        super().setup(trainer, pl_module, stage)
        if trainer.is_global_zero:
            better = "highest" if self.mode == "max" else "lowest"
            log.info("best.ckpt: the weights with the %s %s in validation (--watch)", better, self._watch)
        found = self._recorded(pl_module.identity) if self._resumed and trainer.is_global_zero else None
        self._rank = trainer.strategy.broadcast(found)
        if self._rank is not None:
            best = self._rank[0] if self.mode == "max" else -self._rank[0]
            path, score = str(self._path), torch.tensor(best, device=pl_module.device)
            self.best_model_path = self.kth_best_model_path = path
            self.best_model_score = self.kth_value = score
            self.best_k_models = {path: score}

    def _recorded(self, identity: dict[str, Any]) -> tuple[float, ...] | None:
        """The rank of `best.ckpt`, if it has figures of these validation data."""
        if not self._path.is_file():
            return None
        try:
            entry = read(self._path)["logpose"]
            figures, measured_on = entry["figures"], entry.get("measured_on")
        except (InputError, LookupError) as error:
            log.warning("%s; the next validation replaces it", error)
            return None
        if measured_on and measured_on != identity:
            names = (f"best.other-data-{number}.ckpt" for number in itertools.count(1))
            self._aside = next(file for name in names if not (file := self._path.with_name(name)).exists())
            log.warning(
                "%s: its figures are of other validation data and are not compared; it becomes %s",
                self._path, self._aside.name,
            )  # fmt: skip
            return None
        return rank(figures, self._watch)

    def check_monitor_top_k(self, trainer: L.Trainer, current: Tensor | None = None) -> bool:
        """Whether the last validation is the best; if so, it is saved now."""
        if current is None:
            return False
        assert isinstance(trainer.lightning_module, PoseModule)
        found = rank(trainer.lightning_module.figures, self._watch)
        is_best = bool(trainer.strategy.reduce_boolean_decision(self._rank is None or found > self._rank))
        if is_best:
            self._rank = found
            if self._aside is not None:
                self._path.replace(self._aside)
                self._aside = None
        return is_best

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the weights that were measured, if they are the best, whatever a callback has put in their place."""
        assert isinstance(pl_module, PoseModule)
        self._last_global_step_saved = 0  # without a step too, weights may be others: averages, new statistics
        with pl_module.as_measured():
            super().on_validation_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: `best.ckpt` itself is the record."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing; see `setup`."""


class Saver(Checkpoint):
    """Writes `last.ckpt`: after each epoch, within epochs as often as asked, before a validation, and when stopped.

    The file holds, beside what Lightning saves, the state of the random number generators of every process, running
    means of the epoch at hand, and the position of the loaders. A run that is resumed from it continues with the same
    numbers as if it had not stopped.

    Args:
        folder: of the run.
        every: how often to save within an epoch.
        loaders: of training and validation. Within an epoch nothing is saved if that of training cannot be continued
            at a batch (`state_dict` and `load_state_dict`).
        signals: what stops the run.
        data: what identifies the data, kept with the state.
    """

    def __init__(
        self, folder: str | Path, every: SaveEvery, loaders: Sequence[Any], signals: Signals, data: dict[str, Any]
    ) -> None:
        self.path, self.every, self.signals, self.data = Path(folder) / LAST, every, signals, data
        self.loaders = [loader for loader in loaders if isinstance(loader, InputErrorLoader)]
        # A loader of a user's own may always begin with the first batch.
        self._continues = all(hasattr(loaders[0], name) for name in ("state_dict", "load_state_dict"))
        self._state: dict[str, Any] | None = None
        self._seed_changed = self._between_steps = False
        self._saved_at, self._saved_step, self._step, self._wanted = 0.0, 0, 0, 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Continue with the state of the checkpoint that the run is resumed from."""
        assert isinstance(pl_module, PoseModule)
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
        state, self._state = self._state, None
        if state is not None and len(state["processes"]) == trainer.world_size:
            try:
                own = state["processes"][trainer.global_rank]
                for loader, position in zip(self.loaders, own["loaders"], strict=False):
                    loader.load_state_dict(position)
                pl_module.running.load_state_dict(own["running"], pl_module.device)
                self._note_threads(trainer, own.get("threads"))
                if not self._seed_changed:
                    set_random_state(own["random"], pl_module.device)
            except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
                raise InputError(f"{trainer.ckpt_path}: damaged checkpoint (no state of training: {error})") from error
        self.signals.install()
        self.signals.deferred = True

    def _note_threads(self, trainer: L.Trainer, before: int | None) -> None:
        """Report another number of threads: on a CPU results depend on it in the last digits."""
        now = torch.get_num_threads()
        if trainer.strategy.root_device.type == "cpu" and before not in (None, now):
            log.info("the run had %d threads so far and has %d now: --threads %d continues with the same last digits",
                     before, now, before)  # fmt: skip

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        """Signals act at once again."""
        self.signals.deferred = False

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Note the step."""
        self._step, self._between_steps = trainer.global_step, False

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Save, if it is due or the run is to stop; the end of an epoch is saved after its validation."""
        if trainer.global_step == self._step:
            return  # gradients are being accumulated; they are no part of a checkpoint
        self._want(trainer, self.every.is_due(trainer.global_step, time.monotonic() - self._saved_at))
        if trainer.is_last_batch:
            return
        self._between_steps = self._continues
        if self._wanted and self._continues:
            self._save(trainer, pl_module)
        self._stop(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save what was trained since the latest checkpoint, if that is worth a minute or the run is to stop."""
        if trainer.sanity_checking or trainer.global_step == self._saved_step:
            return
        long = self.every != SaveEvery() and time.monotonic() - self._saved_at >= BEFORE_VALIDATION
        self._want(trainer, long)
        if self._wanted:
            self._save(trainer, pl_module)
            self._stop(trainer)

    def on_validation_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Stop, if asked: the state before the validation is saved, and the validation is repeated."""
        if self.signals.received and trainer.world_size == 1:  # of several processes some may have no batch left
            self._wanted = STOP
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save, and report rows that could not be read."""
        self._save(trainer, pl_module)
        left_out = sum(sum(loader.left_out.values()) for loader in self.loaders)
        if left_out:
            files = len({message for loader in self.loaders for message in loader.left_out})
            log.warning("epoch %d: %d samples cannot be read; others took their place %d times so far",
                        trainer.current_epoch + 1, files, left_out)  # fmt: skip
        self._want(trainer, False)
        if trainer.current_epoch + 1 < (trainer.max_epochs or 0) and not trainer.should_stop:
            self._stop(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Save what was trained until a fault in the data."""
        self.signals.deferred = False
        if isinstance(exception, InputError) and self._between_steps and trainer.world_size == 1:
            with suppress(InputError):  # weights that are not finite; the fault in the data is reported
                self._save(trainer, pl_module)

    def _want(self, trainer: L.Trainer, due: bool) -> None:
        """Agree with the other processes on what to do: save and stop, save, or go on."""
        wanted = STOP if self.signals.received else SAVE * due
        if trainer.world_size > 1:
            every = torch.tensor(wanted, device=trainer.strategy.root_device)
            distributed.all_reduce(every, op=distributed.ReduceOp.MAX)
            wanted = int(every)
        self._wanted = max(self._wanted, wanted)

    def _save(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write `last.ckpt`."""
        assert isinstance(pl_module, PoseModule)
        pl_module.check_finite()
        for logger in trainer.loggers:
            logger.save()  # what is logged from here on, a resumed run logs again
        trainer.save_checkpoint(self.path)
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
        self._wanted &= STOP

    def _stop(self, trainer: L.Trainer) -> None:
        """End the run, if a signal asked for it."""
        if self._wanted != STOP:
            return
        self._between_steps = False
        if self.signals.preempted and trainer.is_global_zero:
            requeue()
        raise Stopped(self.signals.received or signal.SIGTERM)  # another process received it

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the state of this process and the others."""
        assert isinstance(pl_module, PoseModule)
        own = {
            "random": random_state(pl_module.device),
            "running": pl_module.running.state_dict(),
            "loaders": [loader.state_dict() for loader in self.loaders],
            "threads": torch.get_num_threads(),
        }
        processes: list[Any] = [own]
        if trainer.world_size > 1:
            processes = [None] * trainer.world_size
            distributed.all_gather_object(processes, own)
        progress: Any = trainer.fit_loop.epoch_progress.current
        middle = progress.ready != progress.processed
        checkpoint["resume"] = {"processes": processes, "within_epoch": middle, "data": self.data}
        if "current_model_state" in checkpoint:  # of a callback that averages weights
            checkpoint["state_dict"] = pl_module.with_error_distribution(checkpoint["state_dict"])
        if trainer.validating:
            # To Lightning this is a validation that was interrupted in its first batch: it repeats it.
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
            for part in ("total", "current"):
                progress[part] |= {"ready": 1, "started": 1, "processed": 0, "completed": 0}

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the state until training starts."""
        assert isinstance(pl_module, PoseModule)
        del trainer
        self._state = checkpoint.get("resume")
        recipe = checkpoint["logpose"].get("recipe", {})
        self._seed_changed = recipe.get("seed", pl_module.recipe.seed) != pl_module.recipe.seed
