"""Crops: labels and pixels stay together through every augmentation."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from logpose.core.errors import InputError
from logpose.core.geometry import apply_affine, from_crop
from logpose.core.samples import Sample
from logpose.core.skeletons import COCO, MPII, Skeleton
from logpose.core.structures import Batch
from logpose.data.images import read_image
from logpose.data.transforms import Augmentation, CropTransform, cut, tint

SIZE = (128, 96)
STILL = Augmentation(scale=0, rotation=0, rotation_probability=0, half_body_probability=0, flip_probability=0)
PAIR = Skeleton("pair", ("left_dot", "right_dot", "dot"))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sample(seed: int = 0, skeleton: Skeleton = COCO, image: np.ndarray | None = None) -> Sample:
    """A person of random joints inside its box, in a grey image."""
    r = rng(seed)
    image = np.full((240, 320, 3), 90, np.uint8) if image is None else image
    box = np.array([*r.uniform(40, 100, 2), *r.uniform(50, 120, 2)])
    keypoints = box[:2] + r.uniform(0.1, 0.9, (len(skeleton), 2)) * box[2:]
    return Sample(image, box, keypoints, np.full(len(skeleton), 2), 1000.0, 1, 1)


def released_target(box: np.ndarray, keypoints: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """FACTS §3.1: box → centre and scale of the crop's shape × 1.25 → three-point affine → x / W - 0.5, y / H - 0.5."""
    height, width = size
    x_min, y_min, x_max, y_max = box[0], box[1], box[0] + box[2], box[1] + box[3]
    w, h = x_max - x_min, y_max - y_min
    centre = np.array([x_min + w * 0.5, y_min + h * 0.5])
    if w > width / height * h:
        h = w * height / width
    elif w < width / height * h:
        w = h * width / height
    w, h = w * 1.25, h * 1.25

    def third(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return b + np.array([-(a - b)[1], (a - b)[0]])

    source = [centre, centre - np.array([0, w * 0.5])]
    target = [np.array([width * 0.5, height * 0.5]), np.array([width * 0.5, height * 0.5 - width * 0.5])]
    source.append(third(*source))
    target.append(third(*target))
    # Solved in float64; OpenCV's own would take the points in float32.
    known = np.column_stack([np.array(source), np.ones(3)])
    matrix = np.linalg.solve(known, np.array(target)).T
    placed = np.column_stack([keypoints, np.ones(len(keypoints))]) @ matrix.T
    return placed / [width, height] - 0.5


@given(st.integers(0, 2**31), st.sampled_from([(256, 192), (128, 96), (64, 64), (96, 128)]))
@settings(max_examples=30)
def test_targets_are_the_released_codes(seed: int, size: tuple[int, int]) -> None:
    person = sample(seed)
    batch = CropTransform(COCO, size)(person, 7, rng())
    expected = released_target(person.box, person.keypoints, size)
    pixels = np.abs(batch.target[0].numpy() - expected) * [size[1], size[0]]
    assert pixels.max() < 0.01
    assert batch.images.shape == (1, 3, *size)
    assert batch.images.numpy().dtype == np.uint8
    assert batch.weight.tolist() == [[1.0] * 17]
    assert batch.index.tolist() == [7]


def test_an_augmentation_that_does_nothing_is_none() -> None:
    image = rng().integers(0, 256, (240, 320, 3), dtype=np.uint8)
    person = sample(image=image)
    plain, still = (CropTransform(COCO, SIZE, a)(person, 0, rng()) for a in (None, STILL))
    for name in ("images", "target", "weight", "to_image"):
        assert np.array_equal(getattr(plain, name), getattr(still, name))


# Pixels


def dots(seed: int) -> tuple[Sample, np.ndarray]:
    """A image with a red, a green and a blue dot, at the joints left, right and middle."""
    r = rng(seed)
    image = np.zeros((300, 400, 3), np.uint8)
    box = np.array([120.0, 80.0, 140.0, 120.0])
    where = np.array([[r.integers(140, 240), r.integers(95, 185)] for _ in range(3)])
    for colour, (x, y) in enumerate(where):
        image[y - 1 : y + 2, x - 1 : x + 2, colour] = 255
    return Sample(image, box, where.astype(float), np.array([2, 2, 2]), 1.0, 1, 1), where


def centre_of(channel: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[: channel.shape[0], : channel.shape[1]]
    return np.array([(channel * columns).sum(), (channel * rows).sum()]) / channel.sum()


@given(st.integers(0, 2**31), st.booleans())
@settings(max_examples=60)
def test_every_dot_lies_at_its_target(seed: int, flip: bool) -> None:
    person, where = dots(seed % 1000)
    augmentation = Augmentation(flip_probability=float(flip), rotation_probability=1.0, half_body_probability=0.0)
    batch = CropTransform(PAIR, (200, 160), augmentation)(person, 0, rng(seed))
    target = (batch.target[0].numpy() + 0.5) * [160, 200]
    # In a mirror the left dot is where a right one would be: the red one is joint 1.
    joint_of_colour = [1, 0, 2] if flip else [0, 1, 2]
    seen = 0
    for colour, joint in enumerate(joint_of_colour):
        x, y = target[joint]
        if not (4 < x < 155 and 4 < y < 195):
            continue
        np.testing.assert_allclose(centre_of(batch.images[0, colour].numpy().astype(float)), (x, y), atol=0.15)
        seen += 1
    # And the way back leads to where they were drawn.
    back = from_crop(batch.target, batch.to_image, (200, 160))[0].numpy()
    np.testing.assert_allclose(back[joint_of_colour], where, atol=0.02)
    assert seen or batch.target.abs().max() > 0.4


@pytest.mark.parametrize("width", [319, 320])
def test_a_mirrored_crop_is_the_crop_of_the_mirrored_image(width: int) -> None:
    image = cv2.GaussianBlur(rng().integers(0, 256, (240, width, 3), dtype=np.uint8), (0, 0), 3)
    person = sample(3, image=image)
    flip = Augmentation(0, 0, 0, 0, flip_probability=1)
    batch = CropTransform(COCO, SIZE, flip)(person, 0, rng())
    mirrored = np.ascontiguousarray(image[:, ::-1])
    # x -> width - 1 - x takes the box to this one; see geometry.mirror_matrix
    box = np.array([width - 1 - person.box[0] - person.box[2], *person.box[1:]])
    keypoints = person.keypoints.copy()
    keypoints[:, 0] = width - 1 - keypoints[:, 0]
    keypoints = keypoints[list(COCO.flip_index)]
    expected = CropTransform(COCO, SIZE)(Sample(mirrored, box, keypoints, person.visible, 1.0, 1, 1), 0, rng())
    np.testing.assert_allclose(batch.target, expected.target, atol=1e-5)
    difference = batch.images.numpy().astype(int) - expected.images.numpy()
    assert np.abs(difference).max() <= 2  # OpenCV interpolates in steps of 1/32 of a pixel


@pytest.mark.parametrize("seed", range(6))
def test_a_large_person_s_crop_is_that_of_the_whole_image(tmp_path, seed: int) -> None:
    """The JPEG is decoded at a half or a quarter; the crop shows the same at the same place."""
    noise = rng(seed).standard_normal((601, 803))
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 30), None, 60, 255, cv2.NORM_MINMAX).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "x.jpg"), smooth, [cv2.IMWRITE_JPEG_QUALITY, 100])
    r = rng(seed)
    box = np.array([*r.uniform(20, 120, 2), *r.uniform(300, 450, 2)])
    people = [
        Sample(image, box, np.zeros((17, 2)), np.full(17, 2), 1.0, 1, 1)
        for image in (tmp_path / "x.jpg", read_image(tmp_path / "x.jpg"))
    ]
    reduced, whole = (CropTransform(COCO, (64, 48), Augmentation())(person, 0, rng(seed)) for person in people)
    assert torch.equal(reduced.target, whole.target)
    shown, expected = (batch.images[0, 0].float() for batch in (reduced, whole))
    inside = (torch.nn.functional.max_pool2d((expected < 50).float()[None], 5, 1, 2)[0] == 0)[:, 1:]
    apart = (shown - expected).abs()[:, 1:][inside].mean()
    beside = (expected[:, :-1] - expected[:, 1:]).abs()[inside].mean()
    assert inside.float().mean() > 0.2
    assert apart < 0.15 * beside, "a fraction of a pixel off would look like this"


