"""People in images by detection models: the report page and `logpose predict`."""

from __future__ import annotations

from collections.abc import Mapping

from logpose.core.samples import Image
from logpose.data.images import read_image
from logpose.models import Detector
from logpose.report.draw import contact_sheet, enlarged, mark_points
from logpose.report.evaluation import PageParts
from logpose.report.inspection import evenly
from logpose.tasks.detection.evaluate import DetectionEvaluation
from logpose.tasks.detection.predict import Finder
from logpose.tasks.metric_notes import metric_notes
from logpose.tasks.options import DetectionPredictOptions
from logpose.tasks.pose.images import ImageInputs, draw_people, report_nobody
from logpose.tasks.pose.report import INSIDE, POSES, inspect, people_parts
from logpose.tasks.task import Predictions

__all__ = ["inspect", "page_parts", "predict"]

SHOWN, TILE = 6, (420, 560)  # images on the page, height and width of each

MEANINGS = (
    (r"matched", "recall of labelled people by boxes (IoU .5), no score threshold"),
    (r"recall_at_threshold", "the same by detections above the score threshold of predict"),
)


def page_parts(evaluation: DetectionEvaluation, _: Mapping[str, float]) -> PageParts:
    """The page's parts about people in whole images."""
    model, notes = evaluation.model, metric_notes(evaluation.model.skeleton, evaluation.images)
    caption = f"Detected people. {POSES}"
    return people_parts(model, evaluation.arrays(), MEANINGS, notes, _images(evaluation), caption)


def _images(evaluation: DetectionEvaluation) -> Image | None:
    """Some images, with detections and labels."""
    indices = sorted(evaluation.rows)
    model, skeleton = evaluation.model, evaluation.model.skeleton
    tiles = []
    for place in evenly(len(indices), SHOWN):
        shown, found = evaluation.images[indices[place]], evaluation.rows[indices[place]].people
        tile, factor = enlarged(read_image(shown.image), max(TILE))
        radius = model.region_radius(INSIDE, found.sizes())[..., None]
        draw_people(tile, skeleton, found.keypoints, found.std * radius, factor)
        for who in shown.people:
            mark_points(tile, (who.keypoints[who.visible > 0, :2] + 0.5) * factor - 0.5)
        tiles.append(tile)
    return contact_sheet(tiles, min(2, len(tiles)), TILE) if tiles else None


def predict(model: Detector, options: DetectionPredictOptions) -> Predictions:
    """Predictions of a detection model.

    Raises:
        InputError: if an option or an input is not what it should be, or the model has diverged.
    """
    finder = Finder(model, options.device, scoring=options.score, least_score=options.box_score, **options.batches())
    inputs = ImageInputs(options)
    predictions, found = inputs.predict(lambda left_out: finder.many(inputs.readable, left_out), model)
    report_nobody(found, finder.least_score)
    return predictions
