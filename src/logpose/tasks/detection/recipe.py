"""What a run of a model needs that finds people by itself, in whole pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch.utils.data import DataLoader

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Scoring
from logpose.data.image_sets import ImageSet, whole_images
from logpose.data.scenes import SceneBatch, Scenes, SceneTransform, ShortSide, SquareCrop, scene_loader
from logpose.losses import CellLoss, LikelihoodLoss, PoseLoss, RLELoss
from logpose.models import Detector, PointSetAnchors, PointSetOptions, create_backbone, load_backbone_weights
from logpose.models.mask_rcnn import MaskRCNN, MaskRCNNOptions, learns_normalisation, load_mask_rcnn_weights
from logpose.tasks.detection.evaluate import DetectionEvaluation, validation_loader
from logpose.tasks.pose.recipe import PictureRecipe, labelled_people

__all__ = ["DetectionRecipe", "MaskRCNNRecipe", "PointSetRecipe", "labelled_pictures", "mask_rcnn", "point_set"]


def labelled_pictures(recipe: DetectionRecipe, part: str) -> ImageSet:
    """The pictures of an annotation file of any format, with everybody in them: see `recipe.labelled_people`."""
    return whole_images(labelled_people(recipe, part))


@dataclass(kw_only=True)
class DetectionRecipe(PictureRecipe):
    """Everything that a run of a detector needs."""

    people: Callable[[Any, str], ImageSet] = labelled_pictures
    """Called with the recipe and "train" or "val": the pictures of that part."""
    loss: Callable[[], PoseLoss] = RLELoss
    """Makes the loss of joints; those of boxes are the model's own."""
    model: Callable[[Any, Skeleton, bool], Detector]
    """Called with the recipe, the data's skeleton and whether sigma is wanted: the network."""

    view: Literal["whole", "square"] = "whole"
    """What is learned from: whole pictures, or squares around people."""
    short: tuple[int, ...] = (640, 672, 704, 736, 768, 800)
    """Of whole pictures in training: pixels of the short side, one of which is drawn."""
    test_short: int = 800
    """The same in evaluation."""
    longest: int = 1333
    """Pixels that the long side may have."""
    square: int = 640
    """Pixels of the sides of squares."""
    scale: tuple[float, float] = (0.5, 1.5)
    """Of squares: least and greatest factor by which pictures are enlarged, …"""
    scale_of: Literal["picture", "test"] = "picture"
    """… as they are (published, for COCO's, which are of one size), or as evaluation sees them."""
    flip: float = 0.5
    """How often a picture is mirrored in training."""
    empty: bool = False
    """Learn from pictures too in which nobody is labelled."""
    outside: Literal["supervise", "mask"] = "supervise"
    """Joints outside a proposal's box: learn to extrapolate to them, or leave them out."""
    score: Scoring = "box"
    """Of a person, in validation: the box's alone, or with what is said of the joints, see `person_scores`."""
    batch_size: int = 16
    """Pictures in a batch, on each device."""
    optimizer: Literal["adam", "adamw", "amsgrad", "sgd"] = "adamw"
    """Adam; adamw: with decoupled weight decay; amsgrad: with steps that never grow back; sgd: with momentum."""
    lr: float = 1e-4
    """Highest learning rate."""
    gradient_clip: float = 0.0
    """Norm above which a step is shortened; 0 never: the joints' gradient is by far the longest at first, and
    shortened it would leave classes and boxes nothing."""
    flip_test: bool = False
    """Detectors have none."""
    precision: str = "32-true"
    """Lightning's precision (32-true, bf16-mixed, 16-mixed, …)."""
    watch: Literal["ap", "error_px", "nll"] = "ap"
    """The validation figure that decides which checkpoint is the best."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.flip_test:
            raise InputError("detectors have no flip test: leave --flip_test away")
        self.transform()  # refuses what is none
        if not 32 <= self.test_short <= self.longest:
            raise InputError(f"test_short must be 32 pixels or more and at most longest, got {self.test_short}")

    def inapplicable(self) -> dict[str, str]:
        """As of any recipe; what is about the other view."""
        of = dict.fromkeys(("square", "scale", "scale_of"), "about --view square") | {"short": "about --view whole"}
        inapplicable = {
            name: f"{why}, and this is {self.view}" for name, why in of.items() if not why.endswith(self.view)
        }
        if self.loss is CellLoss:
            inapplicable["outside"] = "about a head that regresses, and maps hold no joint outside their region"
        return super().inapplicable() | inapplicable

    def transform(self) -> SceneTransform:
        """How pictures become inputs in training."""
        if self.view == "square":
            after = ShortSide((self.test_short,), self.longest) if self.scale_of == "test" else None
            return SquareCrop(self.square, self.scale, self.flip, after)
        return ShortSide(self.short, self.longest, self.flip)

    def check_data(self, train: ImageSet, val: ImageSet, loss: PoseLoss) -> None:
        """As of any recipe; a score by OKS needs a spread."""
        super().check_data(train, val, loss)
        density = loss.density
        # The scale of one that learns no sigma is known once it has seen errors.
        known = density is not None and (
            not density.learns_sigma or bool(density.error_distribution().std.isfinite().all())
        )
        if self.score == "oks" and not known:
            raise InputError(f"{type(loss).__name__} tells no spread of errors, which --score oks is about")

    def loader(
        self, data: ImageSet, model: Detector, *, training: bool, processes: int = 1, pin: bool = False
    ) -> DataLoader[SceneBatch]:
        """Batches of pictures, varied in training; those in which nobody is labelled are in evaluation always."""
        if not training:
            return validation_loader(data, model, self.batch_size, workers=self.workers, pin=pin)
        scenes = Scenes(data, self.transform(), self.seed, training=True, empty=self.empty)
        return scene_loader(
            scenes, self.batch_size, training=True, workers=self.workers, seed=self.seed, pin=pin, processes=processes,
        )  # fmt: skip

    def evaluation(self, data: ImageSet, model: Detector, loss: LikelihoodLoss | None) -> DetectionEvaluation:
        """Average precision, and how well those who were found are posed."""
        return DetectionEvaluation(data, model, loss, self.score)


@dataclass(kw_only=True)
class MaskRCNNRecipe(DetectionRecipe):
    """Everything that a run of Mask R-CNN needs."""

    backbone: str = "resnet50"
    """resnet18, 34, 50, 101 or 152."""
    weights: str = "imagenet"
    """What the network starts from: imagenet (of the backbone), random, coco (torchvision's keypoint R-CNN, of a
    resnet50), or a file, an address or hf://OWNER/NAME/FILE: the same network, or a backbone."""


