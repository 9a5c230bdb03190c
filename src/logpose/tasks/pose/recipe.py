"""`Recipe`: the settings of a training run of a model of one person's crop, and the networks that it builds."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from logpose import losses, models
from logpose.core.errors import InputError
from logpose.core.samples import VISIBLE
from logpose.core.skeletons import Skeleton
from logpose.core.space import InSpace
from logpose.data import Augmentation
from logpose.tasks.image_recipe import ImageRecipe, PretrainedRecipe, labelled_people
from logpose.training.recipe import TrainingRecipe

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from logpose.core.structures import Batch
    from logpose.data import People
    from logpose.models.backbone import FeatureExtractor
    from logpose.tasks.pose.evaluate import Evaluation

__all__ = [
    "H36mRecipe",
    "Recipe",
    "attention",
    "heatmaps",
    "integral",
    "network",
    "people_in_space",
    "regression",
    "released_regression",
]

log = logging.getLogger("logpose")

Watch = Literal["ap", "error_px", "nme", "nll", "pck@0.1", "pck_torso@0.2", "pckh@0.5", "mpjpe"]


def people_in_space(recipe: H36mRecipe, part: str) -> People:
    """Human3.6M's people; for training, as many people of MPII as well if `recipe.mpii` is given.

    Raises:
        InputError: if there is no such file, it cannot be used for training, or it has no 3-D joints.
    """
    from logpose.data.files import annotation_files, open_people
    from logpose.data.h36m import MixedPeople

    people = labelled_people(recipe, part)
    if not isinstance(people, InSpace):
        raise InputError(f"{people.file}: has no 3-D joints (images with cam_param, annotations in world coordinates)")
    if part != "train" or recipe.mpii is None:
        return people
    plane = open_people(annotation_files(recipe.mpii)["train"], recipe.mpii_images, recipe.strict)
    return MixedPeople(people, plane, seed=recipe.seed)


def network(recipe: Recipe, skeleton: Skeleton, predicts_sigma: bool) -> models.PoseModel:
    """The network that `recipe.head` names, on the recipe's backbone and weights."""
    if recipe.head == "heatmap":
        return heatmaps(recipe, skeleton, predicts_sigma)
    if recipe.head == "integral":
        return integral(recipe, skeleton, predicts_sigma, recipe.normalisation)
    if recipe.head == "attention":
        return attention(recipe, skeleton, predicts_sigma)
    return regression(recipe, skeleton, predicts_sigma, auxiliary=recipe.auxiliary_weight > 0)


def regression(recipe: Recipe, skeleton: Skeleton, predicts_sigma: bool, auxiliary: bool = False) -> models.PoseModel:
    """The paper's network: average pooling and one linear layer.

    Args:
        recipe: its backbone, weights, size and dim.
        skeleton: the joints.
        predicts_sigma: whether sigma is predicted beside mu.
        auxiliary: whether heatmaps are predicted while it trains, for the loss `WithHeatmaps` (Table 14).
    """
    backbone, settings = _backbone(recipe, neck=True)
    settings |= {"predicts_sigma": predicts_sigma, "auxiliary": auxiliary, **recipe.beside_sigma(predicts_sigma)}
    return models.RegressionModel(backbone, skeleton, recipe.size, recipe.dim, **settings)


def released_regression(recipe: Recipe, skeleton: Skeleton, predicts_sigma: bool) -> models.PoseModel:
    """The released code's network: features of length 1 before mu, its own pixel normalisation."""
    from logpose.models.backbones import RELEASED_MEAN, RELEASED_STD

    backbone, settings = _backbone(recipe, neck=True)
    settings |= {"pixel_mean": RELEASED_MEAN, "pixel_std": RELEASED_STD[recipe.dim], "unit_features": True}
    return models.RegressionModel(
        backbone, skeleton, recipe.size, recipe.dim, predicts_sigma=predicts_sigma, **settings
    )


def attention(recipe: Recipe, skeleton: Skeleton, predicts_sigma: bool) -> models.PoseModel:
    """Regression from the features that each joint attends to."""
    backbone, settings = _backbone(recipe, neck=False, fine=True)
    settings |= {"auxiliary": recipe.auxiliary_weight > 0, **recipe.beside_sigma(predicts_sigma)}
    return models.AttentionModel(backbone, skeleton, recipe.size, recipe.dim, predicts_sigma, **settings)


