"""How good a model that finds people by itself is on a data set: who is found, and how well those are posed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, distributed

from logpose.core.structures import Sample, Scoring
from logpose.data.pictures import Pictures
from logpose.data.scenes import SceneBatch, Scenes, ShortSide, scene_loader
from logpose.losses import LikelihoodLoss
from logpose.metrics.oks import coco_ap
from logpose.models.detector import Detections, Detector, box_iou
from logpose.tasks.figures import Found, person_scores, pose_figures, refuse_scoring
from logpose.tasks.pose.evaluate import measure

__all__ = ["DetectionEvaluation", "FoundPeople", "evaluate_detector", "ground_truth", "in_image", "matches"]

LEAST_OVERLAP = 0.5
"""Intersection over union of boxes from which on somebody who was found is held against a label."""


@dataclass(frozen=True)
class FoundPeople:
    """The people found in one picture, best first: N of them, pixels of the picture."""

    boxes: Float[np.ndarray, "N 4"]
    """x, y, width, height."""
    box_scores: Float[np.ndarray, "N"]
    keypoints: Float[np.ndarray, "N K 2"]
    std: Float[np.ndarray, "N K 2"]
    confidence: Float[np.ndarray, "N K"]

    def scores(self, scoring: Scoring, sigmas: Sequence[float]) -> Float[np.ndarray, "N"]:
        """The score of each; sigmas are those of the skeleton's joints."""
        return person_scores(scoring, self.box_scores, self.confidence, self.std, self.boxes, sigmas)

    def sound(self) -> bool:
        """Whether all is finite but perhaps the spread: not of a model that has diverged."""
        parts = (self.boxes, self.box_scores, self.keypoints, self.confidence)
        return all(bool(np.isfinite(part).all()) for part in parts)


def in_image(found: Detections, to_image: Float[Tensor, "2 3"]) -> FoundPeople:
    """Detections in pixels of the picture that an input was made from.

    Args:
        found: in one input, the density's mean folded in or not.
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
    """Who was found is whom: in their order, each takes the label that it overlaps best, if that is left and overlaps.

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


def ground_truth(pictures: Pictures, category: int = 1) -> dict[str, Any]:
    """The labels of whole pictures in the form of a COCO annotation file; crowds and the unlabelled included."""
    every = [pictures[i] for i in range(len(pictures))]
    rows = [
        {
            "id": 0,
            "image_id": picture.image_id,
            "category_id": category,
            "iscrowd": int(crowd),
            "keypoints": np.column_stack([np.nan_to_num(who.keypoints[:, :2]), who.visible]).ravel().tolist(),
            "num_keypoints": int((who.visible > 0).sum()),
            "bbox": who.box.tolist(),
            "area": float(who.area),
        }
        for picture in every
        for crowd, people in ((False, picture.people), (True, picture.ignored))
        for who in people
    ]
    for number, row in enumerate(rows, start=1):
        row["id"] = number
    images = [{"id": picture.image_id} for picture in every]
    return {"images": images, "annotations": rows, "categories": [{"id": category, "name": "object"}]}


