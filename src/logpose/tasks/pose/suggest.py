"""Which images to label next: those in which a model is uncertain, and that are unlike those labelled or chosen before.

Images are chosen one after the other, each with the greatest product of its uncertainty and its distance, in the
backbone's features, from the closest image that is labelled or chosen (k-center greedy of Sener and Savarese, ICLR
2018, weighted by uncertainty). Left out are images without anybody, blurred ones and near-duplicates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int
from torch.nn import functional

from logpose.core.errors import InputError
from logpose.core.samples import Image, Sample
from logpose.core.structures import Batch
from logpose.data.batches import collate
from logpose.data.inputs import Boxes
from logpose.models import PoseModel
from logpose.models.backbone import features
from logpose.tasks.pose.poses import Poses
from logpose.tasks.pose.predict import Predictor

__all__ = ["Candidates", "bits_apart", "blur_of", "candidates", "choose", "image_hash", "labelled_features", "wanting"]

BLURRED = 0.6
"""`blur_of` a crop above which an image is left out: of 300 people of LSP-Extended at 192×192 99 % are below .52, and
above .6 all if a Gaussian of 3 pixels blurs them."""
SMOOTHED = 11
"""Pixels of the mean that an image is compared with."""
ALIKE = 4
"""Bits of 64 in which the hashes of near-duplicates differ at most."""
BATCH = 64


@dataclass(frozen=True)
class Candidates:
    """N images that might be labelled."""

    poses: list[Poses]
    """What is predicted in each."""
    uncertainty: Float[np.ndarray, "N"]
    """Mean standard deviation of the least certain person's joints, relative to the longer side of the box."""
    features: Float[np.ndarray, "N C"]
    """Of length 1."""
    blur: Float[np.ndarray, "N"]
    """See `blur_of`."""
    hashes: Int[np.ndarray, "N"]
    """See `image_hash`."""
    clips: list[str]
    """The folder of each."""
    empty: int
    """How many images without anybody were left out."""


def candidates(
    predictor: Predictor,
    images: Iterable[tuple[Path, Boxes | None]],
    left_out: Callable[[InputError], None] | None = None,
) -> Candidates:
    """What a model predicts in images, and how they look to it: of several people, of the least certain one.

    Args:
        predictor: has a model with standard deviations.
        images: files of images, and boxes of the people in them; None: one is looked for.
        left_out: is called with the error of an image that cannot be read.

    Raises:
        InputError: if the model has no standard deviations, nobody is found in any image, or (without `left_out`) an
            image cannot be read.
    """
    if not predictor.model.error_distribution.std.isfinite().all():
        raise InputError("suggestions need a model trained by a likelihood: this one has no standard deviations")
    poses: list[Poses] = []
    rows: list[tuple[float, float, int]] = []
    seen: list[Float[np.ndarray, "_ C"]] = []
    empty = 0
    waiting: list[Batch] = []
    for each in predictor.many(images, left_out, with_images=True):
        if not len(each):
            empty += 1
            continue
        assert each.image is not None
        uncertain = np.nanmean(each.sigma, axis=(1, 2)) / np.maximum(each.boxes[:, 2:].max(axis=1), 1)
        worst = int(uncertain.argmax())
        crop = predictor.crop(each.image, each.boxes[worst])
        blur = blur_of(np.ascontiguousarray(crop.images[0].permute(1, 2, 0).numpy()))
        rows.append((float(uncertain[worst]), blur, image_hash(each.image)))
        poses.append(replace(each, image=None))
        waiting.append(crop)
        if len(waiting) == BATCH:
            seen.append(crop_features(predictor.model, collate(waiting)))
            waiting = []
    if waiting:
        seen.append(crop_features(predictor.model, collate(waiting)))
    if not poses:
        raise InputError("nobody was found in any of the images")
    uncertainty, blurs, hashes = (np.array(column) for column in zip(*rows, strict=True))
    clips = [str(each.path.parent) if each.path else "" for each in poses]
    return Candidates(poses, uncertainty, np.concatenate(seen), blurs, hashes, clips, empty)


