"""`fit`: the training run of a recipe, with Lightning."""

from __future__ import annotations

import itertools
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]
from torch import Tensor, nn

from logpose.core.compat import keep_freed_memory, patch_torchvision
from logpose.core.errors import InputError
from logpose.core.files import whole_file
from logpose.core.messages import first_line
from logpose.core.processor import OtherWork, threads_beside
from logpose.core.progress import on_terminal
from logpose.core.structures import OutputType
from logpose.data.loading import InputErrorLoader
from logpose.data.pages import reading_images
from logpose.data.problems import log_problems
from logpose.training.averaging import MovingAverage
from logpose.training.checkpoint import describe, read
from logpose.training.curves import curves_logger
from logpose.training.early_stopping import Patience
from logpose.training.find_lr import STEPS, found_rate
from logpose.training.hardware import compiled, fastest, in_format, note_other_work, tuned
from logpose.training.learned_images import note_learned, report_shared
from logpose.training.module import PoseModule
from logpose.training.progress import Bar, TrainingLines
from logpose.training.recipe import FIRST, TrainingRecipe, plain_recipe
from logpose.training.resume import check_data, check_resumable, data_files, is_finished, validation_identity
from logpose.training.run_folder import BEST, CONFIG, LAST, RunLock
from logpose.training.save_every import SaveEvery
from logpose.training.saving import Best, CheckpointFiles, Saver
from logpose.training.signals import Signals, stopped_by
from logpose.training.warm_start import warm_start

patch_torchvision()
import lightning as L  # noqa: E402  (imports torchvision where it is installed)
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment  # noqa: E402
from lightning.fabric.utilities.exceptions import MisconfigurationException  # noqa: E402
from lightning.pytorch.callbacks import Callback, LearningRateMonitor  # noqa: E402
from lightning.pytorch.loggers import Logger, TensorBoardLogger  # noqa: E402
from lightning.pytorch.utilities.seed import isolate_rng  # noqa: E402

__all__ = ["Run", "fit", "in_whole_epochs", "save_config", "validation_interval"]

log = logging.getLogger("logpose")

LOSSES: dict[OutputType, str] = {
    "coordinates": "RLELoss, L1Loss or another regression loss",
    "heatmaps": "HeatmapLoss",
    "coordinates and heatmaps": "WithHeatmaps(RLELoss())",
    "heatmap logits": "CellLoss",
    "coordinates and heatmap logits": "WithHeatmaps(RLELoss(), cells=True)",
    "row logits": "RowsLoss",
}
"""A loss for each output of a model."""

CHOSEN = ("precision", "memory_format", "compile", "tune")
"""Fields that a run decides on when it starts."""
TUNED_ON = 3  # batches


@dataclass(frozen=True)
class Run:
    """The result of a training run: its best checkpoint, by the watched figure, and that one's validation figures."""

    folder: Path
    best: Path
    figures: dict[str, float]
    interrupted: bool = False
    signal: int = 0
    """The signal that interrupted it."""


class Stage(NamedTuple):
    """One of the trainings that a run consists of; it starts from the weights of the checkpoint `before`, if any."""

    recipe: TrainingRecipe
    folder: Path
    before: Path | None = None
    reported: bool = False
    """Whether its data have been reported, by the stage before it or by the search for its learning rate."""


class Guards(NamedTuple):
    """What guards a run from others and from its end: the lock on its folder, and its handlers of signals."""

    lock: RunLock
    signals: Signals
    others: OtherWork


def fit(
    recipe: TrainingRecipe,
    folder: str | Path,
    resume: str | Path | None = None,
    callbacks: tuple[Callback, ...] = (),
    loggers: tuple[Logger, ...] = (),
) -> Run:
    """Train a recipe, its first stages before it.

    Args:
        recipe: the recipe.
        folder: folder for checkpoints (`best.ckpt`, `last.ckpt`), logs and the recipe's plain values.
        resume: a `last.ckpt` to resume from, of this run or of one of its first stages. Training continues at the
            step after it, with the same numbers as if it had not stopped.
        callbacks: further callbacks of Lightning's.
        loggers: further loggers of Lightning's (Weights & Biases, MLflow, …).

    Raises:
        InputError: if the data, the weights or the checkpoint to resume from cannot be used, or another run is being
            trained in the folder.
    """
    quiet_lightning()
    keep_freed_memory()
    stages = _stages(recipe, Path(folder))
    if resume is not None and recipe.first is None:
        recipe.check_resume()
    others = OtherWork()
    start, checkpoint = _start(stages, None if resume is None else Path(resume))
    with RunLock(folder) as lock, Signals(slurm=SLURMEnvironment.detect()) as signals, reading_images(recipe):
        for number in range(start, len(stages)):
            with stopped_by(signals):
                stages[number] = _with_rate(stages[number]._replace(reported=number > start), checkpoint, signals)
            with stopped_by(signals):
                run = _train(stages[number:], checkpoint, callbacks, loggers, Guards(lock, signals, others))
            if run.interrupted:
                break
            checkpoint = None
    return replace(run, folder=Path(folder))


