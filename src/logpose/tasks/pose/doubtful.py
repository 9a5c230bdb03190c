"""Which labels of a data set are probably wrong, how, and what they should be: by the density that a model learned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from logpose.core.samples import Sample
from logpose.core.skeletons import Skeleton
from logpose.losses import LikelihoodLoss
from logpose.metrics.covariance import whitened_errors
from logpose.metrics.doubtful_labels import Doubt, Likelihoods, doubts, exchanged_people
from logpose.models import PoseModel
from logpose.report.results import rounded
from logpose.tasks.evaluation import Found

__all__ = ["Doubtful", "corrected_results", "doubtful_people"]

LEVEL = 0.95
"""Of the regions that a doubtful label of a single joint is outside of."""
PART = 256
"""People whose tables are computed at once."""


@dataclass(frozen=True)
class Doubtful:
    """A person with something that is probably wrong, and their labels with it corrected."""

    row: int
    """Of the person in the data set."""
    doubt: Doubt
    keypoints: Float[np.ndarray, "K 2"]
    """Pixels; a label that is no other joint's is the expected position."""
    labelled: tuple[bool, ...]
    """Of each joint, whether it then has a label."""
    other: int | None = None
    """Row of the person whose labels these are, of kind "other person"."""

    def facts(self, people: Any, skeleton: Skeleton) -> dict[str, Any]:
        """As plain values: image, id, kind, names of joints, nats, and the corrected labels of these joints."""
        sample, joints = people[self.row], self.doubt.joints
        name = " and ".join(skeleton.joints[joint] for joint in joints[:2])
        named = "whole person" if len(joints) > len(skeleton) / 2 else name if len(joints) < 3 else f"{name}, …"
        return {
            "image": str(sample.image),
            "id": sample.id,
            "kind": self.doubt.kind,
            "of": named,
            "joints": [skeleton.joints[joint] for joint in joints],
            "nats": round(self.doubt.gain, 1),
            "suggestion": {
                skeleton.joints[joint]: rounded(self.keypoints[joint]) if self.labelled[joint] else None
                for joint in joints
            },
        }


def corrected_results(people: Any, found: Sequence[Doubtful]) -> list[dict[str, Any]]:
    """Each person with all their corrections, as an entry of a COCO results file; joints without a label score 0.

    Args:
        people: the data set.
        found: what is wrong, most certain first; of someone with another's labels nothing else is corrected.
    """
    rows: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    done = set[int]()
    for each in found:
        keypoints, labelled = each.keypoints.copy(), np.array(each.labelled)
        if each.row in done:
            continue
        if each.row in rows and each.other is None:
            joints = list(each.doubt.joints)
            for whole, own in zip(rows[each.row], (keypoints, labelled), strict=True):
                whole[joints] = own[joints]
        else:
            rows[each.row] = keypoints, labelled
        if each.other is not None:
            done.add(each.row)
    return [_result(people[row], *corrected) for row, corrected in rows.items()]


def _result(sample: Sample, keypoints: Float[np.ndarray, "K 2"], labelled: Bool[np.ndarray, "K"]) -> dict[str, Any]:
    """A labelled person with other labels, as an entry of a COCO results file."""
    triplets = np.where(labelled[:, None], np.column_stack([keypoints, np.ones(len(labelled))]), 0.0)
    keys = {"image_id": sample.image_id, "category_id": sample.category_id, "id": sample.id}
    return {**keys, "keypoints": rounded(triplets), "bbox": rounded(sample.box), "score": 1.0}


def doubtful_people(at: Found, model: PoseModel, loss: LikelihoodLoss) -> list[Doubtful]:
    """Everybody with something wrong, those with the most nats first; one row for each thing.

    Args:
        at: predictions beside the labels, in two dimensions.
        model: that predicted.
        loss: the density that it learned.
    """
    found = [*_within_people(at, model, loss), *_between_people(at, model, loss)]
    return sorted(found, key=lambda each: -each.doubt.gain)


