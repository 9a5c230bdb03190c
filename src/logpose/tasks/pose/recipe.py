"""`Recipe`: what a training run of a model of one person's crop needs, and the networks that such recipes build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from torch.utils.data import DataLoader

from logpose.core.errors import InputError
from logpose.core.geometry import PADDING
from logpose.core.skeletons import Skeleton
from logpose.core.space import InSpace
from logpose.core.structures import Batch
from logpose.data import Augmentation, Crops, CropTransform, People, crop_loader
from logpose.data.files import LabelledPeople, annotation_files, open_people
from logpose.losses import LikelihoodLoss, PoseLoss, RLELoss
from logpose.models import (
    HeatmapModel,
    IntegralModel,
    PoseModel,
    RegressionModel,
    create_backbone,
    load_backbone_weights,
)
from logpose.models.backbones import RELEASED_MEAN, RELEASED_STD, Backbone
from logpose.tasks.pose.evaluate import Evaluation, validation_loader
from logpose.training.recipe import TrainingRecipe

__all__ = [
    "PictureRecipe",
    "Recipe",
    "heatmaps",
    "integral",
    "integral_in_space",
    "labelled_people",
    "regression",
    "regression_in_space",
    "regression_with_heatmaps",
    "released_regression",
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
class PictureRecipe(TrainingRecipe):
    """What a run of any model needs that learns from labelled pictures."""

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

    def initialised_from(self, checkpoint: str | Path) -> PictureRecipe:
        """This recipe as a single stage whose weights are a checkpoint's."""
        checkpoint = Path(checkpoint)
        return replace(self, first=None, weights=str(checkpoint))


@dataclass(kw_only=True)
class Recipe(PictureRecipe):
    """Everything that a run of a model of one person's crop needs."""

    people: Callable[[Recipe, str], People] = labelled_people
    """Called with the recipe and "train" or "val": the data set of that part."""
    loss: Callable[[], PoseLoss] = RLELoss
    """Makes the loss."""
    model: Callable[[Recipe, Skeleton, bool], PoseModel] = regression
    """Called with the recipe, the data's skeleton and whether sigma is wanted: the network."""

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
        if not training:
            return validation_loader(data, model, self.batch_size, workers=self.workers, pin=pin)
        transform = CropTransform(data.skeleton, self.size, self.augmentation, self.outside, model.padding)
        return crop_loader(
            Crops(data, transform, self.seed), self.batch_size, training=True, workers=self.workers, seed=self.seed,
            pin=pin, processes=processes,
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
