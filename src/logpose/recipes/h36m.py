"""Recipes for Human3.6M, one network from the image to 3-D joints (Table 8).

DATA is Human3.6M in the released code's format, `--mpii` the people with 2-D joints that the paper trains on as
well. Crops, schedule and augmentation are the released code's; the paper does not give the number of epochs: 140 are
that schedule's in related work, the released configuration trains for 200. The released code clips gradients of a loss
that is a sum over 18 joints to a norm of 35; here the loss is a mean, and 35 / 18 is 2.
"""

from __future__ import annotations

from dataclasses import replace

from logpose.data import Augmentation
from logpose.recipes.renamed import old_presets
from logpose.tasks.pose.recipe import H36mRecipe, released_regression

__all__ = ["h36m_resnet50_rle", "h36m_resnet50_rle_released"]


def h36m_resnet50_rle() -> H36mRecipe:
    """RLE in 3-D, ResNet-50, 256×256, ImageNet weights (Table 8: MPJPE 48.6 mm, PA-MPJPE 38.5 mm)."""
    return H36mRecipe(
        size=(256, 256),
        padding=1.0,
        outside="mask",
        # A rotation of 60 degrees is two standard deviations.
        augmentation=Augmentation(0.3, 60.0, 0.6, half_body_probability=0.0, draws="clipped", colour=0.2),
        epochs=140,
        milestones=(90, 120),
        batch_size=128,
        gradient_clip=2.0,
        watch="mpjpe",
    )


def h36m_resnet50_rle_released() -> H36mRecipe:
    """RLE as in the released code: its formula, network, pixel normalisation, 200 epochs, random occlusion."""
    recipe = h36m_resnet50_rle()
    occluded = replace(recipe.augmentation, occlusion=0.7)
    # The loss is a sum, for which the norm of 35 is meant.
    return replace(
        recipe, convention="released", model=released_regression, augmentation=occluded, epochs=200, gradient_clip=35.0
    )


__getattr__ = old_presets(globals())
