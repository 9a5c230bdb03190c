"""`MaskRCNNRecipe` and `PointSetRecipe`: the settings of a training run of a detector of people and their joints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from logpose import losses, models
from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.data.augmentation import SceneTransform, ShortSide, SquareCrop
from logpose.models import MaskRCNNOptions, PointSetOptions
from logpose.tasks.image_recipe import ImageRecipe, PretrainedRecipe, labelled_people
from logpose.tasks.options import Score

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from logpose.data.image_sets import ImageSet
    from logpose.data.scenes import SceneBatch
    from logpose.tasks.detection.evaluate import DetectionEvaluation

__all__ = ["DetectionRecipe", "MaskRCNNRecipe", "PointSetRecipe", "labelled_images", "mask_rcnn", "point_set"]


def labelled_images(recipe: DetectionRecipe, part: str) -> ImageSet:
    """The images of an annotation file of any format, with all their people: see `labelled_people`."""
    from logpose.data.image_sets import whole_images

    return whole_images(labelled_people(recipe, part))


@dataclass(kw_only=True)
class DetectionRecipe(ImageRecipe):
    """The settings of a training run of a detector."""

    task: ClassVar[str] = "detection"

    people: Callable[[Any, str], ImageSet] = labelled_images
    """Called with the recipe and "train" or "val": the images of that part."""
    model: Callable[[Any, Skeleton, bool], models.Detector]

    view: Literal["whole", "square"] = "whole"
    """Training inputs: whole images, or squares around people."""
    short: tuple[int, ...] = (640, 672, 704, 736, 768, 800)
    """With --view whole: lengths of the short side in pixels, one of which is chosen at random."""
    test_short: int = 800
    """Length of the short side in evaluation, in pixels."""
    longest: int = 1333
    """Maximum length of the long side, in pixels."""
    square: int = 640
    """With --view square: side of the squares, in pixels."""
    scale: tuple[float, float] = (0.5, 1.5)
    """With --view square: range of the random scale."""
    scale_of: Literal["picture", "test"] = "picture"
    """With --view square: what is scaled: the image as it is (published), or as evaluation resizes it."""
    flip: float | None = None
    """Probability that a training image is mirrored; unless given, 0.5 where left and right joints are known."""
    empty: bool = False
    """Train on images without labelled people as well."""
    outside: Literal["supervise", "mask"] = "supervise"
    """Joints outside a proposal's box: supervise: train on them; mask: leave them out."""
    score: Score = "box"
    """Score of a person in validation: the box's alone, or combined with the joints', see `person_scores`."""
    batch_size: int = 16
    """Images in a batch, per device."""
    optimizer: Literal["adam", "adamw", "amsgrad", "sgd"] = "adamw"
    lr: float = 1e-4
    gradient_clip: float = 0.0
    """Maximum norm of the gradient; 0: no clipping (the joints' gradient dominates at first: clipped, it would leave
    classes and boxes none)."""
    flip_test: bool | None = False
    """Detectors have no flip test."""
    precision: str = "32-true"
    """Lightning's precision (32-true, bf16-mixed, 16-mixed, …)."""
    watch: Literal["ap", "error_px", "nll"] = "ap"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.flip_test:
            raise InputError("--flip-test: detectors have no flip test")
        self.transform()  # raises if there is no such transform
        if not 32 <= self.test_short <= self.longest:
            raise InputError(f"test_short must be 32 pixels or more and at most longest, got {self.test_short}")

    def inapplicable(self) -> dict[str, str]:
        """As for any recipe; fields of the other view."""
        other = {"whole": ("square", "scale", "scale_of"), "square": ("short",)}[self.view]
        view = {"whole": "square", "square": "whole"}[self.view]
        return super().inapplicable() | dict.fromkeys(other, f"applies to --view {view}, not to {self.view}")

    def transform(self) -> SceneTransform:
        """The transform from images to training inputs."""
        if self.view == "square":
            after = ShortSide((self.test_short,), self.longest) if self.scale_of == "test" else None
            return SquareCrop(self.square, self.scale, self.flip, after)
        return ShortSide(self.short, self.longest, self.flip)

    def mirroring(self) -> dict[str, float | bool | None]:
        """That of augmentation; there is no flip test."""
        return {"--flip 0.5": self.flip}

    def check_data(self, train: ImageSet, val: ImageSet, loss: losses.PoseLoss) -> None:
        """As for any recipe; a score by OKS needs a predicted standard deviation.

        Raises:
            InputError: naming the metric or the score.
        """
        super().check_data(train, val, loss)
        density = loss.density
        # Without a learned sigma the scale is estimated from training errors.
        known = density is not None and (
            not density.learns_sigma or bool(density.error_distribution().std.isfinite().all())
        )
        if self.score == "oks" and not known:
            raise InputError(f"--score oks: {type(loss).__name__} has no standard deviation of errors")

    def loader(
        self, data: ImageSet, model: models.Detector, *, training: bool, processes: int = 1, pin: bool = False
    ) -> DataLoader[SceneBatch]:
        """Batches of images, augmented in training; evaluation includes those without labelled people."""
        from logpose.data.scenes import Scenes, scene_loader
        from logpose.tasks.detection.evaluate import validation_loader

        loading = self.loading(processes, pin)
        if not training:
            return validation_loader(data, model, self.batch_size, workers=loading["workers"], pin=pin)
        scenes = Scenes(data, self.transform(), self.seed, training=True, empty=self.empty)
        return scene_loader(scenes, self.batch_size, training=True, **loading)

    def evaluation(
        self, data: ImageSet, model: models.Detector, loss: losses.LikelihoodLoss | None
    ) -> DetectionEvaluation:
        """The evaluator: average precision, and metrics of the joints of detected people."""
        from logpose.tasks.detection.evaluate import DetectionEvaluation

        return DetectionEvaluation(data, model, loss, self.score)


