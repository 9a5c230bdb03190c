"""`LiftingRecipe`: the settings of a training run of two-stage 3-D pose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from logpose import losses, models
from logpose.core.errors import InputError, UnknownSubjectError
from logpose.core.skeletons import Skeleton
from logpose.training.recipe import TrainingRecipe

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from logpose.data.lifting import LiftingPoses
    from logpose.data.windows import Poses, WindowBatch
    from logpose.tasks.lifting.evaluate import LiftingEvaluation

__all__ = ["LiftingRecipe", "lifting", "poses_of_file"]


def poses_of_file(recipe: LiftingRecipe, part: str) -> LiftingPoses:
    """The frames of one part's subjects.

    Raises:
        InputError: if there is no such file, or it cannot be used for training.
    """
    from logpose.data.lifting import open_poses

    if recipe.data is None:
        raise InputError("this recipe needs 3-D poses: logpose train RECIPE data_3d_NAME.npz")
    if recipe.data.is_dir():
        raise InputError(f"{recipe.data}: is a folder; give the data_3d_NAME.npz in it")
    subjects = recipe.train_subjects if part == "train" else recipe.val_subjects
    try:
        poses = open_poses(
            recipe.data, recipe.keypoints, subjects, recipe.picture, recipe.cameras, recipe.camera_seed, recipe.detected
        )
    except UnknownSubjectError as error:
        raise UnknownSubjectError(f"{error} (--train-subjects and --val-subjects choose them)") from error
    twice = {name for name in poses.subjects if {name, name.partition("/")[0]} & {*recipe.train_subjects}}
    if part == "val" and twice:
        raise InputError(f"{', '.join(sorted(twice))}: among both --train-subjects and --val-subjects")
    return poses


DROPOUT = {"fc": 0.0, "martinez": 0.5, "srnet": 0.0}


def lifting(recipe: LiftingRecipe, skeleton: Skeleton, predicts_sigma: bool) -> models.LiftingModel:
    """The network that the recipe names."""
    dropout = DROPOUT[recipe.network] if recipe.dropout is None else recipe.dropout
    settings: dict[str, Any] = {"dropout": dropout, "width": recipe.width}
    if recipe.network == "srnet":
        settings["filters"] = recipe.filters
    if recipe.network == "martinez":
        settings["unseen"] = [i for i, joint in enumerate(skeleton.joints) if joint == "nose"]
    return models.LiftingModel(recipe.network, skeleton, predicts_sigma, settings)


@dataclass(kw_only=True)
class LiftingRecipe(TrainingRecipe):
    """The settings of a training run of a model that lifts 2-D keypoints to 3-D."""

    task: ClassVar[str] = "lifting"
    MEASURED_ON: ClassVar[tuple[str, ...]] = (
        *("watch", "data", "keypoints", "detected", "val_subjects", "picture", "cameras", "camera_seed"),
    )

    people: Callable[[LiftingRecipe, str], Poses] = poses_of_file
    """Called with the recipe and "train" or "val": the data set of that part."""
    model: Callable[[LiftingRecipe, Skeleton, bool], models.LiftingModel] = lifting

    data: Path | None = None
    """3-D poses: a data_3d_NAME.npz in VideoPose3D's format."""
    keypoints: Path | None = None
    """Their exact 2-D keypoints; default: data_2d_NAME_gt.npz beside it, or projections by `cameras`."""
    detected: Path | None = None
    """A detector's keypoints of the same frames: inputs in place of `keypoints`, which give the cameras."""
    train_subjects: tuple[str, ...] = ("S1", "S5", "S6", "S7", "S8")
    """Subjects for training; "Train" stands for all of Train/…"""
    val_subjects: tuple[str, ...] = ("S9", "S11")
    """Subjects for validation."""
    picture: tuple[int, int] | None = None
    """Height and width of the images that the keypoints are in; default: Human3.6M's or HumanEva's."""
    cameras: int = 4
    """Number of virtual cameras around a subject without 2-D keypoints."""
    camera_seed: int = 0
    """Seed of their positions."""
    network: Literal["fc", "martinez", "srnet"] = "fc"
    """fc: SRNet's fully connected baseline; martinez: the baseline of Martinez et al. 2017; srnet: SRNet."""
    filters: tuple[int, ...] = (1, 1, 1)
    """With --network srnet: kernel size of each layer, in frames; 3 3 3 3 3 has a receptive field of 243 frames."""
    width: int = 1024
    """Width of the hidden layers."""
    dropout: float | None = None
    """Dropout probability; default: as published (0.5 for martinez, 0 for the others)."""
    flip: float = 0.5
    """Probability that a training pose is mirrored."""
    every: int = 1
    """Train on every n-th frame only: those of a fast camera are alike."""
    batch_size: int = 1024
    """Poses in a batch, per device."""
    epochs: int = 60
    optimizer: Literal["adam", "adamw", "amsgrad"] = "amsgrad"
    """Adam; adamw: with decoupled weight decay; amsgrad: its AMSGrad variant."""
    schedule: Literal["step", "cosine", "one_cycle", "exponential", "constant"] = "exponential"
    workers: int | Literal["auto"] = 0
    precision: str = "32-true"
    """Lightning's precision (32-true, bf16-mixed, 16-mixed, …)."""
    watch: Literal["mpjpe", "mpjpe_mean", "pa_mpjpe", "nll"] = "mpjpe"

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(*(self.picture or (1, 1)), self.cameras, self.width, self.every) < 1 or self.camera_seed < 0:
            raise InputError("--picture, --cameras, --width and --every must be at least 1, --camera-seed at least 0")
        if not self.filters or any(taps < 1 or taps % 2 == 0 for taps in self.filters):
            raise InputError(f"filters must be odd numbers of frames, got {self.filters}")
        dropout = self.dropout or 0.0
        if not (0 <= dropout < 1 and 0 <= self.flip <= 1):
            raise InputError(f"dropout must lie in [0, 1) and flip in [0, 1], got {dropout:g} and {self.flip:g}")

    def inapplicable(self) -> dict[str, str]:
        """As for any recipe; fields of another network, and of cameras that the data have or lack."""
        from logpose.data.lifting import exact_keypoints

        inapplicable = super().inapplicable()
        if self.network != "srnet":
            inapplicable["filters"] = f"applies to --network srnet, not to {self.network}"
        if self.data is None or self.people is not poses_of_file:
            return inapplicable
        if file_2d := exact_keypoints(self.data, self.keypoints):
            virtual = f"applies to virtual cameras; those of {file_2d} are used"
            return inapplicable | {"cameras": virtual, "camera_seed": virtual}
        return inapplicable | {"picture": "applies to a file of --keypoints; without one there are virtual cameras"}

    def loader(
        self, data: Poses, model: models.LiftingModel, *, training: bool, processes: int = 1, pin: bool = False
    ) -> DataLoader[WindowBatch]:
        """Batches of windows, randomly mirrored in training."""
        from logpose.data.windows import Windows, window_loader
        from logpose.tasks.lifting.evaluate import validation_loader

        loading = self.loading(processes, pin)
        if not training:
            return validation_loader(data, model, self.batch_size, workers=loading["workers"], pin=pin)
        windows = Windows(data, model.frames, self.flip, self.seed, self.every)
        return window_loader(windows, self.batch_size, training=True, **loading)

    def check_data(self, train: Poses, val: Poses, loss: losses.PoseLoss) -> None:
        """As for any recipe; a mean over actions needs several actions."""
        super().check_data(train, val, loss)
        if self.watch == "mpjpe_mean" and len(set(val.groups)) < 2:
            raise InputError(f"--watch mpjpe_mean: the validation data have one action, {val.groups[0]}")

    def make_loss(self, skeleton: Skeleton) -> losses.PoseLoss:
        """The loss of 3-D joints that `loss` names."""
        return super().make_loss(skeleton) if callable(self.loss) else self.likelihood(3)

    def evaluation(
        self, data: Poses, model: models.LiftingModel, loss: losses.LikelihoodLoss | None
    ) -> LiftingEvaluation:
        """The evaluator: errors in millimetres, before and after Procrustes alignment."""
        from logpose.tasks.lifting.evaluate import LiftingEvaluation

        return LiftingEvaluation(data, model, loss)
