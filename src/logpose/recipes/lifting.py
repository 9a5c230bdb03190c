"""Recipes for two-stage 3-D pose: joints in space from keypoints (Tables 9 and 10).

They are for Human3.6M as VideoPose3D packs it (`data_3d_h36m.npz`, `data_2d_h36m_gt.npz`); other data of that form are
named by `--data`, their parts by `--train_subjects` and `--val_subjects`. Schedules are those of SRNet's code.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from logpose.losses import L1Loss, L2Loss, RLELoss
from logpose.tasks.lifting.recipe import LiftingRecipe, rle_in_space

__all__ = [
    "lifting_fc_l1",
    "lifting_fc_rle",
    "lifting_fc_rle_paper",
    "lifting_martinez_l1",
    "lifting_martinez_l2",
    "lifting_martinez_rle",
    "lifting_srnet243_l1",
    "lifting_srnet243_rle",
    "lifting_srnet_l1",
    "lifting_srnet_rle",
]


def lifting_fc_rle() -> LiftingRecipe:
    """The fully connected baseline by RLE (Table 9)."""
    return LiftingRecipe()


def lifting_fc_l1() -> LiftingRecipe:
    """The fully connected baseline by L1 (Table 9)."""
    return replace(lifting_fc_rle(), loss=partial(L1Loss, dim=3))


def lifting_fc_rle_paper() -> LiftingRecipe:
    """The fully connected baseline by Eq. 8 as the paper has it, without s."""
    return replace(lifting_fc_rle(), loss=partial(RLELoss, dim=3, convention="paper"))


def lifting_srnet_rle() -> LiftingRecipe:
    """SRNet of one frame by RLE (Table 10)."""
    return replace(lifting_fc_rle(), network="srnet")


def lifting_srnet_l1() -> LiftingRecipe:
    """SRNet of one frame by L1 (Table 10)."""
    return replace(lifting_fc_l1(), network="srnet")


def lifting_srnet243_rle() -> LiftingRecipe:
    """SRNet of 243 frames by RLE (Table 10)."""
    return replace(lifting_srnet_rle(), filters=(3, 3, 3, 3, 3))


def lifting_srnet243_l1() -> LiftingRecipe:
    """SRNet of 243 frames by L1 (Table 10)."""
    return replace(lifting_srnet_l1(), filters=(3, 3, 3, 3, 3))


def lifting_martinez_l2() -> LiftingRecipe:
    """The baseline as Martinez et al. 2017 trained it, but for the loss's unit: metres, not z-scores."""
    return replace(
        lifting_fc_rle(),
        loss=partial(L2Loss, dim=3),
        network="martinez",
        optimizer="adam",
        batch_size=64,
        epochs=200,
        decay=0.99,  # 0.96 for every 100,000 steps, and 1,559,752 poses make 24,371 of them an epoch
    )


def lifting_martinez_l1() -> LiftingRecipe:
    """The same network and schedule by L1."""
    return replace(lifting_martinez_l2(), loss=partial(L1Loss, dim=3))


def lifting_martinez_rle() -> LiftingRecipe:
    """The same network and schedule by RLE."""
    return replace(lifting_martinez_l2(), loss=rle_in_space)
