"""From a photograph to poses: crops of many people and images are computed together, results come back in pixels.

Those of models of three dimensions come in millimetres in the camera's frame besides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from logpose.core import geometry
from logpose.core.errors import InputError
from logpose.core.placement import Viewpoint, refuse_diverged
from logpose.core.samples import Image, Sample, Scoring
from logpose.core.structures import Batch
from logpose.data.batches import check_batch_size, collate
from logpose.data.inputs import Boxes
from logpose.data.pixels import ImageLike
from logpose.data.read_ahead import read_ahead
from logpose.data.symmetry import flip_test_note
from logpose.data.transforms import CropTransform
from logpose.metrics.covariance import principal
from logpose.metrics.oks import oks_nms
from logpose.models import PoseModel
from logpose.models.weight_files import PERSON
from logpose.tasks.evaluation import loaded
from logpose.tasks.options import LOOKS
from logpose.tasks.pose.boxes import (
    box_categories,
    box_of_joints,
    category_id,
    checked_boxes,
    is_nobody,
    overlap,
)
from logpose.tasks.pose.evaluate import shown_size
from logpose.tasks.pose.poses import Poses, calibrated_poses, radius_of
from logpose.tasks.scoring import person_scores, refuse_scoring
from logpose.training.built_in import note_built_in

__all__ = ["Predictor"]

log = logging.getLogger("logpose")

BoxesOf = Callable[[Image], Boxes | Sequence[Sequence[float]]]
"""A detector: of an image, the boxes of the people in it, x, y, width, height and perhaps a score each."""


class _Waiting(NamedTuple):
    """An image whose crops wait for those of others."""

    path: Path | None
    image: Image | None
    """If it is still needed."""
    size: tuple[int, int]
    """H, W."""
    boxes: Boxes
    kinds: np.ndarray | None
    """The boxes' categories."""
    looked_at: bool
    """Whether no boxes were given: the one box is where the person is thought to be."""


STANDS = 0.9
"""Overlap (IoU) of the box of the joints with the box that they were found in, from which on it is kept."""

HELD = 2**28  # most bytes of decoded images that are kept while their crops wait for others


