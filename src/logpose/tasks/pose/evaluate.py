"""Evaluation of models of one person's crop: the figures that training watches and `logpose eval` prints."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch.utils.data import DataLoader

from logpose.core import geometry
from logpose.core.errors import InputError
from logpose.core.samples import People, Scoring
from logpose.core.space import InSpace, lifted, middle_depth, relative
from logpose.core.structures import Batch, Evaluator, Prediction
from logpose.data.crops import Crops, crop_loader
from logpose.data.files import LabelledPeople, annotation_files, open_people
from logpose.data.label_formats import format_of
from logpose.data.matlab import matlab_sizes
from logpose.data.parts import parts_of
from logpose.data.problems import log_problems
from logpose.data.transforms import CropTransform
from logpose.data.yolo_config import is_yaml
from logpose.losses import LikelihoodLoss
from logpose.metrics.covariance import principal
from logpose.metrics.mpjpe import spatial_errors
from logpose.metrics.oks import coco_annotation, coco_ap, coco_ap_of_categories, coco_ground_truth, oks_nms
from logpose.models import KeypointWrapper, Model, PoseModel
from logpose.models.pose_model import in_dimensions
from logpose.tasks import evaluation
from logpose.tasks.evaluation import Found, check_skeletons, coco_result, pose_figures
from logpose.tasks.metric_notes import metric_notes, metric_sigmas
from logpose.tasks.options import PeopleEvalOptions
from logpose.tasks.scoring import person_scores, refuse_scoring
from logpose.training.learned_images import count_learned, held_out

__all__ = ["Evaluation", "evaluate", "holds_people", "is_json", "labelled_people", "shown_size", "validation_loader"]

log = logging.getLogger("logpose")


Columns = tuple[np.ndarray, ...]
"""Of one crop keypoints (K, D), std (K, D), confidence (K,), NLL (K,) and standardised NLL (K,), as of `Found`; then
correlation (K,) and probability of being visible (K,)."""


class Evaluation(Evaluator[Columns]):
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
        model: PoseModel | KeypointWrapper,
        loss: LikelihoodLoss | None = None,
        nms: bool = False,
        scoring: Scoring = "sum",
    ) -> None:
        super().__init__(loss)
        self.people, self.model, self.nms, self.scoring = people, model, nms, scoring
        # Ids and sigmas of categories are those of the data, which a model of one class does not know.
        own = people.skeleton.categories
        self.skeleton = people.skeleton if own else replace(model.skeleton, categories=())
        self.metric_sigmas = metric_sigmas(model.skeleton, people.skeleton)
        self.images_learned: int | None = None
        # The depth of a single root is 0 by definition: predicting it exactly must not improve the figures.
        self._given = model.skeleton.root if model.dim == 3 and len(model.skeleton.root) == 1 else ()

    @torch.no_grad()
    def update(self, batch: Any, prediction: Prediction) -> None:
        """Collect the prediction on one batch, with `target`, `weight`, `to_image` and `index`."""
        nll = standardised_nll = torch.full_like(prediction.confidence, float("nan"))
        if self.loss is not None:
            mu = prediction.mu
            target = in_dimensions(batch.target, mu.shape[-1])
            labelled = (batch.weight > 0) & target.isfinite().all(dim=-1)
            labelled[:, list(self._given)] = False
            target = torch.where(labelled[..., None], target, mu)
            more = () if prediction.correlation is None else (prediction.correlation,)
            nll = torch.where(labelled, -self.loss.log_prob(mu, prediction.sigma, target, *more), float("nan"))
            standardised_nll = nll - self.loss.scale(prediction.sigma).log().sum(dim=-1)
            if prediction.correlation is not None:
                standardised_nll = standardised_nll - (1 - prediction.correlation.square()).log() / 2
        likelihoods = (column.double().cpu().numpy() for column in (nll, standardised_nll))
        placed = geometry.in_images(prediction, batch.to_image, self.model.size)
        arrays = (*placed[:3], *likelihoods, *placed[3:])
        for index, *row in zip(batch.index.tolist(), *arrays, strict=True):
            self.add(index, tuple(row))

    def is_finite(self) -> bool:
        """Whether all that was predicted is finite; sigma may be unknown."""
        return not self.rows or self.arrays().is_finite()

    def results(self, category_id: int | None = None) -> list[dict[str, Any]]:
        """The predicted people, as entries of a COCO results file, each of its own category unless one is given.

        Where categories have skeletons of their own, each has its joints alone, in its order.
        """
        by_image: dict[tuple[int, int], list[int]] = {}
        for index, (keypoints, _, confidence, *_) in self.rows.items():
            if np.isfinite(keypoints).all() and np.isfinite(confidence).all():  # else the model has diverged: no result
                sample = self.people[index]
                kind = sample.category_id if self.skeleton.categories else 0
                by_image.setdefault((sample.image_id, kind), []).append(index)
        results = []
        for (image_id, kind), indices in by_image.items():
            found = [self.people[index] for index in indices]
            own, joints = self.skeleton.of(kind)
            columns = [np.stack(column) for column in zip(*(self.rows[index] for index in indices), strict=True)]
            if self.skeleton.categories:
                columns = [column[:, joints] for column in columns]
            keypoints, std, confidence, *_, correlation, _ = columns
            if self._more()["correlation"]:
                std = principal(std, correlation)[0]
            sigmas = own.sigmas
            boxes = np.stack([who.box for who in found])
            own_scores, radii = np.array([who.score for who in found]), self.model.radii()
            scores = person_scores(self.scoring, own_scores, confidence, std, boxes, sigmas, radii)
            # The area is that of the padded region, as in the released code.
            area = np.prod([shown_size(who.box, self.model) for who in found], axis=1)
            for i in oks_nms(keypoints[..., :2], scores, area, sigmas) if self.nms else range(len(indices)):
                category = found[i].category_id if category_id is None else category_id
                results.append(coco_result(image_id, category, keypoints[i, :, :2], confidence[i], scores[i]))
        return results

    def arrays(self) -> Found:
        """Predictions and labels of all people, in the order of the data set."""
        indices = sorted(self.rows)
        samples = [self.people[index] for index in indices]
        labels = np.stack([sample.keypoints for sample in samples])[..., : self.model.dim]
        missing = self.model.dim - labels.shape[-1]  # dimensions that are predicted and not labelled
        truth = np.pad(labels, ((0, 0), (0, 0), (0, missing)), constant_values=np.nan)
        truth[:, list(self._given), 2:] = np.nan
        columns = [np.stack(column) for column in zip(*(self.rows[index] for index in indices), strict=True)]
        more: dict[str, Any] = {
            name: column for (name, has), column in zip(self._more().items(), columns[-2:], strict=True) if has
        }
        return replace(Found.of(samples, *columns[:-2], truth), **more)

    def _more(self) -> dict[str, bool]:
        """Which of the last columns the model predicts."""
        names = {"correlation": "correlated", "visibility": "visibility"}
        return {name: bool(getattr(self.model, argument, False)) for name, argument in names.items()}

    def compute(self, costly: bool = True) -> dict[str, float]:
        """Every figure, by name.

        Lengths are in pixels of the original images; `nme` is relative to the diagonal of a person's box, `pck@t` to
        its longer side, `pck_torso@t` to the distance of a shoulder and the opposite hip (people without these are left
        out), `pckh@t` to the head's size where the data have it; `nll` is in nats per labelled joint, of the crop,
        in space without a single root, whose depth is 0 by definition; so are `coverage@l` and what follows.
        `coverage@l` is the share of labels in the ellipse of nominal level l; `sigma_rank` is Spearman's
        correlation of predicted and true distance; `confidence_oks` is Pearson's of a person's confidence and OKS.

        Of a model in space, `nll` and `coverage@l` are of joints with a depth, the other figures of the image plane;
        where the truth in space is known, errors in millimetres beside them are those of `metrics.mpjpe`, else
        `depth_mm` is the mean absolute error of depth relative to the root, without a single root's own.

        Where categories have skeletons of their own AP and AR are means over those that have people, as pycocotools
        has it, and `ap/NAME` is the AP of each.
        """
        if not self.rows:  # a detector without detections
            ground_truth = getattr(self.people, "ground_truth", None)
            nobody = self._ap(ground_truth(), []) if ground_truth else {}
            return {"people": 0, "joints": 0, **nobody, **self._learned()}
        at = self.arrays()
        heads = getattr(self.people, "head_sizes", None)
        heads = None if heads is None else heads[sorted(self.rows)]
        sigmas = self.skeleton.sigmas_of(at.category_ids) if self.skeleton.categories else self.metric_sigmas
        figures = pose_figures(at, self.model, self.loss, heads, sigmas, self.skeleton)
        if isinstance(self.people, InSpace) and self.model.dim == 3:
            figures |= self._in_space(self.people)
        elif at.whole().any() and self.model.dim == 3:
            figures["depth_mm"] = self._depth_error(at)
        if costly:
            content = self.people.ground_truth() if hasattr(self.people, "ground_truth") else self._labels(at)
            category = None if self.skeleton.categories else getattr(self.people, "category", 1)
            figures |= self._ap(content, self.results(category))
        return figures | self._learned()

    def _learned(self) -> dict[str, float]:
        """The number of images that the model was trained on, where it is known."""
        return {} if self.images_learned is None else {"images_learned": self.images_learned}

    def _ap(self, content: Any, results: list[dict[str, Any]]) -> dict[str, float]:
        """AP and AR; where categories have skeletons of their own the mean over them, and the AP of each."""
        if not self.skeleton.categories:
            return coco_ap(content, results, self.metric_sigmas)
        return coco_ap_of_categories(content, results, {c.id: c.skeleton.sigmas for c in self.skeleton.categories})

    def _labels(self, at: Found) -> dict[str, Any]:
        """The labels of people that did not come from a COCO file, in its form."""
        if not self.skeleton.categories:
            return coco_ground_truth(at.truth[..., :2], at.visible, at.boxes, at.area, at.image_ids)
        rows = []
        for i, category in enumerate(at.category_ids):
            own = self.skeleton.of(category)[1]
            labels = at.truth[i, own, :2], at.visible[i, own], at.boxes[i], float(at.area[i])
            rows.append({"id": i + 1, **coco_annotation(at.image_ids[i], *labels, category=category)})
        categories = [{"id": category.id, "name": category.name} for category in self.skeleton.categories]
        images = [{"id": image} for image in dict.fromkeys(at.image_ids)]
        return {"images": images, "annotations": rows, "categories": categories}

    def _depth_error(self, at: Found) -> float:
        """Mean absolute error of depths relative to the root, in millimetres."""
        depth, root = at.predicted[..., 2], list(self.model.skeleton.root)
        if root:
            depth = depth - depth[:, root].mean(axis=1, keepdims=True)
        return float(np.abs(depth - at.truth[..., 2])[at.whole()].mean())

    def _in_space(self, people: InSpace) -> dict[str, float]:
        """Errors in millimetres relative to the root, by back-projection from the root's true depth."""
        root, joints = self.model.skeleton.root, self.model.skeleton.joints
        chosen = list(people.evaluated)
        predicted, truth, groups = [], [], []
        for index in sorted(self.rows):
            space = people.space(index)
            found = lifted(self.rows[index][0], space.camera, middle_depth(space.joints, root), root)
            predicted.append(relative(found, root)[chosen])
            truth.append(relative(space.joints, root)[chosen])
            groups.append(space.group)
        positions, labels = np.stack(predicted), np.stack(truth)
        known = np.isfinite(labels).all(axis=-1)  # nothing of a person whose root is not
        if not np.isfinite(positions[known]).all():
            return {"mpjpe": float("nan")}  # of a model that has diverged
        return spatial_errors(positions, labels, known.astype(np.int64), groups, [joints[i] for i in chosen])


