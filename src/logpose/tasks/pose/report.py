"""Labelled people: what the report page shows of predictions, and what `logpose inspect` shows of the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from logpose.core import geometry
from logpose.core.device import choose_device
from logpose.core.errors import InputError
from logpose.core.samples import Image, Sample
from logpose.core.skeletons import Skeleton
from logpose.data.files import LabelledPeople, annotation_files, open_people
from logpose.data.symmetry import proposed_pairs, unmirrored
from logpose.data.transforms import CropTransform
from logpose.models import Model
from logpose.report.draw import contact_sheet, draw_pose, enlarged, mark_points
from logpose.report.evaluation import PageParts, evenly_ranked, mean_text
from logpose.report.inspection import LISTED, evenly, summary
from logpose.report.page import save_image
from logpose.report.results import write_json
from logpose.tasks.evaluation import Found, check_skeletons
from logpose.tasks.label_noise import labelled_twice, measured_sigmas
from logpose.tasks.lifting.report import MEANINGS as IN_SPACE
from logpose.tasks.metric_notes import metric_notes
from logpose.tasks.options import PeopleInspectOptions, PoseInspectOptions
from logpose.tasks.pose.doubtful import corrected_results, doubtful_people
from logpose.tasks.pose.evaluate import Evaluation, evaluate
from logpose.tasks.pose.images import predict
from logpose.tasks.scoring import without_confidence
from logpose.training.checkpoint import load_of_crops
from logpose.training.learned_images import report_learned

__all__ = ["INSIDE", "POSES", "drawn_person", "inspect", "page_parts", "people_parts", "predict"]

SHOWN, TILE, COLUMNS = 12, 280, 4  # people on the page, pixels of each, and of them in a row
ON_SHEET, SHEET_TILE = 30, 220  # people on a contact sheet, pixels of each
INSIDE = 0.5
"""Probability that a drawn ellipse contains its joint."""
LEVEL = 0.9  # nominal level of the regions of the table
OFTEN_OUTSIDE = 0.1
"""Share of labelled joints outside their boxes above which something may be wrong: two samples of COCO's have .04, .06.
Boxes end at their last pixel, and joints in its right half are inside."""

MEANINGS = (
    (r"a[pr]", "COCO's average precision, and recall, of keypoints, over ten thresholds of OKS"),
    (r"a[pr]\d\d", "the same at one threshold of OKS, in hundredths"),
    (r"a[pr]_\w+", "the same of people of that size"),
    (r"nme", "mean distance in diagonals of the person's box"),
    (r"pck@[\d.]+", "share of joints within that part of the box's longer side"),
    (r"pck_torso@[\d.]+", "share of joints within that part of the torso, from a shoulder to the opposite hip"),
    (r"pckh@[\d.]+|pckh_auc", "share of joints within that part of the head's size; its mean up to a half"),
    (r"ap/.+", "AP of that category alone, with its own joints; ap and the others are means over the categories"),
    (r"depth_mm", "mean absolute error of depth relative to the root"),
    (r"oks", "mean object keypoint similarity: 1 is exact"),
    (r"oks_expected", "mean of the OKS predicted from the standard deviations, given the area; to compare with oks"),
    (r"oks_expected_r", "correlation of that with a person's actual OKS"),
    (r"confidence_oks", "correlation of a person's confidence with OKS"),
    (r"\S+/(hidden|visible)", "that figure of joints that are labelled as hidden, or as visible, alone"),
    (
        r"visible_auroc",
        "share of pairs of a visible and another joint in which it is predicted to be visible rather",
    ),
    (r"visible_ece", "expected calibration error of these probabilities: 0 is best"),
    (r"visible_brier", "their mean squared error: 0 is best"),
    (r"images_learned", "how many of the images the model was trained on: figures of these are of training data"),
    *IN_SPACE,
)
"""What figures of people mean, those of three dimensions among them."""

POSES = (
    "Blue is the person's left, orange the right; each ellipse holds its joint with a probability of 50 %, where the "
    "model predicts one; rings are the labels."
)
"""What the colours of drawn poses mean."""


def page_parts(evaluation: Evaluation, _: Mapping[str, float]) -> PageParts:
    """The page's parts about people in crops."""
    at = evaluation.arrays() if evaluation.rows else None
    people = None if at is None else _people(evaluation, at)
    notes = metric_notes(evaluation.model.skeleton, getattr(evaluation.people, "labels", evaluation.people))
    notes += without_confidence(row[2] for row in evaluation.rows.values())
    caption = f"People from lowest error to highest. {POSES}"
    return people_parts(evaluation.model, at, (), notes, people, caption)