def test_what_is_evaluated_is_decoded_whole(tmp_path) -> None:
    cv2.imwrite(str(tmp_path / "x.jpg"), rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8))
    box, joints = np.array([50.0, 40, 400, 500]), np.zeros((17, 2))
    file, array = tmp_path / "x.jpg", read_image(tmp_path / "x.jpg")
    shown = [
        [
            CropTransform(COCO, (64, 48), varied)(
                Sample(image, box, joints, np.full(17, 2), 1.0, 1, 1), 0, rng(1)
            ).images
            for image in (file, array)
        ]
        for varied in (None, Augmentation(0, 0, 0, 0, 0))
    ]
    assert torch.equal(*shown[0])
    assert not torch.equal(*shown[1]), "decoded whole in training too: the test would not tell"


def test_the_share_of_upper_halves_can_be_chosen() -> None:
    person = sample()
    upper, lower = (
        CropTransform(COCO, SIZE, Augmentation(0, 0, 0, 1, 0, half_body_upper=share))(person, 0, rng()).target
        for share in (1.0, 0.0)
    )
    # The crop's middle is the mean of the half's joints.
    halves = list(COCO.upper_body), [j for j in range(17) if j not in COCO.upper_body]
    for shown, half in zip((upper, lower), halves, strict=True):
        np.testing.assert_allclose(shown[0, half].mean(dim=0), 0, atol=1e-5)
    assert not torch.allclose(upper, lower)


