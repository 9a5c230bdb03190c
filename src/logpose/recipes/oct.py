"""Recipes for retinal layer boundaries in OCT (the paper's retina experiment), by the same losses as joints.

Data are `.mat` files in the layout of the Duke DME set, or images with boundaries in CSV files: `logpose.data.oct`.
He et al. 2019 is `--head rows --loss l1`; one density per boundary is `--factors`.
"""

from __future__ import annotations

from typing import Any

from logpose.recipes.renamed import old_presets
from logpose.tasks.boundaries import recipe
from logpose.tasks.boundaries.recipe import BoundaryRecipe, synthetic_scans

__all__ = ["oct_column_rle", "oct_synthetic_rle"]


def oct_column_rle() -> BoundaryRecipe:
    """RLE of the eight boundaries of a column, from features pooled in each column."""
    return BoundaryRecipe()


def oct_synthetic_rle() -> BoundaryRecipe:
    """RLE on synthetic B-scans, random weights: trains on a CPU in minutes."""
    return BoundaryRecipe(
        people=synthetic_scans,
        size=(160, 64),
        channels=12,
        depth=4,
        cells=10,
        shift=6,
        flip_test=False,
        epochs=10,
        batch_size=8,
        optimizer="adamw",
        lr=4e-3,
        schedule="one_cycle",
        validate_every=2,
    )


def __getattr__(name: str) -> Any:
    return recipe.OctRecipe if name == "OctRecipe" else old_presets(globals())(name)  # names of version 0.1