def _within_people(at: Found, model: PoseModel, loss: LikelihoodLoss) -> Iterator[Doubtful]:
    """What is wrong with the labels of one person."""
    labelled = at.whole()
    limit = at.radii(model, LEVEL)
    count = labelled.shape[1]
    for start in range(0, len(labelled), PART):
        rows = np.arange(start, min(start + PART, len(labelled)))
        truth = np.where(labelled[rows][..., None], at.truth[rows, :, :2], at.predicted[rows, :, :2])
        error = truth[:, :, None] - at.predicted[rows, None, :, :2]
        std, turned = at.std[rows, None, :, :2], None if at.correlation is None else at.correlation[rows, None]
        nll = _nll(error, std, turned, model, loss)
        own = None if turned is None else turned[:, 0]
        least = _nll(np.zeros((len(rows), count, 2)), std[:, 0], own, model, loss)
        radius = np.sqrt((whitened_errors(error, std, turned) ** 2).sum(axis=-1))
        distance = np.linalg.norm(error, axis=-1) / at.sizes()[rows, None, None]
        for i, row in enumerate(rows.tolist()):
            person = Likelihoods(nll[i], radius[i], distance[i], labelled[row], limit[row], least[i])
            for doubt in doubts(person, model.skeleton.pairs):
                keypoints, has = _corrected(at, row, doubt)
                yield Doubtful(row, doubt, keypoints, has)


def _nll(
    error_px: Float[np.ndarray, "*N 2"],
    std: Float[np.ndarray, "*M 2"],
    correlation: Float[np.ndarray, "*L"] | None,
    model: PoseModel,
    loss: LikelihoodLoss,
) -> Float[np.ndarray, "*N"]:
    """Minus log-density, in pixels, of errors; standard deviations and correlations are broadcast to these."""
    standardised = whitened_errors(error_px, std, correlation)
    found = model.error_distribution
    spread, mean = (values.detach().double().cpu() for values in (found.std, found.mean))
    error = (torch.from_numpy(standardised.reshape(-1, 1, 2)) * spread + mean).float()
    with torch.no_grad():
        log_prob = loss.log_prob(torch.zeros_like(error), torch.ones_like(error), error).double().numpy()
    log_scale = np.log(std / spread.numpy()).sum(axis=-1)
    if correlation is not None:
        log_scale = log_scale + np.log(1 - correlation**2) / 2
    return np.asarray(log_scale - log_prob.reshape(standardised.shape[:-1]))


def _corrected(at: Found, row: int, doubt: Doubt) -> tuple[np.ndarray, tuple[bool, ...]]:
    """Labels of a person with a doubt's correction, and which joints then have one."""
    source = np.array(doubt.source)
    wrong = source < 0
    keypoints = np.where(wrong[:, None], at.predicted[row, :, :2], at.truth[row, source, :2])
    return keypoints, tuple((wrong | (at.visible[row, source] > 0)).tolist())


def _between_people(at: Found, model: PoseModel, loss: LikelihoodLoss) -> Iterator[Doubtful]:
    """People of one image who have each other's labels."""
    images, labelled = defaultdict[int, list[int]](list), at.whole()
    for row, image in enumerate(at.image_ids):
        images[image].append(row)
    nothing = tuple(range(labelled.shape[1]))
    for rows in images.values():
        if len(rows) < 2:
            continue
        own = labelled[rows]
        truth = np.where(own[..., None], at.truth[rows, :, :2], 0.0)
        std = np.broadcast_to(at.std[rows][None, ..., :2], (len(rows), *truth.shape))
        error = truth[:, None] - at.predicted[rows][None, ..., :2]
        turned = None if at.correlation is None else at.correlation[rows][None]
        nll = _nll(error, std, turned, model, loss)
        for a, b, gain in exchanged_people(nll, own):
            doubt = Doubt("other person", nothing, gain, nothing)
            for mine, other in ((a, b), (b, a)):
                keypoints, has = at.truth[rows[other], :, :2], tuple(own[other].tolist())
                yield Doubtful(rows[mine], doubt, keypoints, has, rows[other])
