"""From a photograph to poses: crops of many people and images are computed together, results come back in pixels.

Those of models of three dimensions come in millimetres in the camera's frame besides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from logpose.core import geometry
from logpose.core.cameras import Camera
from logpose.core.errors import InputError
from logpose.core.placement import Assumable, Viewpoint, refuse_diverged
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Batch, Image, Sample, Scoring
from logpose.data.batches import check_batch_size, collate
from logpose.data.images import read_image
from logpose.data.inputs import Boxes
from logpose.data.pixels import ImageLike
from logpose.data.symmetry import flip_test_note
from logpose.data.transforms import CropTransform
from logpose.metrics.oks import oks_nms
from logpose.models import PoseModel
from logpose.report.results import in_mm, rounded, rows_mm
from logpose.tasks.evaluation import loaded, person_scores, refuse_scoring
from logpose.tasks.pose.boxes import box_categories, category_id, checked_boxes
from logpose.tasks.pose.evaluate import shown_size

__all__ = ["Poses", "Predictor", "coco_results", "official_result", "people_text", "results_arrays"]

log = logging.getLogger("logpose")

SHOWN_LEVEL = 0.5  # share of the probability that the regions of `Poses.radius` hold

BoxesOf = Callable[[Image], Boxes | Sequence[Sequence[float]]]
"""A detector: of an image, the boxes of the people in it, x, y, width, height and perhaps a score each."""

_Waiting = tuple[Path | None, Image | None, tuple[int, int], Boxes, np.ndarray | None]
"""An image's file, the image if it is to be kept, its (H, W), its boxes and their categories, while crops wait."""

HELD = 2**28  # most bytes of decoded images that are kept while their crops wait for others


@dataclass(frozen=True)
class Poses:
    """The people in one image. Lengths are in pixels of that image; N people, K joints."""

    skeleton: Skeleton
    boxes: Float[np.ndarray, "N 4"]
    """x, y, width, height of the box that each person was predicted in."""
    keypoints: Float[np.ndarray, "N K 2"]
    """Expected position of every joint, also of uncertain ones and of those outside the image."""
    sigma: Float[np.ndarray, "N K 2"]
    """Standard deviation of every joint along x and y; NaN from a model that was trained without a likelihood."""
    confidence: Float[np.ndarray, "N K"]
    """Of every joint, in [0, 1]: 1 - the model's relative sigma (the paper's Eq. 9, per joint)."""
    scores: Float[np.ndarray, "N"]
    """Of every person; unless another scoring was asked for, the box's score + the mean + the maximum confidence of the
    joints, and of detection models the box's score."""
    radius: float
    """The ellipse of `radius` standard deviations around a joint holds it with a probability of 50 %; of a model of
    three dimensions that is an ellipsoid, in the camera's frame."""
    path: Path | None = None
    """The image's file, if it came from one."""
    image: Image | None = None
    """The decoded image, where it was asked for."""
    joints_mm: Float[np.ndarray, "N K 3"] | None = None
    """Of a model of three dimensions, the same joints in the camera's frame (x to the right, y down, z away from it),
    millimetres; None where their distance is not known."""
    sigma_mm: Float[np.ndarray, "N K 3"] | None = None
    """Their standard deviations, the camera and the root's depth taken as exact; NaN as `sigma`."""
    root_depth_mm: Float[np.ndarray, "N"] | None = None
    """How far each person's root is from the camera along its axis."""
    camera: Camera | None = None
    """The camera that the joints are in the frame of."""
    assumed: tuple[Assumable, ...] = ()
    """What was not given of camera and root depth, and so was assumed (see `placement`)."""
    category_ids: Int[np.ndarray, "N"] | None = None
    """Each one's category, of a model of several: the others' joints are NaN in `keypoints`, `sigma`, `confidence`."""

    def __len__(self) -> int:
        return len(self.scores)

    def own(self, person: int) -> tuple[Skeleton, list[int]]:
        """The skeleton of a person's category, and the numbers that its joints have among the K."""
        return self.skeleton.of(0 if self.category_ids is None else int(self.category_ids[person]))