@dataclass(kw_only=True)
class MaskRCNNRecipe(DetectionRecipe, PretrainedRecipe):
    """The settings of a training run of Mask R-CNN with a keypoint head."""

    head: Literal["regression", "heatmap"] = "regression"
    """regression: mu and sigma, by the loss of --loss; heatmap: the heatmap head and its cross-entropy."""
    mu_from: Literal["average", "cells", "maps"] = "average"
    """With --head regression: average: mu by average pooling and a linear layer, as in the paper; cells: the mean of
    14×14 cells; maps: the mean of the heatmap head's maps, with their cross-entropy as a second loss."""
    backbone: str = "resnet50"
    """resnet18, 34, 50, 101 or 152."""
    weights: str = "imagenet"
    """Initial weights: imagenet (backbone only), random, coco (torchvision's keypoint R-CNN, of a resnet50), or those
    of a file of the same network or a backbone: a path, an address, or hf://OWNER/NAME/FILE."""

    def initialised_from(self, checkpoint: str | Path) -> ImageRecipe:
        """This recipe as a single stage that starts from the weights of a checkpoint, but for those of another head."""
        return replace(super().initialised_from(checkpoint), weights_of="all")

    def inapplicable(self) -> dict[str, str]:
        """As for any detector; fields of the other head."""
        inapplicable = super().inapplicable()
        if getattr(self.model, "func", self.model) is not mask_rcnn:
            return inapplicable | dict.fromkeys(("head", "mu_from"), "this recipe builds its own network")
        if self.head == "heatmap":
            inapplicable["outside"] = "applies to --head regression: maps hold no joint outside their region"
            names = ("loss", "base", "convention", "flow_hidden", "mu_from", "pretrain")
            inapplicable |= dict.fromkeys(names, "applies to --head regression; --head heatmap has its own loss")
        return inapplicable

    def make_loss(self, skeleton: Skeleton) -> losses.PoseLoss:
        """The loss of joints that `loss`, `head` and `mu_from` name; those of boxes are the model's own."""
        if callable(self.loss):
            return super().make_loss(skeleton)
        if self.head == "heatmap":
            return losses.CellLoss()
        loss = self.likelihood(2)
        return losses.WithHeatmaps(loss, cells=True) if self.mu_from == "maps" else loss

    def heatmap_stage(self) -> MaskRCNNRecipe:
        """The heatmap head on the same data, for 270 steps (or epochs) to 180 of this recipe's, as the author has it.

        The learning rate falls at detectron2's milestones, in proportion.
        """
        steps, epochs = round(270 / 180 * self.steps), round(270 / 180 * self.epochs)
        milestones = tuple(round(share * (steps or epochs)) for share in (210 / 270, 250 / 270))
        return replace(
            self, first=None, pretrain="none", head="heatmap", loss="rle", steps=steps, epochs=epochs,
            milestones=milestones, watch="ap", score="box",
        )  # fmt: skip


