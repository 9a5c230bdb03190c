"""`LiftingRecipe`: what a training run of two-stage 3-D pose needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch.utils.data import DataLoader

from logpose.core.errors import InputError, UnknownSubjectError
from logpose.core.skeletons import Skeleton
from logpose.data.lifting import LiftingPoses, exact_keypoints, open_poses
from logpose.data.windows import Poses, WindowBatch, Windows, window_loader
from logpose.losses import LikelihoodLoss, PoseLoss, RLELoss
from logpose.models import LiftingModel
from logpose.tasks.lifting.evaluate import LiftingEvaluation, validation_loader
from logpose.training.recipe import TrainingRecipe

__all__ = ["LiftingRecipe", "lifting", "poses_of_file", "rle_in_space"]


def poses_of_file(recipe: LiftingRecipe, part: str) -> LiftingPoses:
    """The frames of one part's subjects.

    Raises:
        InputError: if there is no such file, or it cannot be learned from.
    """
    if recipe.data is None:
        raise InputError("this recipe learns from poses in space: say which with --data data_3d_NAME.npz")
    if recipe.data.is_dir():
        raise InputError(f"{recipe.data}: is a folder; say which data_3d_NAME.npz in it")
    subjects = recipe.train_subjects if part == "train" else recipe.val_subjects
    try:
        poses = open_poses(
            recipe.data, recipe.keypoints, subjects, recipe.picture, recipe.cameras, recipe.camera_seed, recipe.detected
        )
    except UnknownSubjectError as error:
        raise UnknownSubjectError(f"{error} (they are chosen by --train_subjects and --val_subjects)") from error
    twice = {name for name in poses.subjects if {name, name.partition("/")[0]} & {*recipe.train_subjects}}
    if part == "val" and twice:
        raise InputError(
            f"{', '.join(sorted(twice))}: to be learned from and to be measured on; subjects must be apart"
        )
    return poses


DROPOUT = {"fc": 0.0, "martinez": 0.5, "srnet": 0.0}


def rle_in_space() -> RLELoss:
    """RLE of three dimensions."""
    return RLELoss(dim=3)


def lifting(recipe: LiftingRecipe, skeleton: Skeleton, predicts_sigma: bool) -> LiftingModel:
    """The network that the recipe names."""
    dropout = DROPOUT[recipe.network] if recipe.dropout is None else recipe.dropout
    settings: dict[str, Any] = {"dropout": dropout, "width": recipe.width}
    if recipe.network == "srnet":
        settings["filters"] = recipe.filters
    if recipe.network == "martinez":
        settings["unseen"] = [i for i, joint in enumerate(skeleton.joints) if joint == "nose"]
    return LiftingModel(recipe.network, skeleton, predicts_sigma, settings)


@dataclass(kw_only=True)
class LiftingRecipe(TrainingRecipe):
    """Everything that a run of a model that lifts keypoints into space needs."""

    people: Callable[[LiftingRecipe, str], Poses] = poses_of_file
    """Called with the recipe and "train" or "val": the data set of that part."""
    loss: Callable[[], PoseLoss] = rle_in_space
    """Makes the loss."""
    model: Callable[[LiftingRecipe, Skeleton, bool], LiftingModel] = lifting
    """Called with the recipe, the data's skeleton and whether sigma is wanted: the network."""

    data: Path | None = None
    """Poses in space: data_3d_NAME.npz as VideoPose3D has it."""
    keypoints: Path | None = None
    """Their exact keypoints; data_2d_NAME_gt.npz beside it unless given, or what cameras placed around would see."""
    detected: Path | None = None
    """What a detector found of the same frames, to lift instead of `keypoints`, which still tell the cameras."""
    train_subjects: tuple[str, ...] = ("S1", "S5", "S6", "S7", "S8")
    """Subjects to learn from; "Train" stands for all of Train/…"""
    val_subjects: tuple[str, ...] = ("S9", "S11")
    """Subjects to be measured on."""
    picture: tuple[int, int] | None = None
    """Height and width of the pictures that the keypoints are in; unless given, Human3.6M's or HumanEva's."""
    cameras: int = 4
    """How many cameras are placed around a subject of which there are no keypoints …"""
    camera_seed: int = 0
    """… and the seed of their places."""
    network: Literal["fc", "martinez", "srnet"] = "fc"
    """fc: SRNet's fully connected baseline; martinez: the one of 2017; srnet: split and recombine."""
    filters: tuple[int, ...] = (1, 1, 1)
    """Of srnet: frames that become one in each layer; 3 3 3 3 3 sees 243 frames."""
    width: int = 1024
    """Of the hidden layers."""
    dropout: float | None = None
    """Share of features left out in training; as published unless given: half of martinez's, none of the others'."""
    flip: float = 0.5
    """How often a pose is mirrored in training."""
    every: int = 1
    """Learn from every so many-th frame only: those of a fast camera are alike."""
    batch_size: int = 1024
    """Poses in a batch, on each device."""
    epochs: int = 60
    """Times that the data are gone through."""
    optimizer: Literal["adam", "adamw", "amsgrad"] = "amsgrad"
    """Adam; adamw: with decoupled weight decay; amsgrad: with steps that never grow back."""
    schedule: Literal["step", "cosine", "one_cycle", "exponential", "constant"] = "exponential"
    """step: × 0.1 at each milestone; cosine: down to 0; one_cycle: up over a tenth of the steps, then down to 0;
    exponential: × decay after every epoch."""
    workers: int = 0
    """Processes that prepare batches; 0 does it in the main one."""
    precision: str = "32-true"
    """Lightning's precision (32-true, bf16-mixed, 16-mixed, …)."""
    watch: Literal["mpjpe", "mpjpe_mean", "pa_mpjpe", "nll"] = "mpjpe"
    """The validation figure that decides which checkpoint is the best."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(*(self.picture or (1, 1)), self.cameras, self.width, self.every) < 1 or self.camera_seed < 0:
            raise InputError("picture, cameras, width and every must be at least 1, camera_seed at least 0")
        if not self.filters or any(taps < 1 or taps % 2 == 0 for taps in self.filters):
            raise InputError(f"filters must be odd numbers of frames, so that one is in the middle; got {self.filters}")
        dropout = self.dropout or 0.0
        if not (0 <= dropout < 1 and 0 <= self.flip <= 1):
            raise InputError(f"dropout must lie in [0, 1) and flip in [0, 1], got {dropout:g} and {self.flip:g}")

    def inapplicable(self) -> dict[str, str]:
        """As of any recipe; what is about another network, and about cameras that the data have or have not."""
        inapplicable = super().inapplicable()
        if self.network != "srnet":
            inapplicable["filters"] = f"about --network srnet, and this is {self.network}"
        if self.data is None or self.people is not poses_of_file:
            return inapplicable
        if file_2d := exact_keypoints(self.data, self.keypoints):
            placed = f"about cameras that are placed around, and {file_2d} has its own"
            return inapplicable | {"cameras": placed, "camera_seed": placed}
        return inapplicable | {"picture": "about a file of --keypoints, and without one cameras are placed around"}

    def loader(
        self, data: Poses, model: LiftingModel, *, training: bool, processes: int = 1, pin: bool = False
    ) -> DataLoader[WindowBatch]:
        """Batches of windows, mirrored at times in training."""
        if not training:
            return validation_loader(data, model, self.batch_size, workers=self.workers, pin=pin)
        windows = Windows(data, model.frames, self.flip, self.seed, self.every)
        return window_loader(
            windows, self.batch_size, training=True, workers=self.workers, seed=self.seed, pin=pin, processes=processes,
        )  # fmt: skip

    def check_data(self, train: Poses, val: Poses, loss: PoseLoss) -> None:
        """As of any recipe; a mean over actions needs several."""
        super().check_data(train, val, loss)
        if self.watch == "mpjpe_mean" and len(set(val.groups)) < 2:
            raise InputError(f"the validation data have one action, {val.groups[0]}: --watch mpjpe instead of its mean")

    def evaluation(self, data: Poses, model: LiftingModel, loss: LikelihoodLoss | None) -> LiftingEvaluation:
        """Errors in millimetres, plain and after the best similarity."""
        return LiftingEvaluation(data, model, loss)