@torch.inference_mode()
def crop_features(model: PoseModel, batch: Batch) -> Float[np.ndarray, "B C"]:
    """The backbone's features of crops, averaged and scaled to length 1."""
    backbone: Any = model.backbone
    coarse = features(backbone, model.normalised(batch.images.to(model.pixel_mean.device)))[1]
    return np.asarray(functional.normalize(coarse.mean(dim=(2, 3)).double()).cpu().numpy())


def labelled_features(predictor: Predictor, people: Iterable[Sample]) -> Float[np.ndarray, "N _"]:
    """The features of people who are labelled already, in their boxes."""
    found, each = [np.empty((0, 0))], iter(people)
    while together := list(islice(each, BATCH)):
        found.append(crop_features(predictor.model, collate([predictor.transform(sample) for sample in together])))
    return np.concatenate(found[1:] or found)


def blur_of(image: Image) -> float:
    """How blurred an image is, from 0 to 1: the share of its edges that stays where it is averaged along a line.

    Blurring changes a sharp image much, and a blurred one little (Crete et al., SPIE 2007).
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    stays = []
    for along in ((1, 0), (0, 1)):  # x, y
        smooth = cv2.blur(grey, (SMOOTHED, 1) if along == (1, 0) else (1, SMOOTHED))
        edges, rest = (np.abs(cv2.Sobel(each, cv2.CV_64F, *along)) for each in (grey, smooth))
        lost = np.maximum(edges - rest, 0).sum()
        stays.append(1 - lost / edges.sum() if edges.any() else 1.0)
    return float(max(stays))


def image_hash(image: Image) -> int:
    """64 bits of how an image looks: which of 8 × 8 mean grey values are darker than those to their right (dHash)."""
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    return int(np.packbits(grey[:, :-1] < grey[:, 1:]).view(np.int64)[0])


def bits_apart(a: int, b: int) -> int:
    """How many bits of two hashes differ."""
    return ((a ^ b) & (2**64 - 1)).bit_count()


def choose(
    uncertainty: Float[np.ndarray, "N"],
    seen: Float[np.ndarray, "N C"],
    known: Float[np.ndarray, "M _"],
    count: int,
) -> Iterator[int]:
    """Rows of images, best first: see the top of this module; the caller takes as many as it wants.

    Args:
        uncertainty: of each image.
        seen: features of each image.
        known: features of what is labelled already; perhaps none.
        count: how many are wanted: more are not computed.
    """
    nearest = np.full(len(seen), np.inf)
    if len(known):
        nearest = np.sqrt(np.maximum(2 - 2 * (seen @ known.T).max(axis=1), 0))
    left = np.ones(len(seen), dtype=bool)
    for _ in range(min(count, len(seen))):
        far = np.ones_like(nearest) if np.isinf(nearest).all() else nearest
        best = int(np.argmax(np.where(left, uncertainty * far, -1)))
        left[best] = False
        nearest = np.minimum(nearest, np.sqrt(np.maximum(2 - 2 * seen @ seen[best], 0)))
        yield best


def wanting(
    found: Candidates, count: int, known: Float[np.ndarray, "M _"], by_clip: bool = False
) -> tuple[list[int], Counter[str]]:
    """Rows of the images to label, best first, and how many were left out for what reason.

    Args:
        found: images.
        count: how many are wanted.
        known: features of what is labelled already.
        by_clip: whether no folder may give more than its share.
    """
    reasons = Counter({"without anybody": found.empty})
    sharp = found.blur <= BLURRED
    reasons["blurred"] = int((~sharp).sum())
    rows = np.flatnonzero(sharp)
    clips = {found.clips[row] for row in rows}
    most = -(-count // max(len(clips), 1)) if by_clip else count
    chosen: list[int] = []
    taken = Counter[str]()
    for number in choose(found.uncertainty[rows], found.features[rows], known, len(rows)):
        row = int(rows[number])
        if len(chosen) == count:
            break
        if taken[found.clips[row]] == most:
            continue
        if any(bits_apart(int(found.hashes[row]), int(found.hashes[other])) <= ALIKE for other in chosen):
            reasons["near-duplicates"] += 1
            continue
        chosen.append(row)
        taken[found.clips[row]] += 1
    return chosen, +reasons
