"""The crop of a labelled person: one affine map, one warp.

The augmentations and their order are those of the paper's released code (half body, scale, rotation, flip); all of
them are folded into the matrix of the crop, so pixels are interpolated once.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float

from logpose.core import geometry
from logpose.core.samples import VISIBLE, Image, Sample
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Batch
from logpose.data.augmentation import Augmentation, flip_share
from logpose.data.images import read_reduced

__all__ = ["Augmentation", "CropTransform", "cut", "occlude", "tint"]

# Half-body crops, as in the released code (utils/presets/simple_transform.py).
HALF_BODY_PADDING = 1.5
HALF_BODY_LEAST = 2  # joints that make a half

# Of the released 3-D code (utils/presets/simple_transform_3d.py).
ROTATION_SPREAD = 0.5  # rotations are clipped at two standard deviations, scales at one
OCCLUSION_ASPECT = (0.3, 1 / 0.3)  # of the rectangle, its height over its width
OCCLUSION_TRIES = 100  # ours: of a box that hardly overlaps the image, no rectangle may ever lie in it


class CropTransform:
    """Cuts the crop of a person and expresses its labels in crop coordinates.

    Args:
        skeleton: the joints, with flip pairs and the upper body.
        size: (H, W) of the crop.
        augmentation: how to vary it; None for evaluation.
        outside: of labelled joints outside the crop. "supervise" keeps them: the network learns to extrapolate, on
            which the paper's robustness to truncation rests. "mask" gives them no weight, nor those that lie more
            than half of `geometry.DEPTH_RANGE` before or behind the root.
        padding: how much larger than the box the region is.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        size: tuple[int, int],
        augmentation: Augmentation | None = None,
        outside: Literal["supervise", "mask"] = "supervise",
        padding: float = geometry.PADDING,
    ) -> None:
        self.skeleton, self.size, self.augmentation = skeleton, size, augmentation
        self.outside, self.padding = outside, padding
        self.flips = 0.0 if augmentation is None else flip_share(augmentation.flip_probability, skeleton)

    def __call__(self, sample: Sample, index: int = 0, rng: np.random.Generator | None = None) -> Batch:
        """The crop of one person, as a batch of one.

        `index` is its row in the data set, kept with the crop; `rng` is needed for augmentation only.

        Raises:
            InputError: if the image cannot be read.
        """
        centre, extent = geometry.box_to_region(sample.box, self.size, self.padding)
        rotation, mirror = 0.0, False
        if (aug := self.augmentation) is not None:
            assert rng is not None
            if rng.random() < aug.half_body_probability:
                centre, extent = self._half_body(sample, aug.half_body_least, rng) or (centre, extent)
            if aug.shift and rng.random() < aug.shift_probability:
                centre = centre + extent * aug.shift * (aug.draw(rng), aug.draw(rng))
            extent = extent * (1 + aug.scale * aug.draw(rng))
            if rng.random() < aug.rotation_probability:
                rotation = aug.rotation * aug.draw(rng, ROTATION_SPREAD)
            mirror = rng.random() < self.flips
        keypoints, visible = sample.keypoints, sample.visible
        to_crop = geometry.crop_matrix(centre, extent, self.size, -rotation if mirror else rotation)
        if mirror:
            # As if the image were mirrored, then cropped: the crop of what is turned the other way, mirrored about
            # W / 2, where the centre is. Left and right joints change places.
            to_crop = geometry.compose(geometry.mirror_matrix(self.size[1] + 1), to_crop)
            order = list(self.skeleton.flip_index)
            keypoints, visible = keypoints[order], visible[order]
        placed = geometry.to_crop(geometry.apply_affine(to_crop, keypoints[:, :2]), self.size)
        in_crop = (np.abs(placed) <= 0.5).all(axis=1)  # NaN is not
        weight = (visible > 0).astype(np.float32)
        target = np.concatenate([placed, keypoints[:, 2:] / geometry.DEPTH_RANGE], axis=1)
        if self.outside == "mask":
            weight *= ~(np.abs(target) > 0.5).any(axis=1)  # an unknown depth (NaN) is not outside
        target[weight == 0] = 0
        # Of a person much larger than the crop, pixels that would be skipped need not be decoded. Evaluation images are
        # decoded whole, as in other codes' evaluation and in `predict`.
        image, reduced = read_reduced(sample.image, 1.0 if aug is None else float(extent[0]) / self.size[1])
        from_read = geometry.compose(to_crop, geometry.enlargement(reduced))
        crop = cut(image, from_read, self.size)
        if aug is not None and rng is not None:
            if aug.occlusion:
                shown = reduced * image.shape[1], reduced * image.shape[0]
                occlude(crop, sample.box, shown, to_crop, aug.occlusion, rng)
            if aug.colour:
                crop = tint(crop, rng.uniform(1 - aug.colour, 1 + aug.colour, 3))
        return Batch(
            images=torch.from_numpy(crop).permute(2, 0, 1)[None],
            target=torch.from_numpy(target.astype(np.float32))[None],
            weight=torch.from_numpy(weight)[None],
            to_image=torch.from_numpy(geometry.invert_affine(to_crop).astype(np.float32))[None],
            index=torch.tensor([index]),
            visible=torch.from_numpy(((visible == VISIBLE) & in_crop).astype(np.float32))[None],
        )

    def _half_body(
        self, sample: Sample, least: int, rng: np.random.Generator
    ) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]] | None:
        """Region around the labelled joints of the upper or the lower body; None where there are too few."""
        labelled = np.flatnonzero(sample.visible > 0)
        assert self.augmentation is not None
        if len(labelled) < least or not self.skeleton.upper_body:
            return None
        is_upper = np.isin(labelled, self.skeleton.upper_body)
        upper, lower = labelled[is_upper], labelled[~is_upper]
        wants_upper = rng.random() < self.augmentation.half_body_upper and len(upper) > HALF_BODY_LEAST
        chosen = lower if not wants_upper and len(lower) > HALF_BODY_LEAST else upper
        if len(chosen) < HALF_BODY_LEAST:
            return None
        points = sample.keypoints[chosen, :2]
        low, high = points.min(axis=0), points.max(axis=0)
        if not (high > low).any():
            return None
        box = np.array([*low, *(high - low)], dtype=np.float64)
        _, extent = geometry.box_to_region(box, self.size, HALF_BODY_PADDING)
        return points.mean(axis=0).astype(np.float64), extent


