"""Recipes for two-stage 3-D pose: from 2-D keypoints to 3-D joints (Tables 9 and 10).

For data in VideoPose3D's format (`data_3d_h36m.npz`, `data_2d_h36m_gt.npz`). Schedules are those of SRNet's code; SRNet
itself is `--network srnet`, with 243 frames `--filters 3 3 3 3 3`.
"""

from __future__ import annotations

from logpose.recipes.renamed import old_presets
from logpose.tasks.lifting.recipe import LiftingRecipe

__all__ = ["lifting_fc_rle", "lifting_martinez_l2"]


def lifting_fc_rle() -> LiftingRecipe:
    """RLE, fully connected baseline (Table 9: MPJPE 40.9 mm, PA-MPJPE 31.1 mm)."""
    return LiftingRecipe()


def lifting_martinez_l2() -> LiftingRecipe:
    """L2, the baseline of Martinez et al. 2017 with its schedule; the loss is in metres, not in z-scores."""
    return LiftingRecipe(
        loss="l2",
        network="martinez",
        optimizer="adam",
        batch_size=64,
        epochs=200,
        decay=0.99,  # 0.96 for every 100,000 steps, and 1,559,752 poses make 24,371 of them an epoch
    )


__getattr__ = old_presets(globals())