def shown_size(box: Float[np.ndarray, "4"], model: PoseModel | KeypointWrapper) -> Float[np.ndarray, "2"]:
    """Width and height of the region that the crop of a box shows, in pixels of the image."""
    return geometry.box_to_region(box, model.size, model.padding)[1]


def validation_loader(
    people: People, model: PoseModel, batch_size: int, *, workers: int = 0, pin: bool = False
) -> DataLoader[Batch]:
    """Batches of crops to evaluate a model on: every person once, in order, not augmented."""
    crops = Crops(people, CropTransform(people.skeleton, model.size, padding=model.padding))
    return crop_loader(crops, batch_size, training=False, workers=workers, pin=pin)


def evaluate(
    model: PoseModel,
    people: People,
    loss: LikelihoodLoss | None = None,
    *,
    nms: bool = False,
    scoring: Scoring = "sum",
    batch_size: int = 64,
    workers: int = 0,
    **running: Any,
) -> Evaluation:
    """Predict every person of a data set.

    Arguments are those of `Evaluation` and, for `flip_test`, `device` and `show_progress`, of `evaluation.evaluate`.

    Raises:
        InputError: if people are to be scored by OKS and the model has no standard deviations.
    """
    refuse_scoring(scoring, model.error_distribution)
    loader = validation_loader(people, model, batch_size, workers=workers)
    return evaluation.evaluate(model, Evaluation(people, model, loss, nms, scoring), loader, **running)


