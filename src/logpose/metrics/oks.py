"""Object keypoint similarity, and the average precision that COCO makes of it."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from logpose.core.calibration import LEVELS

__all__ = [
    "COCO_LIMIT",
    "coco_annotation",
    "coco_ap",
    "coco_ap_of_categories",
    "coco_ground_truth",
    "expected_oks",
    "oks",
    "oks_nms",
    "over_labelled",
    "similarities",
]

COCO_LIMIT = 20
"""The most people an image that COCO's evaluation counts, those with the best scores."""
PART, BEYOND = 4096, 1.5  # people at a time in an integral; quantile of level 1, relative to the last
NAMES = ("ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", "ar50", "ar75", "ar_medium", "ar_large")


def oks(
    predicted: Float[np.ndarray, "N K 2"],
    truth: Float[np.ndarray, "N K 2"],
    visible: Int[np.ndarray, "N K"],
    area: Float[np.ndarray, "N"],
    sigmas: Sequence[float] | Float[np.ndarray, "N K"],
) -> Float[np.ndarray, "N"]:
    """Object keypoint similarity: mean over labelled joints of exp(-d² / (2 area (2 sigma)²)).

    Args:
        predicted: positions in pixels.
        truth: labels in pixels; anything where `visible` is 0.
        visible: COCO's flags; joints with 0 do not count.
        area: of each object, in square pixels.
        sigmas: of the skeleton's joints, or of each object's, relative to sqrt(area).

    Returns:
        one similarity per person, in [0, 1]; NaN for a person without labelled joints.
    """
    return over_labelled(similarities(predicted, truth, visible, area, sigmas), visible)


def similarities(
    predicted: Float[np.ndarray, "N K 2"],
    truth: Float[np.ndarray, "N K 2"],
    visible: Int[np.ndarray, "N K"],
    area: Float[np.ndarray, "N"],
    sigmas: Sequence[float] | Float[np.ndarray, "N K"],
) -> Float[np.ndarray, "N K"]:
    """What each joint adds to OKS, of which that is the mean; arguments are those of `oks`; 1 without a label."""
    squared = np.where(visible > 0, ((predicted - truth) ** 2).sum(axis=-1), 0)
    return np.asarray(np.exp(-squared / (2 * _variance(area, sigmas))))


def over_labelled(each: Float[np.ndarray, "N K"], visible: Int[np.ndarray, "N K"]) -> Float[np.ndarray, "N"]:
    """Mean over the labelled joints of each person, those whose COCO's flag is above 0; NaN where there are none."""
    labelled = visible > 0
    count = labelled.sum(axis=1)
    return np.where(count > 0, np.where(labelled, each, 0).sum(axis=1) / np.maximum(count, 1), np.nan)


def _variance(
    area: Float[np.ndarray, "N"], sigmas: Sequence[float] | Float[np.ndarray, "N K"]
) -> Float[np.ndarray, "N K"]:
    """(2 sigma)² area of each person's joints, which squared distances are relative to."""
    return np.asarray((2 * np.asarray(sigmas)) ** 2 * (area[:, None] + np.spacing(1.0)))  # as COCO's


def expected_oks(
    std: Float[np.ndarray, "N K 2"],
    area: Float[np.ndarray, "N"],
    sigmas: Sequence[float] | Float[np.ndarray, "N K"],
    radii: Float[np.ndarray, "L"] | None = None,
) -> Float[np.ndarray, "N K"]:
    """Expected similarity of each joint with these standard deviations: its regions' mean, or that of Gaussian errors.

    The radii are quantiles of the error's size: the similarity exp(-e² / 2v), v = area (2 sigma)², is integrated over
    them, with the error anywhere on its ellipse. On one with the half axes a >= b the mean is exp(-b² / 2v) e^-z I0(z)
    with z = (a² - b²) / 4v and the modified Bessel function I0. Between a learned density's quantiles, and beyond the
    last (with half as much again), it is linear.

    Of a Gaussian error along one axis of deviation s, E exp(-e² / 2v) = (1 + s² / v)^-1/2; the two axes' multiply. Of
    the same deviations, heavier tails have more similarity.

    Args:
        std: standard deviations of positions along x and y, in pixels.
        area: of each object, in square pixels.
        sigmas: of the skeleton's joints, or of each object's, relative to sqrt(area).
        radii: of the regions of `LEVELS`, in standard deviations: `Model.radii`; errors are Gaussian when None.

    Returns:
        in [0, 1]; NaN where the deviation is not known.
    """
    if radii is not None:
        parts = [slice(start, start + PART) for start in range(0, max(len(std), 1), PART)]
        variance = _variance(area, sigmas)
        return np.concatenate([_over_quantiles(std[part], variance[part], radii) for part in parts])
    return np.asarray((1 + std**2 / _variance(area, sigmas)[..., None]).prod(axis=-1) ** -0.5)


