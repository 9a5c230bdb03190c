"""`BoundaryRecipe`: the settings of a training run of retinal boundaries in OCT."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from logpose import losses, models
from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.data.flattening import check_height
from logpose.metrics.boundaries import central
from logpose.training.recipe import TrainingRecipe

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from logpose.data.oct import LabelledScans
    from logpose.data.scans import ScanBatch, Scans
    from logpose.data.synthetic_oct import SyntheticScans
    from logpose.tasks.boundaries.evaluate import BoundaryEvaluation

__all__ = ["BoundaryRecipe", "boundaries", "scans_of_file", "synthetic_scans"]

log = logging.getLogger("logpose")


FEW_WHOLE = 0.8  # share of labelled columns; with fewer that have a label of every boundary there is a warning


TRAIN, VAL = 160, 40  # synthetic scans


def scans_of_file(recipe: BoundaryRecipe, part: str) -> LabelledScans:
    """The scans of one part, as `data.oct.chosen` splits them.

    Raises:
        InputError: if there are none, or they cannot be used for training.
    """
    from logpose.data.oct import chosen, open_scans

    if recipe.data is None:
        raise InputError("this recipe needs labelled B-scans: logpose train RECIPE FILE_OR_FOLDER")
    if recipe.val_data is not None:
        return open_scans(recipe.data if part == "train" else recipe.val_data, recipe.grader, recipe.um_per_px)
    scans = open_scans(recipe.data, recipe.grader, recipe.um_per_px)
    return chosen(scans, part, recipe.train_subjects, recipe.val_subjects, recipe.folds, recipe.fold, recipe.fold_seed)


def synthetic_scans(recipe: BoundaryRecipe, part: str) -> SyntheticScans:
    """Synthetic B-scans with noisy labels; those of "val" are others than those of "train".

    Raises:
        InputError: if data are given.
    """
    from logpose.data.synthetic_oct import ScanNoise, SyntheticScans

    if recipe.data or recipe.val_data:
        raise InputError(
            f"{recipe.data or recipe.val_data}: this recipe trains on synthetic B-scans; oct_column_rle trains on data"
        )
    return SyntheticScans(TRAIN, 1, noise=ScanNoise()) if part == "train" else SyntheticScans(VAL, 2, noise=ScanNoise())


def boundaries(recipe: BoundaryRecipe, skeleton: Skeleton, predicts_sigma: bool) -> models.BoundaryModel:
    """The network that the recipe names."""
    return models.BoundaryModel(
        skeleton, recipe.size, recipe.head, predicts_sigma, recipe.channels, recipe.depth, recipe.cells, recipe.shown
    )


@dataclass(kw_only=True)
class BoundaryRecipe(TrainingRecipe):
    """The settings of a training run of a model of boundaries in B-scans."""

    task: ClassVar[str] = "boundaries"
    MEASURED_ON: ClassVar[tuple[str, ...]] = (
        *("watch", "data", "val_data", "train_subjects", "val_subjects", "folds", "fold", "fold_seed"),
        *("grader", "um_per_px", "columns", "page", "max_pixels"),
    )

    people: Callable[[BoundaryRecipe, str], Scans] = scans_of_file
    """Called with the recipe and "train" or "val": the data set of that part."""
    model: Callable[[BoundaryRecipe, Skeleton, bool], models.BoundaryModel] = boundaries
    """Called with the recipe, the boundaries and whether sigma is needed: the network."""

    data: Path | None = None
    """A .mat file in the Duke layout, or a folder of such files, or of images with a CSV file of boundaries each."""
    val_data: Path | None = None
    """The same for validation; default: a part of `data` is held out."""
    page: int = 0
    """Page of image files with several (TIFF), counted from 0."""
    max_pixels: int | None = None
    """Image files with more pixels are refused, from their header; default: 268 million."""
    train_subjects: tuple[str, ...] = ()
    """Subjects (files) for training; default: the second half of all, in the order of their names."""
    val_subjects: tuple[str, ...] = ()
    """Subjects for validation; default: the first half."""
    folds: int = 0
    """Cross-validation instead: number of parts into which the scans are shuffled; 0: split by subject."""
    fold: int = 0
    """With --folds: index of the part for validation; the others are for training."""
    fold_seed: int = 0
    """With --folds: seed of the shuffling."""
    grader: Literal[1, 2] = 1
    """Grader whose labels are used: manualLayers1 or manualLayers2."""
    um_per_px: float | None = None
    """Height of a pixel in micrometres; default: the file's, or 3.87 for the Duke set."""
    size: tuple[int, int] = (224, 256)
    """Rows and columns of the network's input windows."""
    shown: int | None = None
    """Rows of a scan in a window (more if its retina is thicker); default: as many as the window has rows."""
    head: Literal["column", "full", "rows"] = "column"
    """column: features pooled in each column; full: features pooled over the whole window; rows: a softmax over rows,
    trained by its cross-entropy as well (He et al. 2019 with --loss l1)."""
    factors: bool = False
    """With --loss rle: each boundary has a density of its own, and is trained wherever it is labelled."""
    channels: int = 64
    """Channels of the network's feature maps."""
    depth: int = 4
    """Number of times that the network halves rows and columns."""
    cells: int = 14
    """With --head column, and for sigma with --head rows: vertical bins of the average pooling."""
    flip: float = 0.5
    """Probability that a training window is mirrored."""
    shift: int = 12
    """Maximum shift of a training window, in rows."""
    stretch: float = 0.15
    """Maximum relative stretch of a training window."""
    columns: int | None = None
    """Central columns of a scan that are evaluated; default: all (the Duke protocol: 500)."""
    batch_size: int = 2
    """Windows in a batch, per device."""
    epochs: int = 200
    lr: float = 1e-4
    weight_decay: float = 1e-4
    schedule: Literal["step", "cosine", "one_cycle", "exponential", "constant"] = "constant"
    validate_every: int = 10
    workers: int | Literal["auto"] = 0
    watch: Literal["error_px", "rmse_px", "p95_px", "nll"] = "error_px"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.folds and not 0 <= self.fold < self.folds:
            raise InputError(f"fold must be one of the {self.folds} folds, 0 to {self.folds - 1}; got {self.fold}")
        if self.folds < 0 or self.folds == 1 or self.fold_seed < 0:
            raise InputError("--folds must be 0 (split by subject) or 2 and more, --fold-seed at least 0")
        if not (0 <= self.flip <= 1 and self.shift >= 0 and 0 <= self.stretch < 1):
            raise InputError("flip must lie in [0, 1], stretch in [0, 1), and shift must be 0 or more")
        check_height(self.um_per_px)
        if self.columns is not None and self.columns < 1:
            raise InputError(f"--columns must be at least 1, got {self.columns}")

    def loader(
        self, data: Scans, model: models.BoundaryModel, *, training: bool, processes: int = 1, pin: bool = False
    ) -> DataLoader[ScanBatch]:
        """Batches of windows: at random columns and augmented in training, side by side otherwise."""
        from logpose.data.scans import ScanWindows, Variation, scan_loader
        from logpose.tasks.boundaries.evaluate import validation_loader

        loading = self.loading(processes, pin)
        if not training:
            return validation_loader(data, model, self.batch_size, workers=loading["workers"], pin=pin)
        variation = Variation(self.flip, self.shift, self.stretch)
        windows = ScanWindows(data, model.size, model.shown, variation, self.seed, model.um_per_px)
        return scan_loader(windows, self.batch_size, training=True, **loading)

    def inapplicable(self) -> dict[str, str]:
        """As for any recipe; fields of another way to split the data, of another head or of other data."""
        inapplicable = super().inapplicable()
        if self.head == "full":
            inapplicable["cells"] = "applies to features pooled in each column, not to --head full"
        if self.head == "rows" and self.loss in ("l1", "l2"):
            inapplicable["cells"] = f"applies to sigma, which --loss {self.loss} does not have"
        if self.loss != "rle" or self.head == "rows":
            inapplicable["factors"] = "applies to --loss rle with --head column or full"
        if self.loss == "rle" and self.factors:
            inapplicable |= dict.fromkeys(("convention", "flow_hidden"), "does not apply to --factors")
        if self.people is synthetic_scans:
            own = ("train_subjects", "val_subjects", "folds", "fold", "fold_seed", "grader", "um_per_px")
            return inapplicable | dict.fromkeys(own, "applies to scans of a file; this recipe uses synthetic ones")
        if self.val_data is not None:
            apart = f"applies to a split of DATA; the validation data are {self.val_data}"
            return inapplicable | dict.fromkeys(("train_subjects", "val_subjects", "folds", "fold", "fold_seed"), apart)
        if not self.folds:
            inapplicable |= dict.fromkeys(("fold", "fold_seed"), "applies to --folds; the split is by subject")
        return inapplicable

    def check_data(self, train: Scans, val: Scans, loss: losses.PoseLoss) -> None:
        """As for any recipe; the loss must have as many dimensions as there are boundaries, and all must be labelled.

        A joint density of all boundaries trains only on columns in which all are labelled.

        Raises:
            InputError: naming the file and the boundary.
        """
        super().check_data(train, val, loss)
        if loss.density is not None and loss.density.dim != len(val.skeleton):
            raise InputError(f"the data have {len(val.skeleton)} boundaries, the loss {loss.density.dim} dimensions")
        where = getattr(train, "file", "the training data")
        scans = [train[i] for i in range(len(train))]
        known = [np.isfinite(scan.rows) for scan in scans]
        if never := [n for n, name in enumerate(train.skeleton.joints) if not any(part[n].any() for part in known)]:
            raise InputError(f"{where}: {train.skeleton.joints[never[0]]} is labelled in no training scan")
        labelled, whole = (sum(int(of(part, axis=0).sum()) for part in known) for of in (np.any, np.all))
        if loss.needs_all_dimensions:
            others = f"and {type(loss).__name__} ignores the others; --factors trains on each label"
            if not whole:
                raise InputError(f"{where}: no training column has a label of every boundary, {others}")
            if whole < FEW_WHOLE * labelled:
                log.warning(
                    "%s: %d of %d labelled columns have a label of every boundary, %s", where, whole, labelled, others
                )
        evaluated = (val[i].rows for i in range(len(val)))
        if not any(np.isfinite(rows[:, central(rows.shape[1], self.columns)]).any() for rows in evaluated):
            where = getattr(val, "file", "the validation data")
            raise InputError(f"{where}: no B-scan has a label in its central {self.columns} columns (--columns)")
        held_out = {val[i].fingerprint for i in range(len(val))}
        if both := sum(scan.fingerprint in held_out for scan in scans):
            log.warning("%d training B-scans are also among the validation B-scans", both)

    def make_loss(self, skeleton: Skeleton) -> losses.PoseLoss:
        """The loss for the data's boundaries that `loss`, `head` and `factors` name."""
        dim = len(skeleton)
        if callable(self.loss):
            return self.loss(dim)
        if self.head == "rows":
            if self.loss == "l1":
                return losses.RowsLoss(dim)
            # Cross-entropy of rows drives mu; the likelihood, with less weight and its plain gradient, mostly sigma.
            plain = {"gradient_reweighting": 0.0} if self.loss == "rle" else {}
            return losses.RowsLoss(dim, weight=0.3, loss=self.likelihood(dim, **plain))
        if self.factors and self.loss == "rle":
            return losses.FactorsRLELoss(dim, base=self.base)
        return self.likelihood(dim)

    def evaluation(
        self, data: Scans, model: models.BoundaryModel, loss: losses.LikelihoodLoss | None
    ) -> BoundaryEvaluation:
        """The evaluator: distances of boundaries from their labels."""
        from logpose.tasks.boundaries.evaluate import BoundaryEvaluation

        return BoundaryEvaluation(data, model, loss, self.columns)


RENAMED: dict[str, Any] = {"OctRecipe": BoundaryRecipe, "drawn_scans": synthetic_scans}
"""Names of version 0.1."""


def __getattr__(name: str) -> Any:
    if name not in RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"{name} is now {RENAMED[name].__name__}", DeprecationWarning, stacklevel=2)
    return RENAMED[name]
