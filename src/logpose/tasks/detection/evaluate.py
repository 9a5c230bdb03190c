"""Evaluation of detectors: which people are detected, and how well their joints are predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader

from logpose.core.samples import Sample, Scoring
from logpose.core.structures import Evaluator
from logpose.data.image_sets import ImageSet
from logpose.data.scenes import SceneBatch, Scenes, ShortSide, scene_loader
from logpose.losses import LikelihoodLoss
from logpose.metrics.oks import coco_annotation, coco_ap
from logpose.models.detector import Detections, Detector, box_iou
from logpose.tasks import evaluation
from logpose.tasks.evaluation import Found, coco_result, pose_figures
from logpose.tasks.metric_notes import metric_sigmas
from logpose.tasks.scoring import person_scores, refuse_scoring

__all__ = [
    "DetectionEvaluation",
    "FoundPeople",
    "evaluate_detector",
    "ground_truth",
    "in_image",
    "matches",
    "validation_loader",
]

LEAST_OVERLAP = 0.5
"""Least intersection over union of boxes for a detected person to be matched to a labelled one."""


@dataclass(frozen=True)
class FoundPeople:
    """The people detected in one image, best first: N people, pixels of the image."""

    boxes: Float[np.ndarray, "N 4"]
    """x, y, width, height."""
    box_scores: Float[np.ndarray, "N"]
    keypoints: Float[np.ndarray, "N K 2"]
    std: Float[np.ndarray, "N K 2"]
    confidence: Float[np.ndarray, "N K"]

    def scores(self, scoring: Scoring, sigmas: Sequence[float], model: Detector) -> Float[np.ndarray, "N"]:
        """The score of each; sigmas are those of the skeleton's joints, the model has their regions."""
        return person_scores(
            scoring, self.box_scores, self.confidence, self.std, self.boxes, sigmas, model.radii()
        )  # fmt: skip

    def sizes(self) -> Float[np.ndarray, "N"]:
        """The longer side of each box."""
        return np.asarray(self.boxes[:, 2:].max(axis=1))

    def is_finite(self) -> bool:
        """Whether all is finite but perhaps the standard deviations; not so of a model that has diverged."""
        parts = (self.boxes, self.box_scores, self.keypoints, self.confidence)
        return all(bool(np.isfinite(part).all()) for part in parts)


def in_image(found: Detections, to_image: Float[Tensor, "2 3"]) -> FoundPeople:
    """Detections in pixels of the image that an input was made from.

    Args:
        found: in one input.
        to_image: map from pixels of the input to image coordinates; it does not turn.
    """
    # Maps are of pixels' centres, and a box's corner is the corner of a pixel.
    corners = _moved(found.boxes.view(-1, 2, 2) - 0.5, to_image) + 0.5
    low, high = corners.amin(dim=1), corners.amax(dim=1)
    # A variance is scaled by the squares of the map, as in `spread_in_image`.
    std = (found.spread().square() @ to_image[:, :2].square().T).sqrt()
    columns = (
        torch.cat([low, high - low], dim=1), found.box_scores, _moved(found.keypoints(), to_image), std,
        found.prediction.confidence,
    )  # fmt: skip
    return FoundPeople(*(column.double().cpu().numpy() for column in columns))


