"""`ImageRecipe`: the settings of a training run on labelled images, of whole images or of crops."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from logpose.core.errors import InputError
from logpose.training.recipe import TrainingRecipe

if TYPE_CHECKING:
    from logpose.data.files import LabelledPeople

__all__ = ["ImageRecipe", "PretrainedRecipe", "labelled_people"]

log = logging.getLogger("logpose")


def labelled_people(recipe: ImageRecipe, part: str) -> LabelledPeople:
    """The people of an annotation file of any format: `recipe.data`, or for validation `recipe.val_data`.

    Raises:
        InputError: if there is no such file, or it cannot be used for training.
    """
    from logpose.data.categories import may_be_several
    from logpose.data.files import annotation_files, open_people, skeleton_in

    if recipe.data is None:
        raise InputError("this recipe needs labelled images: logpose train RECIPE FILE_OR_FOLDER")
    if part == "val" and recipe.val_data is not None:
        file, images, split = annotation_files(recipe.val_data)["val"], recipe.val_images, None
    else:
        files = annotation_files(recipe.data)
        # One file serves for both parts only if no other is given.
        split = part if files["train"] == files["val"] and recipe.val_data is None else None
        file, images = files[part], recipe.images if part == "train" or split else recipe.val_images
    like = None
    if part == "val" and may_be_several(recipe.category) and file != (train := annotation_files(recipe.data)["train"]):
        like = skeleton_in(train, recipe.category)  # the joints and categories that the model gets
    category = None if like and like.categories else recipe.category
    return open_people(
        file, images, recipe.strict, split, category, recipe.pairs, like, getattr(recipe, "depth", False)
    )


@dataclass(kw_only=True)
class ImageRecipe(TrainingRecipe):
    """The settings of a run on labelled images."""

    MEASURED_ON: ClassVar[tuple[str, ...]] = (
        *("watch", "data", "val_data", "images", "val_images", "page", "max_pixels", "strict", "category"),
    )
    data: Path | None = None
    """Annotation file, or a folder with annotations and images."""
    val_data: Path | None = None
    """The same for validation; default: the validation part of `data`, or every tenth image held out."""
    images: Path | None = None
    """Folder of the images of `data`, if it is not in the usual place."""
    val_images: Path | None = None
    """Folder of the images of `val_data`, if it is not in the usual place."""
    page: int = 0
    """Page of files with several (TIFF, GIF, animations), counted from 0."""
    max_pixels: int | None = None
    """Images with more pixels are left out, from their header; default: 268 million."""
    strict: bool = False
    """Refuse data with wrong rows instead of leaving these out."""
    category: str | None = None
    """Name of the category to train on, in a file in which several have keypoints; A,B: these, or all: all, in one
    model of the union of their joints, each evaluated with its own. Categories with the same joints are learned as one
    unless given."""
    pairs: tuple[str, ...] | None = None
    """Left-right pairs of joints, as left_ear-right_ear, beside those known by names; the others are on the midline."""
    backbone: str = "resnet50"
    """resnet18, 34, 50, 101 or 152, efficientnet_lite0, 1 or 2, movenet_thunder or lightning, hrnet_w32 or 48, or
    timm/NAME."""
    weights: str = "imagenet"
    """Initial weights: imagenet or random of the backbone, or a weights file or a checkpoint: a path, an address, or
    hf://OWNER/NAME/FILE."""
    weights_of: Literal["all", "backbone"] = "all"
    """Parts that are taken from a checkpoint of logpose: all: backbone, head and flow, of joints by their names; or the
    backbone alone (--backbone-from FILE is --weights FILE --weights-of backbone)."""

    def initialised_from(self, checkpoint: str | Path) -> ImageRecipe:
        """This recipe as a single stage that starts from the weights of a checkpoint's backbone."""
        return replace(self, first=None, weights=str(checkpoint), weights_of="backbone")

    def mirroring(self) -> dict[str, float | bool | None]:
        """The flags that ask for mirrored images, and their values; None where the skeleton decides."""
        return {}

    def report_data(self, train: Any, val: Any) -> None:
        """Report which sigmas and how many people validation counts, and whether unknown pairs forbid mirroring."""
        from logpose.data.symmetry import unmirrored
        from logpose.tasks.metric_notes import crowded, differing_sigmas

        for note in (differing_sigmas(train.skeleton, val.skeleton), crowded(val)):
            if note:
                log.info("validation: %s", note)
        undecided = [flag for flag, value in self.mirroring().items() if value is None]
        if undecided and (note := unmirrored(train)):
            log.warning("%s. Of objects that look the same mirrored: %s", note, " ".join(undecided))


@dataclass(kw_only=True)
class PretrainedRecipe(ImageRecipe):
    """The settings of a run that may begin with training on heatmaps, as the paper's * rows do."""

    pretrain: Literal["none", "heatmap"] = "none"
    """heatmap: train with a heatmap head first, and start from its backbone (the paper's * rows)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pretrain == "heatmap" and self.first is None:
            self.first = heatmap_stage
        if self.pretrain == "none" and self.first is heatmap_stage:
            self.first = None

    def heatmap_stage(self) -> PretrainedRecipe:
        """The recipe of the heatmap pre-training."""
        raise NotImplementedError

    def initialised_from(self, checkpoint: str | Path) -> ImageRecipe:
        """This recipe as a single stage that starts from the weights of a checkpoint's backbone."""
        return replace(self, first=None, pretrain="none", weights=str(checkpoint), weights_of="backbone")

    def inapplicable(self) -> dict[str, str]:
        """As for any recipe; pre-training if the recipe has a first stage of its own."""
        own = self.first is not None and self.first is not heatmap_stage
        return super().inapplicable() | ({"pretrain": "this recipe has its own first stage"} if own else {})


def heatmap_stage(recipe: PretrainedRecipe) -> PretrainedRecipe:
    """The recipe of a recipe's heatmap pre-training."""
    return recipe.heatmap_stage()