class DetectionEvaluation:
    """Collects what is found, batch by batch, and measures it.

    Args:
        pictures: the data set that the batches are of.
        model: tells skeleton and law.
        loss: for the likelihood; None leaves it out.
        scoring: how the score of a person comes from that of the box and what is said of the joints. With "box" those
            of a detector count as they are, as in detectron2.
    """

    def __init__(
        self, pictures: Pictures, model: Detector, loss: LikelihoodLoss | None = None, scoring: Scoring = "box"
    ) -> None:
        self.pictures, self.model, self.loss, self.scoring = pictures, model, loss, scoring
        self.found: dict[int, FoundPeople] = {}
        self.diverged = False
        self.matched: dict[int, list[tuple[int, int, np.ndarray]]] = {}

    @torch.no_grad()
    def update(self, batch: SceneBatch, found: Sequence[Detections]) -> None:
        """Take in what was found in one batch."""
        for index, to_image, own in zip(batch.index.tolist(), batch.to_image, found, strict=True):
            if not in_image(own, to_image).sound():  # of a model that has diverged: nobody is found there
                self.diverged = True
                own = own.chosen(torch.zeros_like(own.box_scores) > 1)
            self.found[index] = in_image(own, to_image)
            labelled = _labelled(self.pictures[index].people)
            boxes = np.array([who.box for who in labelled], dtype=np.float64).reshape(-1, 4)
            pairs = matches(self.found[index].boxes, boxes)
            nll = self._nll(own, to_image, [labelled[label] for _, label in pairs], [row for row, _ in pairs])
            self.matched[index] = [(*pair, row) for pair, row in zip(pairs, nll, strict=True)]

    def _nll(
        self, found: Detections, to_image: Float[Tensor, "2 3"], people: Sequence[Sample], rows: Sequence[int]
    ) -> Float[np.ndarray, "M K 2"]:
        """Of people beside their labels, what the loss makes of each joint: of its place, and of its error alone."""
        if self.loss is None or not people:
            return np.full((len(people), len(self.model.skeleton), 2), np.nan)
        own = found.chosen(torch.tensor(rows, device=to_image.device))
        truth = np.stack([who.keypoints[:, :2] for who in people])
        visible = torch.from_numpy(np.stack([who.visible > 0 for who in people])).to(to_image.device)
        labels = torch.from_numpy(np.nan_to_num(truth)).to(to_image)
        # Back into each person's own frame, in which the density was learned.
        for matrix in (to_image.expand(len(labels), 2, 3), own.to_input):
            labels = torch.linalg.solve(matrix[:, None, :, :2], (labels - matrix[:, None, :, 2])[..., None])[..., 0]
        labels = labels - 0.5
        said = own.prediction
        mu = said.mu - said.sigma * (
            self.model.error_distribution.mean - said.error_distribution.mean
        )  # the density is centred on mu
        nll = -self.loss.log_prob(mu, said.sigma, torch.where(visible[..., None], labels, mu))
        standardised_nll = nll - self.loss.scale(said.sigma).log().sum(dim=-1)
        # Into the box's frame, whatever frame the density was learned in: so that heads can be compared.
        box = (own.boxes[:, 2:] - own.boxes[:, :2]).clamp_min(1e-3).log().sum(dim=1)
        nll = nll + (torch.linalg.det(own.to_input[:, :, :2]).abs().log() - box)[:, None]
        both = torch.stack([nll, standardised_nll], dim=-1)
        kept: np.ndarray = torch.where(visible[..., None], both, torch.nan).double().cpu().numpy()
        return kept

    def is_finite(self) -> bool:
        """Whether all that was predicted is; sigma may be unknown."""
        return not self.diverged

    def gather(self) -> None:
        """Bring together what the processes of a distributed run have collected."""
        if distributed.is_available() and distributed.is_initialized():
            parts: list[Any] = [None] * distributed.get_world_size()
            distributed.all_gather_object(parts, (self.found, self.matched))
            self.found = {index: row for found, _ in parts for index, row in found.items()}
            self.matched = {index: row for _, matched in parts for index, row in matched.items()}

    def results(self, category_id: int = 1) -> list[dict[str, Any]]:
        """The people found, as entries of a COCO results file; without boxes, which would count as people's areas."""
        sigmas = self.model.skeleton.sigmas
        return [
            {
                "image_id": self.pictures[index].image_id,
                "category_id": category_id,
                "keypoints": [round(float(v), 3) for v in np.column_stack([joints, sure]).ravel()],
                "score": float(score),
            }
            for index in sorted(self.found)
            for people in (self.found[index],)
            for joints, sure, score in zip(
                people.keypoints, people.confidence, people.scores(self.scoring, sigmas), strict=True
            )
        ]

    def arrays(self) -> Found | None:
        """Those who were found and are labelled, with their labels; None if there are none."""
        rows = [
            (self.found[index], row, nll, _labelled(self.pictures[index].people)[label])
            for index in sorted(self.matched)
            for row, label, nll in self.matched[index]
        ]
        if not rows:
            return None
        return Found(
            predicted=np.stack([people.keypoints[row] for people, row, _, _ in rows]),
            std=np.stack([people.std[row] for people, row, _, _ in rows]),
            confidence=np.stack([people.confidence[row] for people, row, _, _ in rows]),
            nll=np.stack([nll[:, 0] for _, _, nll, _ in rows]),
            standardised_nll=np.stack([nll[:, 1] for _, _, nll, _ in rows]),
            truth=np.stack([who.keypoints[:, :2] for _, _, _, who in rows]),
            visible=np.stack([who.visible for _, _, _, who in rows]),
            boxes=np.stack([who.box for _, _, _, who in rows]),
            area=np.array([who.area for _, _, _, who in rows]),
            image_ids=[who.image_id for _, _, _, who in rows],
        )

    def compute(self, costly: bool = True) -> dict[str, float]:
        """Every figure, by name.

        `images`, and `found` in them; `labelled` people, and the share `matched` of them: of each such pair, the boxes
        overlap by half (intersection over union) or more. In it counts whoever was found, however unsure: of point-set
        anchors up to a hundred in each picture; in `matched_sure` those whose box has the score that `predict` asks
        for, the model's `sure`. `error_px`, `nme`, `pck…`, `oks`, `nll`, `coverage@l` and the
        like are of those pairs alone, as `Evaluation.compute` tells them; `nll` is in each box's coordinates. AP and
        AR are COCO's, of all pictures.
        """
        labelled = sum(len(_labelled(self.pictures[index].people)) for index in self.found)
        pairs = sum(map(len, self.matched.values()))
        # Whoever was found takes a label before the less sure do: leaving these out changes no other pair.
        sure = sum(
            int(self.found[index].box_scores[row] >= self.model.score_threshold)
            for index, rows in self.matched.items()
            for row, *_ in rows
        )
        figures: dict[str, float] = {
            "images": len(self.found),
            "found": sum(len(people.boxes) for people in self.found.values()),
            "labelled": labelled,
            "matched": pairs / labelled if labelled else float("nan"),
            "matched_sure": sure / labelled if labelled else float("nan"),
        }
        at = self.arrays()
        if at is not None:
            learns_sigma = self.loss is None or self.loss.learns_sigma
            figures |= pose_figures(at, self.model, learns_sigma)
        if costly:
            figures |= coco_ap(ground_truth(self.pictures), self.results(), self.model.skeleton.sigmas)
        return figures


