"""Training: a `Recipe` says everything that one run needs, `fit` carries it out on Lightning."""

from __future__ import annotations

import logging
import math
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml  # type: ignore[import-untyped]
from torch import Tensor

from logpose.core.compat import keep_freed_memory, mend_torchvision
from logpose.core.errors import InputError
from logpose.core.structures import Evaluator, OutputType
from logpose.losses import PoseLoss
from logpose.models import Model
from logpose.training.checkpoint import describe, read
from logpose.training.recipe import FIRST, TrainingRecipe, plain_recipe
from logpose.training.resume import check_resumable, is_finished

mend_torchvision()
import lightning as L  # noqa: E402  (imports torchvision where it is installed)
from lightning.fabric.utilities.exceptions import MisconfigurationException  # noqa: E402
from lightning.pytorch.callbacks import (  # noqa: E402
    Callback,
    LambdaCallback,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger  # noqa: E402

__all__ = ["PoseModule", "Run", "fit", "learning_rate"]

log = logging.getLogger("logpose")


@dataclass(frozen=True)
class Run:
    """What a training run leaves behind."""

    folder: Path
    best: Path
    """The checkpoint with the best watched figure."""
    figures: dict[str, float]
    """The validation figures of that checkpoint."""
    interrupted: bool = False
    """Whether it was stopped by hand."""


class PoseModule(L.LightningModule):
    """Model and loss as Lightning trains them; what it saves can be read by `checkpoint.load`.

    Args:
        model: the network.
        loss: learned together with it.
        recipe: optimiser, schedule and validation.
        people: the validation data, for its labels.
    """

    evaluation: Evaluator

    def __init__(self, model: Model, loss: PoseLoss, recipe: TrainingRecipe, people: Any) -> None:
        super().__init__()
        self.model, self.loss, self.recipe, self.people = model, loss, recipe, people
        self.figures: dict[str, float] = {}

    def on_train_epoch_start(self) -> None:
        """Tell the model how far training is."""
        self.model.begin_epoch(self.current_epoch / self.recipe.epochs)

    def training_step(self, batch: Any, _: int) -> Tensor:
        """The loss of one batch."""
        lesson = self.model.training_losses(batch, self.loss)
        total = lesson.total
        parts = {f"loss_{name}": loss for name, loss in lesson.losses.items()} if len(lesson.losses) > 1 else {}
        for name, value in {"loss": total, **parts, **lesson.figures}.items():
            shown = name == "loss" or name in lesson.figures
            self.log(f"train/{name}", value, on_epoch=True, on_step=False, prog_bar=shown, batch_size=len(batch.index))
        return total

    def on_train_epoch_end(self) -> None:
        """Hand the law of the errors, as the loss now knows it, to the model that is about to be saved."""
        self._check_weights()  # before anything is saved
        self.model.set_error_distribution(self.loss.error_distribution())

    def _check_weights(self) -> None:
        if not all(bool(p.isfinite().all()) for p in self.parameters()):
            raise InputError(f"weights are no longer finite in epoch {self.current_epoch + 1}: start with a lower --lr")

    def on_validation_epoch_start(self) -> None:
        """Hand the law of the errors, as the loss now knows it, to the model."""
        self._check_weights()
        self.model.set_error_distribution(self.loss.error_distribution())
        self.evaluation = self.recipe.evaluation(self.people, self.model, self.loss.density)

    def validation_step(self, batch: Any, _: int) -> None:
        """Predict one batch."""
        self.evaluation.update(batch, self.model.predict(batch, self.recipe.flip_test))

    def on_validation_epoch_end(self) -> None:
        """Measure the predictions."""
        self.evaluation.gather()
        self.figures = self.evaluation.compute(costly=self.recipe.watch == "ap" or self._is_last())
        # A figure that there is nothing to compute from must not stop the run: it is worse than any other.
        worst = -math.inf if _higher_is_better(self.recipe.watch) else math.inf
        watched = self.figures.get(self.recipe.watch, math.nan)
        figures = {**self.figures, self.recipe.watch: worst if math.isnan(watched) else watched}
        known = {f"val/{name}": value for name, value in figures.items() if not math.isnan(value)}
        self.log_dict(known, rank_zero_only=True)
        for name in {self.recipe.watch, "error_px", "mpjpe"} & figures.keys():
            self.log(name, figures[name], prog_bar=True, logger=False, rank_zero_only=True)

    def _is_last(self) -> bool:
        return self.current_epoch + 1 == self.recipe.epochs

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser and schedule."""
        recipe = self.recipe
        weights = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1] + list(self.loss.parameters())
        groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer: torch.optim.Optimizer
        if recipe.optimizer == "sgd":
            optimizer = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)
        else:
            kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
            optimizer = kind(groups, lr=recipe.lr, amsgrad=recipe.optimizer == "amsgrad")
        steps = int(self.trainer.estimated_stepping_batches)
        rate = learning_rate(recipe, steps)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is needed to build model and loss again."""
        kept = {"figures": self.figures, "recipe": plain_recipe(self.recipe)}
        checkpoint["logpose"] = {**describe(self.model, self.loss), **kept}


class _Progress(RichProgressBar):
    """Lightning's bar without the "version number", which is a logger's folder here."""

    def get_metrics(self, trainer: Any, pl_module: Any) -> dict[str, Any]:
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}


