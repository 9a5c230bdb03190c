"""Search for a learning rate: Lightning's range test of a network that is not kept."""

from __future__ import annotations

import contextlib
import io
import math
import signal
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logpose.core.compat import patch_torchvision
from logpose.core.errors import InputError
from logpose.core.progress import on_terminal
from logpose.training.module import PoseModule
from logpose.training.signals import Signals, Stopped

patch_torchvision()
import lightning as L  # noqa: E402  (imports torchvision where it is installed)
from lightning.pytorch.tuner.tuning import Tuner  # noqa: E402

__all__ = ["STEPS", "found_rate", "suggestion"]

STEPS = 100
"""Steps of a search."""
LOWEST, HIGHEST = 1e-7, 1.0  # learning rates of the first and of the last step
SKIPPED = 25  # steps at the start: the running mean is of a few batches, and rates are below 6e-6
HALF = 5  # steps on both sides over which a slope is taken, so that the noise of batches does not decide: .7 decades


def found_rate(trainer: L.Trainer, module: PoseModule, loader: Any, signals: Signals) -> float:
    """The learning rate that is suggested for a module, which is trained by it for `STEPS` steps at rising rates.

    Args:
        trainer: on the run's devices, with a folder of its own, and `STEPS` epochs.
        module: what is trained; not to be used after it.
        loader: of its training data.
        signals: what stops the search.

    Raises:
        InputError: if there is no suggestion.
        Stopped: if a signal stopped it.
    """
    searched = _Search(module, signals)
    # Lightning shows a bar of its own, also where there is no terminal.
    quiet = contextlib.nullcontext() if on_terminal() else contextlib.redirect_stderr(io.StringIO())
    try:
        with quiet:
            # Losses may be negative: a threshold relative to the lowest so far would end it in the second step.
            finder = Tuner(trainer).lr_find(
                searched, loader, min_lr=LOWEST, max_lr=HIGHEST, num_training=STEPS, early_stop_threshold=None,
                update_attr=False,
            )  # fmt: skip
    except (KeyboardInterrupt, SystemExit) as stopped:  # Lightning ends the process on Ctrl-C
        raise Stopped(signals.received or signal.SIGINT) from stopped
    assert finder is not None
    rate = suggestion(finder.results["lr"], finder.results["loss"])
    if rate is None:
        raise InputError(
            f"--find-lr: no learning rate can be suggested: the loss did not fall in {len(finder.results['loss'])} "
            "steps; give --lr"
        )
    return rate


def suggestion(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The rate at which the loss falls fastest, before it is lowest, to three digits; None if it does not fall.

    The slope is along the logarithm of the rate, as in fast.ai's finder. (Lightning's own suggestion is by the slope
    along the rate itself, and therefore nearly always one of the lowest rates.)

    Args:
        rates: of each step, rising by a constant factor.
        losses: smoothed.
    """
    finite = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    fallen = np.array(losses[SKIPPED:finite])
    if len(fallen) <= 2 * HALF:
        return None
    change = (fallen[2 * HALF :] - fallen[: -2 * HALF])[: int(fallen.argmin()) + 1]
    steepest = int(change.argmin())
    return float(f"{rates[SKIPPED + HALF + steepest]:.3g}") if change[steepest] < 0 else None


class _Search(PoseModule):
    """A module in the search: it has no schedule of its own, and its weights may become infinite at high rates."""

    def __init__(self, module: PoseModule, signals: Signals) -> None:
        super().__init__(module.model, module.loss, module.recipe, module.data)
        self.signals = signals

    def training_step(self, batch: Any, number: int) -> Tensor:
        """The loss of one batch; the search ends where it is not finite."""
        loss = super().training_step(batch, number)
        if not bool(loss.isfinite()):
            self.trainer.should_stop = True
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        """Nothing is shown."""

    def on_train_start(self) -> None:
        """Begin, at the lowest rate."""
        self.signals.install()
        self.on_train_epoch_start()
        self._in_proportion()

    def on_train_epoch_start(self) -> None:
        """All epochs of the search are as the first of training."""
        self.model.begin_epoch(0.0)

    def on_train_epoch_end(self) -> None:
        """Nothing is saved."""

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """The next rate."""
        super().lr_scheduler_step(scheduler, metric)
        self._in_proportion()

    def _in_proportion(self) -> None:
        """Rates of the groups of parameters are to each other as in the run (`layer_decay`)."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        for group, settings in zip(optimizer.param_groups, self._settings, strict=True):
            group["lr"] *= settings["initial_lr"] / self.recipe.lr
