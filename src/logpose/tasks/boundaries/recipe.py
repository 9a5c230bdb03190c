"""`OctRecipe`: what a training run of retinal boundaries in OCT needs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from torch.utils.data import DataLoader

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.data.oct import LabelledScans, check_height, chosen, open_scans
from logpose.data.scans import ScanBatch, Scans, ScanWindows, Variation, scan_loader
from logpose.data.synthetic_oct import ScanNoise, SyntheticScans
from logpose.losses import FactorsRLELoss, LikelihoodLoss, PoseLoss, RLELoss, RowsLoss
from logpose.metrics.boundaries import central
from logpose.models import BoundaryModel
from logpose.tasks.boundaries.evaluate import BoundaryEvaluation, validation_loader
from logpose.training.recipe import TrainingRecipe

__all__ = ["OctRecipe", "drawn_scans", "rle_of_rows"]

log = logging.getLogger("logpose")


FEW_WHOLE = 0.8  # share of labelled columns; fewer with a label of every boundary are told


TRAIN, VAL = 160, 40  # drawn scans


def scans_of_file(recipe: OctRecipe, part: str) -> LabelledScans:
    """The scans of one part, as `data.oct.chosen` splits them.

    Raises:
        InputError: if there are none, or they cannot be learned from.
    """
    if recipe.data is None:
        raise InputError("this recipe learns from B-scans: say which with --data FILE_OR_FOLDER")
    if recipe.val_data is not None:
        return open_scans(recipe.data if part == "train" else recipe.val_data, recipe.grader, recipe.um_per_px)
    scans = open_scans(recipe.data, recipe.grader, recipe.um_per_px)
    return chosen(scans, part, recipe.train_subjects, recipe.val_subjects, recipe.folds, recipe.fold, recipe.fold_seed)


def drawn_scans(recipe: OctRecipe, part: str) -> SyntheticScans:
    """B-scans drawn here, with noisy labels; those of "val" are others than those of "train".

    Raises:
        InputError: if data are given: there is no use for them here.
    """
    if recipe.data or recipe.val_data:
        raise InputError("this recipe draws its B-scans itself; to learn from --data take oct_column_rle or another")
    return SyntheticScans(TRAIN, 1, noise=ScanNoise()) if part == "train" else SyntheticScans(VAL, 2, noise=ScanNoise())


def boundaries(recipe: OctRecipe, skeleton: Skeleton, predicts_sigma: bool) -> BoundaryModel:
    """The network that the recipe names."""
    return BoundaryModel(
        skeleton, recipe.size, recipe.head, predicts_sigma, recipe.channels, recipe.depth, recipe.cells, recipe.shown
    )


def rle_of_column(boundaries: int) -> RLELoss:
    """RLE of all boundaries of a column at once."""
    return RLELoss(dim=boundaries)


def rle_of_rows(boundaries: int) -> RowsLoss:
    """Cross-entropy of rows, which leads mu, and less loudly RLE of all boundaries of a column at once."""
    return RowsLoss(boundaries, weight=0.3, loss=RLELoss(dim=boundaries, gradient_reweighting=0.0))


@dataclass(kw_only=True)
class OctRecipe(TrainingRecipe):
    """Everything that a run of a model that finds boundaries in B-scans needs."""

    people: Callable[[OctRecipe, str], Scans] = scans_of_file
    """Called with the recipe and "train" or "val": the data set of that part."""
    loss: Callable[[int], PoseLoss] = rle_of_column
    """Called with the number of boundaries: the loss."""
    model: Callable[[OctRecipe, Skeleton, bool], BoundaryModel] = boundaries
    """Called with the recipe, the boundaries and whether sigma is wanted: the network."""

    data: Path | None = None
    """A .mat file in the Duke layout, or a folder of such files, or of pictures with a CSV file of boundaries each."""
    val_data: Path | None = None
    """The same for validation; unless given, a part of `data` is held out."""
    train_subjects: tuple[str, ...] = ()
    """Subjects (files) to learn from; unless given, the second half of all, in the order of their names …"""
    val_subjects: tuple[str, ...] = ()
    """… and to be measured on; unless given, the first half."""
    folds: int = 0
    """Instead: scans are shuffled into so many parts, one of which is measured on and the others learned from; …"""
    fold: int = 0
    """… which one …"""
    fold_seed: int = 0
    """… and the seed of the shuffling."""
    grader: Literal[1, 2] = 1
    """Whose labels: manualLayers1 or manualLayers2."""
    um_per_px: float | None = None
    """Height of a pixel in micrometres; unless given, what the file says, or 3.87 for the Duke set."""
    size: tuple[int, int] = (224, 256)
    """Rows and columns of the windows that the network sees."""
    shown: int | None = None
    """Rows of a scan that a window shows, unless its retina is thicker; as many as it has rows unless given."""
    head: Literal["column", "full", "rows"] = "column"
    """column: features pooled in each column; full: features pooled over everything; rows: a softmax over rows."""
    channels: int = 64
    """Of the network's feature maps."""
    depth: int = 4
    """Times that the network halves rows and columns."""
    cells: int = 14
    """Of head column, and of rows' sigma: parts of the rows that are averaged apart; 1 takes the mean of all rows."""
    flip: float = 0.5
    """How often a training window is mirrored."""
    shift: int = 12
    """Most rows that it is moved up or down."""
    stretch: float = 0.15
    """Share by which it is stretched or squeezed at most."""
    columns: int | None = None
    """Columns in the middle of a scan that are measured; all unless given (the Duke protocol: 500)."""
    batch_size: int = 2
    """Windows in a batch, on each device."""
    epochs: int = 200
    """Times that the data are gone through."""
    lr: float = 1e-4
    """Highest learning rate."""
    weight_decay: float = 1e-4
    """Of the network's weights (not of biases, normalisation and the flow)."""
    schedule: Literal["step", "cosine", "one_cycle", "exponential", "constant"] = "constant"
    """step: × 0.1 at each milestone; cosine: down to 0; one_cycle: up over a tenth of the steps, then down to 0;
    exponential: × decay after every epoch."""
    validate_every: int = 10
    """Epochs between validations, or fewer, so that the last epoch is validated."""
    workers: int = 0
    """Processes that prepare batches; 0 does it in the main one."""
    watch: Literal["error_px", "rmse_px", "p95_px", "nll"] = "error_px"
    """The validation figure that decides which checkpoint is the best."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.folds and not 0 <= self.fold < self.folds:
            raise InputError(f"fold must be one of the {self.folds} folds, 0 to {self.folds - 1}; got {self.fold}")
        if self.folds < 0 or self.folds == 1 or self.fold_seed < 0:
            raise InputError("folds must be 0 (split by subject) or 2 and more, fold_seed at least 0")
        if not (0 <= self.flip <= 1 and self.shift >= 0 and 0 <= self.stretch < 1):
            raise InputError("flip must lie in [0, 1], stretch in [0, 1), and shift must be 0 or more")
        check_height(self.um_per_px)
        if self.columns is not None and self.columns < 1:
            raise InputError(f"columns must be at least 1, got {self.columns}")

    def loader(
        self, data: Scans, model: BoundaryModel, *, training: bool, processes: int = 1, pin: bool = False
    ) -> DataLoader[ScanBatch]:
        """Batches of windows: at random columns and varied in training, side by side otherwise."""
        if not training:
            return validation_loader(data, model, self.batch_size, workers=self.workers, pin=pin)
        variation = Variation(self.flip, self.shift, self.stretch)
        windows = ScanWindows(data, model.size, model.shown, variation, self.seed, model.um_per_px)
        return scan_loader(
            windows, self.batch_size, training=True, workers=self.workers, seed=self.seed, pin=pin, processes=processes,
        )  # fmt: skip

    def inapplicable(self) -> dict[str, str]:
        """As of any recipe; what is about another way to split the data, another head or other data."""
        inapplicable = super().inapplicable()
        if self.head == "full":
            inapplicable["cells"] = "about features that are averaged in each column, and this is --head full"
        if self.head == "rows" and self.loss is RowsLoss:
            inapplicable["cells"] = "about what sigma is read from, and this loss has none"
        if self.people is drawn_scans:
            drawn = "about scans of a file, and this recipe draws its own"
            own = ("train_subjects", "val_subjects", "folds", "fold", "fold_seed", "grader", "um_per_px")
            return inapplicable | dict.fromkeys(own, drawn)
        if self.val_data is not None:
            apart = f"about a part of --data that is held out, and {self.val_data} is measured on"
            return inapplicable | dict.fromkeys(("train_subjects", "val_subjects", "folds", "fold", "fold_seed"), apart)
        if not self.folds:
            inapplicable |= dict.fromkeys(("fold", "fold_seed"), "about --folds, and scans are split by subject")
        return inapplicable

    def check_data(self, train: Scans, val: Scans, loss: PoseLoss) -> None:
        """As of any recipe; the loss must be of as many dimensions as there are boundaries, and all must be labelled.

        A density of all boundaries together learns from columns in which all are labelled.
        """
        super().check_data(train, val, loss)
        if isinstance(loss, RowsLoss) is not (self.head == "rows"):
            wanted = "goes with --head rows" if isinstance(loss, RowsLoss) else "does not go with --head rows"
            raise InputError(f"{type(loss).__name__} {wanted}: oct_softargmax and oct_softargmax_rle have that head")
        if loss.density is not None and loss.density.dim != len(val.skeleton):
            raise InputError(f"the data have {len(val.skeleton)} boundaries, and the loss is of {loss.density.dim}")
        where = getattr(train, "file", "the training data")
        scans = [train[i] for i in range(len(train))]
        known = [np.isfinite(scan.rows) for scan in scans]
        if never := [n for n, name in enumerate(train.skeleton.joints) if not any(part[n].any() for part in known)]:
            raise InputError(f"{where}: {train.skeleton.joints[never[0]]} is labelled in no scan that is learned from")
        labelled, whole = (sum(int(of(part, axis=0).sum()) for part in known) for of in (np.any, np.all))
        if not _takes_parts(loss):
            told = f"and {type(loss).__name__} learns from no others; oct_column_rle_factors learns from each label"
            if not whole:
                raise InputError(f"{where}: no column that is learned from has a label of every boundary, {told}")
            if whole < FEW_WHOLE * labelled:
                log.warning(
                    "%s: %d of %d labelled columns have a label of every boundary, %s", where, whole, labelled, told
                )
        measured = (val[i].rows for i in range(len(val)))
        if not any(np.isfinite(rows[:, central(rows.shape[1], self.columns)]).any() for rows in measured):
            told = getattr(val, "file", "the validation data")
            raise InputError(f"{told}: no label in the {self.columns} columns that are measured of any B-scan")
        held_out = {val[i].fingerprint for i in range(len(val))}
        if both := sum(scan.fingerprint in held_out for scan in scans):
            log.warning("%d B-scans that are learned from are among those that are measured on", both)

    def make_loss(self, skeleton: Skeleton) -> PoseLoss:
        """The loss for the data's boundaries."""
        return self.loss(len(skeleton))

    def evaluation(self, data: Scans, model: BoundaryModel, loss: LikelihoodLoss | None) -> BoundaryEvaluation:
        """Distances of boundaries from their labels."""
        return BoundaryEvaluation(data, model, loss, self.columns)


def _takes_parts(loss: PoseLoss) -> bool:
    """Whether a loss learns from a column too in which some boundaries have no label."""
    if isinstance(loss, RowsLoss):
        return loss.published or isinstance(loss.density, FactorsRLELoss)
    return isinstance(loss, FactorsRLELoss)