def _moved(points: Float[Tensor, "N K 2"], matrix: Float[Tensor, "2 3"]) -> Float[Tensor, "N K 2"]:
    """Points taken through an affine map."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def matches(found: Float[np.ndarray, "N 4"], labelled: Float[np.ndarray, "M 4"]) -> list[tuple[int, int]]:
    """Match detected people to labelled ones: in their order, each to the unmatched label that it overlaps best.

    Those that overlap none by half (intersection over union) are not matched.

    Args:
        found: boxes x, y, width, height, best first.
        labelled: boxes of labelled people.

    Returns:
        rows of both.
    """
    corners = [
        torch.from_numpy(np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1).reshape(-1, 4))
        for boxes in (found, labelled)
    ]
    overlap = box_iou(*corners).numpy()
    pairs = []
    for row in range(len(found)):
        if len(labelled) and overlap[row].max() >= LEAST_OVERLAP:
            label = int(overlap[row].argmax())
            pairs.append((row, label))
            overlap[:, label] = 0
    return pairs


def ground_truth(images: ImageSet) -> dict[str, Any]:
    """The labels of whole images in the form of a COCO annotation file; crowds and unlabelled people included."""
    every = [images[i] for i in range(len(images))]
    rows = [
        coco_annotation(image.image_id, who.keypoints[:, :2], who.visible, who.box, who.area, crowd)
        for image in every
        for crowd in (False, True)
        for who in (image.ignored if crowd else image.people)
    ]
    rows = [{"id": number, **row} for number, row in enumerate(rows, start=1)]
    numbers = [{"id": image.image_id} for image in every]
    return {"images": numbers, "annotations": rows, "categories": [{"id": 1, "name": "object"}]}


@dataclass(frozen=True)
class Detected:
    """What is kept of one image: the detected people, and which of them are matched to labels."""

    people: FoundPeople
    matched: list[tuple[int, int, Float[np.ndarray, "K 2"]]]
    """Row of a detected person, number of the labelled one, and of each joint the NLL and the standardised NLL."""


class DetectionEvaluation(Evaluator[Detected]):
    """Collects detections, batch by batch, and computes figures of them.

    Args:
        images: the data set that the batches are of.
        model: has the skeleton and the error distribution.
        loss: for the likelihood; None leaves it out.
        scoring: how a person's score follows from that of the box and the confidence of the joints; "box" takes the
            box's as it is, as detectron2 does.
    """

    loss: LikelihoodLoss | None

    def __init__(
        self, images: ImageSet, model: Detector, loss: LikelihoodLoss | None = None, scoring: Scoring = "box"
    ) -> None:
        super().__init__(loss)
        self.images, self.model, self.scoring = images, model, scoring
        self.category_id = 1
        self.metric_sigmas = metric_sigmas(model.skeleton, images.skeleton)
        self.images_learned: int | None = None
        self.diverged = False

    @torch.no_grad()
    def update(self, batch: SceneBatch, found: Sequence[Detections]) -> None:
        """Collect the detections in one batch."""
        for index, to_image, own in zip(batch.index.tolist(), batch.to_image, found, strict=True):
            if not in_image(own, to_image).is_finite():  # of a model that has diverged: no detections
                self.diverged = True
                own = own.chosen(torch.zeros_like(own.box_scores) > 1)
            people, labelled = in_image(own, to_image), _labelled(self.images[index].people)
            boxes = np.array([who.box for who in labelled], dtype=np.float64).reshape(-1, 4)
            pairs = matches(people.boxes, boxes)
            nll = self._nll(own, to_image, [labelled[label] for _, label in pairs], [row for row, _ in pairs])
            self.add(index, Detected(people, [(*pair, row) for pair, row in zip(pairs, nll, strict=True)]))

    def _nll(
        self, found: Detections, to_image: Float[Tensor, "2 3"], people: Sequence[Sample], rows: Sequence[int]
    ) -> Float[np.ndarray, "M K 2"]:
        """NLL of each joint of matched people, and the standardised NLL, without sigma's scale."""
        if self.loss is None or not people:
            return np.full((len(people), len(self.model.skeleton), 2), np.nan)
        own = found.chosen(torch.tensor(rows, device=to_image.device))
        truth = np.stack([who.keypoints[:, :2] for who in people])
        visible = torch.from_numpy(np.stack([who.visible > 0 for who in people])).to(to_image.device)
        labels = torch.from_numpy(np.nan_to_num(truth)).to(to_image)
        # Into each person's own coordinates, in which the density was learned.
        for matrix in (to_image.expand(len(labels), 2, 3), own.to_input):
            labels = torch.linalg.solve(matrix[:, None, :, :2], (labels - matrix[:, None, :, 2])[..., None])[..., 0]
        labels = labels - 0.5
        mu, sigma = own.prediction.mu, own.prediction.sigma
        nll = -self.loss.log_prob(mu, sigma, torch.where(visible[..., None], labels, mu))
        standardised_nll = nll - self.loss.scale(sigma).log().sum(dim=-1)
        # Into the box's coordinates, whatever those of the density: so that heads can be compared.
        box = (own.boxes[:, 2:] - own.boxes[:, :2]).clamp_min(1e-3).log().sum(dim=1)
        nll = nll + (torch.linalg.det(own.to_input[:, :, :2]).abs().log() - box)[:, None]
        both = torch.stack([nll, standardised_nll], dim=-1)
        return np.asarray(torch.where(visible[..., None], both, torch.nan).double().cpu().numpy())

    def is_finite(self) -> bool:
        """Whether all that was predicted is finite; sigma may be unknown."""
        return not self.diverged

    def results(self, category_id: int | None = None) -> list[dict[str, Any]]:
        """The detected people, as entries of a COCO results file, of the evaluation's category unless one is given."""
        sigmas, category = self.model.skeleton.sigmas, self.category_id if category_id is None else category_id
        return [
            coco_result(self.images[index].image_id, category, joints, confidence, score)
            for index in sorted(self.rows)
            for people in (self.rows[index].people,)
            for joints, confidence, score in zip(
                people.keypoints, people.confidence, people.scores(self.scoring, sigmas, self.model), strict=True
            )
        ]

    def arrays(self) -> Found | None:
        """The matched people, with their labels; None if there are none."""
        matched = [(index, *pair) for index in sorted(self.rows) for pair in self.rows[index].matched]
        if not matched:
            return None
        each = [(self.rows[index].people, row) for index, row, _, _ in matched]
        found = [(people.keypoints[row], people.std[row], people.confidence[row]) for people, row in each]
        samples = [_labelled(self.images[index].people)[label] for index, _, label, _ in matched]
        nll = np.stack([nll for *_, nll in matched])
        columns = map(np.stack, zip(*found, strict=True))
        at = Found.of(samples, *columns, nll[..., 0], nll[..., 1], np.stack([who.keypoints[:, :2] for who in samples]))
        return replace(at, predicted_boxes=np.stack([people.boxes[row] for people, row in each]))

    def compute(self, costly: bool = True) -> dict[str, float]:
        """Every figure, by name.

        `images`, and people `found` in them; people `labelled`, and the share `matched` of them: recall at an
        intersection over union of .5, without a score threshold (point-set anchors detect up to a hundred people in
        each image); `recall_at_threshold` is the same of detections with the score that `predict` asks for by default.
        `error_px`, `nme`, `pck…`, `oks`, `nll`, `coverage@l` and the like are of matched people alone, as in the pose
        task's `Evaluation.compute`; `nll` is in each box's coordinates. AP and AR are COCO's, of all images.
        """
        labelled = sum(len(_labelled(self.images[index].people)) for index in self.rows)
        pairs = sum(len(one.matched) for one in self.rows.values())
        # Labels are matched in the order of the scores: leaving out low scores changes no other pair.
        above = sum(
            int(one.people.box_scores[row] >= self.model.score_threshold)
            for one in self.rows.values()
            for row, *_ in one.matched
        )
        figures: dict[str, float] = {
            "images": len(self.rows),
            "found": sum(len(one.people.boxes) for one in self.rows.values()),
            "labelled": labelled,
            "matched": pairs / labelled if labelled else float("nan"),
            "recall_at_threshold": above / labelled if labelled else float("nan"),
        }
        at = self.arrays()
        if at is not None:
            figures |= pose_figures(at, self.model, self.loss, sigmas=self.metric_sigmas)
        if costly:
            figures |= coco_ap(ground_truth(self.images), self.results(category_id=1), self.metric_sigmas)
        if self.images_learned is not None:
            figures["images_learned"] = self.images_learned
        return figures