def test_a_mirror_swaps_flags_too() -> None:
    person = sample()
    person.visible[:] = 0
    person.visible[COCO.joints.index("left_wrist")] = 2
    person.keypoints[person.visible == 0] = math.nan
    batch = CropTransform(COCO, SIZE, Augmentation(0, 0, 0, 0, flip_probability=1))(person, 0, rng())
    assert np.flatnonzero(batch.weight[0]).tolist() == [COCO.joints.index("right_wrist")]
    assert batch.target.isfinite().all()


def test_outside_the_image_is_black() -> None:
    image = np.full((50, 60, 3), 255, np.uint8)
    crop = cut(image, np.array([[1.0, 0, 10], [0, 1, 20]]), (100, 100))
    assert (crop[20:70, 10:70] == 255).all()
    assert not crop[:19].any()
    assert not crop[:, :9].any()
    assert not crop[71:].any()


# Labels


@pytest.mark.parametrize("dim", [2, 3])
def test_unlabelled_joints_have_no_weight_and_no_number(dim: int) -> None:
    person = sample()
    person.visible[::2] = 0
    person.visible[1] = 1
    person.keypoints[::2] = math.nan
    if dim == 3:
        person.keypoints = np.column_stack([person.keypoints, 1000.0 * np.arange(17.0)])
        person.keypoints[2, 2] = math.nan
    batch = CropTransform(COCO, SIZE)(person, 0, rng())
    assert batch.weight[0].tolist() == [float(i % 2) for i in range(17)]
    assert not batch.target[0, ::2].any()
    assert batch.target.isfinite().all()
    if dim == 3:
        assert batch.target[0, 1::2, 2].tolist() == [0.5 * i for i in range(1, 17, 2)]  # 2 m to a unit


def test_outside_joints_are_supervised_or_masked() -> None:
    person = sample()
    person.keypoints[3] = [310.0, 120.0]
    person.keypoints[4] = person.box[0] + person.box[2] / 2, person.box[1] - 300
    supervised = CropTransform(COCO, SIZE, outside="supervise")(person, 0, rng())
    masked = CropTransform(COCO, SIZE, outside="mask")(person, 0, rng())
    assert supervised.weight.tolist() == [[1.0] * 17]
    assert supervised.target[0, 3, 0] > 0.5
    assert supervised.target[0, 4, 1] < -0.5
    np.testing.assert_allclose(supervised.target[0], released_target(person.box, person.keypoints, SIZE), atol=1e-4)
    assert masked.weight[0].tolist() == [1, 1, 1, 0, 0] + [1] * 12
    assert not masked.target[0, 3:5].any()
    np.testing.assert_array_equal(masked.target[0, 5:], supervised.target[0, 5:])