def people_parts(
    model: Model,
    at: Found | None,
    meanings: Sequence[tuple[str, str]],
    notes: Sequence[str],
    examples: Image | None,
    caption: str,
) -> PageParts:
    """The parts of predictions matched to labels, if any, with the task's own meanings of figures, notes, examples."""
    return PageParts(
        "joint", None if at is None else at.deviations(model), (*MEANINGS, *meanings), notes,
        None if at is None else _by_joint(at, model), examples=examples, caption=caption,
    )  # fmt: skip


def _by_joint(at: Found, model: Model) -> list[list[str]]:
    """A table by joint: number of labels, error, NLL, and coverage of 90 % regions."""
    apart, whole = at.apart(), at.whole()
    limit, radius = at.radii(model, LEVEL), at.scaled()
    rows = [["", "labels", "error, px", "NLL, nats", f"in {100 * LEVEL:.0f} % regions"]]
    for k, joint in enumerate(model.skeleton.joints):
        labelled, known = at.visible[:, k] > 0, whole[:, k] & np.isfinite(radius[:, k])
        covered = (radius[known, k] <= limit[known, k]).astype(np.float64)
        cells = mean_text(apart[labelled, k], "{:.2f}"), mean_text(at.nll[:, k], "{:.2f}"), mean_text(covered, "{:.3f}")
        rows.append([joint, str(int(labelled.sum())), *cells])
    return rows


def _people(evaluation: Evaluation, at: Found) -> Image | None:
    """Some people, cut out, with predictions and labels."""
    apart = at.apart()
    diagonal = np.linalg.norm(at.boxes[:, 2:], axis=1)
    labelled = np.isfinite(apart)
    errors = np.where(labelled, apart, 0).sum(axis=1) / diagonal
    errors = np.where(labelled.any(axis=1), errors / np.maximum(labelled.sum(axis=1), 1), np.nan)
    indices, people, skeleton = sorted(evaluation.rows), evaluation.people, evaluation.model.skeleton
    radius = at.radii(evaluation.model, INSIDE)[..., None]
    cropped = CropTransform(skeleton, (TILE, TILE), padding=evaluation.model.padding)
    tiles = []
    for row in evenly_ranked(errors.tolist(), SHOWN):
        sample = people[indices[row]]
        own, joints = evaluation.skeleton.of(sample.category_id)
        correlation = None if at.correlation is None else at.correlation[row]
        half_axes = at.std[row] * radius[row]
        tiles.append(drawn_person(sample, cropped, own, joints, at.predicted[row], half_axes, correlation))
    return contact_sheet(tiles, min(COLUMNS, len(tiles)), (TILE + 4, TILE + 4)) if tiles else None


def drawn_person(
    sample: Sample,
    cropped: CropTransform,
    own: Skeleton,
    joints: list[int] | slice,
    predicted: Float[np.ndarray, "K D"],
    half_axes: Float[np.ndarray, "K D"],
    correlation: Float[np.ndarray, "K"] | None = None,
) -> Image:
    """The crop of a person with a predicted pose, its ellipses, and the labels.

    Args:
        sample: the labelled person.
        cropped: cuts the crop.
        own: joints and bones to draw.
        joints: their numbers among the K.
        predicted: in pixels of the image.
        half_axes: how far the ellipses reach along x and y, pixels of the image; NaN draws none.
        correlation: of errors along x and y.
    """
    crop = cropped(sample)
    tile = np.ascontiguousarray(crop.images[0].permute(1, 2, 0).numpy())
    to_tile = geometry.invert_affine(crop.to_image[0].double().numpy())
    factor = float(np.hypot(*to_tile[:, 0]))
    placed, truth = (geometry.apply_affine(to_tile, x[:, :2]) for x in (predicted, sample.keypoints))
    turned = None if correlation is None else correlation[joints]
    draw_pose(tile, own, placed[joints], half_axes[joints, :2] * factor, correlation=turned)
    mark_points(tile, truth[sample.visible > 0])
    return tile