def heatmaps(recipe: Recipe, skeleton: Skeleton, _: bool) -> models.PoseModel:
    """SimplePose on a ResNet, or the HRNet of a name; for `HeatmapLoss`."""
    backbone, settings = _backbone(recipe, neck=False)
    return models.HeatmapModel(backbone, skeleton, recipe.size, **settings)


def integral(
    recipe: Recipe,
    skeleton: Skeleton,
    predicts_sigma: bool,
    normalisation: Literal["softmax", "sigmoid"] = "softmax",
) -> models.PoseModel:
    """Integral Pose for L1 and the like; with sigma, for losses that learn it: on an HRNet the paper's HRNet + RLE."""
    backbone, settings = _backbone(recipe, neck=predicts_sigma)
    return models.IntegralModel(
        backbone, skeleton, recipe.size, recipe.dim, predicts_sigma=predicts_sigma, normalisation=normalisation,
        **settings,
    )  # fmt: skip


def _backbone(recipe: Recipe, neck: bool, fine: bool = False) -> tuple[FeatureExtractor, dict[str, Any]]:
    """The recipe's backbone with its weights, and the further arguments that all models take."""
    backbone = models.create_backbone(recipe.backbone, recipe.size, neck, fine=fine)
    models.load_backbone_weights(backbone, recipe.weights)
    # A backbone whose weights were trained with other channel statistics than ImageNet's has them as attributes.
    pixels = {name: getattr(backbone, name) for name in ("pixel_mean", "pixel_std") if hasattr(backbone, name)}
    return backbone, {"padding": recipe.padding, **pixels}


