from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from logpose.core.geometry import (
    apply_affine,
    box_to_region,
    compose,
    crop_matrix,
    enlargement,
    flip_average,
    flip_back,
    from_crop,
    in_images,
    invert_affine,
    mirror_matrix,
    spread_in_image,
    to_crop,
)
from logpose.core.skeletons import COCO, Skeleton
from logpose.core.structures import LEVELS, ErrorDistribution, Prediction

HANDS = Skeleton("person", ("nose", "left_hand", "right_hand"))


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, width=64)


sizes = st.tuples(st.integers(8, 512), st.integers(8, 512))  # (H, W)
boxes = st.tuples(numbers(-500, 2000), numbers(-500, 2000), numbers(1, 1500), numbers(1, 1500)).map(np.array)
points = st.lists(st.tuples(numbers(-2000, 4000), numbers(-2000, 4000)), min_size=1, max_size=8).map(np.array)
rotations = numbers(-180, 180)


@st.composite
def maps(draw: st.DrawFn) -> np.ndarray:
    """Affine maps that are comfortably far from singular."""
    a, b, c, d = (draw(numbers(-3, 3)) for _ in range(4))
    assume(abs(a * d - b * c) > 0.05)
    return np.array([[a, b, draw(numbers(-500, 500))], [c, d, draw(numbers(-500, 500))]])


@st.composite
def crops(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, int]]:
    """The map of a crop, as data sets make it, and its size."""
    size = draw(sizes)
    centre, extent = box_to_region(draw(boxes), size)
    return crop_matrix(centre, extent, size, draw(rotations)), size


def three_points(centre: np.ndarray, extent: np.ndarray, size: tuple[int, int], rotation: float) -> np.ndarray:
    """The transform of SimplePose's and HRNet's `get_affine_transform`, written again from its description.

    Three points of the region and of the crop determine it: the centre, the point half a *width* above it
    (turned by the rotation), and a third at a right angle to those two.
    """
    height, width = size
    angle = math.radians(rotation)
    x, y = 0.0, -extent[0] / 2
    up = np.array([x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)])

    def corner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return b + np.array([-(a - b)[1], (a - b)[0]])

    source = [centre, centre + up]
    target = [np.array([width / 2, height / 2]), np.array([width / 2, height / 2 - width / 2])]
    return cv2.getAffineTransform(
        np.array([*source, corner(*source)], np.float32), np.array([*target, corner(*target)], np.float32)
    )


# Boxes


@given(boxes, sizes, numbers(1, 2))
def test_a_region_has_the_crops_shape_and_covers_the_box(
    box: np.ndarray, size: tuple[int, int], padding: float
) -> None:
    centre, extent = box_to_region(box, size, padding)
    assert extent[0] / extent[1] == pytest.approx(size[1] / size[0])
    assert np.all(extent >= box[2:] * padding * (1 - 1e-9))
    # And it is no larger than it need be: one side fits exactly.
    assert np.min(extent / (box[2:] * padding)) == pytest.approx(1)
    np.testing.assert_allclose(centre, box[:2] + box[2:] / 2)


def test_a_region_by_hand() -> None:
    centre, extent = box_to_region(np.array([10.0, 20.0, 30.0, 80.0]), (256, 192))
    assert centre.tolist() == [25.0, 60.0]
    assert extent.tolist() == [75.0, 100.0]  # 80 high asks for 60 across; both 1.25 times as large
    _, extent = box_to_region(np.array([10.0, 20.0, 90.0, 80.0]), (256, 192), padding=1.0)
    assert extent.tolist() == [90.0, 120.0]


@given(boxes, sizes)
def test_the_whole_box_is_seen_in_the_crop(box: np.ndarray, size: tuple[int, int]) -> None:
    centre, extent = box_to_region(box, size)
    corners = box[:2] + box[2:] * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    seen = to_crop(apply_affine(crop_matrix(centre, extent, size), corners), size)
    assert np.abs(seen).max() == pytest.approx(0.4), "1 / 1.25 of the crop, along the side that fits"


# Crops