class Predictor:
    """A trained model that takes whole images.

    Args:
        model: a checkpoint: a file, the folder of a run or of `logpose convert`, or hf://OWNER/NAME; or a model, of
            which a copy is taken, so that it stays where it is and in its mode.
        device: where to compute; a GPU if there is one when None.
        flip_test: average with the prediction on the mirrored crop: a little better, half as fast; None: where left and
            right joints are known, as `logpose eval` does.
        batch_size: crops at a time.
        scoring: how the score of a person comes from that of the box and the confidence of the joints.
        nms: of people who are alike (OKS above 0.9), found in several boxes, keep the best; best first.
        view: of a model of three dimensions: what is known of the camera and of the distance to the people.
        category: of a model of several categories, the name or id of that of all boxes that have none of their own.

    Attributes:
        skeleton: the model's, with the ids that categories have in boxes and results.

    Raises:
        InputError: if the checkpoint cannot be used, something is given of the camera of a model of two dimensions, or
            people are to be scored by a standard deviation that the model does not predict; if the model has no such
            category.
    """

    def __init__(
        self,
        model: PoseModel | Path | str,
        device: torch.device | str | None = None,
        flip_test: bool | None = False,
        batch_size: int = 64,
        scoring: Scoring = "sum",
        nms: bool = False,
        view: Viewpoint | None = None,
        category: str | int | None = None,
    ) -> None:
        refusal = "is a model for {0.task}, and a model of crops of people is needed"
        self.model, self.device = loaded(model, PoseModel, device, refusal)  # type: ignore[type-abstract]
        refuse_scoring(scoring, self.model.error_distribution)
        if note := flip_test_note(self.model.skeleton, flip_test):
            log.warning(note)
        self.flip_test, self.batch_size, self.scoring, self.nms = flip_test, check_batch_size(batch_size), scoring, nms
        self.skeleton = self.model.skeleton
        self.category = None if category is None else category_id(self.skeleton, category)
        self.transform = CropTransform(self.model.skeleton, self.model.size, padding=self.model.padding)
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
                array, as `Finder.boxes` does; without them the whole image is one. For a model of several categories
                also the category's id.

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
            images: pairs of an image and its boxes, as `__call__` takes them.
            left_out: is called with the error of an image that cannot be read, or whose boxes are wrong; others go on
                without it. When None, such an image is refused.
            with_images: whether each `Poses` carries its decoded image, to be drawn on.

        Raises:
            InputError: as `__call__`.
        """
        waiting: list[_Waiting] = []
        crops: list[Batch] = []
        held, count = 0, len(self.model.skeleton)
        for source, boxes in images:
            path = Path(source) if isinstance(source, str | Path) else None
            try:
                image = read_image(source)
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
            waiting.append((path, image if with_images else None, (height, width), rows, kinds))
            labels = np.zeros((count, self.model.dim)), np.zeros(count, dtype=np.int64)
            crops.extend(self.transform(Sample(image, row[:4], *labels, 1.0, 0, 0)) for row in rows)
            held += image.nbytes if with_images else 0
            if len(crops) >= self.batch_size or held > HELD:
                yield from self._poses(waiting, crops)
                waiting, crops, held = [], [], 0
        yield from self._poses(waiting, crops)

    def _poses(self, waiting: list[_Waiting], crops: list[Batch]) -> Iterator[Poses]:
        """The crops' predictions, dealt out to the images that they were cut from."""
        found = [
            self._predicted(collate(crops[i : i + self.batch_size])) for i in range(0, len(crops), self.batch_size)
        ]
        count, dim = len(self.model.skeleton), self.model.dim
        nobody = (np.empty((0, count, dim)), np.empty((0, count, dim)), np.empty((0, count)))
        keypoints, sigma, confidence = (np.concatenate(parts) for parts in zip(nobody, *found, strict=True))
        radius = self.model.error_distribution.radius_at(SHOWN_LEVEL)
        start = 0
        for path, image, size, boxes, kinds in waiting:
            rows = np.arange(start, start + len(boxes))
            start += len(boxes)
            scores, best = self._scored(boxes, kinds, keypoints[rows], sigma[rows], confidence[rows])
            rows, boxes = rows[best], boxes[best]
            poses = Poses(
                self.skeleton, boxes[:, :4], keypoints[rows, :, :2], sigma[rows, :, :2], confidence[rows],
                scores[best], radius, path, image,
            )  # fmt: skip
            if kinds is not None:
                own = self.skeleton.owned(kinds[best].tolist())[..., None]
                place, std = (np.where(own, values, np.nan) for values in (poses.keypoints, poses.sigma))
                sure = np.where(own[..., 0], poses.confidence, np.nan)
                poses = replace(poses, keypoints=place, sigma=std, confidence=sure, category_ids=kinds[best])
            yield self._placed(poses, keypoints[rows], sigma[rows], size) if dim == 3 else poses

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
            scores[mine] = person_scores(self.scoring, boxes[mine, 4], sure, std, boxes[mine, :4], own.sigmas)
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

    @torch.inference_mode()
    def _predicted(self, batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Position, deviation and confidence of every joint of some crops, in pixels of their images; depths in mm."""
        batch = batch.to(self.device)
        prediction = self.model.predict(batch, self.flip_test)
        position, std, confidence = geometry.in_images(prediction, batch.to_image, self.model.size)
        refuse_diverged(position, confidence)
        return position, std, confidence


OFFICIAL = ("image_id", "category_id", "keypoints", "score")
"""All that an entry of a COCO results file has: with a `bbox` pycocotools would take its area for the person's, which
without one is that of the joints' extent, and medium and large people would be others."""


def coco_results(
    poses: Poses, image_id: int | str, category_id: int = 1, file_name: str | None = None
) -> list[dict[str, Any]]:
    """The people of one image as entries of a COCO results file, with `sigma` (2 K pixels) and `bbox` besides.

    `file_name` is that of the image's file, without its folder, unless another is given. Of models of several
    categories each row has its own `category_id`, the name as `category`, and the joints of that category alone, in its
    order.

    Of models of three dimensions they have `joints_mm` and `sigma_mm`, K rows of x, y, z, and `camera` with
    `assumed`, what of it was not given.
    """
    file_name = file_name or (poses.path.name if poses.path else None)
    categories = [category_id] * len(poses) if poses.category_ids is None else poses.category_ids.tolist()
    each = [poses.own(i) for i in range(len(poses))]
    return [
        {
            "image_id": image_id,
            "category_id": categories[i],
            **({} if poses.category_ids is None else {"category": own.name}),
            "keypoints": rounded(np.column_stack([poses.keypoints[i, joints], poses.confidence[i, joints]])),
            "sigma": rounded(poses.sigma[i, joints]) if np.isfinite(poses.sigma[i, joints]).all() else None,
            "bbox": rounded(poses.boxes[i]),
            "score": round(float(poses.scores[i]), 6),
            **({"file_name": file_name} if file_name else {}),
            **_in_space(poses, i),
        }
        for i, (own, joints) in enumerate(each)
    ]


def official_result(row: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of `coco_results` with the keys that COCO's server knows and no others, as `eval` writes it."""
    return {key: row[key] for key in OFFICIAL}


def _in_space(poses: Poses, person: int) -> dict[str, Any]:
    """A person's joints in space, as plain values; nothing for models of two dimensions."""
    if poses.joints_mm is None or poses.sigma_mm is None or poses.root_depth_mm is None or poses.camera is None:
        return {}
    return {
        "joints_mm": rows_mm(poses.joints_mm[person]),
        "sigma_mm": rows_mm(poses.sigma_mm[person]),
        "camera": {
            "focal": rounded(poses.camera.focal),
            "centre": rounded(poses.camera.centre),
            "root_depth_mm": round(float(poses.root_depth_mm[person]), 1),
            "assumed": ["root_depth_mm" if name == "root_depth" else name for name in poses.assumed],
        },
    }


def results_arrays(
    found: Sequence[tuple[int | str, Poses]], skeleton: Skeleton, file_names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """The people of many images, with the ids of these, as arrays to be saved: a row for each of N people.

    `file_names` are those of the images' files, without their folders, unless others are given.

    Returns:
        `joints`, the K names; `image_id` and `file_name` as text; `boxes`, `keypoints`, `sigma`, `confidence`,
        `scores`; where people are placed in space also `joints_mm`, `sigma_mm`, `root_depth_mm`, `focal`, `centre`, and
        in `assumed` the names of what was not given. Of models of several categories `category_id` and `category`, and
        NaN in the joints that a category lacks.
    """
    count = len(skeleton)
    empty = {"boxes": (4,), "keypoints": (count, 2), "sigma": (count, 2), "confidence": (count,), "scores": ()}
    people = [poses for _, poses in found]
    file_names = file_names or [poses.path.name if poses.path else "" for poses in people]
    arrays = {
        "joints": np.array(skeleton.joints),
        "image_id": np.array([str(number) for number, poses in found for _ in range(len(poses))], dtype=np.str_),
        "file_name": np.array(
            [name for name, p in zip(file_names, people, strict=True) for _ in p.scores], dtype=np.str_
        ),
    }
    if skeleton.categories:
        kinds = [kind for poses in people for kind in (poses.category_ids if poses.category_ids is not None else ())]
        arrays["category_id"] = np.array(kinds, dtype=np.int64)
        arrays["category"] = np.array([skeleton.of(int(kind))[0].name for kind in kinds], dtype=np.str_)
    arrays |= {n: np.concatenate([np.empty((0, *s)), *(getattr(p, n) for p in people)]) for n, s in empty.items()}
    placed = [poses for poses in people if poses.joints_mm is not None]
    if placed and len(placed) == len(people):
        arrays |= {
            name: np.concatenate([getattr(poses, name) for poses in placed])
            for name in ("joints_mm", "sigma_mm", "root_depth_mm")
        }
        for name in ("focal", "centre"):
            arrays[name] = np.concatenate([np.tile(getattr(p.camera, name), (len(p), 1)) for p in placed])
        arrays["assumed"] = np.array(placed[0].assumed, dtype=np.str_)
    return arrays


def people_text(rows: Iterable[Mapping[str, Any]], skeleton: Skeleton) -> Iterator[str]:
    """Entries of `coco_results` as lines: one for each person, and one for each joint of theirs."""
    for row in rows:
        kind = f"  {row['category']}" if "category" in row else ""
        yield f"{row['file_name']}{kind}  score {row['score']:.3f}"
        for i, joint in enumerate(skeleton.of(row["category_id"])[0].joints):
            x, y, confidence = row["keypoints"][3 * i : 3 * i + 3]
            sigma = "" if row["sigma"] is None else "  ± {:6.1f} {:6.1f}".format(*row["sigma"][2 * i : 2 * i + 2])
            placed = in_mm(row, i) if row.get("joints_mm") else ""
            yield f"  {joint:16} {x:8.1f} {y:8.1f}{sigma}{placed}  confidence {confidence:.3f}"
