"""Recipes for retinal layer boundaries in OCT (the paper's retina experiment), by the same losses as joints.

Data are `.mat` files in the layout of the Duke DME set, or pictures with boundaries in CSV files: `logpose.data.oct`.
"""

from __future__ import annotations

from dataclasses import replace

from logpose.losses import FactorsRLELoss, L1Loss, RowsLoss
from logpose.tasks.boundaries.recipe import OctRecipe, drawn_scans, rle_of_rows

__all__ = [
    "oct_column_l1",
    "oct_column_rle",
    "oct_column_rle_factors",
    "oct_full_l1",
    "oct_full_rle",
    "oct_softargmax",
    "oct_softargmax_rle",
    "oct_synthetic_l1",
    "oct_synthetic_rle",
]


def oct_column_rle() -> OctRecipe:
    """Retinal boundaries from features pooled in each column, by RLE of a column's eight at once."""
    return OctRecipe()


def oct_column_rle_factors() -> OctRecipe:
    """The same network by RLE of each boundary alone."""
    return replace(oct_column_rle(), loss=FactorsRLELoss)


def oct_column_l1() -> OctRecipe:
    """The same network by L1."""
    return replace(oct_column_rle(), loss=L1Loss)


def oct_full_rle() -> OctRecipe:
    """Retinal boundaries of all columns of a scan from features pooled over all of it, by RLE."""
    return replace(oct_column_rle(), head="full", size=(224, 768))


def oct_full_l1() -> OctRecipe:
    """The same network by L1."""
    return replace(oct_full_rle(), loss=L1Loss)


def oct_softargmax() -> OctRecipe:
    """He et al. 2019: a softmax over rows in each column, its mean, boundaries kept in order."""
    return replace(oct_column_rle(), head="rows", loss=RowsLoss)


def oct_softargmax_rle() -> OctRecipe:
    """The same way to a position, with a sigma beside it: RLE in the place of smooth L1."""
    return replace(oct_column_rle(), head="rows", loss=rle_of_rows)


def oct_synthetic_rle() -> OctRecipe:
    """Boundaries of B-scans drawn here, by RLE, from random weights, in some minutes on a CPU."""
    return OctRecipe(
        people=drawn_scans,
        size=(160, 64),
        channels=12,
        depth=4,
        cells=10,
        shift=6,
        epochs=10,
        batch_size=8,
        optimizer="adamw",
        lr=4e-3,
        schedule="one_cycle",
        flip_test=False,
        validate_every=2,
    )


def oct_synthetic_l1() -> OctRecipe:
    """The same network, data and budget by L1."""
    return replace(oct_synthetic_rle(), loss=L1Loss)