def test_depths_out_of_range_are_masked_and_unknown_ones_are_not() -> None:
    person = sample()
    depth = np.linspace(-900, 900, 17)
    depth[[2, 5, 7, 8]] = 1001, -1001, 1000, math.nan
    person.keypoints = np.column_stack([person.keypoints, depth])
    supervised, masked = (CropTransform(COCO, SIZE, outside=how)(person, 0, rng()) for how in ("supervise", "mask"))
    assert supervised.weight.tolist() == [[1.0] * 17]
    assert np.flatnonzero(masked.weight[0] == 0).tolist() == [2, 5]
    assert not masked.target[0, [2, 5]].any()
    np.testing.assert_allclose(supervised.target[0, :, 2], depth / 2000, rtol=1e-6)
    plane = CropTransform(COCO, SIZE)(sample(), 0, rng())
    np.testing.assert_array_equal(supervised.target[..., :2], plane.target)


def test_a_mirror_leaves_depths_with_their_joints() -> None:
    person = sample()
    person.keypoints = np.column_stack([person.keypoints, 10.0 * np.arange(17)])
    person.keypoints[COCO.joints.index("left_knee"), 2] = math.nan
    mirrored = CropTransform(COCO, SIZE, Augmentation(0, 0, 0, 0, flip_probability=1))(person, 0, rng())
    expected = 10 * np.array(COCO.flip_index) / 2000
    expected[COCO.joints.index("right_knee")] = math.nan
    np.testing.assert_allclose(mirrored.target[0, :, 2], expected, rtol=1e-6)


def test_the_sample_is_left_alone() -> None:
    person = sample()
    before = person.keypoints.copy(), person.visible.copy(), person.box.copy(), person.image.copy()
    for seed in range(8):
        CropTransform(COCO, SIZE, Augmentation(occlusion=0.7, colour=0.2), outside="mask")(person, 0, rng(seed))
    for old, new in zip(before, (person.keypoints, person.visible, person.box, person.image), strict=True):
        assert np.array_equal(old, new)


# Augmentation


def matrices(augmentation: Augmentation, count: int = 400, person: Sample | None = None) -> list[np.ndarray]:
    """Image-to-crop maps of many draws on a small image."""
    person = person or sample(image=np.zeros((240, 320, 3), np.uint8))
    transform = CropTransform(COCO, (16, 12), augmentation)
    batches: list[Batch] = [transform(person, 0, rng(seed)) for seed in range(count)]
    return [np.linalg.inv(np.vstack([b.to_image[0].double().numpy(), [0, 0, 1]]))[:2] for b in batches]


def test_how_crops_are_varied() -> None:
    plain = matrices(STILL, 1)[0]
    found = matrices(Augmentation(half_body_probability=0))
    scale = np.array([math.sqrt(abs(np.linalg.det(m[:, :2] / plain[0, 0]))) for m in found])
    assert 1 / scale.max() >= 0.75 - 1e-6
    assert 1 / scale.min() <= 1.25 + 1e-6
    assert 1 / scale.max() < 0.77
    assert 1 / scale.min() > 1.23
    flipped = np.array([np.linalg.det(m[:, :2]) < 0 for m in found])
    assert 0.42 < flipped.mean() < 0.58
    angle = np.array([math.degrees(math.atan2(m[0, 1], m[1, 1])) for m in found])
    turned = np.abs(angle) > 1e-6
    assert 0.42 < turned.mean() < 0.58
    assert 40 < np.abs(angle).max() <= 45 + 1e-6
    assert np.abs(angle[turned]).mean() == pytest.approx(22.5, abs=3)
    # The centre of the box stays in the middle of the crop.
    person = sample(image=np.zeros((240, 320, 3), np.uint8))
    centre = person.box[:2] + person.box[2:] / 2
    np.testing.assert_allclose([apply_affine(m, centre) for m in found], [[6, 8]] * len(found), atol=1e-3)


