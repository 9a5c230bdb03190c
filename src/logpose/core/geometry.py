"""Boxes, crops, affine maps between them, and mirroring.

A crop is cut by one affine map. It is kept as a (2, 3) matrix that takes (x, y, 1) of the image to (x, y) of the
crop, or back. Sizes are (H, W) as tensors have them; points and boxes are (x, y, …) as annotations have them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from logpose.core.skeletons import Skeleton
from logpose.core.structures import Prediction

__all__ = [
    "DEPTH_RANGE",
    "MM",
    "PADDING",
    "InImages",
    "apply_affine",
    "box_to_region",
    "compose",
    "crop_matrix",
    "enlargement",
    "flip_average",
    "flip_back",
    "from_crop",
    "in_images",
    "invert_affine",
    "mirror_matrix",
    "spread_in_image",
    "to_crop",
]

PADDING = 1.25
"""How much larger than a person's box the region is that a crop shows, in the paper's systems."""

MM = 1000.0
"""Millimetres in a metre."""

DEPTH_RANGE = 2000.0
"""Millimetres of depth in a unit of crop coordinates: a person's depths lie within ±0.5 (the paper's released code)."""

Matrix = Float[np.ndarray, "2 3"]
Points = Float[np.ndarray, "*N 2"]


def box_to_region(
    box: Float[np.ndarray, "4"], size: tuple[int, int], padding: float = PADDING
) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """The region of the image that a crop of (H, W) pixels shows for a box: grown to the crop's shape, then padded.

    Returns:
        centre (x, y) and extent (width, height) of the region, in image coordinates.
    """
    aspect = size[1] / size[0]
    width = max(float(box[2]), float(box[3]) * aspect)
    centre = np.array([box[0] + box[2] / 2, box[1] + box[3] / 2], dtype=np.float64)
    return centre, np.array([width, width / aspect]) * padding


def crop_matrix(
    centre: Float[np.ndarray, "2"], extent: Float[np.ndarray, "2"], size: tuple[int, int], rotation: float = 0.0
) -> Matrix:
    """Affine map from image coordinates to pixels of a crop: a similarity, driven by the region's width.

    The region's centre goes to (W / 2, H / 2); what points up after turning the region by `rotation` points up
    in the crop (the three-point transform of SimplePose, which the paper's code uses).

    Args:
        centre: (x, y) of the region, image coordinates.
        extent: (width, height) of the region, image coordinates.
        size: (H, W) of the crop.
        rotation: turn of the region, in degrees, clockwise on the screen.
    """
    height, width = size
    scale = width / float(extent[0])
    angle = np.deg2rad(rotation)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cos, sin], [-sin, cos]])
    shift = np.array([width / 2, height / 2]) - linear @ np.asarray(centre, dtype=np.float64)
    return np.concatenate([linear, shift[:, None]], axis=1)


def mirror_matrix(width: int) -> Matrix:
    """Affine map that mirrors an image `width` columns wide: x -> width - 1 - x."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]])


def enlargement(factor: int) -> Matrix:
    """Affine map from pixels of an image reduced by `factor`, means of factor × factor, to those of the image."""
    return np.array([[factor, 0.0, (factor - 1) / 2], [0.0, factor, (factor - 1) / 2]])


def compose(outer: Matrix, inner: Matrix) -> Matrix:
    """The affine map that applies `inner` first, then `outer`."""
    product: Matrix = outer[:, :2] @ inner
    product[:, 2] += outer[:, 2]
    return product


def invert_affine(matrix: Matrix) -> Matrix:
    """The affine map that undoes `matrix`.

    Raises:
        numpy.linalg.LinAlgError: if the map is singular.
    """
    linear = np.linalg.inv(matrix[:, :2])
    return np.concatenate([linear, -linear @ matrix[:, 2:]], axis=1)


def apply_affine(matrix: Matrix, points: Points) -> Points:
    """Points (…, 2) taken through an affine map."""
    return np.asarray(np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2])


def to_crop(pixels: Points, size: tuple[int, int]) -> Points:
    """Crop coordinates of pixels of a crop: (x / W - 0.5, y / H - 0.5)."""
    return np.asarray(pixels, dtype=np.float64) / (size[1], size[0]) - 0.5


def _in_one_precision(values: Tensor, to_image: Tensor) -> tuple[Tensor, Tensor]:
    """Predictions of a network in half or double precision, and a matrix, in the higher precision of both."""
    dtype = torch.promote_types(values.dtype, to_image.dtype)
    return values.to(dtype), to_image.to(dtype)


def from_crop(
    points: Float[Tensor, "B K D"], to_image: Float[Tensor, "B 2 3"], size: tuple[int, int]
) -> Float[Tensor, "B K D"]:
    """Image coordinates of crop coordinates: pixels, and millimetres of depth relative to the root joint.

    `to_image` maps pixels of each crop of size (H, W) to the image.
    """
    points, to_image = _in_one_precision(points, to_image)
    extent = points.new_tensor([size[1], size[0]])
    pixels = (points[..., :2] + 0.5) * extent
    placed = torch.einsum("bij,bkj->bki", to_image[:, :, :2], pixels) + to_image[:, None, :, 2]
    return torch.cat([placed, points[..., 2:] * DEPTH_RANGE], dim=-1)


