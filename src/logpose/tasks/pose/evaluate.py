"""Evaluation of models of one person's crop: the figures that training watches and `logpose eval` prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch.utils.data import DataLoader

from logpose.core import geometry
from logpose.core.errors import InputError
from logpose.core.space import InSpace, lifted, middle_depth, relative
from logpose.core.structures import Batch, Evaluator, Prediction, Scoring
from logpose.data.crops import Crops, People, crop_loader
from logpose.data.transforms import CropTransform
from logpose.data.windows import Poses
from logpose.losses import LikelihoodLoss
from logpose.metrics.mpjpe import spatial_errors
from logpose.metrics.oks import coco_ap, coco_ground_truth, oks_nms
from logpose.models import Model, PoseModel
from logpose.models.pose_model import in_dimensions
from logpose.tasks import evaluation
from logpose.tasks.figures import Found, person_scores, pose_figures, refuse_scoring

__all__ = ["Evaluation", "check_skeletons", "evaluate", "validation_loader"]


@dataclass(slots=True)
class _Found:
    """What is kept of one crop."""

    index: int
    keypoints: Float[np.ndarray, "K D"]
    std: Float[np.ndarray, "K D"]
    confidence: Float[np.ndarray, "K"]
    nll: Float[np.ndarray, "K"]
    standardised_nll: Float[np.ndarray, "K"]


class Evaluation(Evaluator[_Found]):
    """Collects the predictions on crops, batch by batch, and computes figures of them.

    Args:
        people: the data set that the batches are cut from.
        model: has the size of crops and the skeleton.
        loss: for the likelihood; None leaves it out.
        nms: whether to keep the best of several boxes of one person (non-maximum suppression by OKS).
        scoring: how a person's score follows from that of the box and the confidence of the joints.
    """

    loss: LikelihoodLoss | None

    def __init__(
        self,
        people: People,
        model: PoseModel,
        loss: LikelihoodLoss | None = None,
        nms: bool = False,
        scoring: Scoring = "sum",
    ) -> None:
        super().__init__(loss)
        self.people, self.model, self.nms, self.scoring = people, model, nms, scoring
        # The depth of a single root is 0 by definition: predicting it exactly must not improve the figures.
        self._given = model.skeleton.root if model.dim == 3 and len(model.skeleton.root) == 1 else ()

    @torch.no_grad()
    def update(self, batch: Batch, prediction: Prediction) -> None:
        """Collect the prediction on one batch."""
        nll = standardised_nll = torch.full_like(prediction.confidence, float("nan"))
        if self.loss is not None:
            mu = prediction.mu
            target = in_dimensions(batch.target, mu.shape[-1])
            labelled = (batch.weight > 0) & target.isfinite().all(dim=-1)
            labelled[:, list(self._given)] = False
            target = torch.where(labelled[..., None], target, mu)
            nll = torch.where(labelled, -self.loss.log_prob(mu, prediction.sigma, target), float("nan"))
            standardised_nll = nll - self.loss.scale(prediction.sigma).log().sum(dim=-1)
        keypoints = geometry.from_crop(prediction.mean, batch.to_image, self.model.size)
        std = geometry.spread_in_image(prediction.std, batch.to_image, self.model.size)
        columns = (keypoints, std, prediction.confidence, nll, standardised_nll)
        arrays = (column.double().cpu().numpy() for column in columns)
        for index, *row in zip(batch.index.tolist(), *arrays, strict=True):
            self.add(index, _Found(index, *row))

    def is_finite(self) -> bool:
        """Whether all that was predicted is finite; sigma may be unknown."""
        return not self.rows or self.arrays().is_finite()

    def results(self, category_id: int | None = None) -> list[dict[str, Any]]:
        """The predicted people, as entries of a COCO results file.

        Args:
            category_id: of all; each has its own label's or box's when None.
        """
        sigmas = self.model.skeleton.sigmas
        by_image: dict[int, list[_Found]] = {}
        for row in self.rows.values():
            if not (np.isfinite(row.keypoints).all() and np.isfinite(row.confidence).all()):
                continue  # of a model that has diverged: no result
            by_image.setdefault(self.people[row.index].image_id, []).append(row)
        results = []
        for image_id, rows in by_image.items():
            found = [self.people[row.index] for row in rows]
            scores = person_scores(
                self.scoring, np.array([who.score for who in found]), np.stack([row.confidence for row in rows]),
                np.stack([row.std for row in rows]), np.stack([who.box for who in found]), sigmas,
            )  # fmt: skip
            boxes = [self._extent(row.index) for row in rows]
            keypoints = np.stack([row.keypoints[:, :2] for row in rows])
            # The area is that of the padded region, as in the released code.
            area = np.prod(boxes, axis=1)
            kept = oks_nms(keypoints, scores, area, sigmas) if self.nms else range(len(rows))
            for i in kept:
                triplets = np.column_stack([keypoints[i], rows[i].confidence])
                results.append(
                    {
                        "image_id": image_id,
                        "category_id": self.people[rows[i].index].category_id if category_id is None else category_id,
                        "keypoints": [round(float(value), 3) for value in triplets.ravel()],
                        "score": float(scores[i]),
                    }
                )
        return results

    def _extent(self, index: int) -> Float[np.ndarray, "2"]:
        """Width and height of the region that a person's crop shows, in pixels."""
        return geometry.box_to_region(self.people[index].box, self.model.size, self.model.padding)[1]

    def arrays(self) -> Found:
        """Predictions and labels of all people, in the order of the data set."""
        rows = [self.rows[index] for index in sorted(self.rows)]
        samples = [self.people[row.index] for row in rows]
        truth = np.stack([_in_dimensions(sample.keypoints, self.model.dim) for sample in samples])
        truth[:, list(self._given), 2:] = np.nan
        return Found(
            predicted=np.stack([row.keypoints for row in rows]),
            std=np.stack([row.std for row in rows]),
            confidence=np.stack([row.confidence for row in rows]),
            nll=np.stack([row.nll for row in rows]),
            standardised_nll=np.stack([row.standardised_nll for row in rows]),
            truth=truth,
            visible=np.stack([sample.visible for sample in samples]),
            boxes=np.stack([sample.box for sample in samples]),
            area=np.array([sample.area for sample in samples]),
            image_ids=[sample.image_id for sample in samples],
        )

    def compute(self, costly: bool = True) -> dict[str, float]:
        """Every figure, by name.

        Lengths are in pixels of the original images; `nme` is relative to the diagonal of a person's box, `pck@t` to
        its longer side, `pck_torso@t` to the distance of a shoulder and the opposite hip (people without these are left
        out), `pckh@t` to the head's size where the data have it; `nll` is in nats per labelled joint, of the crop,
        in space without a single root, whose depth is 0 by definition; so are `coverage@l` and what follows.
        `coverage@l` is the share of labels in the ellipse of nominal level l; `sigma_rank` is Spearman's
        correlation of predicted and true distance; `confidence_oks` is Pearson's of a person's confidence and OKS.

        Of a model in space, `nll` and `coverage@l` are of joints with a depth, the other figures of the image plane;
        where the truth in space is known, errors in millimetres beside them are those of `metrics.mpjpe`.
        """
        if not self.rows:  # a detector without detections
            ground_truth = getattr(self.people, "ground_truth", None)
            nobody = coco_ap(ground_truth(), [], self.model.skeleton.sigmas) if ground_truth else {}
            return {"people": 0, "joints": 0, **nobody}
        at = self.arrays()
        heads = getattr(self.people, "head_sizes", None)
        learns_sigma = self.loss is None or self.loss.learns_sigma
        figures = pose_figures(at, self.model, learns_sigma, None if heads is None else heads[sorted(self.rows)])
        if isinstance(self.people, InSpace) and self.model.dim == 3:
            figures |= self._in_space(self.people)
        if costly:
            figures |= self._average_precision(at)
        return figures

    def _in_space(self, people: InSpace) -> dict[str, float]:
        """Errors in millimetres relative to the root, by back-projection from the root's true depth."""
        root, joints = self.model.skeleton.root, self.model.skeleton.joints
        chosen = list(people.evaluated)
        predicted, truth, groups = [], [], []
        for index in sorted(self.rows):
            space = people.space(index)
            found = lifted(self.rows[index].keypoints, space.camera, middle_depth(space.joints, root), root)
            predicted.append(relative(found, root)[chosen])
            truth.append(relative(space.joints, root)[chosen])
            groups.append(space.group)
        positions, labels = np.stack(predicted), np.stack(truth)
        known = np.isfinite(labels).all(axis=-1)  # nothing of a person whose root is not
        if not np.isfinite(positions[known]).all():
            return {"mpjpe": float("nan")}  # of a model that has diverged
        return spatial_errors(positions, labels, known.astype(np.int64), groups, [joints[i] for i in chosen])

    def _average_precision(self, at: Found) -> dict[str, float]:
        if hasattr(self.people, "ground_truth"):
            content = self.people.ground_truth()
        else:
            content = coco_ground_truth(at.truth[..., :2], at.visible, at.boxes, at.area, at.image_ids)
        category = getattr(self.people, "category", 1)
        return coco_ap(content, self.results(category), self.model.skeleton.sigmas)