def _labelled(people: Sequence[Sample]) -> list[Sample]:
    """Those with a labelled joint."""
    return [who for who in people if (who.visible > 0).any()]


def evaluate_detector(
    model: Detector,
    pictures: Pictures,
    loss: LikelihoodLoss | None = None,
    *,
    scoring: Scoring = "box",
    batch_size: int = 8,
    workers: int = 0,
    device: torch.device | str = "cpu",
    show_progress: bool = False,
) -> DetectionEvaluation:
    """Find the people of every picture of a data set.

    Args:
        model: put on `device` and into evaluation mode.
        pictures: with the model's skeleton.
        loss: for the likelihood; None leaves it out.
        scoring: how the score of a person comes from that of the box and what is said of the joints.
        batch_size: pictures at a time.
        workers: processes that read pictures.
        device: where to predict.
        show_progress: whether to draw a bar on stderr.

    Raises:
        InputError: if people are to be scored by a spread that the model does not know.
    """
    refuse_scoring(scoring, model.error_distribution)
    model = model.to(device).eval()
    evaluation = DetectionEvaluation(pictures, model, None if loss is None else loss.to(device).eval(), scoring)
    scenes = Scenes(pictures, ShortSide((model.short,), model.longest))
    batches = scene_loader(scenes, batch_size, training=False, workers=workers)
    measure(model, evaluation, batches, device=device, show_progress=show_progress)
    return evaluation