def learning_rate(recipe: TrainingRecipe, steps: int) -> Callable[[int], float]:
    """The learning rate of every step, as a share of the highest.

    Args:
        recipe: names the schedule.
        steps: how many there will be in all.
    """
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


def fit(
    recipe: TrainingRecipe,
    folder: str | Path,
    resume: str | Path | None = None,
    callbacks: tuple[Callback, ...] = (),
    loggers: tuple[Logger, ...] = (),
) -> Run:
    """Train as a recipe says; what it wants done first, first.

    Args:
        recipe: the recipe.
        folder: where checkpoints (`best.ckpt`, `last.ckpt`), logs and the recipe's plain values go.
        resume: a `last.ckpt` to go on from, this run's or that of the run before it.
        callbacks: further ones of Lightning's.
        loggers: further ones of Lightning's (Weights & Biases, MLflow, …).

    Raises:
        InputError: if the data, the weights or the checkpoint to resume from cannot be used.
    """
    folder = Path(folder)
    resume = None if resume is None else Path(resume)
    quiet_lightning()
    keep_freed_memory()
    given = recipe
    if recipe.first is not None:
        before = folder / FIRST
        if resume is None or resume.parent.resolve() == before.resolve():
            stage = recipe.first(recipe)
            if resume is None or not is_finished(read(resume), stage):
                # Once nothing is left to refuse: from there on the run can be gone on with.
                begun = LambdaCallback(on_fit_start=partial(_keep_config, recipe, folder))
                run = fit(stage, before, resume, (*callbacks, begun), loggers)
                if run.interrupted:
                    return replace(run, folder=folder)
            resume = None
        recipe = recipe.initialised_from(before / "best.ckpt")
    L.seed_everything(recipe.seed, workers=True, verbose=False)
    train, val = recipe.people(recipe, "train"), recipe.people(recipe, "val")
    if train.skeleton.joints != val.skeleton.joints:
        raise InputError("training and validation data have different skeletons")
    for part, people in (("training", train), ("validation", val)):
        say_problems(people, f"{part} data: ")
    loss = recipe.make_loss(train.skeleton)
    recipe.check_data(train, val, loss)
    # Of one seed networks begin alike by every loss, also by one that has weights of its own.
    L.seed_everything(recipe.seed, workers=True, verbose=False)
    model = recipe.model(recipe, train.skeleton, loss.learns_sigma)
    model.prepare(train)
    if model.output_type != loss.output_type:
        raise InputError(
            f"the loss {type(loss).__name__} needs {loss.output_type}, the model {type(model).__name__} outputs "
            f"{model.output_type}: use {LEARNERS[model.output_type]}"
        )
    module = PoseModule(model, loss, recipe, val).to(memory_format=torch.channels_last)
    if resume is not None:
        check_resumable(resume, describe(model, loss), recipe)
    best = ModelCheckpoint(
        folder,
        filename="best",
        monitor=f"val/{recipe.watch}",
        mode="max" if _higher_is_better(recipe.watch) else "min",
        enable_version_counter=False,
        save_weights_only=True,
    )
    # `save_last` of the one above would follow the best only; a run is to be resumed from its last epoch.
    last = ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    try:
        trainer = L.Trainer(
            accelerator=recipe.accelerator,
            devices=recipe.devices,
            num_nodes=recipe.num_nodes,
            precision=_precision(recipe),  # type: ignore[arg-type]
            max_epochs=recipe.epochs,
            gradient_clip_val=recipe.gradient_clip or None,
            check_val_every_n_epoch=validation_interval(recipe),
            callbacks=[
                best,
                last,
                *([LearningRateMonitor("step")] if recipe.loggers or loggers else []),
                _Progress(leave=False, console_kwargs={"stderr": True}),
                *callbacks,
            ],
            logger=[*(LOGGERS[name](folder) for name in recipe.loggers), *loggers],
            log_every_n_steps=10,
            num_sanity_val_steps=0,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=folder,
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"these settings cannot be trained with: {str(error).splitlines()[0]}") from error
    if trainer.is_global_zero:
        save_config(given, folder)
    pin = trainer.accelerator.__class__.__name__ == "CUDAAccelerator"
    train_loader = recipe.loader(train, model, training=True, processes=trainer.world_size, pin=pin)
    val_loader = recipe.loader(val, model, training=False, pin=pin)
    if recipe.steps:
        module.recipe = recipe = replace(recipe, epochs=math.ceil(recipe.steps / max(1, len(train_loader))))
        if (steps := recipe.epochs * len(train_loader)) != recipe.steps:
            log.info("%d steps become %d, whole epochs of %d", recipe.steps, steps, len(train_loader))
        trainer.fit_loop.max_epochs, trainer.check_val_every_n_epoch = recipe.epochs, validation_interval(recipe)
    interrupted = False
    try:
        # Our checkpoints hold plain values and tensors only, so they can be read without running anything in them.
        trainer.fit(module, train_loader, val_loader, ckpt_path=resume, weights_only=True)
    except (KeyboardInterrupt, SystemExit):  # Lightning ends the process on Ctrl-C; the caller has more to say
        if not trainer.interrupted:
            raise
        interrupted = True
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            "batch normalisation has nothing to average over: it takes more data, a larger --batch_size or, of crops, "
            "a larger --size"
        ) from error
    figures = dict(module.figures)
    if Path(best.best_model_path).is_file():
        figures = read(Path(best.best_model_path))["logpose"]["figures"]
    return Run(folder, Path(best.best_model_path or folder / "last.ckpt"), figures, interrupted)


