"""Evaluation of a wrapper: the figures of a pose model, of people that another program predicted."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from logpose.core.samples import Scoring
from logpose.data.files import LabelledPeople, open_people
from logpose.data.problems import log_problems
from logpose.losses import LikelihoodLoss
from logpose.models.wrapper import KeypointWrapper
from logpose.tasks import evaluation
from logpose.tasks.audit import labelled_images, labels_of, pairs_of
from logpose.tasks.evaluation import Found, check_skeletons, coco_result
from logpose.tasks.metric_notes import metric_notes
from logpose.tasks.options import WrappingEvalOptions
from logpose.tasks.pose.evaluate import Evaluation
from logpose.tasks.scoring import person_scores
from logpose.tasks.wrapping.predict import BATCH, Given, WrappedBatch, read_given, wrapped
from logpose.training.learned_images import report_learned

__all__ = ["WrappingEvaluation", "evaluate"]

log = logging.getLogger("logpose")


class WrappingEvaluation(Evaluation):
    """Predictions of the matched people, and of all others in the labelled images, which AP counts as wrong.

    Args:
        people: the labels.
        model: the wrapper.
        given: what the program predicted.
        loss: for the likelihood; None leaves it out.
        scoring: how a person's score follows; "box" is the program's own.
    """

    def __init__(
        self,
        people: LabelledPeople,
        model: KeypointWrapper,
        given: Given,
        loss: LikelihoodLoss | None = None,
        scoring: Scoring = "oks",
    ) -> None:
        super().__init__(people, model, loss, scoring=scoring)
        self.given = given
        self.of_label = {label: row for row, label in pairs_of(given.predictions, list(people.samples))}
        """Of each labelled person who is matched, the row of the prediction."""

    def arrays(self) -> Found:
        """Predictions and labels of the matched people, in the order of the labels."""
        rows = [self.of_label[label] for label in sorted(self.rows)]
        return replace(super().arrays(), predicted_boxes=self.given.predictions.extents[rows])

    def results(self, category_id: int | None = None) -> list[dict[str, Any]]:
        """All predicted people, as entries of a COCO results file; scores by `scoring`."""
        device = self.model.error_mean.device
        found = wrapped(self.model, self.given, device)  # type: ignore[arg-type]
        predictions = self.given.predictions
        scores = person_scores(
            self.scoring, np.array(predictions.scores), found.confidence, found.std, predictions.extents,
            self.metric_sigmas, self.model.radii(),
        )  # fmt: skip
        return [
            coco_result(image, category_id or 1, found.keypoints[i], found.confidence[i], scores[i])
            for i, image in enumerate(predictions.images)
        ]


def evaluate(model: KeypointWrapper, loss: LikelihoodLoss | None, options: WrappingEvalOptions) -> WrappingEvaluation:
    """Match what a program predicted with labels, and collect how far off it is by the wrapper.

    Raises:
        InputError: if labels or predictions cannot be read, are of other joints, or nobody is matched.
    """
    people = open_people(options.data, options.images, category=options.category, need_images=False)
    log_problems(people)
    check_skeletons(options.checkpoint, model, people)
    for note in metric_notes(model.skeleton, people):
        log.info(note)
    given = read_given(options.predictions, options.mirrored, labelled_images(people))
    log.info("evaluating %d people that %s predicts in images of %s", len(given.predictions), options.predictions,
             people.file)  # fmt: skip
    found = WrappingEvaluation(people, model, given, loss, options.score)
    found.images_learned = report_learned(options.checkpoint, model, people)
    batches = list(_batches(model, given, people, list(found.of_label.items()), options.batch_size or BATCH))
    return evaluation.evaluate(model, found, batches, flip_test=False, device=options.device)


def _batches(
    model: KeypointWrapper, given: Given, people: LabelledPeople, pairs: Sequence[tuple[int, int]], size: int
) -> Iterator[WrappedBatch]:
    """The matched people, with their labels."""
    inputs = torch.from_numpy(given.inputs(model.mirrored, model.deviations))
    for start in range(0, len(pairs), size):
        index, rows = zip(*pairs[start : start + size], strict=True)
        truth, visible, _ = labels_of([people[i] for i in index])
        batch, weight = inputs[list(rows)], torch.from_numpy(visible > 0).float()
        target = model.relative(torch.from_numpy(truth).float(), batch)
        yield WrappedBatch(batch, target, weight, model.to_image(batch), torch.tensor(index))