def _over_quantiles(
    std: Float[np.ndarray, "N K 2"], variance: Float[np.ndarray, "N K"], radii: Float[np.ndarray, "L"]
) -> Float[np.ndarray, "N K"]:
    """The integral of `expected_oks` over the quantiles of the error's size."""
    from scipy.integrate import trapezoid  # type: ignore[import-untyped]  # takes long to import
    from scipy.special import i0e  # type: ignore[import-untyped]

    shares = np.array([0, *LEVELS, 1])
    quantiles = np.concatenate([[0], radii, BEYOND * radii[-1:]])
    squares = (std[..., None] * quantiles) ** 2 / variance[..., None, None]
    low, high = squares.min(axis=2), squares.max(axis=2)
    similarity = np.exp(-low / 2) * i0e((high - low) / 4)
    return np.asarray(trapezoid(similarity, shares, axis=-1))


def oks_nms(
    keypoints: Float[np.ndarray, "N K 2"],
    scores: Float[np.ndarray, "N"],
    area: Float[np.ndarray, "N"],
    sigmas: Sequence[float],
    threshold: float = 0.9,
    most: int | None = None,
) -> list[int]:
    """Greedy non-maximum suppression by OKS: of several detections of one person in an image, the best.

    Args:
        keypoints: positions in pixels; all joints count.
        scores: of each person.
        area: of each person, in square pixels; two are compared by the mean of theirs.
        sigmas: of the skeleton's joints.
        threshold: people more alike than this to a better one are left out (0.9 in the paper's systems).
        most: how many are kept; None keeps all.

    Returns:
        rows, best first.
    """
    order = list(np.argsort(-scores, kind="stable"))
    everywhere = np.ones(keypoints.shape[:2], dtype=np.int64)
    kept: list[int] = []
    while order and (most is None or len(kept) < most):
        best, order = order[0], order[1:]
        kept.append(int(best))
        if order:
            repeated = np.repeat(keypoints[best : best + 1], len(order), axis=0)
            alike = oks(keypoints[order], repeated, everywhere[order], (area[order] + area[best]) / 2, sigmas)
            order = [row for row, similarity in zip(order, alike, strict=True) if similarity <= threshold]
    return kept


def coco_ap(ground_truth: dict[str, Any], results: list[dict[str, Any]], sigmas: Sequence[float]) -> dict[str, float]:
    """Average precision and recall as the COCO keypoint evaluation computes them (by faster-coco-eval).

    That evaluation counts the 20 best of an image. Where more people of a category are labelled in one, the limit is
    their number, as with `params.maxDets` of pycocotools: else they would lower recall however well they are detected.

    Args:
        ground_truth: content of an annotation file.
        results: content of a results file: {image_id, category_id, keypoints, score} of each predicted person.
        sigmas: of the skeleton's joints.

    Returns:
        `NAMES`, each in [0, 1]; NaN where there are no people of that size.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    if not results:  # the library refuses such a list
        areas = [row["area"] for row in ground_truth["annotations"] if row["num_keypoints"] and not row.get("iscrowd")]
        there = {"medium": any(32**2 <= a <= 96**2 for a in areas), "large": any(a >= 96**2 for a in areas)}
        return {name: 0.0 if there.get(name.partition("_")[2], True) else float("nan") for name in NAMES}
    # Boxes and areas of people without labels may be anything: overflows among them are no news.
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        wanted = ("images", "annotations", "categories")  # of these, and of results, the library writes into the rows
        content = {part: [dict(row) for row in ground_truth[part]] for part in wanted}
        truth = COCO(content | {"annotations": _with_known_oks(content["annotations"])})
        found = truth.loadRes([dict(row) for row in results])
        evaluation = COCOeval_faster(truth, found, iouType="keypoints", kpt_oks_sigmas=np.asarray(sigmas))
        evaluation.params.maxDets = [max(COCO_LIMIT, _most_people(ground_truth))]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    figures = [float(figure) for figure in evaluation.stats[: len(NAMES)]]
    return {name: figure if figure >= 0 else float("nan") for name, figure in zip(NAMES, figures, strict=True)}


EVERYWHERE = {"bbox": [-1e12, -1e12, 2e12, 2e12], "area": 1.0}
"""Of a person whose OKS with any detection is 1."""


def _with_known_oks(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Annotations of which the library matches those with a NaN for their OKS (by box or area) as pycocotools does.

    NaN is smaller than no threshold, and nothing is smaller than it: there a detection that matches nobody with labels
    matches such a person, or one without labels after them in the file; it is ignored. In the library it matches none.
    """
    unknown, known = set(), []
    for row in rows:
        where = row["image_id"], row["category_id"]
        if not row["num_keypoints"]:
            if _oks_is_nan(row):
                unknown.add(where)
            if where in unknown:
                row = row | EVERYWHERE
        known.append(row)
    return known