def labelled_people(model: Model, options: PeopleEvalOptions) -> LabelledPeople:
    """The people that a model is evaluated on, checked against it.

    Raises:
        InputError: if the file cannot be read, or its joints are not the model's.
    """
    files = annotation_files(options.data)
    alone = files["train"] == files["val"]
    # COCO's person_keypoints_val2017.json with no other file beside it is the validation part, not to be split again.
    whole = not (options.data.is_dir() or is_yaml(options.data)) or (
        alone and bool(parts_of(files["val"].stem) & {"val", "test"})
    )
    # Of a file that the model learned from, without saying more, those whom it did not see.
    learned = alone and held_out(options.checkpoint, files["val"])
    if alone and not (whole or learned or options.part) and is_json(files["val"]):
        whole = _is_new(model, files["val"], options)
    wanted = options.part or ("all" if whole and not learned else "val")
    if wanted == "all" and not alone:
        raise InputError(f"--part all: {options.data} has a file for each part; name one of them")
    part = wanted if alone and wanted != "all" else None
    file = files["train" if wanted == "train" else "val"]
    people = open_people(
        file, options.images, part=part, category=options.category, like=model.skeleton, depth=options.depth
    )
    log_problems(people)
    check_skeletons(options.checkpoint, model, people)
    if model.dim == 3 and not isinstance(people, InSpace) and not options.depth:
        log.info("%s has no joints in space: there are no figures in millimetres", people.file)
    for note in metric_notes(model.skeleton, people):
        log.info(note)
    rest = "; the model was trained on the others (--part all takes all)" if learned and not options.part else ""
    log.info("evaluating %d people of %s%s%s", len(people), people.file, f", its part {part!r}" if part else "", rest)
    return people


def _is_new(model: Model, file: Path, options: PeopleEvalOptions) -> bool:
    """Whether it is known that a model has learned from no image of a file."""
    if not len(model.learned_images):
        return False
    people = open_people(file, options.images, category=options.category, like=model.skeleton, depth=options.depth)
    return not count_learned(model.learned_images, people)[1]


def holds_people(data: str | Path) -> bool:
    """Whether a file or folder holds annotations of people: JSON, a MATLAB file with `joints`, or another format.

    Raises:
        InputError: if a MATLAB file cannot be read.
    """
    data = Path(data)
    try:
        file = annotation_files(data)["val"]
    except InputError:  # there is none, or there are several
        return False
    if file.suffix == ".mat":
        return "joints" in matlab_sizes(file)
    return is_json(file) or format_of(file) is not None


def is_json(file: str | Path) -> bool:
    """Whether a file begins as JSON of a list or an object does."""
    file = Path(file)
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")