def _stages(recipe: TrainingRecipe, folder: Path) -> list[Stage]:
    """The stages of a run, in the order in which they are trained: each after the one that its recipe wants first."""
    if recipe.first is None:
        return [Stage(recipe, folder)]
    return [*_stages(recipe.first(recipe), folder / FIRST), Stage(recipe, folder, folder / FIRST / BEST)]


def _start(stages: list[Stage], resume: Path | None) -> tuple[int, Path | None]:
    """Number of the stage that training starts with, and the checkpoint that this stage is resumed from."""
    if resume is None:
        return 0, None
    for number, stage in enumerate(stages[:-1]):
        if resume.parent.resolve() == stage.folder.resolve():
            return (number + 1, None) if is_finished(read(resume), stage.recipe) else (number, resume)
    return len(stages) - 1, resume


def _with_rate(stage: Stage, resume: Path | None, signals: Signals) -> Stage:
    """A stage with the learning rate that is found for it, if its recipe asks for that.

    Raises:
        InputError: if none is found, or several processes would search.
    """
    if not stage.recipe.find_lr:
        return stage
    if resume is not None:  # the first stage of several: it has been found, for what the checkpoint holds
        rate = float(read(resume)["logpose"]["recipe"]["lr"])
        return stage._replace(recipe=replace(stage.recipe, lr=rate, find_lr=False))
    # Of single batches: Lightning does not record every step of several.
    recipe, module, loaders, _ = _prepared(stage._replace(recipe=replace(stage.recipe, accumulate=1)), None)
    log.info("searching for a learning rate: %d steps", STEPS)
    with TemporaryDirectory(dir=next(p for p in stage.folder.absolute().parents if p.is_dir())) as folder:
        trainer = _trainer(
            recipe,
            **_of_steps(recipe),
            max_epochs=STEPS,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            use_distributed_sampler=False,
            default_root_dir=folder,
        )
        if trainer.world_size > 1:
            raise InputError(f"--find-lr: searches with one process, not {trainer.world_size}; try --devices 1 first")
        workers = getattr(loaders[0], "num_workers", 0)
        with _one_value_refused(module), threads_beside(workers, threads=recipe.threads):
            rate = found_rate(trainer, module, loaders[0], signals)
    log.info("learning rate found: --lr %g", rate)
    found = replace(stage.recipe, lr=rate, find_lr=False, **_chosen(recipe))
    return stage._replace(recipe=found, reported=True)


class Prepared(NamedTuple):
    """What a stage trains, and on what."""

    recipe: TrainingRecipe
    module: PoseModule
    loaders: tuple[Any, Any]
    """Of training and validation."""
    data: dict[str, Any]
    """What identifies the data."""