def _oks_is_nan(row: dict[str, Any]) -> bool:
    """Whether the OKS of somebody without labels is NaN wherever a detection is, by COCO's formula."""
    if np.isfinite(sum(row["bbox"], row["area"])):
        return False
    corner, extent = np.array(row["bbox"], dtype=np.float64).reshape(2, 2)
    with np.errstate(all="ignore"):
        away = np.maximum(0, corner - extent) + np.maximum(0, -(corner + 2 * extent))
        return bool(np.isnan((away**2).sum() / (row["area"] + np.spacing(1.0))))


def _most_people(ground_truth: dict[str, Any]) -> int:
    """The largest number of people of a category, with labelled joints, in an image."""
    people = (row for row in ground_truth["annotations"] if row["num_keypoints"] and not row.get("iscrowd"))
    return max(Counter((row["image_id"], row["category_id"]) for row in people).values(), default=0)


def coco_ap_of_categories(
    ground_truth: dict[str, Any], results: list[dict[str, Any]], sigmas: Mapping[int, Sequence[float]]
) -> dict[str, float]:
    """The mean over categories of `coco_ap`, each with sigmas of its own, and the AP of each.

    pycocotools takes the mean of precision over thresholds, recalls and those categories that have people: as each has
    as many thresholds and recalls, that is the mean of the categories' figures. Its one list of sigmas fits categories
    with as many joints only.

    Args:
        ground_truth: as of `coco_ap`.
        results: as of `coco_ap`.
        sigmas: of the joints of each category, by its id.

    Returns:
        `NAMES`, and `ap/NAME` of each category; NaN where there are no people.
    """
    figures: dict[int, dict[str, float]] = {}
    for number, own in sigmas.items():
        rows = [row for row in ground_truth["annotations"] if row["category_id"] == number]
        counted = any(row["num_keypoints"] and not row.get("iscrowd") for row in rows)
        content = {**ground_truth, "annotations": rows}
        found = [row for row in results if row["category_id"] == number]
        figures[number] = coco_ap(content, found, own) if counted else dict.fromkeys(NAMES, float("nan"))
    table = np.array([[own[name] for name in NAMES] for own in figures.values()])
    known = ~np.isnan(table)
    means = np.where(known, table, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    names = {row["id"]: row["name"] for row in ground_truth["categories"]}
    each = {f"ap/{names[number]}": own["ap"] for number, own in figures.items()}
    return dict(zip(NAMES, means.tolist(), strict=True)) | each


def coco_annotation(
    image_id: int,
    keypoints: Float[np.ndarray, "K 2"],
    visible: Int[np.ndarray, "K"],
    box: Float[np.ndarray, "4"],
    area: float,
    crowd: bool = False,
    category: int = 1,
) -> dict[str, Any]:
    """A label as a row of COCO's annotation files; its `id` is left out."""
    return {
        "image_id": image_id,
        "category_id": category,
        "iscrowd": int(crowd),
        "keypoints": np.column_stack([np.nan_to_num(keypoints), visible]).ravel().tolist(),
        "num_keypoints": int((visible > 0).sum()),
        "bbox": box.tolist(),
        "area": float(area),
    }


def coco_ground_truth(
    keypoints: Float[np.ndarray, "N K 2"],
    visible: Int[np.ndarray, "N K"],
    boxes: Float[np.ndarray, "N 4"],
    area: Float[np.ndarray, "N"],
    image_ids: Sequence[int],
) -> dict[str, Any]:
    """Labels in the form of a COCO annotation file, for data that did not come from one."""
    each = enumerate(zip(map(int, image_ids), keypoints, visible, boxes, area, strict=True), start=1)
    annotations = [{"id": number, **coco_annotation(*row)} for number, row in each]
    images = [{"id": int(image)} for image in dict.fromkeys(image_ids)]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
