"""Which sigmas and how many people OKS, AP and AR of a data set take, and sentences where that is not as for COCO."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from logpose.core.skeletons import Skeleton
from logpose.data.image_sets import ImageList
from logpose.metrics.oks import COCO_LIMIT

__all__ = ["crowded", "differing_sigmas", "metric_notes", "metric_sigmas"]


def metric_sigmas(model: Skeleton, data: Skeleton) -> tuple[float, ...]:
    """The sigmas of OKS, AP and AR: those of the data, which define the metric, or the model's where they have none."""
    return data.oks_sigmas or model.sigmas


def differing_sigmas(model: Skeleton, data: Skeleton) -> str:
    """A note on which sigmas OKS, AP and AR take, where those of a model and of the data differ; else empty."""
    if model.sigmas == data.sigmas:
        return ""
    ours, theirs = _shown(model.sigmas), _shown(data.sigmas)
    if data.oks_sigmas:
        return f"OKS, AP and AR take the sigmas of the data measured, {theirs}; the model's are {ours}"
    given = "a list `sigmas` in the category of their file replaces them"
    return f"OKS, AP and AR take the model's sigmas, {ours}: the data measured have none ({given})"


def _shown(sigmas: Sequence[float]) -> str:
    """The first of them, or the one that all are."""
    if len(set(sigmas)) == 1:
        return f"{sigmas[0]:g} for every joint"
    return ", ".join(f"{sigma:g}" for sigma in sigmas[:3]) + (" …" if len(sigmas) > 3 else "")


def crowded(data: Any) -> str:
    """A note on AP and AR of data with more people in an image than COCO's evaluation counts; else empty."""
    most = most_people(data)
    if most <= COCO_LIMIT:
        return ""
    return f"AP and AR count up to {most} people an image, the most labelled in one; COCO's limit is {COCO_LIMIT}"


def most_people(data: Any) -> int:
    """The largest number of labelled people in an image of a data set that has them in lists; else 0."""
    if isinstance(data, ImageList):
        return max((sum(bool((who.visible > 0).any()) for who in each.people) for each in data.images), default=0)
    samples = getattr(data, "samples", None)
    people = (who for who in samples if (who.visible > 0).any()) if isinstance(samples, list) else ()
    counts = Counter(who.image_id for who in people)
    return max(counts.values(), default=0)


def metric_notes(model: Skeleton, data: Any) -> list[str]:
    """Sentences about how OKS, AP and AR of a data set are computed, where it is not as for COCO's people."""
    sigmas = metric_sigmas(model, data.skeleton)
    note = differing_sigmas(model, data.skeleton)
    if not note and not data.skeleton.oks_sigmas and len(set(sigmas)) == 1:
        note = f"OKS, AP and AR take {sigmas[0]:g} as the sigma of every joint: this skeleton has none of its own"
    return [each for each in (note, crowded(data)) if each]