@pytest.mark.usefixtures("unchecked")
def test_how_mmpose_varies_them() -> None:
    augmentation = Augmentation(
        scale=0.5, rotation=80, rotation_probability=1, shift=0.16, shift_probability=0.3, half_body_probability=0,
        flip_probability=0, draws="normal",
    )  # fmt: skip
    person = sample(image=np.zeros((240, 320, 3), np.uint8))
    plain, found = matrices(STILL, 1)[0], matrices(augmentation, 1500)
    # Of a standard normal cut off at ±1 the standard deviation is 0.5396, that of a uniform draw would be 0.577.
    extent = 1 / np.array([math.sqrt(np.linalg.det(m[:, :2] / plain[0, 0])) for m in found])
    assert 0.5 <= extent.min() < 0.53
    assert 1.47 < extent.max() <= 1.5
    assert ((extent - 1) / 0.5).std() == pytest.approx(0.5396, abs=0.02)
    angle = np.array([math.degrees(math.atan2(m[0, 1], m[1, 1])) for m in found])
    assert 77 < np.abs(angle).max() <= 80
    assert (angle / 80).std() == pytest.approx(0.5396, abs=0.02)
    centre = person.box[:2] + person.box[2:] / 2
    shown = np.array([np.linalg.solve(m[:, :2], np.array([6, 8]) - m[:, 2]) for m in found]) - centre
    moved = np.abs(shown).max(axis=1) > 1e-3
    assert moved.mean() == pytest.approx(0.3, abs=0.04)
    padded = np.array([12, 16]) / plain[0, 0]  # of the region before it is scaled
    assert ((np.abs(shown) / padded).max(axis=0) > 0.155).all()
    assert ((np.abs(shown) / padded).max(axis=0) <= 0.16 + 1e-6).all()


@pytest.mark.usefixtures("unchecked")
def test_how_the_released_3d_code_varies_them() -> None:
    # simple_transform_3d.py: scale × clip(N(0, .3) + 1, .7, 1.3); turned in 60 % by clip(N(0, 30°), ±60°).
    augmentation = Augmentation(0.3, 60, 0.6, half_body_probability=0, flip_probability=0, draws="clipped")
    plain, found = matrices(STILL, 1)[0], matrices(augmentation, 1500)
    extent = 1 / np.array([math.sqrt(np.linalg.det(m[:, :2] / plain[0, 0])) for m in found])
    assert (extent.min(), extent.max()) == pytest.approx((0.7, 1.3), abs=1e-5)
    # Of a normal 31.7 % lie beyond one standard deviation and 4.6 % beyond two.
    assert (np.abs(extent - 1) > 0.3 - 1e-5).mean() == pytest.approx(0.317, abs=0.04)
    inside = extent[np.abs(extent - 1) < 0.3 - 1e-5]
    assert ((inside - 1) / 0.3).std() == pytest.approx(0.5396, abs=0.03)
    angle = np.abs([math.degrees(math.atan2(m[0, 1], m[1, 1])) for m in found])
    assert (angle > 1e-4).mean() == pytest.approx(0.6, abs=0.04)
    turned = angle[angle > 1e-4]
    assert turned.max() == pytest.approx(60, abs=1e-3)
    assert (turned > 60 - 1e-3).mean() == pytest.approx(0.046, abs=0.025)
    assert np.median(turned) == pytest.approx(0.6745 * 30, abs=2)


# Noise and colour

NOISY = Augmentation(0.2, 30, 0.5, 0, occlusion=0.7, colour=0.2, draws="clipped")


def flat(value: int = 90, box: tuple[float, ...] = (60, 30, 120, 160)) -> Sample:
    """A person in a image of one grey."""
    person = sample(image=np.full((240, 320, 3), value, np.uint8))
    person.box = np.array(box, dtype=float)
    return person


def hidden(batch: Batch, value: int = 90) -> np.ndarray:
    """Pixels of a crop of `flat` that are neither its grey nor outside it."""
    image = batch.images[0].permute(1, 2, 0).numpy().astype(int)
    return (image != value).any(axis=-1)


def test_what_is_off_draws_nothing() -> None:
    r = rng(3)
    CropTransform(COCO, SIZE, STILL)(sample(), 0, r)
    expected = rng(3)
    expected.random(), expected.uniform(-1, 1), expected.random(), expected.random()  # half, scale, rotation, flip
    assert r.bit_generator.state == expected.bit_generator.state


