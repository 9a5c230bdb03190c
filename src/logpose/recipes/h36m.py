"""Recipes for Human3.6M, one network from the picture to joints in space: the rows of Table 8.

`--data` is Human3.6M as the released code has it, `--mpii` the people in the plane that the paper learns from beside.
Crops, schedule and augmentation are the released code's: 256×256, boxes not padded, labels outside the crop left out,
Adam 1e-3, × 0.1 at epochs 90 and 120, 128 people in a batch (there 32 on each of 4 GPUs). The paper does not say how
long it trains; 140 epochs are that schedule's in related work, the released configuration goes on to 200.

The released code clips the gradient of each tensor to a norm of 35, of a loss that is a sum over 18 joints. Ours is a
mean, and one norm is taken of all tensors together, as everywhere here: 35 / 18 is 2. Without it training can diverge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.space import InSpace
from logpose.data import Augmentation, People
from logpose.data.files import annotation_files, open_people
from logpose.data.h36m import MixedPeople
from logpose.losses import L1Loss, MixedRLELoss, PoseLoss, RLELoss
from logpose.models import PoseModel
from logpose.tasks.pose.recipe import (
    Recipe,
    integral_in_space,
    labelled_people,
    regression_in_space,
    released_regression,
)

__all__ = [
    "H36mRecipe",
    "h36m_resnet50_dle",
    "h36m_resnet50_integral",
    "h36m_resnet50_l1",
    "h36m_resnet50_rle",
    "h36m_resnet50_rle_released",
]


def people_in_space(recipe: H36mRecipe, part: str) -> People:
    """Human3.6M's people; to learn from, as many of MPII beside them if they are given.

    Raises:
        InputError: if there is no such file, it cannot be learned from, or its people are not in space.
    """
    people = labelled_people(recipe, part)
    if not isinstance(people, InSpace):
        raise InputError(f"{people.file}: has no joints in space (images with cam_param, annotations in the world)")
    if part != "train" or recipe.mpii is None:
        return people
    plane = open_people(annotation_files(recipe.mpii)["train"], recipe.mpii_images, recipe.strict)
    return MixedPeople(people, plane, seed=recipe.seed)


@dataclass(kw_only=True)
class H36mRecipe(Recipe):
    """A recipe that learns from people in space, and from others in the plane beside."""

    people: Callable[[Any, str], People] = people_in_space
    """Called with the recipe and "train" or "val": the data set of that part."""
    loss: Callable[[], PoseLoss] = MixedRLELoss
    """Makes the loss."""
    model: Callable[[Recipe, Skeleton, bool], PoseModel] = regression_in_space
    """Called with the recipe, the data's skeleton and whether sigma is wanted: the network."""

    mpii: Path | None = None
    """People in the plane to learn from beside: an annotation file of MPII (or COCO), or a folder with it."""
    mpii_images: Path | None = None
    """Folder of their images, where it is not in the usual place beside it."""

    def inapplicable(self) -> dict[str, str]:
        """As of any recipe; without people in the plane, whatever is about them."""
        own = {} if self.mpii else {"mpii_images": "about the pictures of --mpii, which is not given"}
        return super().inapplicable() | own


def of_the_paper(loss: Callable[[], PoseLoss]) -> H36mRecipe:
    """The paper's training with a loss."""
    return H36mRecipe(
        loss=loss,
        size=(256, 256),
        padding=1.0,
        outside="mask",
        augmentation=Augmentation(
            scale=0.3,
            rotation=60.0,  # 30 is the standard deviation
            rotation_probability=0.6,
            half_body_probability=0.0,
            draws="clipped",
            colour=0.2,
        ),
        epochs=140,
        milestones=(90, 120),
        batch_size=128,
        gradient_clip=2.0,
        watch="mpjpe",
    )


def dle_in_space() -> MixedRLELoss:
    """Direct likelihood estimation, Eq. 5, in space and in the plane."""
    return MixedRLELoss(RLELoss(dim=3, mode="dle"))


def released_in_space() -> MixedRLELoss:
    """The released code's formula, in space and in the plane."""
    return MixedRLELoss(RLELoss(dim=3, convention="released"))


def h36m_resnet50_rle() -> H36mRecipe:
    """ResNet-50 at 256×256 by RLE, from ImageNet weights (Table 8; the paper has an MPJPE of 48.6 mm, PA 38.5)."""
    return of_the_paper(MixedRLELoss)


def h36m_resnet50_l1() -> H36mRecipe:
    """The same by L1, direct regression (Table 8; the paper has 50.1 and 39.3)."""
    return of_the_paper(partial(L1Loss, dim=3))


def h36m_resnet50_integral() -> H36mRecipe:
    """Integral Pose: maps of 64×64×64, read off by a softmax's mean, by L1 (Table 8; the paper has 49.2 and 39.1)."""
    return replace(h36m_resnet50_l1(), model=integral_in_space)


def h36m_resnet50_dle() -> H36mRecipe:
    """ResNet-50 by direct likelihood estimation (Table 13; the paper has 51.0 and 39.8)."""
    return of_the_paper(dle_in_space)


def h36m_resnet50_rle_released() -> H36mRecipe:
    """ResNet-50 as the released code trains it: its formula, network, pixels, 200 epochs, and people half hidden."""
    recipe = of_the_paper(released_in_space)
    hidden = replace(recipe.augmentation, occlusion=0.7)
    # Its loss is the sum that its norm of 35 is meant for.
    return replace(
        recipe, model=partial(released_regression, dim=3), augmentation=hidden, epochs=200, gradient_clip=35.0
    )