@dataclass(kw_only=True)
class Recipe(PretrainedRecipe):
    """The settings of a training run of a model of one person's crop."""

    task: ClassVar[str] = "pose"

    people: Callable[[Any, str], People] = labelled_people
    """Called with the recipe and "train" or "val": the data set of that part."""
    model: Callable[[Any, Skeleton, bool], models.PoseModel] = network
    dim: Literal[2, 3] = 2
    """D of the joints; 3 with depth."""

    depth: bool = False
    """Keypoints of the data are x, y, z, v, with the depth z in millimetres, relative to the root joint or not; joints
    are predicted in three dimensions."""
    head: Literal["regression", "attention", "heatmap", "integral"] = "regression"
    """regression: mu and sigma by a linear layer, as in the paper; attention: from the features that each joint attends
    to; heatmap: SimplePose, with the heatmap loss; integral: mu by a heatmap's mean."""
    normalisation: Literal["softmax", "sigmoid"] = "softmax"
    """With --head integral: how maps are normalised; sigmoid has a confidence."""
    visibility: bool = False
    """With --head regression or attention: predict the probability that a joint is labelled as visible (COCO's v = 2),
    not hidden or without a label."""
    covariance: Literal["diagonal", "full"] = "diagonal"
    """With --head regression or attention, in two dimensions: full: also predict the correlation of errors along x and
    y, so that regions are ellipses in any direction."""
    auxiliary: float | None = None
    """Weight of an auxiliary loss in training; 0: none. With --head regression, on heatmaps (Table 14), none unless
    given; with --head attention, on where attention is, 1 unless given."""
    size: tuple[int, int] = (256, 192)
    """Height and width of the crops, in pixels."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Augmentation of training crops."""
    padding: float = 1.25
    """Side of the crop's region as a multiple of the person's box."""
    outside: Literal["supervise", "mask"] = "supervise"
    """Joints outside the crop: supervise: train on them; mask: leave them out."""
    watch: Watch = "error_px"
    flip_test: bool | None = None
    """In validation, average the predictions for the input and its mirror image; unless given, where left and right
    joints are known."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth:
            self.dim = 3
        if not (self.padding > 0 and min(self.size) >= 32 and self.auxiliary_weight >= 0):
            raise InputError(
                "--padding must be above 0, --size 32 pixels or more and --auxiliary 0 or more, got "
                f"{self.padding:g}, {self.size} and {self.auxiliary_weight:g}"
            )
        if self.head == "heatmap" and self.dim == 3:
            raise InputError("--head heatmap: heatmaps have no depth; --head integral predicts 3-D joints")

    @property
    def auxiliary_weight(self) -> float:
        """`auxiliary`, or what it is unless given."""
        return self.auxiliary if self.auxiliary is not None else float(self.head == "attention")

    def beside_sigma(self, predicts_sigma: bool) -> dict[str, bool]:
        """Arguments of networks that predict more than mu and sigma.

        Raises:
            InputError: if a covariance is asked of a loss that learns no sigma, or in three dimensions.
        """
        full = self.covariance == "full"
        if full and not (predicts_sigma and self.dim == 2):
            raise InputError(
                "--covariance full: needs a loss that learns sigma (rle, laplace, gaussian), and 2-D joints"
            )
        if full and not callable(self.loss) and self.convention in ("released", "mmpose"):
            raise InputError(f"--covariance full: --convention {self.convention} has no correlation; take normalized")
        return {"visibility": self.visibility, "correlated": full}

    def mirroring(self) -> dict[str, float | bool | None]:
        """Those of augmentation and validation."""
        probability = self.augmentation.flip_probability
        return {"--augmentation.flip-probability 0.5": probability, "--flip-test": self.flip_test}

    def heatmap_stage(self) -> Recipe:
        """SimplePose on the same data and backbone, for 140 of 270 epochs (or steps).

        As in a reproduction that reaches the paper's figure; the learning rate falls where it does in Xiao et al. 2018.
        """
        epochs, steps = max(1, round(self.epochs * 140 / 270)), round(self.steps * 140 / 270)
        milestones = (round((steps or epochs) * 90 / 140), round((steps or epochs) * 120 / 140))
        watch: Watch = "error_px" if self.watch == "nll" else self.watch  # heatmaps have no predictive distribution
        return replace(
            self, first=None, pretrain="none", model=network, head="heatmap", loss="rle", epochs=epochs,
            steps=steps, milestones=milestones, watch=watch,
        )  # fmt: skip

    def inapplicable(self) -> dict[str, str]:
        """As for any recipe; what belongs to another head, or to a network that the recipe does not build."""
        inapplicable = super().inapplicable()
        if self.people is not labelled_people:
            inapplicable["depth"] = "applies to COCO files with keypoints x, y, z, v; this recipe has its own data"
        if self.model is not network:
            own = "applies to the heads of `logpose`; this recipe builds its own network"
            return inapplicable | dict.fromkeys(("head", "normalisation", "auxiliary", "visibility", "covariance"), own)
        read = dict.fromkeys(("auxiliary", "visibility", "covariance"), ("regression", "attention"))
        for name, heads in ({"normalisation": ("integral",)} | read).items():
            if self.head not in heads:
                inapplicable[name] = f"applies to --head {' and '.join(heads)}, not to {self.head}"
        if self.head == "heatmap":
            own = "applies to heads that predict coordinates; --head heatmap has the heatmap loss"
            inapplicable |= dict.fromkeys(("loss", "base", "convention", "flow_hidden"), own)
            inapplicable["pretrain"] = "applies to heads that predict coordinates, not to --head heatmap itself"
        if self.dim == 3:
            inapplicable["pretrain"] = "applies to 2-D pose: heatmaps have no depth"
        return inapplicable

    def not_comparable(self, other: TrainingRecipe) -> str:
        """As for any recipe; the likelihood is in units of the crop's region, which its shape and padding decide.

        All other figures are in pixels of the original images, or relative to people.
        """
        why = super().not_comparable(other)
        if why or self.watch != "nll" or not isinstance(other, Recipe):
            return why
        (height, width), (others, across) = self.size, other.size
        if self.padding != other.padding or height * across != width * others:
            return "nll depends on the crop's padding and aspect ratio: watch another figure"
        return ""

    def make_loss(self, skeleton: Skeleton) -> losses.PoseLoss:
        """The loss that the fields `loss`, `head` and `auxiliary` name."""
        if callable(self.loss):
            return super().make_loss(skeleton)
        if self.head == "heatmap" and self.model is network:
            return losses.HeatmapLoss()
        loss = self.likelihood(self.dim)
        if self.dim == 3 and isinstance(loss, losses.RLELoss):
            plane = self.likelihood(2)
            assert isinstance(plane, losses.RLELoss)
            loss = losses.MixedRLELoss(loss, plane)
        if not self.auxiliary_weight or self.head not in ("regression", "attention"):
            return loss
        return losses.WithHeatmaps(loss, self.auxiliary_weight, cells=self.head == "attention")

    def loader(
        self, data: People, model: models.PoseModel, *, training: bool, processes: int = 1, pin: bool = False
    ) -> DataLoader[Batch]:
        """Batches of crops, augmented in training."""
        from logpose.data import Crops, CropTransform, crop_loader
        from logpose.tasks.pose.evaluate import validation_loader

        loading = self.loading(processes, pin)
        if not training:
            return validation_loader(data, model, self.batch_size, workers=loading["workers"], pin=pin)
        transform = CropTransform(data.skeleton, self.size, self.augmentation, self.outside, model.padding)
        return crop_loader(Crops(data, transform, self.seed), self.batch_size, training=True, **loading)

    def evaluation(self, data: People, model: models.PoseModel, loss: losses.LikelihoodLoss | None) -> Evaluation:
        """The evaluator of 2-D and 3-D pose."""
        from logpose.tasks.pose.evaluate import Evaluation

        return Evaluation(data, model, loss)

    def check_data(self, train: People, val: People, loss: losses.PoseLoss) -> None:
        """As for any recipe; PCKh needs head boxes, PCK by torso shoulders and hips, MPJPE 3-D joints and a 3-D loss.

        Raises:
            InputError: naming the file and the metric.
        """
        super().check_data(train, val, loss)
        if self.visibility:
            seen = {int(flag) for row in range(len(train)) for flag in train[row].visible}
            if not (VISIBLE in seen and len(seen) > 1):
                where = getattr(train, "file", "the training data")
                raise InputError(
                    f"{where}: --visibility needs joints that are labelled as visible, and others (v = 0, 1)"
                )
        missing = ""
        if self.watch.startswith("pckh") and getattr(val, "head_sizes", None) is None:
            missing = "head boxes (MPII's joints, and mpii_gt_val.mat or gt_valid.mat of as many people beside them)"
        if self.watch.startswith("pck_torso") and not val.skeleton.torso:
            missing = "shoulders and hips"
        if self.watch == "mpjpe" and not isinstance(val, InSpace):
            missing = "3-D joints"
        if self.watch == "mpjpe" and loss.density is not None and loss.density.dim != 3:
            raise InputError(f"--watch mpjpe: {type(loss).__name__} has {loss.density.dim} dimensions, not 3")
        if missing:
            where = getattr(val, "file", "the validation data")
            raise InputError(f"{where}: has no {missing}, which --watch {self.watch} needs; choose another metric")


@dataclass(kw_only=True)
class H36mRecipe(Recipe):
    """The settings of a run on people with 3-D joints, and on others with 2-D joints beside them."""

    people: Callable[[Any, str], People] = people_in_space
    dim: Literal[2, 3] = 3
    """D of the joints."""

    mpii: Path | None = None
    """People with 2-D joints to train on as well: an annotation file of MPII (or COCO), or a folder with it."""
    mpii_images: Path | None = None
    """Folder of their images, if it is not in the usual place."""

    def inapplicable(self) -> dict[str, str]:
        """As for any recipe; the folder of the second data set's images if there is no second data set."""
        own = {} if self.mpii else {"mpii_images": "applies to the images of --mpii, which is not given"}
        return super().inapplicable() | own


def _in_space(model: Callable[..., models.PoseModel]) -> Callable[[Recipe, Skeleton, bool], models.PoseModel]:
    return lambda recipe, skeleton, predicts_sigma: model(replace(recipe, dim=3), skeleton, predicts_sigma)


RENAMED: dict[str, Any] = {
    "PictureRecipe": (ImageRecipe, "ImageRecipe"),
    "regression_in_space": (_in_space(regression), "Recipe(dim=3)"),
    "integral_in_space": (_in_space(integral), 'Recipe(head="integral", dim=3)'),
    "regression_with_heatmaps": (
        lambda recipe, skeleton, predicts_sigma: regression(recipe, skeleton, predicts_sigma, auxiliary=True),
        "Recipe(auxiliary=1.0)",
    ),
}
"""Names of version 0.1, what they stand for, and what to write instead."""


def __getattr__(name: str) -> Any:
    if name not in RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value, instead = RENAMED[name]
    warnings.warn(f"{name} will be removed: write {instead}", DeprecationWarning, stacklevel=2)
    return value