def validation_interval(recipe: TrainingRecipe) -> int:
    """Epochs between validations: as many as the recipe says, or fewer, so that the last epoch is validated."""
    return max(n for n in range(1, min(recipe.validate_every, recipe.epochs) + 1) if recipe.epochs % n == 0)


def save_config(recipe: TrainingRecipe, folder: Path) -> None:
    """Write the recipe's name and plain values as `config.yaml`, which `logpose train --config` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(plain_recipe(recipe), sort_keys=False))


def _keep_config(recipe: TrainingRecipe, folder: Path, trainer: L.Trainer, _: L.LightningModule) -> None:
    if trainer.is_global_zero:
        save_config(recipe, folder)


def say_problems(people: Any, prefix: str = "") -> None:
    """Tell, once, how much of each kind a data set left out, and the first of each."""
    problems = getattr(people, "problems", ())
    for kind, count in Counter(problem.kind for problem in problems).items():
        first = next(problem for problem in problems if problem.kind == kind)
        log.warning("%s%d left out, %s; the first: %s", prefix, count, kind, first)


LEARNERS: dict[OutputType, str] = {
    "coordinates": "RLELoss, L1Loss or another regression loss", "heatmaps": "HeatmapLoss",
    "coordinates and heatmaps": "WithHeatmaps(RLELoss())", "heatmap logits": "CellLoss",
    "coordinates and heatmap logits": "WithHeatmaps(RLELoss(), cells=True)", "row logits": "RowsLoss",
}  # fmt: skip
"""The loss that goes with what a model gives."""

LOGGERS: dict[str, Callable[[Path], Any]] = {
    # A resumed run gets a further folder: csv-1, csv-2, …; `report.read_curves` joins them.
    "csv": lambda folder: CSVLogger(folder, name="", version=f"csv-{len(list(folder.glob('csv-*'))) + 1}"),
    "tensorboard": lambda folder: TensorBoardLogger(folder, name="", version="tensorboard"),
}


def _higher_is_better(figure: str) -> bool:
    return figure.startswith(("ap", "pck"))


def _precision(recipe: TrainingRecipe) -> str:
    """The recipe's precision; for "auto" bf16 where it is fast, which on a CPU takes instructions of its own."""
    if recipe.precision != "auto":
        return recipe.precision
    if recipe.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    fast = recipe.accelerator in ("auto", "cpu") and torch.cpu._is_avx512_bf16_supported()
    return "bf16-mixed" if fast else "32-true"


def quiet_lightning() -> None:
    """Leave out Lightning's hints that do not apply: they would bury what a person has to read."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*isinstance.treespec, LeafSpec.*",
        ".*Checkpoint directory .* exists.*",
        ".*is smaller than the logging interval.*",
    ):
        warnings.filterwarnings("ignore", message)