@given(st.integers(0, 2**31))
@settings(max_examples=20)
def test_noise_and_colour_leave_the_labels_alone(seed: int) -> None:
    person = sample(seed)
    plain = Augmentation(0.2, 30, 0.5, 0, draws="clipped")
    noisy, quiet = (CropTransform(COCO, SIZE, a)(person, 0, rng(seed)) for a in (NOISY, plain))
    for name in ("target", "weight", "to_image"):
        assert torch.equal(getattr(noisy, name), getattr(quiet, name))
    assert torch.equal(noisy.images, CropTransform(COCO, SIZE, NOISY)(person, 0, rng(seed)).images)


def test_a_rectangle_of_noise_hides_part_of_the_box() -> None:
    # The box in the crop of 192 × 256: the region is 1.25 × 160 high, 256 pixels; so 1.28 pixels to one.
    only_noise = Augmentation(0, 0, 0, 0, 0, occlusion=0.7)
    shares, aspects, inside = [], [], []
    for seed in range(300):
        where = hidden(CropTransform(COCO, (256, 192), only_noise)(flat(), 0, rng(seed)))
        rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
        high, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        assert where[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].mean() > 0.98, "not a full rectangle"
        shares.append(where.sum() / (120 * 160 * 1.28**2))
        aspects.append(high / wide)
        low, far = 256 / 2 - 80 * 1.28, 256 / 2 + 80 * 1.28
        inside.append(low - 1 <= rows[0] and rows[-1] <= far + 1)
    assert max(shares) <= 0.72
    assert max(shares) > 0.6
    assert np.mean(shares) == pytest.approx(0.33, abs=0.06)  # the largest are rejected where they leave the image
    assert 0.25 < min(aspects) < 0.5
    assert 2.5 < max(aspects) < 4
    assert np.mean(inside) > 0.8  # the tallest stick out of the box


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_the_rectangle_turns_with_the_image(flip: float) -> None:
    turning = Augmentation(0.2, 60, 1.0, 0, flip, occlusion=0.5)
    complete = 0
    for seed in range(40):
        batch = CropTransform(COCO, (256, 256), turning)(flat(box=(100, 60, 100, 100)), 0, rng(seed))
        rows, columns = np.nonzero(hidden(batch))
        to_image = batch.to_image[0].double().numpy()
        points = apply_affine(to_image, np.column_stack([columns, rows]).astype(float))
        pixel = abs(np.linalg.det(to_image[:, :2]))  # of the crop, in those of the image
        extent = np.ptp(points, axis=0) + math.sqrt(pixel)
        # What is hidden fills an upright rectangle of the image, of which the crop is a turned part.
        whole = (np.array([rows.min(), columns.min()]) > 0).all() and max(rows.max(), columns.max()) < 255
        edge = math.sqrt(pixel) * extent.sum()
        assert not whole or pixel * len(rows) == pytest.approx(np.prod(extent), rel=0.07, abs=1.5 * edge)
        complete += whole
    assert complete > 20


def test_noise_is_of_all_values() -> None:
    batch = CropTransform(COCO, (256, 192), Augmentation(0, 0, 0, 0, 0, occlusion=1.0))(flat(), 0, rng(1))
    values = batch.images[0].permute(1, 2, 0).numpy()[hidden(batch)]
    assert len(values) > 1000
    assert values.mean(axis=0) == pytest.approx([127.5] * 3, abs=6)
    assert (values.min(), values.max()) == (0, 255)
    assert abs(np.corrcoef(values.T.astype(float))[0, 1]) < 0.1


def test_a_box_that_no_rectangle_fits_stays_as_it_is() -> None:
    person = flat(box=(-500, -500, 100, 100))
    batch = CropTransform(COCO, SIZE, Augmentation(0, 0, 0, 0, 0, occlusion=0.7))(person, 0, rng())
    assert not batch.images.any()