def cut(image: np.ndarray, to_crop: Float[np.ndarray, "2 3"], size: tuple[int, int]) -> np.ndarray:
    """The crop (H, W, 3) that an affine map cuts from an image; black outside the image, bilinear inside."""
    return cv2.warpAffine(image, to_crop, (size[1], size[0]), flags=cv2.INTER_LINEAR)


def occlude(
    crop: Image,
    box: Float[np.ndarray, "4"],
    shown: tuple[int, int],
    to_crop: Float[np.ndarray, "2 3"],
    share: float,
    rng: np.random.Generator,
) -> None:
    """Hide part of a person behind a rectangle of noise, drawn into the crop (the released 3-D code's occlusion).

    The rectangle lies in the person's box (image coordinates) and in the image of `shown` pixels, (width, height): its
    area is a draw from 0 to `share` of the box's, its height a draw from 0.3 to 3.3 times its width.
    """
    for _ in range(OCCLUSION_TRIES):
        area, aspect = rng.uniform(0, share) * box[2] * box[3], rng.uniform(*OCCLUSION_ASPECT)
        extent = np.sqrt([area / aspect, area * aspect])
        low = box[:2] + rng.random(2) * (box[2:] - extent)
        if (low >= 0).all() and (low + extent <= shown).all():
            break
    else:
        return
    # OpenCV fills the pixels on the edges too: the rectangle that goes through their centres is a pixel smaller.
    pixel = 1 / np.sqrt(np.abs(np.linalg.det(to_crop[:, :2])))
    corners = low + (pixel - 1) / 2 + np.maximum(extent - pixel, 0) * [[0, 0], [1, 0], [1, 1], [0, 1]]
    hidden = np.zeros(crop.shape[:2], np.uint8)
    cv2.fillConvexPoly(hidden, geometry.apply_affine(to_crop, corners).round().astype(np.int32), 1)
    inside = hidden > 0
    crop[inside] = rng.integers(0, 256, (int(inside.sum()), 3), dtype=np.uint8)


def tint(image: Image, factors: Float[np.ndarray, "3"]) -> Image:
    """An image with each channel multiplied by a factor, as far as its 8 bits reach."""
    table = np.clip(np.rint(np.arange(256)[:, None] * factors), 0, 255).astype(np.uint8)
    return cv2.LUT(image, table[None])