@given(boxes, sizes, rotations)
def test_crop_matrix_is_the_three_point_transform(box: np.ndarray, size: tuple[int, int], rotation: float) -> None:
    # OpenCV takes the points in single precision: not far from the origin, and not tiny, that is enough.
    near = np.concatenate([box[:2] % 300, 20 + box[2:] % 300])
    centre, extent = box_to_region(near, size)
    expected = three_points(centre, extent, size, rotation)
    mine = crop_matrix(centre, extent, size, rotation)
    probes = centre + extent * np.array([[0, 0], [0.5, 0.5], [-0.5, 0.5], [0.3, -0.5]])
    landed = apply_affine(expected, probes)
    np.testing.assert_allclose(apply_affine(mine, probes), landed, atol=2e-5 * max(size))


def test_crop_matrix_by_hand() -> None:
    centre, extent = np.array([100.0, 50.0]), np.array([30.0, 40.0])
    straight = crop_matrix(centre, extent, (256, 192))
    np.testing.assert_allclose(straight, [[6.4, 0, 96 - 640], [0, 6.4, 128 - 320]])
    # Turned clockwise by 90°, the region's upper edge lies where the image has its right.
    turned = crop_matrix(centre, extent, (256, 192), rotation=90)
    probes = centre + np.array([[0, 0], [15, 0], [0, 15]])
    np.testing.assert_allclose(apply_affine(turned, probes), [[96, 128], [96, 32], [192, 128]])


@given(crops())
def test_a_crop_never_bends_or_mirrors(crop: tuple[np.ndarray, tuple[int, int]]) -> None:
    linear = crop[0][:, :2]
    gram = linear @ linear.T
    np.testing.assert_allclose(gram, gram[0, 0] * np.eye(2), atol=1e-9 * gram[0, 0])
    assert np.linalg.det(linear) > 0


@given(crops(), points)
def test_crop_and_back(crop: tuple[np.ndarray, tuple[int, int]], where: np.ndarray) -> None:
    matrix, size = crop
    seen = to_crop(apply_affine(matrix, where), size)
    to_image = torch.from_numpy(invert_affine(matrix))[None]
    back = from_crop(torch.from_numpy(seen)[None], to_image, size)[0]
    np.testing.assert_allclose(back.numpy(), where, atol=1e-6)


@given(crops(), points)
def test_crop_and_back_in_single_precision_stays_within_a_hundredth_of_a_pixel(
    crop: tuple[np.ndarray, tuple[int, int]], where: np.ndarray
) -> None:
    # This is what travels in a Batch. Joints are near the crop, not a thousand crops away.
    matrix, size = crop
    seen = to_crop(apply_affine(matrix, where), size)
    assume(np.abs(seen).max() < 2)
    to_image = torch.from_numpy(invert_affine(matrix)).float()[None]
    back = from_crop(torch.from_numpy(seen).float()[None], to_image, size)[0]
    np.testing.assert_allclose(back.numpy(), where, atol=1e-2)


def test_to_crop_by_hand() -> None:
    # Pixel 0 is the crop's edge, not half a pixel inside (the released code).
    corners = np.array([[0.0, 0.0], [96.0, 128.0], [192.0, 256.0], [191.0, 255.0]])
    expected = [[-0.5, -0.5], [0, 0], [0.5, 0.5], [191 / 192 - 0.5, 255 / 256 - 0.5]]
    np.testing.assert_allclose(to_crop(corners, (256, 192)), expected)


def test_from_crop_by_hand_each_with_its_own_map() -> None:
    points = torch.tensor([[[0.0, 0.0], [0.5, -0.5]], [[0.0, 0.0], [0.5, -0.5]]])
    to_image = torch.tensor([[[1.0, 0, 0], [0, 1, 0]], [[0.0, 2, 10], [-1, 0, 20]]])
    placed = from_crop(points, to_image, (8, 4))
    assert placed.tolist() == [[[2, 4], [4, 0]], [[18, 18], [10, 16]]]