class Predictor:
    """A trained model that takes whole images.

    Args:
        model: a checkpoint: a file, the folder of a run or of `logpose convert`, the name of a built-in model, or
            hf://OWNER/NAME; or a model, of which a copy is taken, so that it stays where it is and in its mode. When
            None, the built-in model of people.
        device: where to compute; a GPU if there is one when None.
        flip_test: average with the prediction on the mirrored crop: a little better, half as fast; None: where left and
            right joints are known, as `logpose eval` does.
        batch_size: crops at a time.
        scoring: how the score of a person comes from that of the box and the confidence of the joints.
        nms: of people who are alike (OKS above 0.9), found in several boxes, keep the best; best first.
        view: of a model of three dimensions: what is known of the camera and of the distance to the people.
        category: of a model of several categories, the name or id of that of all boxes that have none of their own.
        looks: how often an image without boxes is looked at: first as a whole, then in the box of the joints found
            before, until it stands.

    Attributes:
        skeleton: the model's, with the ids that categories have in boxes and results.

    Raises:
        InputError: if the checkpoint cannot be used, something is given of the camera of a model of two dimensions, or
            people are to be scored by a standard deviation that the model does not predict; if the model has no such
            category.
    """

    def __init__(
        self,
        model: PoseModel | Path | str | None = None,
        device: torch.device | str | None = None,
        flip_test: bool | None = False,
        batch_size: int = 64,
        scoring: Scoring = "sum",
        nms: bool = False,
        view: Viewpoint | None = None,
        category: str | int | None = None,
        looks: int = LOOKS,
    ) -> None:
        if model is None:
            model = PERSON
            note_built_in()
        refusal = "is a model for {0.task}, and a model of crops of people is needed"
        self.model, self.device = loaded(model, PoseModel, device, refusal)  # type: ignore[type-abstract]
        refuse_scoring(scoring, self.model.error_distribution)
        if note := flip_test_note(self.model.skeleton, flip_test):
            log.warning(note)
        self.flip_test, self.batch_size, self.scoring, self.nms = flip_test, check_batch_size(batch_size), scoring, nms
        self.skeleton = self.model.skeleton
        self.category = None if category is None else category_id(self.skeleton, category)
        self.transform = CropTransform(self.model.skeleton, self.model.size, padding=self.model.padding)
        if looks < 1:
            raise InputError(f"looks must be at least 1, got {looks}")
        self.looks = looks
        self.view = view or Viewpoint()
        if len(self.view.assumed) < 3 and self.model.dim != 3:
            raise InputError("a camera and a root depth place joints in space, and this model is of two dimensions")

    def __call__(
        self, image: ImageLike | Path | str, boxes: Boxes | Sequence[Sequence[float]] | BoxesOf | None = None
    ) -> Poses:
        """The people of one image.

        Args:
            image: a file; or an RGB array (H, W, 3) of values from 0 to 255, or what `data.pixels` makes one of: grey,
                other types, channels first, tensors, images of Pillow.
            boxes: x, y, width, height and, if known, a score of each person, or a function that returns them for an RGB
                array, as `Finder.boxes` does. For a model of several categories also the category's id. Without them
                one person is looked for in the whole image, and nobody is returned if where the joints are stays as
                uncertain as if there were none, by a model that predicts sigma.

        Raises:
            InputError: if the image cannot be read, a box is none or of no category, or the model has diverged.
        """
        return next(self.many([(image, boxes)]))

    def many(
        self,
        images: Iterable[tuple[ImageLike | Path | str, Boxes | Sequence[Sequence[float]] | BoxesOf | None]],
        left_out: Callable[[InputError], None] | None = None,
        with_images: bool = False,
    ) -> Iterator[Poses]:
        """The people of many images, one `Poses` for each image, in order; crops of several are computed together.

        Args:
            images: pairs of an image and its boxes, as `__call__` takes them; of files, the next are taken and
                decoded while others are computed.
            left_out: is called with the error of an image that cannot be read, or whose boxes are wrong; others go on
                without it. When None, such an image is refused.
            with_images: whether each `Poses` carries its decoded image, to be drawn on.

        Raises:
            InputError: as `__call__`.
        """
        waiting: list[_Waiting] = []
        crops: list[Batch] = []
        held = 0
        for source, boxes, being_read in read_ahead(images):
            path = Path(source) if isinstance(source, str | Path) else None
            try:
                image = being_read.result()
                height, width = image.shape[:2]
                if not callable(boxes):
                    rows = checked_boxes(boxes, (height, width), path)
            except InputError as error:
                if left_out is None:
                    raise
                left_out(error)
                continue
            if callable(boxes):  # what a detector does wrong is not the image's fault
                if (detected := boxes(image)) is None:
                    raise InputError("the detector returned None, expected boxes; of nobody an empty list")
                rows = checked_boxes(detected, (height, width), path)
            kinds = box_categories(self.skeleton, rows, self.category, path)
            rows = rows[:, :5]
            looked_at = boxes is None and self.looks > 1
            kept = image if with_images or looked_at else None
            waiting.append(_Waiting(path, kept, (height, width), rows, kinds, looked_at))
            crops.extend(self.crop(image, row) for row in rows)
            held += 0 if kept is None else kept.nbytes
            if len(crops) >= self.batch_size or held > HELD:
                yield from self._poses(waiting, crops, with_images)
                waiting, crops, held = [], [], 0
        yield from self._poses(waiting, crops, with_images)

    def crop(self, image: Image, box: Float[np.ndarray, "_"]) -> Batch:
        """The model's input of the region around a box, x, y, width, height, of an image."""
        count = len(self.model.skeleton)
        labels = np.zeros((count, self.model.dim)), np.zeros(count, dtype=np.int64)
        return self.transform(Sample(image, box[:4], *labels, 1.0, 0, 0))

    def _poses(self, waiting: list[_Waiting], crops: list[Batch], with_images: bool) -> Iterator[Poses]:
        """The crops' predictions, dealt out to the images that they were cut from."""
        found = self._all(crops)
        keypoints, sigma, confidence, correlation, visible = found
        there = self._looked_again(waiting, found)
        start = 0
        for i, (path, image, size, boxes, kinds, _) in enumerate(waiting):
            rows = np.arange(start, start + len(boxes))
            start += len(boxes)
            if not there[i]:
                rows, boxes, kinds = rows[:0], boxes[:0], None if kinds is None else kinds[:0]
            image = image if with_images else None
            axes = principal(sigma[rows], correlation[rows])[0] if self._predicts("correlated") else sigma[rows]
            scores, best = self._scored(boxes, kinds, keypoints[rows], axes, confidence[rows])
            rows, boxes = rows[best], boxes[best]
            poses = Poses(
                self.skeleton, boxes[:, :4], keypoints[rows, :, :2], sigma[rows, :, :2], confidence[rows],
                scores[best], radius_of(self.model, boxes[:, :4]), path, image,
            )  # fmt: skip
            if self._predicts("correlated"):
                poses = replace(poses, correlation=correlation[rows])
            if self._predicts("visibility"):
                poses = replace(poses, visible=visible[rows])
            if kinds is not None:
                own = self.skeleton.owned(kinds[best].tolist())[..., None]
                place, std = (np.where(own, values, np.nan) for values in (poses.keypoints, poses.sigma))
                sure = np.where(own[..., 0], poses.confidence, np.nan)
                poses = replace(poses, keypoints=place, sigma=std, confidence=sure, category_ids=kinds[best])
                if poses.visible is not None:
                    poses = replace(poses, visible=np.where(own[..., 0], poses.visible, np.nan))
            poses = calibrated_poses(self.model, poses)
            yield self._placed(poses, keypoints[rows], sigma[rows], size) if self.model.dim == 3 else poses

    def _predicts(self, what: str) -> bool:
        """Whether the model was made with an argument that asks for more than mu and sigma."""
        return bool(getattr(self.model, what, False))

    def _looked_again(self, waiting: Sequence[_Waiting], found: geometry.InImages) -> list[bool]:
        """Look at images without boxes again, in the box of the joints that were found, until it stands.

        Boxes and what was found in them are replaced.

        Returns:
            whether somebody is there, of every image.
        """
        starts = np.cumsum([0, *(len(each.boxes) for each in waiting)])
        looked_at = [(int(row), each) for row, each in zip(starts, waiting, strict=False) if each.looked_at]
        for _ in range(self.looks - 1):
            moved, crops = [], []
            for row, each in looked_at:
                box = box_of_joints(self._own(found[0][row], each), each.size)
                if overlap(box, each.boxes[0]) < STANDS:
                    assert each.image is not None
                    each.boxes[0, :4] = box
                    moved.append((row, each))
                    crops.append(self.crop(each.image, each.boxes[0]))
            if not moved:
                break
            looked_at = moved
            for values, again in zip(found, self._all(crops), strict=True):
                values[[row for row, _ in moved]] = again
        most = None if self.model.calibration is None else self.model.calibration.uncertain
        return [
            not (each.looked_at and is_nobody(self._own(found[1][row], each), each.boxes[0], most))
            for row, each in zip(starts, waiting, strict=False)
        ]

    def _own(self, joints: Float[np.ndarray, "K D"], image: _Waiting) -> Float[np.ndarray, "J 2"]:
        """The joints, in the image plane, of the category of the one person that an image is thought to show."""
        own = slice(None) if image.kinds is None else self.skeleton.of(int(image.kinds[0]))[1]
        return joints[own, :2]

    def _scored(
        self,
        boxes: Boxes,
        kinds: Int[np.ndarray, "N"] | None,
        keypoints: Float[np.ndarray, "N K D"],
        sigma: Float[np.ndarray, "N K D"],
        confidence: Float[np.ndarray, "N K"],
    ) -> tuple[Float[np.ndarray, "N"], list[int]]:
        """The score of each person in an image, by the joints of their category, and which of them are kept."""
        scores, best = np.empty(len(boxes)), []
        for kind in (0,) if kinds is None else np.unique(kinds).tolist():
            mine = np.arange(len(boxes)) if kinds is None else np.flatnonzero(kinds == kind)
            own, joints = self.skeleton.of(kind)
            each: Any = slice(None) if kinds is None else joints
            place, std, sure = keypoints[mine][:, each], sigma[mine][:, each], confidence[mine][:, each]
            of_boxes, radii = boxes[mine], self.model.radii()
            scores[mine] = person_scores(self.scoring, of_boxes[:, 4], sure, std, of_boxes[:, :4], own.sigmas, radii)
            if self.nms and len(mine):
                # As in `eval`, of the region that the crop shows.
                area = np.array([np.prod(shown_size(box[:4], self.model)) for box in boxes[mine]])
                best += mine[oks_nms(place[..., :2], scores[mine], area, own.sigmas)].tolist()
        return scores, sorted(best, key=lambda row: -scores[row]) if self.nms else list(range(len(boxes)))

    def _placed(self, poses: Poses, keypoints: np.ndarray, sigma: np.ndarray, size: tuple[int, int]) -> Poses:
        """The same people, placed in the camera's frame, if their distance is known."""
        try:
            placed = self.view.place(keypoints, sigma, size, poses.skeleton)
        except InputError as error:
            raise InputError(f"{poses.path}: {error}" if poses.path else str(error)) from error
        if placed is None:
            return poses
        return replace(
            poses, joints_mm=placed.joints, sigma_mm=placed.sigma, root_depth_mm=placed.root_depth,
            camera=placed.camera, assumed=self.view.assumed,
        )  # fmt: skip

    def _all(self, crops: Sequence[Batch]) -> geometry.InImages:
        """What is predicted of every joint of all crops."""
        found = [
            self._predicted(collate(crops[i : i + self.batch_size])) for i in range(0, len(crops), self.batch_size)
        ]
        count, dim = len(self.model.skeleton), self.model.dim
        none = (*(np.empty((0, count, dim)) for _ in range(2)), *(np.empty((0, count)) for _ in range(3)))
        return geometry.InImages(*(np.concatenate(parts) for parts in zip(none, *found, strict=True)))

    @torch.inference_mode()
    def _predicted(self, batch: Batch) -> geometry.InImages:
        """What is predicted of every joint of some crops, in pixels of their images; depths in millimetres."""
        batch = batch.to(self.device)
        prediction = self.model.predict(batch, self.flip_test)
        found = geometry.in_images(prediction, batch.to_image, self.model.size)
        refuse_diverged(found.keypoints, found.confidence)
        return found