def _labelled(people: Sequence[Sample]) -> list[Sample]:
    """The people with a labelled joint."""
    return [who for who in people if (who.visible > 0).any()]


def validation_loader(
    images: ImageSet, model: Detector, batch_size: int, *, workers: int = 0, pin: bool = False
) -> DataLoader[SceneBatch]:
    """Batches of whole images to evaluate a detector on: every image once, in order, also those without people."""
    scenes = Scenes(images, ShortSide((model.short,), model.longest))
    return scene_loader(scenes, batch_size, training=False, workers=workers, pin=pin)


def evaluate_detector(
    model: Detector,
    images: ImageSet,
    loss: LikelihoodLoss | None = None,
    *,
    scoring: Scoring = "box",
    batch_size: int = 8,
    workers: int = 0,
    **running: Any,
) -> DetectionEvaluation:
    """Detect the people in every image of a data set.

    Arguments are those of `DetectionEvaluation` and, for `device` and `show_progress`, of `evaluation.evaluate`.

    Raises:
        InputError: if people are to be scored by OKS and the model has no standard deviations.
    """
    refuse_scoring(scoring, model.error_distribution)
    loader = validation_loader(images, model, batch_size, workers=workers)
    return evaluation.evaluate(
        model, DetectionEvaluation(images, model, loss, scoring), loader, flip_test=False, **running
    )