BY_MAPS: dict[str, Any] = {"coordinates": "maps", "with_logits": True, "sharpness": 2.0}
MEANS: dict[str, dict[str, Any]] = {"average": {}, "cells": {"coordinates": "cells"}, "maps": BY_MAPS}
"""The network's options for each `mu_from`. Of maps mu is the mean of squared probabilities, which keeps off the
middle between two modes; the power was chosen on scenes that are used in no evaluation."""
NO_MEANS: dict[str, Any] = {"coordinates": "average", "with_logits": False, "sharpness": 1.0}


def mask_rcnn(
    recipe: MaskRCNNRecipe,
    skeleton: Skeleton,
    predicts_sigma: bool,
    head: Literal["regression", "heatmap"] | None = None,
    options: MaskRCNNOptions | None = None,
) -> models.MaskRCNN:
    """Mask R-CNN on the recipe's backbone and weights; with random ones its normalisation layers are trained.

    Args:
        recipe: its backbone, weights, sizes, head and `mu_from`.
        skeleton: the joints.
        predicts_sigma: whether sigma is predicted beside mu.
        head: in place of the recipe's.
        options: further options of the network; those that `outside` and `mu_from` name are the recipe's.
    """
    from logpose.models.mask_rcnn import learns_normalisation, load_mask_rcnn_weights
    from logpose.models.weight_files import own_checkpoint

    head = head or recipe.head
    options = replace(options or MaskRCNNOptions(), outside=recipe.outside)
    if options.frozen is None:
        options = replace(options, frozen=not learns_normalisation(recipe.weights))
    # A heatmap head has no means: options of these are of the regression head that may follow it.
    means = MEANS[recipe.mu_from] if head == "regression" else NO_MEANS
    options = replace(options, **means)
    model = models.MaskRCNN(skeleton, recipe.backbone, head, predicts_sigma, recipe.test_short, recipe.longest, options)
    reported = own_checkpoint(recipe.weights) is not None  # by `training.warm_start`
    load_mask_rcnn_weights(model, recipe.weights, recipe.weights_of, warn=not reported)
    return model


@dataclass(kw_only=True)
class PointSetRecipe(DetectionRecipe):
    """The settings of a training run of point-set anchors."""

    def inapplicable(self) -> dict[str, str]:
        """As for any detector; what applies to proposed boxes."""
        return super().inapplicable() | {"outside": "applies to Mask R-CNN's boxes; these anchors are poses"}


def point_set(
    recipe: DetectionRecipe, skeleton: Skeleton, predicts_sigma: bool, options: PointSetOptions | None = None
) -> models.PointSetAnchors:
    """Point-set anchors on the recipe's backbone and weights."""
    size = (recipe.test_short, recipe.test_short)
    backbone = models.create_backbone(recipe.backbone, size, neck=False, all_branches=True)
    models.load_backbone_weights(backbone, recipe.weights)
    # A backbone whose weights were trained with other channel statistics than ImageNet's has them as attributes.
    pixels: dict[str, Any] = {
        name: getattr(backbone, name) for name in ("pixel_mean", "pixel_std") if hasattr(backbone, name)
    }
    return models.PointSetAnchors(
        backbone, skeleton, predicts_sigma, options, recipe.test_short, recipe.longest, **pixels
    )  # fmt: skip
