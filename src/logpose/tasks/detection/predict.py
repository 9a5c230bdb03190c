"""From an image to the poses of all people in it, by a detection model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from logpose.core.errors import InputError
from logpose.core.placement import refuse_diverged
from logpose.core.samples import Image, Scoring
from logpose.data.batches import check_batch_size
from logpose.data.image_sets import LabelledImage
from logpose.data.images import image_size, read_image
from logpose.data.pixels import ImageLike
from logpose.data.scenes import SceneBatch, ShortSide, join, scene
from logpose.models import Detector
from logpose.tasks.detection.evaluate import FoundPeople, in_image
from logpose.tasks.evaluation import loaded
from logpose.tasks.pose.poses import Poses, calibrated_poses, radius_of
from logpose.tasks.scoring import refuse_scoring

__all__ = ["Finder"]


class Finder:
    """A trained detector that takes whole images, in a `Predictor`'s place: it needs no boxes.

    Args:
        model: a checkpoint: a file, the folder of a run or of `logpose convert`, or hf://OWNER/NAME; or a model, of
            which a copy is taken, so that it stays where it is and in its mode.
        device: where to compute; a GPU if there is one when None.
        batch_size: images at a time.
        scoring: how the score of a person comes from that of the box and the confidence of the joints.
        least_score: lowest score of a box; the model's own threshold when None.

    Raises:
        InputError: if the checkpoint cannot be used, is of another kind of model, has diverged, or people are to be
            scored by a standard deviation that it does not predict.
    """

    def __init__(
        self,
        model: Detector | Path | str,
        device: torch.device | str | None = None,
        batch_size: int = 8,
        scoring: Scoring = "box",
        least_score: float | None = None,
    ) -> None:
        refusal = "is a top-down model ({0.input_spec}): it needs boxes or a detector"
        self.model, self.device = loaded(model, Detector, device, refusal)  # type: ignore[type-abstract]
        if not self.model.is_finite():  # it would detect nobody, without a reason
            raise InputError("the model's weights are not finite; it has diverged")
        refuse_scoring(scoring, self.model.error_distribution)
        self.batch_size, self.scoring = check_batch_size(batch_size), scoring
        self.least_score = self.model.score_threshold if least_score is None else least_score
        self.transform = ShortSide((self.model.short,), self.model.longest)

    def __call__(self, image: ImageLike | Path | str) -> Poses:
        """The people of one image, a file or an RGB array (`data.pixels` names further forms), best first.

        Raises:
            InputError: if the image cannot be read, or the model has diverged.
        """
        return next(self.many([image]))

    def boxes(self, image: ImageLike | Path | str) -> Float[np.ndarray, "N 5"]:
        """x, y, width, height and score of the people of one image: what a `Predictor` takes as its `boxes`.

        Raises:
            InputError: as `__call__`.
        """
        source = Path(image) if isinstance(image, str | Path) else read_image(image)
        found = self._found([self._scene(source)])[0]
        # At the very edge a box may have no area, or lie outside an image smaller than the model's input.
        width, height = image_size(source) if isinstance(source, Path) else source.shape[1::-1]
        low = found.boxes[:, :2].clip(0)
        size = np.minimum(found.boxes[:, :2] + found.boxes[:, 2:], (width, height)) - low
        there = (size > 0).all(axis=1)
        return np.asarray(np.column_stack([low, size, found.box_scores])[there])

    def many(
        self, images: Iterable[ImageLike | Path | str], left_out: Callable[[InputError], None] | None = None
    ) -> Iterator[Poses]:
        """The people of many images, one `Poses` for each image, in order.

        Args:
            images: files, or RGB arrays; see `__call__`.
            left_out: is called with the error of an image that cannot be read; the others go on without it. When None,
                such an image is refused.

        Raises:
            InputError: as `__call__`.
        """
        waiting = self._read(images, left_out)
        while together := list(islice(waiting, self.batch_size)):
            for (path, _), found in zip(together, self._found([read for _, read in together]), strict=True):
                poses = Poses(
                    self.model.skeleton, found.boxes, found.keypoints, found.std, found.confidence,
                    found.scores(self.scoring, self.model.skeleton.sigmas, self.model),
                    radius_of(self.model, found.boxes), path,
                )  # fmt: skip
                yield calibrated_poses(self.model, poses)

    @torch.inference_mode()
    def _found(self, scenes: list[SceneBatch]) -> list[FoundPeople]:
        """Who is found in some images, by the box's score and those below the least left out."""
        batch = join(scenes).to(self.device)
        people = []
        for found, to_image in zip(self.model.predict(batch), batch.to_image, strict=True):
            own = in_image(found.chosen(found.box_scores >= self.least_score), to_image)
            refuse_diverged(own.keypoints, own.confidence)
            people.append(own)
        return people

    def _scene(self, image: Image | Path) -> SceneBatch:
        """The model's input of an image, decoded as `eval` decodes it."""
        return scene(LabelledImage(image, 0, ()), self.model.skeleton, self.transform)

    def _read(
        self, images: Iterable[ImageLike | Path | str], left_out: Callable[[InputError], None] | None
    ) -> Iterator[tuple[Path | None, SceneBatch]]:
        """Files, if they are any, and their inputs; those that cannot be read are reported and left out."""
        for image in images:
            source = Path(image) if isinstance(image, str | Path) else image
            try:
                read = self._scene(source if isinstance(source, Path) else read_image(source))
            except InputError as error:
                if left_out is None:
                    raise
                left_out(error)
                continue
            yield source if isinstance(source, Path) else None, read
