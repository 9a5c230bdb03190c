"""What Lightning trains: model and loss with the recipe's optimiser, schedule and validation."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from logpose.core.compat import patch_torchvision
from logpose.core.errors import InputError
from logpose.core.structures import Evaluator
from logpose.losses import PoseLoss
from logpose.models import Model
from logpose.training.checkpoint import describe
from logpose.training.fine_tuning import freeze, parameter_groups
from logpose.training.recipe import TrainingRecipe, plain_recipe

patch_torchvision()
import lightning as L  # noqa: E402  (imports torchvision where it is installed)

__all__ = ["PoseModule", "RunningMeans", "higher_is_better", "learning_rate", "rank"]

FEW = 1000
"""Samples of which every validation computes all figures: AP takes 0.2 s (two cores)."""
DECIDING_TIES = ("nll", "error_px", "mpjpe")
"""Figures that decide between validations with the same watched figure, in this order; lower is better."""


class RunningMeans:
    """Means of figures over the samples of an epoch, which a checkpoint within the epoch holds."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, value: Tensor, count: int) -> None:
        """Add the mean of a figure over so many samples; it is summed in float32 at least."""
        value = value.detach()
        value = (value if value.dtype in (torch.float32, torch.float64) else value.float()) * count
        self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._counts[name] = self._counts.get(name, 0) + count

    def means(self) -> dict[str, Tensor]:
        """The means, by name."""
        return {name: total / self._counts[name] for name, total in self._sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """The sums and the numbers of samples so far."""
        return {"sums": {name: total.cpu() for name, total in self._sums.items()}, "counts": dict(self._counts)}

    def load_state_dict(self, state: dict[str, Any], device: torch.device | None = None) -> None:
        """Continue from there."""
        self._sums = {name: total.to(device) for name, total in state["sums"].items()}
        self._counts = dict(state["counts"])


class PoseModule(L.LightningModule):
    """Model and loss as Lightning trains them; `checkpoint.load` reads what it saves.

    Args:
        model: the network.
        loss: learned together with it.
        recipe: optimiser, schedule and validation.
        data: the validation data, for its labels.
        identity: what identifies the validation data, see `resume.validation_identity`.

    Attributes:
        figures: of the last validation.
        measured_on: identity of the data that they were measured on.
        latest: losses, and figures beside them, of the last training step.
        running: their means over the epoch.
    """

    evaluation: Evaluator[Any]
    _settings: list[dict[str, Any]]

    def __init__(
        self, model: Model, loss: PoseLoss, recipe: TrainingRecipe, data: Any, identity: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.model, self.loss, self.recipe, self.data = model, loss, recipe, data
        self.identity: dict[str, Any] = identity or {}
        self.figures: dict[str, float] = {}
        self.measured_on: dict[str, Any] = {}
        self.latest: dict[str, Tensor] = {}
        self.running, self._shown = RunningMeans(), False
        self._measured: dict[str, Tensor] = {}
        self._keeping_statistics = freeze(model, recipe)

    def __deepcopy__(self, memo: dict[int, Any]) -> PoseModule:
        """A copy for an average of the weights: data, recipe and evaluator are shared with this one."""
        shared = (self.data, self.recipe, getattr(self, "evaluation", None))
        memo |= {id(each): each for each in shared}
        made = memo[id(self)] = type(self).__new__(type(self))
        made.__dict__.update(copy.deepcopy(self.__getstate__(), memo))
        return made

    def train(self, mode: bool = True) -> PoseModule:
        """As of every module; batch normalisation whose statistics are frozen stays in evaluation mode."""
        super().train(mode)
        for layer in self._keeping_statistics:
            layer.eval()
        return self

    def on_train_start(self) -> None:
        """Apply the recipe's optimiser settings and schedule also to a resumed run, whose checkpoint had its own."""
        self.on_train_epoch_start()  # of an epoch that is resumed Lightning does not call it
        optimizer = self.optimizers(use_pl_optimizer=False)
        scheduler = self.lr_schedulers()
        assert isinstance(optimizer, torch.optim.Optimizer)
        if not isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR):
            return  # of a callback of Lightning's that has a schedule of its own
        scheduler.base_lrs = [settings["initial_lr"] for settings in self._settings]
        for group, settings, share in zip(optimizer.param_groups, self._settings, scheduler.lr_lambdas, strict=True):
            group.update(settings)
            group["lr"] = settings["initial_lr"] * share(scheduler.last_epoch)

    def on_train_epoch_start(self) -> None:
        """Give the model the share of training that is done."""
        self.model.begin_epoch(self.current_epoch / self.recipe.epochs)

    def training_step(self, batch: Any, number: int) -> Tensor:
        """The loss of one batch."""
        computed = self.model.training_losses(batch, self.loss)
        parts = {f"loss_{name}": loss for name, loss in computed.losses.items()} if len(computed.losses) > 1 else {}
        logged = {"loss": computed.total, **parts, **computed.figures}
        self.latest = {name: value.detach() for name, value in logged.items()}
        for name, value in logged.items():
            self.running.add(name, value, len(batch.index))
        return computed.total * self._share(number) if self.recipe.accumulate > 1 else computed.total

    def _share(self, number: int) -> float:
        """Factor of a batch's loss: Lightning divides it by `accumulate` also where the epoch has fewer left."""
        accumulated, batches = self.recipe.accumulate, int(self.trainer.num_training_batches)
        return accumulated / min(accumulated, batches - number // accumulated * accumulated)

    def on_train_batch_end(self, *_: Any) -> None:
        """Show the means of the epoch after its last batch."""
        if self.trainer.is_last_batch:
            self._show_means()

    def _show_means(self) -> None:
        """Pass the means of the epoch to the progress bar and to callbacks, once."""
        if not self._shown:
            for name, value in self.running.means().items():
                bar = not name.startswith("loss_")
                self.log(f"train/{name}", value, prog_bar=bar, logger=False, on_step=False, on_epoch=True, batch_size=1)
        self._shown = True

    def check_finite(self) -> None:
        """Refuse weights that are not finite.

        Raises:
            InputError: naming the epoch.
        """
        if not all(bool(p.isfinite().all()) for p in self.parameters()):
            raise InputError(f"weights are no longer finite in epoch {self.current_epoch + 1}: start with a lower --lr")

    def on_train_epoch_end(self) -> None:
        """Copy the error distribution that the loss has learned to the model, which is about to be saved; log means."""
        self._learn_error_distribution()
        self._show_means()  # of an epoch that ended early, or whose validation a resumed run repeated
        # Lightning would write them after the checkpoint; a run that is killed between has them in no log.
        means = {f"train/{name}": float(value) for name, value in self.running.means().items()}
        for logger in self.trainer.loggers:
            logger.log_metrics({**means, "epoch": self.current_epoch}, step=self.trainer.global_step - 1)
        self.running, self._shown = RunningMeans(), False

    def _learn_error_distribution(self) -> None:
        """Copy the error distribution that the loss has learned to the model."""
        self.check_finite()
        self.model.set_error_distribution(self.loss.error_distribution())

    def on_validation_epoch_start(self) -> None:
        """Copy the error distribution that the loss has learned to the model, and start to evaluate it."""
        self._learn_error_distribution()
        self._measured = {name: tensor.clone() for name, tensor in self.state_dict().items()}
        self.evaluation = self.recipe.evaluation(self.data, self.model, self.loss.density)

    def validation_step(self, batch: Any, _: int) -> None:
        """Predict one batch."""
        # Compiled for training only: evaluation mode and a smaller last batch would each be compiled too.
        eager = torch.compiler.set_stance("force_eager") if self.recipe.compile else nullcontext()
        # Not in mixed precision: `best.ckpt` has the figures that `logpose eval` measures, in its weights' precision.
        with eager, torch.autocast(self.device.type, enabled=False):
            self.evaluation.update(batch, self.model.predict(batch, self.recipe.flip_test))

    def on_validation_epoch_end(self) -> None:
        """Compute the figures of the predictions, and log them."""
        self.evaluation.gather()
        watch, last = self.recipe.watch, self.current_epoch + 1 == self.recipe.epochs
        with self.as_measured():
            self.figures = self.evaluation.compute(costly=watch == "ap" or last or len(self.data) <= FEW)
        self.measured_on = self.identity
        # A figure that cannot be computed must not stop the run: it counts as worse than any other.
        figures = {watch: -math.inf if higher_is_better(watch) else math.inf}
        figures |= {name: value for name, value in self.figures.items() if not math.isnan(value)}
        self.log_dict({f"val/{name}": value for name, value in figures.items()}, rank_zero_only=True)
        for name in {watch, "error_px", "mpjpe"} & figures.keys():
            self.log(name, figures[name], prog_bar=True, logger=False, rank_zero_only=True)

    @contextmanager
    def as_measured(self) -> Iterator[None]:
        """While it is entered the weights are those that the last validation predicted with.

        Callbacks that average weights put the average in their place before a validation, and take it out after it.
        """
        now = self.state_dict()
        if all(torch.equal(now[name], tensor) for name, tensor in self._measured.items()):
            yield
            return
        now = {name: tensor.clone() for name, tensor in now.items()}
        self.load_state_dict(self._measured)
        try:
            yield
        finally:
            self.load_state_dict(now)

    def with_error_distribution(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """A state of this module, of averaged weights, whose model has the error distribution of its own loss."""
        averaged = copy.deepcopy(self)
        averaged.load_state_dict(state)
        averaged._learn_error_distribution()
        return averaged.state_dict()

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser and schedule."""
        recipe = self.recipe
        groups = parameter_groups(self.model, self.loss, recipe)
        optimizer: torch.optim.Optimizer
        if recipe.optimizer == "sgd":
            optimizer = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)
        else:
            kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
            optimizer = kind(groups, lr=recipe.lr, amsgrad=recipe.optimizer == "amsgrad")
        rate = learning_rate(recipe, int(self.trainer.estimated_stepping_batches))
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        left_out = ("params", "lr")
        self._settings = [{k: v for k, v in group.items() if k not in left_out} for group in optimizer.param_groups]
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the figures of the last validation from the checkpoint that a run is resumed from."""
        self.figures = dict(checkpoint["logpose"].get("figures", {}))
        self.measured_on = dict(checkpoint["logpose"].get("measured_on", {}))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the configuration of model, loss and recipe, and the figures."""
        kept = {"figures": self.figures, "measured_on": self.measured_on, "recipe": plain_recipe(self.recipe)}
        checkpoint["logpose"] = {**describe(self.model, self.loss), **kept}


def learning_rate(recipe: TrainingRecipe, steps: int) -> Callable[[int], float]:
    """The learning rate of each step from 0, relative to the highest, by the schedule of a run of so many steps."""
    unit = 1 if recipe.steps else steps / recipe.epochs
    milestones = [milestone * unit for milestone in recipe.milestones]
    rise = recipe.warmup_steps or (steps // 10 if recipe.schedule == "one_cycle" else 0)

    def share(step: int) -> float:
        if step < rise:
            start = recipe.warmup_start
            return start + (1 - start) * step / rise if start else (step + 1) / (rise + 1)
        if recipe.schedule == "step":
            return float(0.1 ** sum(step >= milestone for milestone in milestones))
        if recipe.schedule == "exponential":
            return float(recipe.decay ** (step * recipe.epochs // max(1, steps)))
        if recipe.schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))

    return share


def higher_is_better(figure: str) -> bool:
    """Whether a larger value of a validation figure is better: so of AP and PCK, not of errors and the NLL."""
    return figure.startswith(("ap", "pck"))


def rank(figures: Mapping[str, float], watch: str) -> tuple[float, ...]:
    """What validations are compared by, greater is better: the watched figure, and for ties the NLL or the error.

    A figure that is missing or NaN is worse than any other.
    """
    signed = ((name, 1.0 if higher_is_better(name) else -1.0) for name in (watch, *DECIDING_TIES))
    values = (sign * float(figures.get(name, math.nan)) for name, sign in signed)
    return tuple(-math.inf if math.isnan(value) else value for value in values)
