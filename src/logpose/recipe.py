"""A `Recipe` says everything that one training run needs.

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

from torch.utils.data import DataLoader

from logpose.data import Augmentation, Crops, CropTransform, People, crop_loader
from logpose.data.files import LabelledPeople, annotation_files, open_people
from logpose.evaluation import Evaluation
from logpose.geometry import PADDING
from logpose.losses import LikelihoodLoss, PoseLoss, RLELoss
from logpose.models import (
    HeatmapModel,
    IntegralModel,
    Model,
    PoseModel,
    RegressionModel,
    create_backbone,
    load_backbone_weights,
)
from logpose.models.backbones import RELEASED_MEAN, RELEASED_STD, Backbone
from logpose.skeletons import Skeleton
from logpose.space import InSpace
from logpose.structures import Batch, InputError, Measuring

__all__ = [
    "FIRST",
    "OBJECTS",
    "PictureRecipe",
    "Recipe",
    "TrainingRecipe",
    "heatmaps",
    "integral",
    "integral_in_space",
    "labelled_people",
    "plain_fields",
    "plain_recipe",
    "regression",
    "regression_in_space",
    "regression_with_heatmaps",
    "released_regression",
    "settings",
]

Watch = Literal["ap", "error_px", "nme", "nll", "pck@0.1", "pck_torso@0.2", "pckh@0.5", "mpjpe"]


def labelled_people(recipe: PictureRecipe, part: str) -> LabelledPeople:
    """The people of an annotation file of any format: `recipe.data`, or for validation `recipe.val_data`.

    Raises:
        InputError: if there is no such file, or it cannot be learned from.
    """
    if recipe.data is None:
        raise InputError("this recipe learns from labelled pictures: say which with --data FILE_OR_FOLDER")
    if part == "val" and recipe.val_data is not None:
        return open_people(
            annotation_files(recipe.val_data)["val"], recipe.val_images, recipe.strict, None, recipe.category
        )
    files = annotation_files(recipe.data)
    # One file has to serve for both parts only where no other is named.
    split = part if files["train"] == files["val"] and recipe.val_data is None else None
    images = recipe.images if part == "train" or split else recipe.val_images
    return open_people(files[part], images, recipe.strict, split, recipe.category)


def regression(
    recipe: Recipe, skeleton: Skeleton, predicts_sigma: bool, auxiliary: bool = False, dim: int = 2
) -> PoseModel:
    """The paper's network on the recipe's backbone and weights; what `Recipe.model` is unless said otherwise."""
    backbone, settings = _backbone(recipe, neck=True)
    return RegressionModel(
        backbone, skeleton, recipe.size, dim, predicts_sigma=predicts_sigma, auxiliary=auxiliary, **settings
    )


def regression_in_space(recipe: Recipe, skeleton: Skeleton, predicts_sigma: bool) -> PoseModel:
    """The same with depth as a third dimension, for `MixedRLELoss`, or L1 and the like of that dimension."""
    return regression(recipe, skeleton, predicts_sigma, dim=3)


def regression_with_heatmaps(recipe: Recipe, skeleton: Skeleton, predicts_sigma: bool) -> PoseModel:
    """The same, with maps drawn beside while it trains, for a loss `WithHeatmaps` (Table 14)."""
    return regression(recipe, skeleton, predicts_sigma, auxiliary=True)


def released_regression(recipe: Recipe, skeleton: Skeleton, predicts_sigma: bool, dim: Literal[2, 3] = 2) -> PoseModel:
    """The released code's network: features of length 1 before mu, its own pixel normalisation."""
    backbone, settings = _backbone(recipe, neck=True)
    settings |= {"pixel_mean": RELEASED_MEAN, "pixel_std": RELEASED_STD[dim], "unit_features": True}
    return RegressionModel(backbone, skeleton, recipe.size, dim, predicts_sigma=predicts_sigma, **settings)


def heatmaps(recipe: Recipe, skeleton: Skeleton, _: bool) -> PoseModel:
    """SimplePose on a ResNet, or the HRNet of a name; for `HeatmapLoss`."""
    backbone, settings = _backbone(recipe, neck=False)
    return HeatmapModel(backbone, skeleton, recipe.size, **settings)


def integral(
    recipe: Recipe,
    skeleton: Skeleton,
    predicts_sigma: bool,
    normalisation: Literal["softmax", "sigmoid"] = "softmax",
    dim: int = 2,
) -> PoseModel:
    """Integral Pose for L1 and the like; for losses that learn sigma, that too: on an HRNet the paper's HRNet + RLE."""
    backbone, settings = _backbone(recipe, neck=predicts_sigma)
    return IntegralModel(
        backbone, skeleton, recipe.size, dim, predicts_sigma=predicts_sigma, normalisation=normalisation, **settings
    )


def integral_in_space(recipe: Recipe, skeleton: Skeleton, predicts_sigma: bool) -> PoseModel:
    """The same with depth as a third dimension."""
    return integral(recipe, skeleton, predicts_sigma, dim=3)


def _backbone(recipe: Recipe, neck: bool) -> tuple[Backbone, dict[str, Any]]:
    """The recipe's backbone with its weights, and what else every model is told."""
    backbone = create_backbone(recipe.backbone, recipe.size, neck)
    load_backbone_weights(backbone, recipe.weights)
    # A backbone whose weights were made with other channel statistics than ImageNet's says so.
    pixels = {name: getattr(backbone, name) for name in ("pixel_mean", "pixel_std") if hasattr(backbone, name)}
    return backbone, {"padding": recipe.padding, **pixels}


