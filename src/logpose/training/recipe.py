"""`TrainingRecipe`: what a training run of any task needs.

It holds two kinds of fields. Plain values (`epochs`, `lr`, `size`, …) are each a flag of `logpose train` and are saved
with the run. The others say what is built from them (`people`, `model`, `loss`); they are functions, called once the
seed is set, so that a run is the same each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Evaluator
from logpose.data import Augmentation
from logpose.losses import LikelihoodLoss, PoseLoss
from logpose.models import Model

__all__ = ["FIRST", "OBJECTS", "TrainingRecipe", "plain_fields", "plain_recipe", "settings"]


@dataclass(kw_only=True)
class TrainingRecipe:
    """What a training run of any kind needs; each kind adds what its data and networks do."""

    people: Callable[[Any, str], Any]
    """Called with the recipe and "train" or "val": the data set of that part; it has a `skeleton`."""
    loss: Callable[..., PoseLoss]
    """Makes the loss."""
    model: Callable[[Any, Skeleton, bool], Model]
    """Called with the recipe, the data's skeleton and whether sigma is wanted: the network."""
    first: Callable[[Any], Any] | None = None
    """Called with this recipe: one that is run before it, and from whose weights it starts."""
    name: str = field(default="", compare=False)
    """As it was called for; kept with the run, so that it is gone on with as what it is."""

    epochs: int = 210
    """Times that the data are gone through."""
    batch_size: int = 32
    """Samples in a batch, on each device."""
    steps: int = 0
    """Instead of epochs: as many whole ones as it takes to have so many steps; 0: as `epochs` says."""
    optimizer: Literal["adam", "adamw", "amsgrad", "sgd"] = "adam"
    """Adam; adamw: with decoupled weight decay; amsgrad: with steps that never grow back; sgd: with momentum."""
    momentum: float = 0.9
    """Of sgd."""
    lr: float = 1e-3
    """Highest learning rate."""
    weight_decay: float = 0.0
    """Of the network's weights (not of biases, normalisation and the flow)."""
    schedule: Literal["step", "cosine", "one_cycle", "exponential", "constant"] = "step"
    """step: × 0.1 at each milestone; cosine: down to 0; one_cycle: up over a tenth of the steps, then down to 0;
    exponential: × decay after every epoch."""
    milestones: tuple[int, ...] = (170, 200)
    """Epochs, or steps where `steps` counts them, after which `step` lowers the learning rate."""
    decay: float = 0.95
    """What `exponential` multiplies the learning rate with."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises to its height …"""
    warmup_start: float = 0.0
    """… from this share of it."""
    gradient_clip: float = 1.0
    """Largest norm of a step's gradient; 0 clips nothing."""
    flip_test: bool = True
    """Average with the prediction on mirrored inputs in validation."""
    watch: str
    """The validation figure that decides which checkpoint is the best."""
    validate_every: int = 1
    """Epochs between validations, or fewer, so that the last epoch is validated."""
    seed: int = 0
    """Of weights, order and augmentation."""
    workers: int = 2
    """Processes that prepare batches; 0 does it in the main one."""
    precision: str = "auto"
    """Lightning's precision (32-true, bf16-mixed, 16-mixed, …); auto takes bf16-mixed where the hardware has it."""
    accelerator: str = "auto"
    """Lightning's accelerator: cpu, gpu, mps, …"""
    devices: str = "auto"
    """Lightning's devices: a number, a list, or auto."""
    num_nodes: int = 1
    """Machines that train together."""
    loggers: tuple[Literal["csv", "tensorboard"], ...] = ("csv", "tensorboard")
    """Where figures are written while training, in the run's folder."""

    def __post_init__(self) -> None:
        least = {"epochs": 1, "batch_size": 1, "validate_every": 1, "num_nodes": 1, "workers": 0, "seed": 0}
        least |= {
            "warmup_steps": 0,
            "gradient_clip": 0,
            "weight_decay": 0,
            "steps": 0,
            "momentum": 0,
            "warmup_start": 0,
        }
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise InputError(f"{name} must be at least {bound}, got {getattr(self, name)}")
        if not (self.lr > 0 and 0 < self.decay <= 1):
            raise InputError(f"lr must be above 0 and decay in (0, 1], got {self.lr:g} and {self.decay:g}")
        if max(self.momentum, self.warmup_start) >= 1:
            raise InputError(f"momentum and warmup_start lie below 1, got {self.momentum:g} and {self.warmup_start:g}")

    def inapplicable(self) -> dict[str, str]:
        """Plain fields that change nothing as the others are, and why: as flags they are refused."""
        inapplicable = {}
        for name, flag, value in (
            ("milestones", "schedule", "step"),
            ("decay", "schedule", "exponential"),
            ("momentum", "optimizer", "sgd"),
        ):
            if getattr(self, flag) != value:
                inapplicable[name] = f"about --{flag} {value}, and this is {getattr(self, flag)}"
        if self.steps:
            inapplicable["epochs"] = "how long to train is told by --steps (0: by --epochs)"
        if not self.warmup_steps and self.schedule != "one_cycle":
            inapplicable["warmup_start"] = "about the first steps, and without --warmup_steps they are as the others"
        return inapplicable

    def initialised_from(self, checkpoint: str | Path) -> TrainingRecipe:
        """This recipe as a single stage that starts from a checkpoint's weights.

        Raises:
            InputError: if such models do not start from weights.
        """
        checkpoint = Path(checkpoint)
        raise InputError(f"{type(self).__name__}: no weights to start from, so no run before it ({checkpoint})")

    def loader(self, data: Any, model: Any, *, training: bool, processes: int = 1, pin: bool = False) -> Any:
        """Batches of a data set as the model wants them.

        Args:
            data: what `people` made.
            model: what `model` made.
            training: whether they are shuffled and varied.
            processes: how many share the samples of a training epoch.
            pin: whether batches go to page-locked memory, for a GPU.
        """
        raise NotImplementedError

    def evaluation(self, data: Any, model: Any, loss: LikelihoodLoss | None) -> Evaluator[Any]:
        """What measures the model on a data set."""
        raise NotImplementedError

    def make_loss(self, skeleton: Skeleton) -> PoseLoss:  # noqa: ARG002  (of other kinds it has to do with the data)
        """The loss of joints, for data with this skeleton."""
        return self.loss()

    def check_data(self, train: Any, val: Any, loss: PoseLoss) -> None:  # noqa: ARG002  (other kinds look at the data)
        """Refuse data that this loss can learn nothing from, and to watch what can never be told of them and it.

        Raises:
            InputError: naming the data or the figure.
        """
        if self.watch == "nll" and loss.density is None:
            raise InputError(f"{type(loss).__name__} claims nothing of errors, so there is no nll to --watch")


FIRST = "first"
"""Folder, within a run's, of the run that its recipe wants carried out before it."""


OBJECTS = ("people", "loss", "model", "first", "name")
"""Fields of a recipe that say what is built, and its name; all others are plain values."""


def plain_fields(recipe: TrainingRecipe) -> dict[str, Any]:
    """The plain values of a recipe, by name."""
    return {f.name: getattr(recipe, f.name) for f in fields(recipe) if f.name not in OBJECTS}


def settings(recipe: TrainingRecipe) -> dict[str, Any]:
    """The same with fields that have fields as dictionaries, as files and flags hold them."""
    plain = plain_fields(recipe)
    return {name: asdict(value) if isinstance(value, Augmentation) else value for name, value in plain.items()}


def plain_recipe(recipe: TrainingRecipe) -> dict[str, Any]:
    """The recipe's name and its plain values, as checkpoints and `config.yaml` keep them."""
    # Paths in full: a run may be resumed from anywhere.
    plain: dict[str, Any] = json.loads(json.dumps(settings(recipe), default=lambda path: str(Path(path).absolute())))
    return ({"recipe": recipe.name} if recipe.name else {}) | plain