def inspect(options: PeopleInspectOptions) -> dict[str, dict[str, Any]]:
    """Counts, skeleton, label problems and a contact sheet of each file; unlikely labels where a model is given.

    Raises:
        InputError: if the data cannot be read at all, or the model has other joints or no density.
    """
    files = dict.fromkeys(annotation_files(options.data).values())
    settings: dict[str, Any] = {"category": options.category, "depth": options.depth}
    if isinstance(options, PoseInspectOptions) and options.save_json and not options.model:
        raise InputError("--save-json: what is probably wrong is found by a model; name it with --model")
    judge, device = (options.model, options.device) if isinstance(options, PoseInspectOptions) else (None, "auto")
    if judge:  # what is wrong with it is reported before anything is written
        model, loss = load_of_crops(judge)
        if loss is None:
            raise InputError(f"{judge}: holds no density of errors: heatmap losses and a user's own have none")
        settings["like"] = model.skeleton
    parts = {file: open_people(file, options.images, **settings) for file in files}
    for people in parts.values():
        if judge:
            check_skeletons(judge, model, people)
    second = options.second if isinstance(options, PoseInspectOptions) else None
    if second and len(parts) > 1:
        raise InputError(f"--second: {options.data} has several files of labels; name the one that was labelled again")
    twice = _labelled_twice(next(iter(parts.values())), second, options) if second else {}
    found, results = {}, list[dict[str, Any]]()
    for file, people in parts.items():
        sheet = options.out / f"{file.stem}.jpg"
        save_image(_sheet(people), sheet)
        found[str(file)] = {**_summary(people), **twice, "contact_sheet": str(sheet)}
        if judge:
            report_learned(judge, model, people)
            judged = evaluate(model, people, loss, device=choose_device(device), show_progress=True)
            at = judged.arrays()
            unlikely, rows = _unlikely(people, at)
            sheet = options.out / f"{file.stem}-unlikely.jpg"
            save_image(_sheet(people, rows), sheet)
            assert loss is not None
            doubtful = doubtful_people(at, model, loss) if model.dim == 2 and not people.skeleton.categories else []
            results += corrected_results(people, doubtful)
            found[str(file)] |= {
                "unlikely labels": unlikely,
                "unlikely_sheet": str(sheet),
                "doubtful labels": [each.facts(people, model.skeleton) for each in doubtful],
            }
    if isinstance(options, PoseInspectOptions) and options.save_json:
        write_json(options.save_json, results)
    return found


def _labelled_twice(people: LabelledPeople, second: Path, options: PeopleInspectOptions) -> dict[str, Any]:
    """The sigmas of OKS of people who were labelled again, as plain values.

    Raises:
        InputError: if the other labels cannot be read, or are of other images or joints.
    """
    again = open_people(second, options.images, category=options.category, like=people.skeleton, need_images=False)
    both = labelled_twice(people, again)
    sigmas, counts = measured_sigmas(both)
    each = zip(people.skeleton.joints, sigmas.tolist(), counts.tolist(), strict=True)
    joints = {name: {"sigma": round(sigma, 4), "labels": count} for name, sigma, count in each if count}
    return {"labelled twice": {"people": len(both.area), "oks sigmas": joints}}


def _unlikely(people: LabelledPeople, found: Found) -> tuple[list[dict[str, Any]], list[int]]:
    """The least likely label of each of the people in whom it is least likely; and their rows in the data set."""
    standardised_nll = np.nan_to_num(found.standardised_nll, nan=-np.inf)
    worst = standardised_nll.argmax(axis=1)
    rows = np.argsort(-standardised_nll.max(axis=1), kind="stable")[:LISTED].tolist()
    apart = np.linalg.norm((found.predicted - found.truth)[..., :2], axis=-1)
    usual = np.sqrt((found.std[..., :2] ** 2).sum(axis=-1))
    return [
        {
            "image": str(people[row].image),
            "id": people[row].id,
            "joint": people.skeleton.joints[worst[row]],
            "px off": round(float(apart[row, worst[row]]), 1),
            "px expected": None if np.isnan(usual[row, worst[row]]) else round(float(usual[row, worst[row]]), 1),
            "minus log density": round(float(standardised_nll[row, worst[row]]), 2),
        }
        for row in rows
    ], rows