def _prepared(stage: Stage, resume: Path | None) -> Prepared:
    """Data, loss and model of a stage, checked against each other and against the checkpoint to resume from."""
    recipe = stage.recipe if stage.before is None else stage.recipe.initialised_from(stage.before)
    L.seed_everything(recipe.seed, workers=True, verbose=False)
    train, val = recipe.people(recipe, "train"), recipe.people(recipe, "val")
    for part, data in (("training", train), ("validation", val)) if not stage.reported else ():
        log_problems(data, f"{part} data: ")
    if not stage.reported:
        report_shared(train, val)
    loss = recipe.make_loss(train.skeleton)
    recipe.check_data(train, val, loss)
    if not stage.reported:
        recipe.report_data(train, val)
    files = data_files(recipe)
    identity = {"files": files, "training": len(train), "validation": len(val)}
    measured_on = validation_identity(recipe, val, files)
    # Seeded again: networks of one seed start alike with every loss, also with one that has parameters.
    L.seed_everything(recipe.seed, workers=True, verbose=False)
    model = recipe.model(recipe, train.skeleton, loss.learns_sigma)
    model.prepare(train)
    note_learned(model, train, recipe, resume)
    if model.output_type != loss.output_type:
        kinds = f"the loss {type(loss).__name__} needs {loss.output_type}, the model {type(model).__name__}"
        raise InputError(f"{kinds} outputs {model.output_type}: use {LOSSES[model.output_type]}")
    if resume is None:
        warm_start(model, loss if stage.before is None else None, recipe)
    hardware = _trainer(recipe, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    strict = bool(getattr(recipe, "strict", False))  # not every task has the option
    if resume is not None:
        state = check_resumable(resume, describe(model, loss), recipe, hardware.world_size)
        check_data(resume, state, identity, strict)
    pin = type(hardware.accelerator).__name__ == "CUDAAccelerator"  # batches go to page-locked memory
    train_loader = recipe.loader(train, model, training=True, processes=hardware.world_size, pin=pin)
    val_loader = recipe.loader(val, model, training=False, processes=hardware.world_size, pin=pin)
    if isinstance(train_loader, InputErrorLoader):
        train_loader.strict = strict
    recipe = in_whole_epochs(recipe, len(train_loader))
    recipe = _tuned(recipe, train, model, loss, hardware) if recipe.tune else fastest(recipe, model)
    in_format(model, recipe.memory_format)
    if recipe.compile:
        compiled(model, hardware.strategy.root_device)
    module = PoseModule(model, loss, recipe, val, measured_on)
    return Prepared(recipe, module, (train_loader, val_loader), identity)


def _chosen(recipe: TrainingRecipe) -> dict[str, Any]:
    """What a prepared recipe decided on."""
    return {name: getattr(recipe, name) for name in CHOSEN}


def _tuned(recipe: TrainingRecipe, data: Any, model: Any, loss: Any, hardware: L.Trainer) -> TrainingRecipe:
    """The recipe with what is fastest for the first batches of an epoch; random numbers afterwards as without."""
    if hardware.world_size > 1:
        raise InputError(f"--tune: times one process, and {hardware.world_size} are to train; give --precision")
    alone = replace(recipe, workers=0)
    with isolate_rng():
        loader = alone.loader(data, model, training=True)
        batches = list(itertools.islice(loader, TUNED_ON))
        with threads_beside(recipe.loading()["workers"], threads=recipe.threads):
            return tuned(recipe, model, loss, batches, recipe.epochs * len(loader), hardware.strategy.root_device)


def _train(
    stages: list[Stage],
    resume: Path | None,
    callbacks: tuple[Callback, ...],
    loggers: tuple[Logger, ...],
    guards: Guards,
) -> Run:
    """Train the first of these stages."""
    folder = stages[0].folder
    recipe, module, loaders, data = _prepared(stages[0], resume)
    best = Best(folder, recipe.watch, resume is not None)
    last = Saver(folder, SaveEvery.parse(recipe.save_every), loaders, guards.signals, data)
    rates = [LearningRateMonitor("step")] if recipe.loggers or loggers else []
    ours = [*([MovingAverage(recipe.ema)] if recipe.ema else []), *([Patience(recipe)] if recipe.patience else [])]
    terminal = on_terminal()
    trainer = _trainer(
        recipe,
        **_of_steps(recipe),
        max_epochs=recipe.epochs,
        check_val_every_n_epoch=validation_interval(recipe),
        callbacks=[best, last, *ours, *rates, Bar() if terminal else TrainingLines(), *callbacks],
        logger=[*(LOGGERS[name](folder) for name in recipe.loggers), *loggers],
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        enable_progress_bar=terminal,
        use_distributed_sampler=False,
        default_root_dir=folder,
        plugins=[CheckpointFiles(resume)],
    )
    if trainer.is_global_zero:
        # Nothing is left to refuse: from here on the run can be resumed, also in later stages.
        guards.lock.take()
        save_config(replace(stages[0].recipe, **_chosen(recipe)), folder)  # which a resumed run has too
        for each in stages[1:]:
            save_config(each.recipe, each.folder)
    with threads_beside(getattr(loaders[0], "num_workers", 0), trainer.num_devices, recipe.threads):
        if trainer.world_size == 1 and recipe.threads == "auto" and trainer.strategy.root_device.type == "cpu":
            note_other_work(guards.others.cores())
        interrupted = _fit(trainer, module, loaders, resume)
    figures = module.figures
    if Path(best.best_model_path).is_file():
        figures = read(Path(best.best_model_path))["logpose"]["figures"]
    checkpoint = Path(best.best_model_path or folder / LAST)
    return Run(folder, checkpoint, dict(figures), interrupted, guards.signals.received if interrupted else 0)


def _of_steps(recipe: TrainingRecipe) -> dict[str, Any]:
    """Lightning's settings of a step."""
    clip, batches = recipe.gradient_clip or None, recipe.accumulate
    return {"precision": recipe.precision, "gradient_clip_val": clip, "accumulate_grad_batches": batches}


def _trainer(recipe: TrainingRecipe, **settings: Any) -> L.Trainer:
    """Lightning's trainer on a recipe's devices; its errors about settings are `InputError`s."""
    hardware: Any = {"accelerator": recipe.accelerator, "devices": recipe.devices, "num_nodes": recipe.num_nodes}
    try:
        return L.Trainer(**hardware, **settings, enable_model_summary=False)
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"these settings cannot be trained with: {first_line(error)}") from error