def test_colours() -> None:
    person = flat(200)
    transform = CropTransform(COCO, SIZE, Augmentation(0, 0, 0, 0, 0, colour=0.2))
    seen = np.array([transform(person, 0, rng(seed)).images[0, :, 60, 48].tolist() for seed in range(300)])
    assert 160 <= seen.min() < 164
    assert 236 < seen.max() <= 240
    assert seen.mean(axis=0) == pytest.approx([200] * 3, abs=4)
    assert abs(np.corrcoef(seen.T)[0, 1]) < 0.2, "one factor for all channels"
    image = rng().integers(0, 256, (9, 7, 3), dtype=np.uint8)
    factors = np.array([0.8, 1.0, 1.2])
    np.testing.assert_array_equal(tint(image, factors), np.minimum(np.rint(image * factors), 255))


def half_body_region(batch: Batch, size: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Centre and width of what a crop shows."""
    matrix = batch.to_image[0].double().numpy()
    return matrix[:, :2] @ [size[1] / 2, size[0] / 2] + matrix[:, 2], matrix[0, 0] * size[1]


def test_half_bodies() -> None:
    person = sample(5)
    upper, lower = np.array(COCO.upper_body), np.setdiff1d(np.arange(17), COCO.upper_body)
    assert upper.tolist() == list(range(11))
    augmentation = Augmentation(0, 0, 0, half_body_probability=1, flip_probability=0)
    uppers = 0
    for seed in range(300):
        batch = CropTransform(COCO, (16, 12), augmentation)(person, 0, rng(seed))
        centre, width = half_body_region(batch, (16, 12))
        is_upper = np.allclose(centre, person.keypoints[upper].mean(axis=0), atol=1e-3)
        uppers += is_upper
        chosen = person.keypoints[upper if is_upper else lower]
        np.testing.assert_allclose(centre, chosen.mean(axis=0), atol=1e-3)
        w, h = np.ptp(chosen, axis=0)
        assert width == pytest.approx(1.5 * max(w, h * 12 / 16), rel=1e-5)
    assert uppers / 300 == pytest.approx(0.69, abs=0.08)


@pytest.mark.parametrize(
    ("labelled", "half"),
    [
        ([0, 1, 2], None),  # no more than three
        ([0, 1, 2, 3], "upper"),
        ([11, 12, 13, 14], "lower"),
        ([0, 1, 13, 14], "upper"),  # too few of either: the upper ones, if there are two
        ([0, 13, 14, 15], "lower"),
        ([], None),
    ],
)
def test_which_half(labelled: list[int], half: str | None) -> None:
    person = sample(5)
    person.visible[:] = 0
    person.visible[labelled] = 2
    person.keypoints[person.visible == 0] = math.nan
    chosen = [i for i in labelled if (i < 11) == (half == "upper")]
    expected = person.keypoints[chosen].mean(axis=0) if half else person.box[:2] + person.box[2:] / 2
    augmentation = Augmentation(0, 0, 0, half_body_probability=1, flip_probability=0)
    for seed in range(12):
        batch = CropTransform(COCO, (16, 12), augmentation)(person, 0, rng(seed))
        np.testing.assert_allclose(half_body_region(batch, (16, 12))[0], expected, atol=1e-3)


def test_joints_on_one_spot_are_no_half() -> None:
    person = sample(5)
    person.keypoints[:] = person.keypoints[0]
    augmentation = Augmentation(0, 0, 0, half_body_probability=1, flip_probability=0)
    batch = CropTransform(COCO, (16, 12), augmentation)(person, 0, rng())
    np.testing.assert_allclose(half_body_region(batch, (16, 12))[0], person.box[:2] + person.box[2:] / 2, atol=1e-3)


def test_a_skeleton_without_a_lower_body_is_never_halved() -> None:
    person = sample(skeleton=PAIR)
    augmentation = Augmentation(0, 0, 0, half_body_probability=1, flip_probability=0)
    batch = CropTransform(PAIR, (16, 12), augmentation)(person, 0, rng())
    np.testing.assert_allclose(half_body_region(batch, (16, 12))[0], person.box[:2] + person.box[2:] / 2, atol=1e-3)
    assert set(MPII.upper_body) == {7, 8, 9, 10, 11, 12, 13, 14, 15}


def test_a_image_that_cannot_be_read_is_named(tmp_path) -> None:
    person = sample()
    person.image = tmp_path / "gone.jpg"
    with pytest.raises(InputError, match=r"gone\.jpg"):
        CropTransform(COCO, SIZE)(person, 0, rng())