def mask_rcnn(
    recipe: MaskRCNNRecipe,
    skeleton: Skeleton,
    predicts_sigma: bool,
    head: Literal["regression", "heatmap"] = "regression",
    options: MaskRCNNOptions | None = None,
) -> MaskRCNN:
    """Mask R-CNN on the recipe's backbone and weights; from random ones on its normalisation learns."""
    options = replace(options or MaskRCNNOptions(), outside=recipe.outside)
    if options.frozen is None:
        options = replace(options, frozen=not learns_normalisation(recipe.weights))
    model = MaskRCNN(skeleton, recipe.backbone, head, predicts_sigma, recipe.test_short, recipe.longest, options)
    load_mask_rcnn_weights(model, recipe.weights)
    return model


@dataclass(kw_only=True)
class PointSetRecipe(DetectionRecipe):
    """Everything that a run of point-set anchors needs."""

    def inapplicable(self) -> dict[str, str]:
        """As of any detector; what is about boxes that are proposed."""
        return super().inapplicable() | {
            "outside": "about the boxes that Mask R-CNN proposes, and these are anchors of poses"
        }


def point_set(
    recipe: DetectionRecipe, skeleton: Skeleton, predicts_sigma: bool, options: PointSetOptions | None = None
) -> PointSetAnchors:
    """Point-set anchors on the recipe's backbone and weights."""
    size = (recipe.test_short, recipe.test_short)
    backbone = create_backbone(recipe.backbone, size, neck=False, all_branches=True)
    load_backbone_weights(backbone, recipe.weights)
    # A backbone whose weights were made with other channel statistics than ImageNet's says so.
    pixels: dict[str, Any] = {
        name: getattr(backbone, name) for name in ("pixel_mean", "pixel_std") if hasattr(backbone, name)
    }
    return PointSetAnchors(
        backbone, skeleton, predicts_sigma, options, recipe.test_short, recipe.longest, **pixels
    )  # fmt: skip
