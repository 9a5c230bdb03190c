"""Whole images: who is in them, where a transform puts them, and batches of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logpose.core.errors import InputError
from logpose.core.samples import Sample
from logpose.core.skeletons import COCO
from logpose.data.coco import CocoKeypoints
from logpose.data.image_sets import LabelledImage, whole_images
from logpose.data.scenes import SceneBatch, Scenes, ShortSide, SquareCrop, scene, scene_loader


def person(image: np.ndarray, box, keypoints=None, visible=None) -> Sample:
    keypoints = np.zeros((17, 2)) if keypoints is None else keypoints
    visible = np.full(17, 2) if visible is None else visible
    return Sample(image, np.array(box, dtype=float), keypoints, visible, float(box[2] * box[3]), image_id=1, id=1)


def test_scenes_leave_images_without_labels_out_on_request(crowd_file):
    images = whole_images(CocoKeypoints(crowd_file))
    assert len(Scenes(images, ShortSide())) == 3
    chosen = Scenes(images, ShortSide(), empty=False)
    assert [images[row].image_id for row in chosen.rows] == [1]
    empty = [images[i] for i in range(3) if images[i].image_id != 1]

    class Others:
        skeleton = COCO

        def __len__(self):
            return len(empty)

        def __getitem__(self, i):
            return empty[i]

    with pytest.raises(InputError, match="labelled"):
        Scenes(Others(), ShortSide(), empty=False)


@given(st.integers(0, 2**31), st.booleans())
def test_points_boxes_and_pixels_move_together(seed, square):
    """A bright spot is where its keypoint is, in the middle of its box, mirrored or not, and its way back is right."""
    rng = np.random.default_rng(seed)
    image = np.zeros((60, 80, 3), np.uint8)
    x, y = int(rng.integers(12, 68)), int(rng.integers(12, 48))
    image[y - 4 : y + 5, x - 4 : x + 5] = 255
    keypoints = np.tile([[float(x), float(y)]], (17, 1))
    keypoints[COCO.joints.index("left_wrist")] = [x - 3, y]
    keypoints[COCO.joints.index("right_wrist")] = [x + 3, y]
    sample = person(image, (x - 4, y - 4, 9, 9), keypoints)  # of the pixels that are bright
    way = SquareCrop(64, (0.6, 1.6), 0.5) if square else ShortSide((48, 96), 200, 0.5)
    batch = scene(LabelledImage(image, 1, (sample,)), COCO, way, 7, np.random.default_rng(seed))
    people = batch.people[0]
    nose = people.keypoints[0, 0].numpy()
    bright = (batch.images[0, 0].numpy() > 127).nonzero()
    assert np.allclose([bright[1].mean(), bright[0].mean()], nose, atol=0.75)
    if not square:  # a square may cut the box
        box = people.boxes[0].numpy()
        assert np.allclose((box[:2] + box[2:]) / 2, nose + 0.5, atol=1e-3)  # between the edges of pixels
        assert np.allclose(box, [bright[1].min(), bright[0].min(), bright[1].max() + 1, bright[0].max() + 1], atol=1)
    left, right = (people.keypoints[0, COCO.joints.index(f"{side}_wrist"), 0] for side in ("left", "right"))
    assert left < right  # in the mirror too, since they change places
    to_image = batch.to_image[0].numpy()
    assert np.allclose(to_image[:, :2] @ nose + to_image[:, 2], [x, y], atol=1e-3)
    assert people.area[0] * abs(np.linalg.det(to_image[:, :2])) == pytest.approx(81, rel=1e-4)
    assert batch.index.tolist() == [7]
    height, width = batch.sizes[0].tolist()
    assert batch.images.shape[2] % 32 == 0
    assert batch.images.shape[3] % 32 == 0
    assert not batch.images[0, :, height:].any()
    assert not batch.images[0, :, :, width:].any()


def test_people_cut_in_half_keep_their_joints_and_those_outside_are_gone():
    image = np.zeros((100, 200, 3), np.uint8)
    keypoints = np.column_stack([np.linspace(80, 130, 17), np.full(17, 50.0)])
    halved, far = person(image, (80, 40, 50, 20), keypoints), person(image, (180, 0, 10, 10))
    outside = person(image, (-40, 10, 20, 20))
    middle = person(image, (40, 20, 60, 60))

    class First(SquareCrop):
        def place(self, size, people, rng):
            return super().place(size, [middle], rng)

    way = First(64, (1.0, 1.0), 0.0)
    batch = scene(LabelledImage(image, 1, (middle, halved, far, outside)), COCO, way, rng=np.random.default_rng(0))
    people = batch.people[0]
    assert len(people.boxes) == 2
    # The square begins at 70 - 32 + 0.5 = 38.5 of the image, and ends at the edge 64.
    assert people.boxes[1].tolist() == pytest.approx([41.5, 21.5, 64, 41.5])
    assert people.keypoints[1, -1, 0] == pytest.approx(130 - 38.5)
    assert people.weight[1].all()
    assert people.area[1] == pytest.approx(1000)


def test_people_are_as_large_in_squares_as_in_evaluation_however_large_the_image():
    """So that people of photographs of twelve megapixels are learned in the size that they are looked for in."""
    whole = ShortSide((64,), 200)
    for times in (1, 6):
        image = np.zeros((80 * times, 100 * times, 3), np.uint8)
        who = person(image, (40 * times, 20 * times, 20 * times, 40 * times))
        image = LabelledImage(image, 1, (who,))
        seen = scene(image, COCO, whole)
        drawn = scene(image, COCO, SquareCrop(64, (0.5, 1.5), 0.0, whole), rng=np.random.default_rng(3))
        expected = np.random.default_rng(3).uniform(0.5, 1.5)
        assert drawn.people[0].area[0] == pytest.approx(float(seen.people[0].area[0]) * expected**2, rel=1e-4)
        as_it_is = scene(image, COCO, SquareCrop(64, (0.5, 1.5), 0.0), rng=np.random.default_rng(3))
        assert as_it_is.people[0].area[0] == pytest.approx(800 * times**2 * expected**2, rel=1e-4)


def test_evaluation_draws_nothing():
    image = np.zeros((100, 200, 3), np.uint8)
    image = LabelledImage(image, 1, (person(image, (10, 10, 20, 40)),))
    first, second = (scene(image, COCO, ShortSide((64, 96), 300)) for _ in range(2))
    assert first.sizes.tolist() == [[64, 128]]
    assert torch.equal(first.to_image, second.to_image)


def test_an_epoch_depends_on_its_number(crowd_file):
    scenes = Scenes(whole_images(CocoKeypoints(crowd_file)), ShortSide((32, 64, 96)), seed=3, training=True)
    again = [scenes[epoch, 0].to_image for epoch in (0, 1, 2, 3, 4, 5)]
    assert all(torch.equal(scenes[epoch, 0].to_image, before) for epoch, before in enumerate(again))
    assert len({tuple(map(float, matrix.flatten())) for matrix in again}) > 1


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_are_as_large_as_their_largest_image(workers):
    images = [
        LabelledImage(image, i, (person(image, (2, 2, 10, 10)),) * i)
        for i, image in enumerate(np.full((side, 40, 3), 200, np.uint8) for side in (30, 40, 70))
    ]

    class Three:
        skeleton = COCO

        def __len__(self):
            return 3

        def __getitem__(self, i):
            return images[i]

    loader = scene_loader(Scenes(Three(), ShortSide((40,), 400)), 2, training=False, workers=workers)
    first, second = loader
    assert isinstance(first, SceneBatch)
    assert first.index.tolist() == [0, 1]
    assert first.sizes.tolist() == [[40, 53], [40, 40]]
    assert first.inputs.shape == (2, 3, 64, 64)
    assert [len(people.boxes) for people in (*first.people, *second.people)] == [0, 1, 2]
    assert first.people[0].keypoints.shape == (0, 17, 2)
    assert second.images.shape[2:] == (96, 64)
    assert (first.images[1, :, :40, :40] == 200).all()
    assert not first.images[1, :, 40:].any()
    moved = first.to("meta")
    assert moved.people[1].boxes.is_meta
    assert moved.images.is_meta


def test_crowds_are_to_be_ignored(crowd_file):
    images = whole_images(CocoKeypoints(crowd_file))
    batches = [Scenes(images, ShortSide((80,), 400))[0, i] for i in range(3)]
    ignored = {int(images[int(b.index)].image_id): b.people[0].ignored for b in batches}
    assert ignored[1].tolist() == [pytest.approx([0, 0, 60, 20])]
    assert ignored[2].shape == ignored[3].shape == (0, 4)