def in_whole_epochs(recipe: TrainingRecipe, batches: int) -> TrainingRecipe:
    """The recipe with as many epochs of so many batches as its steps take: the last validation is of the last step."""
    if not recipe.steps:
        return recipe
    each = math.ceil(max(1, batches) / recipe.accumulate)
    recipe = replace(recipe, epochs=math.ceil(recipe.steps / each))
    if (steps := recipe.epochs * each) != recipe.steps:
        log.info("%d steps become %d, whole epochs of %d", recipe.steps, steps, each)
    return recipe


def _fit(trainer: L.Trainer, module: PoseModule, loaders: tuple[Any, Any], resume: Path | None) -> bool:
    """Train; whether the user interrupted it."""
    try:
        with _one_value_refused(module):
            # Our checkpoints hold plain values and tensors only: reading them executes nothing.
            trainer.fit(module, *loaders, ckpt_path=resume, weights_only=True)
    except (KeyboardInterrupt, SystemExit):  # Lightning ends the process on Ctrl-C; the caller continues
        if not trainer.interrupted:
            raise
        return True
    return False


@contextmanager
def _one_value_refused(module: PoseModule) -> Iterator[None]:
    """While it is entered, batch normalisation refuses batches with one value of each channel."""
    layers = [layer for layer in module.model.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    hooks = [layer.register_forward_pre_hook(_refuse_one_value) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _refuse_one_value(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Refuse batches of which batch normalisation has one value of each channel: they have no variance."""
    if layer.training and inputs[0].numel() == inputs[0].shape[1]:
        raise InputError(
            "batch normalisation has one value of each channel to average over: it needs more data, a larger "
            "--batch-size or, of crops, a larger --size"
        )


def validation_interval(recipe: TrainingRecipe) -> int:
    """Epochs between validations: those of the recipe, or fewer, so that the last epoch is validated."""
    return max(n for n in range(1, min(recipe.validate_every, recipe.epochs) + 1) if recipe.epochs % n == 0)


def save_config(recipe: TrainingRecipe, folder: str | Path) -> None:
    """Write the recipe's name and plain values as `config.yaml`, which `logpose train --config` reads."""
    with whole_file(Path(folder) / CONFIG, durable=True) as file:
        file.write(yaml.safe_dump(plain_recipe(recipe), sort_keys=False).encode())


LOGGERS: dict[str, Callable[[Path], Any]] = {
    "csv": curves_logger,
    "tensorboard": lambda folder: TensorBoardLogger(folder, name="", version="tensorboard"),
}


def quiet_lightning() -> None:
    """Silence Lightning's hints that do not apply here, so that what matters is read."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    hints = ("have many workers", "isinstance.treespec", "Checkpoint directory .* exists", "the logging interval")
    # A setting changed; modules are frozen, or their rate is searched for.
    of_callbacks = ("callbacks used to create the checkpoint", "was not created with WeightAveraging")
    of_modules = ("in eval mode at the start of training", "have no `val_dataloader`")
    for hint in (*hints, *of_callbacks, *of_modules):
        warnings.filterwarnings("ignore", f".*{hint}.*")