def _summary(people: LabelledPeople) -> dict[str, Any]:
    """What is known of a file's people, in plain values."""
    skeleton = people.skeleton
    default = f"{skeleton.sigmas[0]:g} for every joint (the default: the file gives none)"
    visible = np.stack([sample.visible for sample in people.samples])
    sizes = np.array([sample.box[2:].max() for sample in people.samples])
    return {
        "counts": dict(people.counts),
        "skeleton": {
            "name": skeleton.name,
            "joints": list(skeleton.joints),
            "bones": len(skeleton.bones),
            "mirror pairs": [[skeleton.joints[a], skeleton.joints[b]] for a, b in skeleton.pairs],
            "without counterpart": list(skeleton.unpaired),
            "proposed pairs": [] if skeleton.mirrors else proposed_pairs(people),
            "oks sigmas": "as given, or COCO's own" if skeleton.oks_sigmas else default,
        },
        **_categories(people),
        "labelled": {joint: int((visible[:, i] > 0).sum()) for i, joint in enumerate(skeleton.joints)},
        "hidden": {joint: int((visible[:, i] == 1).sum()) for i, joint in enumerate(skeleton.joints)},
        "longer side of boxes, px": {
            name: round(float(np.quantile(sizes, q)), 1) for name, q in (("5 %", 0.05), ("50 %", 0.5), ("95 %", 0.95))
        },
        "problems": summary(people.problems),
        "hints": _hints(people, visible),
    }


def _categories(people: LabelledPeople) -> dict[str, Any]:
    """The people of each category, and its joints, where there are several."""
    names = getattr(people, "categories", {})
    if len(names) < 2:
        return {}
    counts = Counter(sample.category_id for sample in people.samples)
    return {
        "categories": [
            {"id": number, "name": name, "people": counts[number], "joints": list(people.skeleton.of(number)[0].joints)}
            for number, name in names.items()
        ]
    }


def _hints(people: LabelledPeople, visible: np.ndarray) -> list[str]:
    """What is no error but deserves a look."""
    hints = []
    if note := unmirrored(people):
        hints.append(note)
    hints += getattr(people, "notes", ())
    never = np.flatnonzero((visible > 0).sum(axis=0) == 0)
    hints += [f"nobody has a label of {people.skeleton.joints[joint]!r}" for joint in never]
    outside = sum(_labels_outside(sample) for sample in people.samples)
    if outside:
        hints.append(f"{outside} of {len(people)} people have labelled joints far outside their box")
    if (share := _share_outside(people.samples)) > OFTEN_OUTSIDE:
        hints.append(f"{share:.0%} of the labelled joints lie outside their person's box")
    times = Counter(sample.keypoints.tobytes() for sample in people.samples)
    if alike := sum(number for number in times.values() if number > 1):
        hints.append(f"{alike} people have exactly the same keypoints as another")
    return hints


def _share_outside(samples: Iterable[Sample]) -> float:
    """Share of the labelled joints that lie more than a pixel outside the box."""
    outside = []
    for sample in samples:
        points, low = sample.keypoints[sample.visible > 0, :2], sample.box[:2] - 1
        outside.append(((points < low) | (points > low + sample.box[2:] + 2)).any(axis=1))
    return float(np.concatenate(outside).mean())


def _labels_outside(sample: Sample) -> bool:
    """Whether a labelled joint lies more than half a box away from the box."""
    points = sample.keypoints[sample.visible > 0, :2]
    low, high = sample.box[:2] - sample.box[2:] / 2, sample.box[:2] + 1.5 * sample.box[2:]
    return bool(((points < low) | (points > high)).any())


def _sheet(people: LabelledPeople, rows: list[int] | None = None) -> Image:
    """People with their labels: those of some rows, or some evenly spread over the data set."""
    tiles = []
    for row in evenly(len(people), ON_SHEET) if rows is None else rows:
        sample = people[row]
        own, joints = people.skeleton.of(sample.category_id)
        crop = CropTransform(people.skeleton, (SHEET_TILE, SHEET_TILE))(sample)
        tile = enlarged(crop.images[0].permute(1, 2, 0).numpy(), SHEET_TILE)[0]
        points = (crop.target[0, :, :2].double().numpy() + 0.5) * SHEET_TILE
        draw_pose(tile, own, points[joints], shown=sample.visible[joints] > 0)
        tiles.append(tile)
    return contact_sheet(tiles, columns=min(6, len(tiles)), tile=(SHEET_TILE + 4, SHEET_TILE + 4))