class InImages(NamedTuple):
    """A prediction in pixels of the images that crops were cut from; depths in millimetres."""

    keypoints: Float[np.ndarray, "B K D"]
    """Expected positions."""
    std: Float[np.ndarray, "B K D"]
    """Standard deviations along the axes."""
    confidence: Float[np.ndarray, "B K"]
    correlation: Float[np.ndarray, "B K"]
    """Of errors along x and y; 0 of models that do not predict it."""
    visible: Float[np.ndarray, "B K"]
    """Probability that a joint is labelled as visible; NaN of models that do not predict it."""


def spread_in_image(
    std: Float[Tensor, "B K D"], to_image: Float[Tensor, "B 2 3"], size: tuple[int, int]
) -> Float[Tensor, "B K D"]:
    """Standard deviations along the image's axes, in pixels (of depth in millimetres), of those along the crop's axes.

    Dimensions are taken as uncorrelated, as the models predict them.
    """
    std, to_image = _in_one_precision(std, to_image)
    extent = std.new_tensor([size[1], size[0]])
    variance = torch.einsum("bij,bkj->bki", to_image[:, :, :2] ** 2, (std[..., :2] * extent) ** 2)
    return torch.cat([variance.sqrt(), std[..., 2:] * DEPTH_RANGE], dim=-1)


def in_images(prediction: Prediction, to_image: Float[Tensor, "B 2 3"], size: tuple[int, int]) -> InImages:
    """A prediction in pixels of the images.

    `to_image` maps pixels of each crop of size (H, W) to the image.
    """
    position, std = from_crop(prediction.mean, to_image, size), spread_in_image(prediction.std, to_image, size)
    correlation = prediction.error_correlation
    if prediction.correlation is not None:
        std, correlation = _turned(prediction.std, correlation, to_image, size)
    logit = prediction.visibility
    visible = torch.full_like(prediction.confidence, float("nan")) if logit is None else logit.sigmoid()
    columns = (position, std, prediction.confidence, correlation, visible)
    return InImages(*(column.double().cpu().numpy() for column in columns))


def _turned(
    std: Float[Tensor, "B K 2"],
    correlation: Float[Tensor, "B K"],
    to_image: Float[Tensor, "B 2 3"],
    size: tuple[int, int],
) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
    """Standard deviations along the image's axes and their correlation, of those along the crop's."""
    std, to_image = _in_one_precision(std, to_image)
    x, y = (std * std.new_tensor([size[1], size[0]])).unbind(dim=-1)
    both = correlation.to(x.dtype) * x * y
    covariance = torch.stack([x.square(), both, both, y.square()], dim=-1).view(*both.shape, 2, 2)
    linear = to_image[:, None, :, :2]
    turned = linear @ covariance @ linear.transpose(-1, -2)
    own = turned.diagonal(dim1=-2, dim2=-1).sqrt()
    return own, turned[..., 0, 1] / own.prod(dim=-1)


def flip_back(prediction: Prediction, skeleton: Skeleton, width: int) -> Prediction:
    """A prediction on mirrored crops, brought back to the crops themselves.

    A column x of the crop is at W - 1 - x in its mirror image, so u -> -u - 1 / W (not -u); left and right joints
    change places, and an error distribution that is skewed along x is skewed the other way.
    """
    order = list(skeleton.flip_index)
    mu, error = prediction.mu[:, order], prediction.error_distribution
    return replace(
        prediction,
        mu=torch.cat([-mu[..., :1] - 1 / width, mu[..., 1:]], dim=-1),
        sigma=prediction.sigma[:, order],
        confidence=prediction.confidence[:, order],
        correlation=None if prediction.correlation is None else -prediction.correlation[:, order],
        visibility=None if prediction.visibility is None else prediction.visibility[:, order],
        error_distribution=replace(error, mean=torch.cat([-error.mean[:1], error.mean[1:]])),
    )


def flip_average(prediction: Prediction, mirrored: Prediction, skeleton: Skeleton, width: int) -> Prediction:
    """Flip test: the mean of a prediction and of the one on the mirrored crops, in position, sigma and the rest.

    The expected positions are averaged, not the mus: where the error distribution is skewed along x, the mirrored one
    is skewed the other way. The result has the learned error distribution about that average.
    """
    back = flip_back(mirrored, skeleton, width)
    others: dict[str, Any] = {
        name: None if (own := getattr(prediction, name)) is None else (own + getattr(back, name)) / 2
        for name in ("correlation", "visibility")
    }
    return replace(prediction, **others).about(
        (prediction.mean + back.mean) / 2,
        (prediction.sigma + back.sigma) / 2,
        (prediction.confidence + back.confidence) / 2,
    )