@pytest.mark.parametrize("dim", [2, 3])
def test_depth_is_in_millimetres(dim: int) -> None:
    torch.manual_seed(0)
    points, to_image = torch.randn(3, 4, dim), torch.randn(3, 2, 3)
    placed, spread = from_crop(points, to_image, (8, 4)), spread_in_image(points.abs(), to_image, (8, 4))
    assert placed.shape == spread.shape == points.shape
    assert torch.equal(placed[..., 2:], points[..., 2:] * 2000)
    assert torch.equal(spread[..., 2:], points[..., 2:].abs() * 2000)
    torch.testing.assert_close(placed[..., :2], from_crop(points[..., :2], to_image, (8, 4)))


# Affine maps


@given(maps(), points)
def test_the_inverse_undoes(matrix: np.ndarray, where: np.ndarray) -> None:
    inverse = invert_affine(matrix)
    np.testing.assert_allclose(apply_affine(inverse, apply_affine(matrix, where)), where, atol=1e-6)
    np.testing.assert_allclose(apply_affine(matrix, apply_affine(inverse, where)), where, atol=1e-6)
    np.testing.assert_allclose(compose(inverse, matrix), np.eye(3)[:2], atol=1e-8)


def test_a_singular_map_has_no_inverse() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        invert_affine(np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]]))


@given(maps(), maps(), points)
def test_compose_applies_the_inner_map_first(outer: np.ndarray, inner: np.ndarray, where: np.ndarray) -> None:
    one_by_one = apply_affine(outer, apply_affine(inner, where))
    np.testing.assert_allclose(apply_affine(compose(outer, inner), where), one_by_one, rtol=1e-9, atol=1e-6)