def _in_dimensions(keypoints: Float[np.ndarray, "K D"], dim: int) -> Float[np.ndarray, "K E"]:
    """Labels of as many dimensions as are predicted; missing ones are NaN."""
    missing = np.full((len(keypoints), max(0, dim - keypoints.shape[1])), np.nan)
    return np.concatenate([keypoints[:, :dim], missing], axis=1)


def check_skeletons(checkpoint: str | Path, model: Model, people: People | Poses) -> None:
    """Refuse to evaluate a model on labels of other joints.

    Raises:
        InputError: if the joints' names differ.
    """
    checkpoint = Path(checkpoint)
    ours, theirs = model.skeleton.joints, people.skeleton.joints
    if ours != theirs:
        raise InputError(
            f"{checkpoint}: made for the {len(ours)} joints {', '.join(ours[:3])} …, "
            f"{getattr(people, 'file', 'the data')} has {len(theirs)}: {', '.join(theirs[:3])} …"
        )


def validation_loader(
    people: People, model: PoseModel, batch_size: int, *, workers: int = 0, pin: bool = False
) -> DataLoader[Batch]:
    """Batches of crops to evaluate a model on: every person once, in order, not augmented.

    Args:
        people: the data set.
        model: has the size and the padding of its crops.
        batch_size: crops in a batch.
        workers: processes that cut crops; 0: this one.
        pin: whether batches go to page-locked memory, for a GPU.
    """
    crops = Crops(people, CropTransform(people.skeleton, model.size, padding=model.padding))
    return crop_loader(crops, batch_size, training=False, workers=workers, pin=pin)


def evaluate(
    model: PoseModel,
    people: People,
    loss: LikelihoodLoss | None = None,
    *,
    flip_test: bool = True,
    nms: bool = False,
    scoring: Scoring = "sum",
    batch_size: int = 64,
    workers: int = 0,
    device: torch.device | str = "cpu",
    show_progress: bool = False,
) -> Evaluation:
    """Predict every person of a data set.

    Args:
        model: put on `device` and into evaluation mode.
        people: with the model's skeleton.
        loss: for the likelihood; None leaves it out.
        flip_test: whether to average with the prediction on mirrored crops.
        nms: whether to keep the best of several boxes of one person (non-maximum suppression by OKS).
        scoring: how a person's score follows from that of the box and the confidence of the joints.
        batch_size: crops at a time.
        workers: processes that cut crops.
        device: where to predict.
        show_progress: whether to report progress on stderr.

    Raises:
        InputError: if people are to be scored by OKS and the model has no standard deviations.
    """
    refuse_scoring(scoring, model.error_distribution)
    return evaluation.evaluate(
        model, Evaluation(people, model, loss, nms, scoring),
        validation_loader(people, model, batch_size, workers=workers),
        flip_test=flip_test, device=device, show_progress=show_progress,
    )  # fmt: skip
