"""`TrainingRecipe`: the settings of a training run, common to all tasks.

A recipe has two kinds of fields. Plain values (`epochs`, `lr`, `size`, …) are flags of `logpose train` and are saved
with the run. The others are functions that build something (`people`, `model`); they are called once the seed is set,
so that a run is reproducible. `loss` is either: a word, which `--loss` can change, or a function that makes a loss.

Modules of recipes import torch only inside functions: `logpose train RECIPE --help` does not wait for it. `losses` and
`models` are packages that import a name on first use.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from logpose import losses, models
from logpose.core.errors import InputError
from logpose.core.messages import difference, flag
from logpose.core.processor import worker_processes
from logpose.core.skeletons import Skeleton
from logpose.data import Augmentation
from logpose.training.run_folder import FIRST
from logpose.training.save_every import SaveEvery

if TYPE_CHECKING:
    from logpose.core.structures import Evaluator
    from logpose.data.batches import LoaderOptions

__all__ = ["FIRST", "LossName", "TrainingRecipe", "plain_fields", "plain_recipe", "same_setting", "settings"]

LossName = Literal["rle", "dle", "basic", "l1", "l2", "laplace", "gaussian"]
"""Words of `--loss`."""

WITH_FLOW = ("rle", "dle", "basic")
"""Words of losses with a flow."""

FLOW_HIDDEN = (64, 64)
RANDOM = "applies to pretrained weights, and these are random (--weights random)"
NOT_NEGATIVE = (
    "workers", "seed", "warmup_steps", "steps", "gradient_clip", "weight_decay", "momentum", "warmup_start", "ema",
    "patience", "freeze",
)  # fmt: skip


@dataclass(kw_only=True)
class TrainingRecipe:
    """The settings of a training run; each task adds those of its data and networks."""

    task: ClassVar[str]
    """Name of the task: "pose", "detection", "lifting", "boundaries", or one of a user's own."""
    OBJECTS: ClassVar[tuple[str, ...]] = ("people", "model", "first", "name", "dim")
    """Fields that are no flags: what builds something, the recipe's name, and what the data decide."""
    MEASURED_ON: ClassVar[tuple[str, ...]] = ("watch",)
    """Fields that decide what is measured in validation, and on which data."""

    people: Callable[[Any, str], Any]
    """Called with the recipe and "train" or "val": the data set of that part; it has a `skeleton`."""
    loss: Callable[..., losses.PoseLoss] | LossName = "rle"
    """rle, dle and basic: with a normalizing flow (Eq. 8, 5 and 4); l1, l2: direct regression; laplace, gaussian: a
    likelihood with a learned sigma."""
    model: Callable[[Any, Skeleton, bool], models.Model]
    """Called with the recipe, the data's skeleton and whether sigma is needed: the network."""
    first: Callable[[Any], Any] | None = None
    """Called with this recipe: a recipe that is trained before it, and whose weights it starts from."""
    name: str = field(default="", compare=False)
    """Name by which `logpose train` was called; saved with the run, and checked when the run is resumed."""

    base: Literal["laplace", "gaussian"] = "laplace"
    """With --loss rle: the density Q that the flow corrects."""
    convention: Literal["normalized", "paper", "released", "mmpose"] = "normalized"
    """With a flow: normalized: a proper density; paper: Eq. 8 without s; released, mmpose: as in those codes."""
    flow_hidden: tuple[int, ...] = FLOW_HIDDEN
    """With a flow: widths of the hidden layers of its networks (Table 5)."""
    epochs: int = 210
    """Number of epochs."""
    batch_size: int = 32
    """Samples in a batch, per device."""
    accumulate: int = 1
    """Batches in a step: their mean gradient is that of one batch of as many times the size."""
    steps: int = 0
    """Number of steps, rounded up to whole epochs, in place of `epochs`; 0: train for `epochs`."""
    optimizer: Literal["adam", "adamw", "amsgrad", "sgd"] = "adam"
    """Adam; adamw: with decoupled weight decay; amsgrad: its AMSGrad variant; sgd: with momentum."""
    momentum: float = 0.9
    """Momentum of sgd."""
    lr: float = 1e-3
    """Highest learning rate."""
    find_lr: bool = False
    """Search for the learning rate before training, in 100 steps of a network that is not kept, in place of `lr`."""
    backbone_lr: float = 1.0
    """Learning rate of the backbone relative to that of the head."""
    layer_decay: float = 1.0
    """Learning rate of a stage of the backbone relative to the next; the last stage's relative to the head."""
    freeze: int = 0
    """Number of stages of the backbone, from the input on, that are not trained; a ResNet has 5 with its stem."""
    freeze_norm: bool = False
    """Batch normalisation of the whole backbone keeps the statistics of the pretrained weights."""
    weight_decay: float = 0.0
    """Weight decay of the network's weights (not of biases, normalisation layers and the flow)."""
    schedule: Literal["step", "cosine", "one_cycle", "exponential", "constant"] = "step"
    """step: × 0.1 at each milestone; cosine: down to 0; one_cycle: up over a tenth of the steps, then down to 0;
    exponential: × decay after every epoch."""
    milestones: tuple[int, ...] = (170, 200)
    """Epochs (or steps, if `steps` is given) after which the schedule `step` lowers the learning rate."""
    decay: float = 0.95
    """Factor of the schedule `exponential`, per epoch."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises to its highest value."""
    warmup_start: float = 0.0
    """Learning rate at the first step, as a fraction of the highest."""
    gradient_clip: float = 1.0
    """Maximum norm of the gradient; 0: no clipping."""
    ema: float = 0.0
    """Decay of a moving average of the weights, which is validated and saved in their place (0.999); 0: none. It
    averages over about the last 1 / (1 - decay) steps, and while there are few over the last ninth of them."""
    flip_test: bool | None = True
    """In validation, average the predictions for the input and its mirror image."""
    watch: str
    """Validation metric that selects the best checkpoint; nll, then the error decide between equal ones."""
    validate_every: int = 1
    """Epochs between validations; lowered if needed so that the last epoch is validated."""
    patience: int = 0
    """Validations without a better watched figure after which training stops; 0: it does not stop early."""
    seed: int = 0
    """Seed of the initial weights, the order of samples and the augmentation."""
    workers: int | Literal["auto"] = "auto"
    """Worker processes that load data; 0: load in the main process; auto: as many as the cores at hand allow."""
    threads: int | Literal["auto"] = "auto"
    """Threads that compute on a CPU; auto: the cores at hand less the workers. Beside other work fewer are faster."""
    precision: str = "auto"
    """Lightning's precision (32-true, bf16-mixed, 16-mixed, …); auto: bf16-mixed where that is faster."""
    memory_format: Literal["auto", "contiguous", "channels_last"] = "auto"
    """Memory format of the network's weights; auto: channels_last if it has convolutions."""
    compile: bool = False
    """Compile the network with torch.compile, which takes a minute or more at the start."""
    tune: bool = False
    """Time a few steps first, and take what is fastest of what is auto, in long runs also compilation. The choice is
    saved with the run."""
    accelerator: str = "auto"
    """Lightning's accelerator: cpu, gpu, mps, …"""
    devices: str = "auto"
    """Lightning's devices: a number, a list, or auto."""
    num_nodes: int = 1
    """Number of machines that train together."""
    save_every: str = "10min"
    """How often to save a checkpoint within an epoch: 30s, 10min, 2h, 200steps; epoch: only at the end of each."""
    loggers: tuple[Literal["csv", "tensorboard"], ...] = ("csv", "tensorboard")
    """Formats of the training log in the run's folder."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "validate_every", "num_nodes", *NOT_NEGATIVE):
            least = 0 if name in NOT_NEGATIVE else 1
            if getattr(self, name) != "auto" and not getattr(self, name) >= least:
                raise InputError(f"{flag(name)} must be at least {least}, got {getattr(self, name)}")
        if self.threads != "auto" and self.threads < 1:
            raise InputError(f"--threads must be at least 1, got {self.threads}")
        if not (self.lr > 0 and 0 < self.decay <= 1):
            raise InputError(f"--lr must be above 0 and --decay in (0, 1], got {self.lr:g} and {self.decay:g}")
        if max(self.momentum, self.warmup_start) >= 1:
            raise InputError(
                f"--momentum and --warmup-start must be below 1, got {self.momentum:g}, {self.warmup_start:g}"
            )
        if not (self.ema < 1 and 0 < self.layer_decay <= 1 and self.backbone_lr > 0):
            raise InputError(
                "--ema must be below 1, --layer-decay in (0, 1] and --backbone-lr above 0 (--freeze stops learning), "
                f"got {self.ema:g}, {self.layer_decay:g} and {self.backbone_lr:g}"
            )
        if not (callable(self.loss) or self.loss in get_args(LossName)):
            raise InputError(f"--loss must be a function or one of {', '.join(get_args(LossName))}; got {self.loss!r}")
        SaveEvery.parse(self.save_every)
        if not self.flow_hidden or min(self.flow_hidden) < 1:
            raise InputError(f"--flow-hidden must be numbers of at least 1, got {self.flow_hidden}")

    def inapplicable(self) -> dict[str, str]:
        """Plain fields that have no effect given the others, each with the reason; as flags they are refused."""
        only = {
            "milestones": ("schedule", "step"),
            "decay": ("schedule", "exponential"),
            "momentum": ("optimizer", "sgd"),
        }
        inapplicable = {
            name: f"applies to --{flag} {value}, not to {getattr(self, flag)}"
            for name, (flag, value) in only.items()
            if getattr(self, flag) != value
        }
        if self.steps:
            inapplicable["epochs"] = "has no effect with --steps; --steps 0 trains for --epochs"
        if not self.warmup_steps and self.schedule != "one_cycle":
            inapplicable["warmup_start"] = "applies to a warm-up, and there is none without --warmup-steps"
        if self.find_lr:
            inapplicable["lr"] = "has no effect with --find-lr"
        if getattr(self, "weights", "") == "random":
            inapplicable |= dict.fromkeys(("freeze", "freeze_norm"), RANDOM)
        of_flow = ("base", "convention", "flow_hidden")
        if callable(self.loss):
            inapplicable |= dict.fromkeys(of_flow, "applies to --loss rle and the like; this recipe has its own loss")
        elif self.loss not in WITH_FLOW:
            inapplicable |= dict.fromkeys(of_flow, f"applies to losses with a flow (--loss rle), not to {self.loss}")
        elif self.loss != "rle":
            inapplicable["base"] = f"applies to --loss rle, not to {self.loss}"
        return inapplicable

    def not_comparable(self, other: TrainingRecipe) -> str:
        """Why the watched figure of another recipe cannot be compared with that of this one; empty if it can."""
        for name in self.MEASURED_ON:
            if getattr(self, name) != getattr(other, name):
                return f"figures of different {flag(name)} cannot be compared"
        return ""

    def check_resume(self) -> None:
        """Refuse what has no effect in a resumed run.

        Raises:
            InputError: if a learning rate is to be searched for, which is done before a run starts.
        """
        if self.find_lr:
            raise InputError(
                "--find-lr: searches before a run starts; a resumed one has its learning rate (--lr changes it)"
            )

    def initialised_from(self, checkpoint: str | Path) -> TrainingRecipe:
        """This recipe as a single stage that starts from a checkpoint's weights.

        Raises:
            InputError: if such models do not start from weights.
        """
        raise InputError(f"{type(self).__name__}: its models start from random weights, not from {checkpoint}")

    def loading(self, processes: int = 1, pin: bool = False) -> LoaderOptions:
        """Options of a training loader of so many processes in all; with `pin` for a GPU."""
        workers = worker_processes(self.workers, on_cpu=not pin, processes=max(1, processes // self.num_nodes))
        return {"workers": workers, "seed": self.seed, "pin": pin, "processes": processes}

    def loader(self, data: Any, model: Any, *, training: bool, processes: int = 1, pin: bool = False) -> Any:
        """Batches of the data that `people` made, in the form that the model takes.

        In training they are shuffled and augmented, and each of so many processes gets a share of them. With `pin` they
        are copied to page-locked memory, for a GPU.
        """
        raise NotImplementedError

    def evaluation(self, data: Any, model: Any, loss: losses.LikelihoodLoss | None) -> Evaluator[Any]:
        """The evaluator of the model on a data set."""
        raise NotImplementedError

    def make_loss(self, skeleton: Skeleton) -> losses.PoseLoss:
        """The loss for data with this skeleton.

        Raises:
            InputError: if there is no such combination of `loss`, `base` and `convention`.
        """
        del skeleton  # of some tasks D depends on it
        return self.loss() if callable(self.loss) else self.likelihood(2)

    def likelihood(self, dim: int, **settings: Any) -> losses.LikelihoodLoss:
        """The loss of D dimensions (`dim`) that the fields name, with further arguments of `RLELoss`.

        Raises:
            InputError: if there is no such combination.
        """
        from logpose.flows import RealNVP

        if self.loss not in WITH_FLOW:
            fixed = {"l1": losses.L1Loss, "l2": losses.L2Loss, "laplace": losses.Laplace, "gaussian": losses.Gaussian}
            return fixed[str(self.loss)](dim)
        flow = None if self.flow_hidden == FLOW_HIDDEN else RealNVP(dim, hidden=self.flow_hidden)
        mode: Any = self.loss
        try:
            return losses.RLELoss(flow, dim, self.base, self.convention, mode, **settings)
        except ValueError as error:
            words = f"--loss {mode} --base {self.base} --convention {self.convention}"
            raise InputError(f"{words}: no such loss ({error})") from error

    def report_data(self, train: Any, val: Any) -> None:
        """Report once what the data decide about training and its figures."""

    def check_data(self, train: Any, val: Any, loss: losses.PoseLoss) -> None:
        """Refuse data that this loss cannot learn from, and a `watch` that these data and this loss cannot give.

        Raises:
            InputError: naming the data or the metric.
        """
        ours, theirs = train.skeleton.joints, val.skeleton.joints
        if ours != theirs:
            order = " (the same in another order)" if {*ours} == {*theirs} else ""
            where = getattr(val, "file", "the validation data")
            what = f"other joints than the training data{order}: {difference(theirs, ours)} (counted from 1)"
            raise InputError(f"{where}: {what}")
        if self.watch == "nll" and loss.density is None:
            raise InputError(f"--watch nll: {type(loss).__name__} has no predictive distribution")


def plain_fields(recipe: TrainingRecipe) -> dict[str, Any]:
    """The plain values of a recipe, by name; of a recipe with its own loss without the fields that name one."""
    left_out = {*recipe.OBJECTS, *(("loss", "base", "convention", "flow_hidden") if callable(recipe.loss) else ())}
    return {f.name: getattr(recipe, f.name) for f in fields(recipe) if f.name not in left_out}


def settings(recipe: TrainingRecipe) -> dict[str, Any]:
    """The plain values with nested fields as dictionaries, the form that files and flags hold."""
    plain = plain_fields(recipe)
    return {name: asdict(value) if isinstance(value, Augmentation) else value for name, value in plain.items()}


def plain_recipe(recipe: TrainingRecipe) -> dict[str, Any]:
    """The recipe's name and its plain values, the form that checkpoints and `config.yaml` hold."""
    # Absolute paths: a run may be resumed from another folder.
    plain: dict[str, Any] = json.loads(json.dumps(settings(recipe), default=lambda path: str(Path(path).absolute())))
    return ({"recipe": recipe.name} if recipe.name else {}) | plain


def same_setting(before: Any, now: Any) -> bool:
    """Whether two plain values of a field are the same.

    Files are, if they have one name, for folders may have been moved.
    """
    files = all(isinstance(value, str) and Path(value).is_absolute() for value in (before, now))
    return before == now or (files and Path(before).name == Path(now).name)