@given(maps(), maps(), maps())
def test_compose_is_associative(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    np.testing.assert_allclose(compose(compose(a, b), c), compose(a, compose(b, c)), rtol=1e-9, atol=1e-6)


@given(maps(), maps())
def test_compose_leaves_its_arguments_alone(a: np.ndarray, b: np.ndarray) -> None:
    before = a.copy(), b.copy()
    compose(a, b)
    invert_affine(a)
    assert np.array_equal(a, before[0])
    assert np.array_equal(b, before[1])


@given(maps(), points)
def test_apply_affine_is_opencvs(matrix: np.ndarray, where: np.ndarray) -> None:
    np.testing.assert_allclose(apply_affine(matrix, where), cv2.transform(where[None], matrix)[0], atol=1e-6)
    np.testing.assert_allclose(apply_affine(matrix, where[0]), apply_affine(matrix, where)[0], atol=1e-9)


# Spread


@given(crops(), numbers(1e-3, 1), numbers(1e-3, 1))
def test_spread_is_the_diagonal_of_the_moved_covariance(
    crop: tuple[np.ndarray, tuple[int, int]], across: float, down: float
) -> None:
    matrix, size = crop
    to_image = invert_affine(matrix)
    jacobian = to_image[:, :2] @ np.diag([size[1], size[0]])
    covariance = jacobian @ np.diag([across**2, down**2]) @ jacobian.T
    spread = spread_in_image(torch.tensor([[[across, down]]]).double(), torch.from_numpy(to_image)[None], size)
    np.testing.assert_allclose(spread[0, 0].numpy(), np.sqrt(np.diag(covariance)), rtol=1e-6)


def test_spread_against_drawn_positions() -> None:
    size, std = (256, 192), torch.tensor([[[0.02, 0.07]]])
    centre, extent = box_to_region(np.array([40.0, 30.0, 55.0, 160.0]), size)
    to_image = torch.from_numpy(invert_affine(crop_matrix(centre, extent, size, rotation=33))).float()[None]
    torch.manual_seed(0)
    drawn = from_crop(std * torch.randn(1, 400_000, 2), to_image, size)
    torch.testing.assert_close(drawn.std(1), spread_in_image(std, to_image, size)[:, 0], rtol=0.01, atol=0)


def test_spread_of_an_unknown_error_distribution_stays_unknown() -> None:
    spread = spread_in_image(torch.full((1, 3, 2), math.nan), torch.eye(3)[None, :2], (8, 4))
    assert spread.isnan().all()


# The mirror


def predictions(mu: torch.Tensor, error_distribution: ErrorDistribution | None = None) -> Prediction:
    count = mu.shape[:2]
    ramp = torch.linspace(0.1, 0.9, mu.numel(), dtype=mu.dtype).reshape(mu.shape)
    confidence = torch.linspace(0.2, 0.8, count.numel(), dtype=mu.dtype).reshape(count)
    return Prediction(mu, ramp, confidence, error_distribution or ErrorDistribution.unknown(mu.shape[-1]))


def find_hands(crop: np.ndarray, height: int, width: int) -> np.ndarray:
    """A perfect network: the brightest grey is the nose, and of the two hands the right one is the left.

    People face the camera, in the mirror too, which is why sides change places there.
    """
    rows, columns = np.nonzero(crop == 200)
    nose = (np.flatnonzero(crop.max(axis=0) == 255)[0], np.flatnonzero(crop.max(axis=1) == 255)[0])
    hands = sorted(zip(columns, rows, strict=True))
    return to_crop(np.array([nose, hands[1], hands[0]], np.float64), (height, width))


@given(st.integers(4, 64), st.integers(6, 64), st.data())
def test_flip_back_on_an_image_that_is_really_mirrored(height: int, width: int, data: st.DataObject) -> None:
    column = st.integers(0, width - 1)
    columns = data.draw(st.lists(column, min_size=3, max_size=3, unique=True))
    rows = data.draw(st.lists(st.integers(0, height - 1), min_size=3, max_size=3))
    crop = np.zeros((height, width), np.uint8)
    crop[rows, columns] = 255, 200, 200
    seen = torch.from_numpy(find_hands(crop, height, width))[None]
    mirrored = torch.from_numpy(find_hands(np.ascontiguousarray(crop[:, ::-1]), height, width))[None]
    back = flip_back(predictions(mirrored), HANDS, width)
    torch.testing.assert_close(back.mu, seen, atol=1e-12, rtol=0)


@pytest.mark.parametrize("width", [7, 8, 192])
def test_the_shift_of_one_column_is_there(width: int) -> None:
    # The first column of a crop is the last of its mirror image: u = -1/2 against u' = 1/2 - 1/W.
    mu = torch.tensor([[[0.5 - 1 / width, 0.25]] * 3], dtype=torch.float64)
    assert flip_back(predictions(mu), HANDS, width).mu[0, 0].tolist() == pytest.approx([-0.5, 0.25], abs=1e-15)


@given(st.integers(1, 512), st.sampled_from([HANDS, COCO]), st.integers(2, 4), st.integers(0, 99), st.booleans())
def test_flipping_twice_is_nothing(width: int, skeleton: Skeleton, dim: int, seed: int, skewed: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    error_distribution = (
        ErrorDistribution(torch.arange(dim) - 0.5, torch.ones(dim), torch.ones(len(LEVELS))) if skewed else None
    )
    one = predictions(torch.randn(2, len(skeleton), dim, generator=generator, dtype=torch.float64), error_distribution)
    two = flip_back(flip_back(one, skeleton, width), skeleton, width)
    torch.testing.assert_close(two.mu, one.mu, atol=1e-12, rtol=0)
    torch.testing.assert_close(two.mean, one.mean, atol=1e-12, rtol=0)
    torch.testing.assert_close(two.std, one.std, equal_nan=True)
    assert torch.equal(two.sigma, one.sigma)
    assert torch.equal(two.confidence, one.confidence)


def test_flip_back_swaps_sides_in_everything_and_mirrors_only_across() -> None:
    one = predictions(torch.tensor([[[0.0, 0.1, 0.2], [0.25, 0.4, 0.5], [-0.125, 0.7, 0.8]]]))
    back = flip_back(one, HANDS, 8)
    expected = torch.tensor([[[-0.125, 0.1, 0.2], [0.0, 0.7, 0.8], [-0.375, 0.4, 0.5]]])
    torch.testing.assert_close(back.mu, expected)
    assert torch.equal(back.sigma, one.sigma[:, [0, 2, 1]])
    assert torch.equal(back.confidence, one.confidence[:, [0, 2, 1]])


def skewed() -> ErrorDistribution:
    return ErrorDistribution(torch.tensor([0.5, 0.25]), torch.ones(2), torch.ones(len(LEVELS)))


def test_a_skewed_error_distribution_is_mirrored_with_the_position() -> None:
    # The joint is expected at mu + sigma * mean, and that point is mirrored; an error to the right becomes one to the
    # left.
    mirrored = predictions(torch.zeros(1, 3, 2), skewed())
    back = flip_back(mirrored, HANDS, 4)
    expected = mirrored.mean[:, [0, 2, 1]] * torch.tensor([-1.0, 1.0]) - torch.tensor([0.25, 0.0])
    torch.testing.assert_close(back.mean, expected)
    assert back.error_distribution.mean.tolist() == [-0.5, 0.25]
    torch.testing.assert_close(back.mu, torch.tensor([[[-0.25, 0.0]] * 3]))


def test_flip_average_of_a_skewed_error_distribution() -> None:
    """The expected position is the mean of both, and the distribution about it the learned one."""
    torch.manual_seed(0)
    one, other = (predictions(torch.randn(1, 3, 2), skewed()) for _ in range(2))
    both = flip_average(one, other, HANDS, 8)
    back = other.mean[:, [0, 2, 1]] * torch.tensor([-1.0, 1.0]) - torch.tensor([0.125, 0.0])
    torch.testing.assert_close(both.mean, (one.mean + back) / 2)
    torch.testing.assert_close(both.mu, both.mean - both.sigma * torch.tensor([0.5, 0.25]))
    assert both.error_distribution is one.error_distribution


def test_flip_average_of_agreeing_predictions_changes_nothing() -> None:
    torch.manual_seed(0)
    one = predictions(torch.randn(2, 17, 2).double())
    both = flip_average(one, flip_back(one, COCO, 192), COCO, 192)
    torch.testing.assert_close(both.mu, one.mu)
    torch.testing.assert_close(both.sigma, one.sigma)
    torch.testing.assert_close(both.confidence, one.confidence)


def test_flip_average_is_halfway() -> None:
    one = predictions(torch.zeros(1, 3, 2))
    other = predictions(torch.full((1, 3, 2), 0.25))
    both = flip_average(one, other, HANDS, 8)
    torch.testing.assert_close(both.mu, torch.tensor([[[-0.1875, 0.125]] * 3]))
    swapped = [0, 2, 1]
    torch.testing.assert_close(both.sigma, (one.sigma + one.sigma[:, swapped]) / 2)
    torch.testing.assert_close(both.confidence, (one.confidence + one.confidence[:, swapped]) / 2)


@given(st.integers(1, 4000), points)
def test_mirror_matrix_is_its_own_inverse(width: int, where: np.ndarray) -> None:
    mirror = mirror_matrix(width)
    np.testing.assert_allclose(apply_affine(mirror, apply_affine(mirror, where)), where, atol=1e-9)
    assert apply_affine(mirror, np.array([0.0, 7.0])).tolist() == [width - 1, 7]


@pytest.mark.parametrize("width", [11, 12])
def test_mirror_matrix_is_what_reversing_the_columns_does(width: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, width, 3), dtype=np.uint8)
    warped = cv2.warpAffine(image, mirror_matrix(width), (width, 9))
    np.testing.assert_array_equal(warped, image[:, ::-1])


def test_a_mirrored_crop_is_cut_by_the_composed_map() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    # Four columns of the crop to one of the image: OpenCV's fixed-point weights then are exact.
    matrix = crop_matrix(np.array([20.0, 15.0]), np.array([8.0, 10.0]), (40, 32))
    crop = cv2.warpAffine(image, matrix, (32, 40))
    mirrored = cv2.warpAffine(image, compose(mirror_matrix(32), matrix), (32, 40))
    assert crop.any()
    np.testing.assert_array_equal(mirrored, crop[:, ::-1])


def test_pixels_land_where_the_map_takes_them() -> None:
    # One bright square in a photograph; its centre is looked for in the crop.
    image = np.zeros((300, 400), np.float32)
    image[140:145, 210:215] = 1
    centre, extent = box_to_region(np.array([150.0, 80.0, 120.0, 140.0]), (256, 192))
    matrix = crop_matrix(centre, extent, (256, 192), rotation=-25)
    crop = cv2.warpAffine(image, matrix, (192, 256), flags=cv2.INTER_LINEAR)
    rows, columns = np.mgrid[:256, :192]
    found = [(crop * columns).sum() / crop.sum(), (crop * rows).sum() / crop.sum()]
    np.testing.assert_allclose(found, apply_affine(matrix, np.array([212.0, 142.0])), atol=0.05)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_enlargement_is_the_middle_of_a_block(factor: int) -> None:
    y, x = np.mgrid[: 8 * factor, : 8 * factor].astype(float)
    means = [axis.reshape(8, factor, 8, factor).mean(axis=(1, 3)) for axis in (x, y)]
    rows, columns = np.mgrid[:8, :8]
    np.testing.assert_allclose(
        apply_affine(enlargement(factor), np.stack([columns, rows], axis=-1) * 1.0), np.stack(means, axis=-1)
    )


@given(st.floats(0.05, 0.2), st.floats(0.05, 0.2), st.floats(-0.95, 0.95), st.floats(0, 360))
def test_a_covariance_is_turned_with_the_crop(x: float, y: float, r: float, angle: float) -> None:
    size, std = (64, 48), torch.tensor([1.5, 0.5])
    to_image = invert_affine(crop_matrix(np.array([90.0, 70.0]), np.array([96.0, 128.0]), size, angle))
    error = ErrorDistribution(torch.zeros(2), std, torch.ones(len(LEVELS)))
    sigma = torch.tensor([[[x, y]]], dtype=torch.float64)
    found = in_images(
        Prediction(
            torch.zeros(1, 1, 2).double(), sigma, sigma[..., 0], error, correlation=torch.tensor([[r]]).double(),
            visibility=torch.tensor([[np.log(3.0)]]),
        ),
        torch.from_numpy(to_image)[None], size,
    )  # fmt: skip
    factor = np.diag([x, y]) @ np.array([[1, 0], [r, np.sqrt(1 - r * r)]]) @ np.diag(std.double().numpy())
    linear = to_image[:, :2] @ np.diag(size[::-1]) @ factor
    covariance = linear @ linear.T
    assert found.std[0, 0] ** 2 == pytest.approx(covariance.diagonal(), rel=1e-5)
    own = covariance[0, 1] / np.sqrt(covariance.diagonal().prod())
    assert found.correlation[0, 0] == pytest.approx(own, abs=1e-5)
    assert found.visible[0, 0] == pytest.approx(0.75)


def test_without_a_correlation_there_is_none_in_the_image() -> None:
    found = in_images(predictions(torch.zeros(1, 3, 2)), torch.eye(2, 3)[None], (8, 8))
    assert found.correlation.tolist() == [[0, 0, 0]]
    assert np.isnan(found.visible).all()


def test_a_mirrored_correlation_has_the_other_sign() -> None:
    logits, r = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.1, 0.5, -0.3]])
    one = replace(predictions(torch.zeros(1, 3, 2)), correlation=r, visibility=logits)
    back = flip_back(one, HANDS, 8)
    torch.testing.assert_close(back.correlation, -r[:, [0, 2, 1]])
    torch.testing.assert_close(back.visibility, logits[:, [0, 2, 1]])
    both = flip_average(one, back, HANDS, 8)
    torch.testing.assert_close(both.correlation, r)
    torch.testing.assert_close(both.visibility, logits)
    mean = flip_average(one, one, HANDS, 8)
    torch.testing.assert_close(mean.visibility, torch.tensor([[1.0, 2.5, 2.5]]))
    torch.testing.assert_close(mean.correlation, (r - r[:, [0, 2, 1]]) / 2)