@dataclass(kw_only=True)
class TrainingRecipe:
    """What a training run of any kind needs; each kind adds what its data and networks do."""

    people: Callable[[Any, str], Any]
    """Called with the recipe and "train" or "val": the data set of that part; it has a `skeleton`."""
    loss: Callable[..., PoseLoss]
    """Makes the loss."""
    model: Callable[[Any, Skeleton, bool], Model]
    """Called with the recipe, the data's skeleton and whether sigma is wanted: the network."""
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

    def idle(self) -> dict[str, str]:
        """Plain fields that change nothing as the others are, and why: as flags they are refused."""
        idle = {}
        for name, flag, value in (
            ("milestones", "schedule", "step"),
            ("decay", "schedule", "exponential"),
            ("momentum", "optimizer", "sgd"),
        ):
            if getattr(self, flag) != value:
                idle[name] = f"about --{flag} {value}, and this is {getattr(self, flag)}"
        if self.steps:
            idle["epochs"] = "how long to train is told by --steps (0: by --epochs)"
        if not self.warmup_steps and self.schedule != "one_cycle":
            idle["warmup_start"] = "about the first steps, and without --warmup_steps they are as the others"
        return idle

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

    def evaluation(self, data: Any, model: Any, loss: LikelihoodLoss | None) -> Measuring:
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


@dataclass(kw_only=True)
class PictureRecipe(TrainingRecipe):
    """What a run of any model needs that learns from labelled pictures."""

    first: Callable[[Any], Any] | None = None
    """Called with this recipe: one that is carried out before it, and from whose weights it starts."""

    data: Path | None = None
    """Annotation file, or a folder with annotations and images."""
    val_data: Path | None = None
    """The same for validation; unless given, the validation part of `data`, or every tenth image held out."""
    images: Path | None = None
    """Folder of the images of `data`, where it is not in the usual place beside it."""
    val_images: Path | None = None
    """The same for the validation data, where they are in a file of their own."""
    strict: bool = False
    """Refuse data with wrong rows instead of leaving those out."""
    category: str | None = None
    """Of a COCO file in which several categories have joints of their own: the name of the one to learn from."""
    backbone: str = "resnet50"
    """resnet18, 34, 50, 101 or 152, hrnet_w32 or 48, or timm/NAME."""
    weights: str = "imagenet"
    """What the backbone starts from (--backbone-from too): imagenet, random, or weights or a checkpoint, of which it is
    taken alone, as a file, an address, hf://OWNER/NAME/FILE."""


@dataclass(kw_only=True)
class Recipe(PictureRecipe):
    """Everything that a run of a model of one person's crop needs."""

    people: Callable[[Recipe, str], People] = labelled_people
    """Called with the recipe and "train" or "val": the data set of that part."""
    loss: Callable[[], PoseLoss] = RLELoss
    """Makes the loss."""
    model: Callable[[Recipe, Skeleton, bool], PoseModel] = regression
    """Called with the recipe, the data's skeleton and whether sigma is wanted: the network."""
    first: Callable[[Recipe], Recipe] | None = None
    """Called with this recipe: one that is carried out before it, and whose backbone it starts from."""

    size: tuple[int, int] = (256, 192)
    """Height and width of the crops, in pixels."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """How training crops are varied."""
    padding: float = PADDING
    """How much larger than a person's box the region is that a crop shows."""
    outside: Literal["supervise", "mask"] = "supervise"
    """Joints outside the crop: learn to extrapolate to them, or leave them out."""
    watch: Watch = "ap"
    """The validation figure that decides which checkpoint is the best."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.padding > 0 and min(self.size) >= 32):
            raise InputError(
                f"padding must be above 0 and size 32 pixels or more, got {self.padding:g} and {self.size}"
            )

    def loader(
        self, data: People, model: PoseModel, *, training: bool, processes: int = 1, pin: bool = False
    ) -> DataLoader[Batch]:
        """Batches of crops, varied by the recipe's augmentation in training."""
        transform = CropTransform(data.skeleton, self.size, padding=model.padding)
        if training:
            transform.augmentation, transform.outside = self.augmentation, self.outside
        return crop_loader(
            Crops(data, transform, self.seed), self.batch_size, training=training, workers=self.workers,
            seed=self.seed, pin=pin, processes=processes,
        )  # fmt: skip

    def evaluation(self, data: People, model: PoseModel, loss: LikelihoodLoss | None) -> Evaluation:
        """Every figure of 2-D and 3-D pose."""
        return Evaluation(data, model, loss)

    def check_data(self, train: People, val: People, loss: PoseLoss) -> None:
        """As of any recipe; PCKh needs heads, PCK by torso shoulders and hips, MPJPE joints in space and depths."""
        super().check_data(train, val, loss)
        missing = ""
        if self.watch.startswith("pckh") and getattr(val, "head_sizes", None) is None:
            missing = "head boxes (MPII's joints, and mpii_gt_val.mat or gt_valid.mat of as many people beside them)"
        if self.watch.startswith("pck_torso") and not val.skeleton.torso:
            missing = "shoulders and hips"
        if self.watch == "mpjpe" and not isinstance(val, InSpace):
            missing = "joints in space"
        if self.watch == "mpjpe" and loss.density is not None and loss.density.dim != 3:
            raise InputError(f"a {type(loss).__name__} of {loss.density.dim} dimensions has no mpjpe to --watch")
        if missing:
            where = getattr(val, "file", "the validation data")
            raise InputError(f"{where}: has no {missing} to measure {self.watch} by; give --watch another figure")


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
