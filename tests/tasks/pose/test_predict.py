"""Prediction on whole images: places in pixels, boxes and their files, results."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from logpose.core.errors import InputError
from logpose.core.geometry import box_to_region
from logpose.core.placement import Viewpoint
from logpose.core.skeletons import COCO, Category, Skeleton
from logpose.core.structures import LEVELS, ErrorDistribution, Prediction
from logpose.data.images import read_image
from logpose.data.inputs import find_images, read_boxes
from logpose.models import PoseModel, RegressionModel, create_backbone
from logpose.tasks.detection.predict import Finder
from logpose.tasks.pose.predict import Predictor
from logpose.training.checkpoint import load, save

MU = torch.linspace(-0.6, 0.4, 34).view(17, 2)


DEPTH = torch.linspace(-0.2, 0.1, 17)


class Steady(PoseModel):
    """Says the same of every crop: joints at `MU` (and at `DEPTH`), sigma 0.02 along x, 0.04 along y (0.05 along z)."""

    def __init__(self, dim=2):
        super().__init__(COCO, (64, 48), dim)
        self.set_error_distribution(
            ErrorDistribution(torch.zeros(dim), torch.tensor([2.0, 3.0, 1.5][:dim]), torch.tensor(LEVELS) * 4)
        )
        self.crops = 0

    def forward(self, images):
        count = len(images)
        self.crops += count
        mu = torch.cat([MU, DEPTH[:, None]], dim=1)[:, : self.dim].expand(count, 17, self.dim)
        sigma = torch.tensor([0.02, 0.04, 0.05])[: self.dim].expand(count, 17, self.dim)
        return Prediction(mu, sigma, 1 - sigma.mean(dim=-1), self.error_distribution)

    def config(self):
        return {}


@pytest.fixture
def predictor():
    return Predictor(Steady(), device="cpu", batch_size=4)


def placed(box, size=(64, 48)):
    """Where crop coordinates `MU` lie in the image: the region's centre, plus its extent times them."""
    centre, extent = box_to_region(np.asarray(box, float), size)
    return centre + MU.double().numpy() * extent, extent


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_in_another_precision_predicts_the_same_within_it(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = RegressionModel(create_backbone("resnet18", (64, 64)), COCO, (64, 64)).eval()
    model.set_error_distribution(ErrorDistribution(torch.zeros(2), torch.ones(2), torch.tensor(LEVELS) * 4))
    image = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    exact = Predictor(model, device="cpu")(image)
    found = Predictor(copy.deepcopy(model).to(dtype), device="cpu")(image)
    np.testing.assert_allclose(found.keypoints, exact.keypoints, rtol=0, atol=90 * torch.finfo(dtype).eps + 1e-4)
    np.testing.assert_allclose(found.sigma, exact.sigma, rtol=2 * torch.finfo(dtype).eps + 1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_model_of_the_caller_s_stays_as_it_is(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = RegressionModel(create_backbone("resnet18", (64, 64)), COCO, (64, 64)).to(dtype).train()
    model.backbone.eval()  # frozen, in part
    modes = [part.training for part in model.modules()]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    image = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    predictor = Predictor(model, device="cpu")
    found = predictor(image)
    assert [part.training for part in model.modules()] == modes
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0, equal_nan=True)
    assert not any(part.training for part in predictor.model.modules())
    model.fc_mu.bias.sum().backward()
    assert torch.is_grad_enabled()
    with torch.no_grad():
        model.fc_mu.bias += 1.0  # what is trained further does not reach the copy
    np.testing.assert_array_equal(predictor(image).keypoints, found.keypoints)


def test_a_predictor_takes_every_form_of_a_checkpoint(tiny_run, coco_folder, tmp_path, monkeypatch):
    """A run's folder, a folder of `convert`, and a repository on the Hub, with or without its prefix."""
    folder = tmp_path / "hub" / "me" / "mine"
    save(*load(tiny_run / "best.ckpt"), folder)
    hub = ModuleType("huggingface_hub")
    hub.snapshot_download = lambda name, **_: str(tmp_path / "hub" / name)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.chdir(tmp_path)
    image = next((coco_folder / "val").iterdir())
    first, *others = (
        Predictor(source, device="cpu")(image).keypoints
        for source in (tiny_run / "best.ckpt", tiny_run, folder, "hf://me/mine", Path("hf://me/mine"), "me/mine")
    )
    assert len(others) == 5
    for found in others:
        np.testing.assert_array_equal(found, first)


def test_another_kind_of_model_is_refused_by_its_name(unchecked: None, predictor: Predictor) -> None:
    with pytest.raises(InputError, match="Steady: is a top-down model"):
        Finder(predictor.model)  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{"batch_size": 0}, {"batch_size": -1}, {"looks": 0}, {"scoring": "sun"}])
def test_settings_that_cannot_be(unchecked: None, settings: dict[str, Any]) -> None:
    name, value = next(iter(settings.items()))
    with pytest.raises(InputError, match=f"{name}.*{value}"):
        Predictor(Steady(), device="cpu", **settings)


def test_a_detector_that_returns_nothing_is_not_one_that_finds_nobody(predictor: Predictor) -> None:
    image = np.zeros((80, 90, 3), np.uint8)
    assert len(predictor(image, lambda _: [])) == 0
    with pytest.raises(InputError, match="None"):
        predictor(image, lambda _: None)


def test_in_a_program_that_computes_in_double_precision(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.zeros((80, 90, 3), np.uint8)
    exact = predictor(image)
    torch.set_default_dtype(torch.float64)
    try:
        found = predictor(image)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_allclose(found.keypoints, exact.keypoints, atol=1e-4)


def test_a_model_that_has_diverged_is_told() -> None:
    for place, sure in ((torch.nan, 1), (0, torch.nan)):
        model = Steady()
        forward = model.forward

        def broken(images, forward=forward, place=place, sure=sure):
            said = forward(images)
            return Prediction(MU.expand(1, 17, 2) + place, said.sigma, said.confidence * sure, said.error_distribution)

        model.forward = broken
        with pytest.raises(InputError, match="not finite"):
            Predictor(model, device="cpu")(np.zeros((200, 300, 3), np.uint8))


def test_positions_and_sigma_are_in_pixels_of_the_image(predictor):
    box = [30, 20, 60, 100]
    poses = predictor(np.zeros((200, 300, 3), np.uint8), [box])
    expected, extent = placed(box)
    np.testing.assert_allclose(poses.keypoints[0], expected, atol=1e-3)
    np.testing.assert_allclose(poses.sigma[0], np.tile([0.02 * 2, 0.04 * 3] * extent, (17, 1)), rtol=1e-4)
    np.testing.assert_allclose(poses.confidence, 0.97, rtol=1e-5)
    assert poses.radius == pytest.approx(0.5 * 4, rel=1e-3)


class Brightest(PoseModel):
    """Joints spread over what is bright in the crop, sigma a hundredth of it; where nothing is, anywhere."""

    def __init__(self, skeleton=COCO):
        super().__init__(skeleton, (64, 64), 2)
        self.set_error_distribution(ErrorDistribution(torch.zeros(2), torch.ones(2), torch.tensor(LEVELS)))
        self.crops = []

    def forward(self, images):
        self.crops.append(len(images))
        mu, sigma = (
            torch.zeros(len(images), len(self.skeleton), 2),
            torch.full((len(images), len(self.skeleton), 2), 0.3),
        )
        for i, image in enumerate(images):
            rows, columns = torch.nonzero(image.float().mean(0) > 128, as_tuple=True)
            if len(rows):
                for d, cells in enumerate((columns, rows)):
                    ends = cells.min(), cells.max() + 1
                    mu[i, :, d] = torch.linspace(*(float(end) / 64 - 0.5 for end in ends), len(self.skeleton))
                sigma[i] = 0.01
        return Prediction(mu, sigma, 1 - sigma.mean(dim=-1), self.error_distribution)

    def config(self):
        return {}


def with_bright(size, *places):
    """An image with bright rectangles x, y, width, height."""
    image = np.zeros((*size, 3), np.uint8)
    for x, y, width, height in places:
        image[y : y + height, x : x + width] = 255
    return image


class TestLooking:
    """An image without boxes is looked at until the box of the joints stands."""

    def test_the_box_is_that_of_the_joints(self):
        place = (700, 150, 30, 60)
        image = with_bright((400, 900), place)
        first = Predictor(Brightest(), device="cpu", looks=1)(image)
        assert first.boxes.tolist() == [[0, 0, 900, 400]]
        predictor = Predictor(Brightest(), device="cpu")
        found = predictor(image)
        np.testing.assert_allclose(found.boxes[0], place, atol=3)
        np.testing.assert_allclose(found.keypoints[0, [0, -1]], [[700, 150], [730, 210]], atol=2)
        assert abs(first.keypoints[0, 0] - (700, 150)).max() > 5, "the whole image is too coarse to test this"
        assert 2 <= len(predictor.model.crops) <= 4

    def test_it_is_the_same_beside_images_with_boxes_and_without_people(self):
        images = [with_bright((90, 120), place) for place in ((10, 20, 30, 60), (80, 5, 20, 50), (50, 50, 40, 20))]
        predictor = Predictor(Brightest(), device="cpu", batch_size=64)
        alone = [predictor(image) for image in images]
        box = [10, 20, 30, 60]
        several = [(images[0], None), (images[0], [box, box]), (with_bright((50, 70)), None), (images[1], []),
                   (images[1], None), (images[2], None), (images[2], [[0, 0, 120, 90]])]  # fmt: skip
        calls = len(predictor.model.crops)
        found = list(predictor.many(several, with_images=True))
        assert [len(poses) for poses in found] == [1, 2, 0, 0, 1, 1, 1]
        for poses, expected in zip((found[0], found[4], found[5]), alone, strict=True):
            np.testing.assert_allclose(poses.keypoints, expected.keypoints, atol=1e-4)
            np.testing.assert_array_equal(poses.boxes, expected.boxes)
        assert found[1].boxes.tolist() == [box, box]
        assert found[6].boxes.tolist() == [[0, 0, 120, 90]]
        assert all(np.array_equal(poses.image, image) for poses, (image, _) in zip(found, several, strict=True))
        assert len(predictor.model.crops) - calls <= 4, "looks of all images are computed together"
        assert all(poses.image is None for poses in predictor.many(several))

    def test_of_several_categories_the_joints_of_its_own_make_the_box(self):
        kinds = [
            Category(i, Skeleton(name, joints))
            for i, name, joints in ((1, "first", ("a", "b")), (2, "second", ("c", "d")))
        ]
        both = Skeleton("both", ("a", "b", "c", "d"), categories=tuple(kinds))
        found = Predictor(Brightest(both), device="cpu", category="second")(with_bright((100, 100), (20, 20, 60, 60)))
        # c and d lie at two thirds and at the end of what is bright.
        assert (found.boxes[0][:2] > 40).all()


def test_without_boxes_a_single_look_takes_the_whole_image_as_one_person(predictor):
    predictor.looks = 1
    poses = predictor(np.zeros((50, 80, 3), np.uint8))
    assert poses.boxes.tolist() == [[0, 0, 80, 50]]
    np.testing.assert_allclose(poses.keypoints[0], placed([0, 0, 80, 50])[0], atol=1e-3)


def test_joints_outside_the_image_keep_their_places(predictor):
    poses = predictor(np.zeros((50, 50, 3), np.uint8), [[0, 0, 10, 10]])
    assert (poses.keypoints < 0).any()


def test_crops_of_many_images_are_computed_together_and_come_back_in_order(predictor):
    image = np.zeros((40, 40, 3), np.uint8)
    boxes = [[[i, j, 10, 20] for j in range(count)] for i, count in enumerate((3, 0, 2, 7, 1))]
    poses = list(predictor.many((image, rows) for rows in boxes))
    assert [len(p) for p in poses] == [3, 0, 2, 7, 1]
    for found, rows in zip(poses, boxes, strict=True):
        for i, box in enumerate(rows):
            np.testing.assert_allclose(found.keypoints[i], placed(box)[0], atol=1e-3)
    assert predictor.model.crops == 13


def test_the_score_is_the_sum_that_eval_ranks_by(predictor):
    poses = predictor(np.zeros((40, 40, 3), np.uint8), [[0, 0, 10, 20, 0.5]])
    assert poses.scores[0] == pytest.approx(0.5 + 0.97 + 0.97)


@pytest.mark.parametrize(
    "box", [[0, 0, 0, 5], [0, 0, 5, -1], [0, 0, 5], [0, 0, float("nan"), 5], [90, 0, 5, 5], [-9, 0, 5, 5]]
)
def test_boxes_that_are_none_are_named(predictor, box):
    with pytest.raises(InputError, match="box 1"):
        predictor(np.zeros((40, 40, 3), np.uint8), [[0, 0, 10, 10], box])


def test_a_trained_checkpoint_predicts_the_files_it_was_given(tiny_run, coco_folder):
    files = list(find_images([coco_folder / "val"]))
    poses = list(Predictor(tiny_run / "best.ckpt", device="cpu", looks=1).many((file, None) for file in files))
    assert [found.path for found in poses] == files
    assert all(np.isfinite(found.keypoints).all() and (found.sigma > 0).all() for found in poses)


def test_flip_test_of_a_model_that_ignores_its_image_is_symmetric():
    poses = Predictor(Steady(), device="cpu", flip_test=True)(np.zeros((64, 48, 3), np.uint8), [[0, 0, 48, 64]])
    centre, extent = box_to_region(np.array([0.0, 0, 48, 64]), (64, 48))
    # Crop column x of the mirror image is column W - 1 - x: the mirror's axis lies half a column left of the centre.
    axis = centre[0] - extent[0] / 48 / 2
    for a, b in COCO.pairs:
        assert poses.keypoints[0, a, 0] + poses.keypoints[0, b, 0] == pytest.approx(2 * axis, abs=1e-3)
        assert poses.keypoints[0, a, 1] == pytest.approx(poses.keypoints[0, b, 1], abs=1e-3)


def test_people_found_in_several_boxes_are_kept_once():
    twice = [[30, 20, 60, 100, 0.5], [31, 20, 60, 100, 0.9], [120, 20, 60, 100, 0.4]]
    image = np.zeros((200, 300, 3), np.uint8)
    assert len(Predictor(Steady(), device="cpu")(image, twice)) == 3
    poses = Predictor(Steady(), device="cpu", nms=True)(image, twice)
    np.testing.assert_array_equal(poses.boxes, [twice[1][:4], twice[2][:4]])
    np.testing.assert_allclose(poses.keypoints[0], placed(twice[1][:4])[0], atol=1e-3)
    np.testing.assert_allclose(poses.scores, [0.9 + 2 * 0.97, 0.4 + 2 * 0.97], rtol=1e-5)
    assert len(Predictor(Steady(), device="cpu", nms=True)(image, [])) == 0


def test_how_alike_people_are_is_judged_by_the_area_of_the_region_that_the_crop_shows():
    """Two boxes of 60×100: one person where they are 4.5 pixels apart, two where they are 5.

    Where they are 4.5 apart, the OKS is .835 with a box's area, .863 with that in the crop's shape, 75×100, and .907
    with that of the region, 1.25 times as large along either side.
    """
    sigmas = np.array(COCO.sigmas)

    def alike(apart, area):
        return np.mean(np.exp(-(apart**2) / (2 * area * (2 * sigmas) ** 2)))

    assert alike(4.5, 60 * 100) < alike(4.5, 75 * 100) < 0.9 < alike(4.5, 93.75 * 125)
    assert alike(5, 93.75 * 125) < 0.9 < alike(5, 112.5 * 150)  # half as much again along either side is too much
    predictor = Predictor(Steady(), device="cpu", nms=True)
    image = np.zeros((200, 300, 3), np.uint8)
    assert len(predictor(image, [[30, 20, 60, 100], [34.5, 20, 60, 100]])) == 1
    assert len(predictor(image, [[30, 20, 60, 100], [35, 20, 60, 100]])) == 2


def test_images_that_cannot_be_read_and_boxes_that_are_none_are_told_and_left_out(predictor, tmp_path):
    (tmp_path / "bad.jpg").write_text("no")
    image = np.zeros((40, 40, 3), np.uint8)
    given = [(image, None), (tmp_path / "bad.jpg", None), (image, [[90, 0, 5, 5]]), (image, [[1, 2, 10, 10]])]
    with pytest.raises(InputError, match=r"bad\.jpg"):
        list(predictor.many(given))
    told = []
    poses = list(predictor.many(given, lambda error: told.append(str(error))))
    assert [found.boxes.tolist() for found in poses] == [[[0, 0, 40, 40]], [[1, 2, 10, 10]]]
    assert len(told) == 2
    assert "bad.jpg: not a readable image" in told[0]
    assert "box 0 lies outside the image of 40×40 pixels" in told[1]


def test_boxes_far_off_are_refused_or_left_out_by_name(predictor, tmp_path):
    with pytest.raises(InputError, match="pixels"):
        predictor(np.zeros((40, 40, 3), np.uint8), [[0, 0, 1e9, 10]])
    (tmp_path / "boxes.json").write_text(json.dumps({"a.jpg": [[0, 0, 1e30, 10]]}))
    [problem] = read_boxes(tmp_path / "boxes.json", {tmp_path / "a.jpg": "a"}).problems
    assert problem.where.endswith("boxes.json: box 0 of 'a.jpg'"), "one box of a file is left out by name"


class TestInSpace:
    """A model of three dimensions: the same pixels, and joints in the camera's frame besides."""

    IMAGE = np.zeros((200, 300, 3), np.uint8)
    BOXES = ([30, 20, 60, 100], [120, 40, 90, 90])

    def test_pixels_are_those_of_a_model_of_two_dimensions(self, predictor):
        flat = predictor(self.IMAGE, self.BOXES)
        poses = Predictor(Steady(3), device="cpu")(self.IMAGE, self.BOXES)
        np.testing.assert_allclose(poses.keypoints, flat.keypoints)
        np.testing.assert_allclose(poses.sigma, flat.sigma)
        assert flat.joints_mm is flat.sigma_mm is flat.root_depth_mm is flat.camera is None
        assert flat.assumed == ()

    def test_joints_lie_behind_their_pixels(self):
        view = Viewpoint((500.0, 480.0), (140.0, 90.0), 4000.0)
        poses = Predictor(Steady(3), device="cpu", view=view)(self.IMAGE, self.BOXES)
        np.testing.assert_allclose(poses.camera.project(poses.joints_mm), poses.keypoints, atol=1e-3)
        depth = 2000 * DEPTH.double().numpy()
        expected = 4000 + depth - depth[[11, 12]].mean()
        np.testing.assert_allclose(poses.joints_mm[..., 2], np.tile(expected, (2, 1)), rtol=1e-6)
        # Depths are from the middle of two hips, each as unsure as any joint, and each half of its own middle.
        unsure = np.full(17, 2000 * 0.05 * 1.5 * np.sqrt(1 + 1 / 2))
        unsure[[11, 12]] = 2000 * 0.05 * 1.5 * np.sqrt(1 / 2)
        np.testing.assert_allclose(poses.sigma_mm[..., 2], np.tile(unsure, (2, 1)), rtol=1e-6)
        np.testing.assert_allclose(poses.root_depth_mm, 4000)
        assert poses.assumed == ()

    def test_each_image_has_a_camera_and_each_person_a_depth_of_its_own(self):
        small = np.zeros((100, 100, 3), np.uint8)
        predictor = Predictor(Steady(3), device="cpu")
        first, second = predictor.many([(self.IMAGE, self.BOXES), (small, [[0, 0, 60, 90]])])
        np.testing.assert_allclose(first.camera.focal, np.hypot(200, 300))
        np.testing.assert_allclose(second.camera.focal, np.hypot(100, 100))
        assert first.assumed == ("focal", "centre", "root_depth")
        assert first.root_depth_mm[0] != first.root_depth_mm[1]
        twice = predictor(np.zeros((400, 600, 3), np.uint8), (2 * np.array(self.BOXES)).tolist())
        np.testing.assert_allclose(twice.root_depth_mm, first.root_depth_mm, rtol=1e-2)

    def test_people_kept_once_are_placed_once(self):
        poses = Predictor(Steady(3), device="cpu", nms=True)(self.IMAGE, [[30, 20, 60, 100, 0.5], [31, 20, 60, 100, 1]])
        assert len(poses) == len(poses.joints_mm) == len(poses.root_depth_mm) == 1
        nobody = Predictor(Steady(3), device="cpu")(self.IMAGE, [])
        assert nobody.joints_mm.shape == (0, 17, 3)

    def test_the_image_is_named_in_which_joints_would_lie_behind_the_camera(self, coco_folder):
        photo = next((coco_folder / "val").iterdir())
        near = Predictor(Steady(3), device="cpu", view=Viewpoint(root_depth=200.0))
        with pytest.raises(InputError, match=rf"{photo.name}: with the root 200 mm away, some joints would"):
            near(photo)
        with pytest.raises(InputError, match="with the root 200 mm"):
            near(self.IMAGE)

    def test_a_model_of_two_dimensions_needs_no_camera(self):
        with pytest.raises(InputError, match="this model is of two dimensions"):
            Predictor(Steady(), device="cpu", view=Viewpoint(root_depth=4000.0))


@pytest.mark.parametrize("tensor", [False, True])
def test_images_in_memory_in_other_forms(predictor, photos, tensor):
    image = read_image(photos[0])
    expected = predictor(image).keypoints
    given = torch.from_numpy(image).permute(2, 0, 1) if tensor else image / 255
    np.testing.assert_array_equal(predictor(given).keypoints, expected)
    np.testing.assert_array_equal(predictor(Pillow.fromarray(image)).keypoints, expected)
    assert [len(poses) for poses in predictor.many([(given, [[0, 0, 5, 5]]), (image, [])])] == [1, 0]
    with pytest.raises(InputError, match="None"):
        predictor(None)
    left_out = []
    assert len(list(predictor.many([(None, None), (image, None)], left_out.append))) == len(left_out) == 1


def test_a_flip_test_without_known_pairs_is_reported(caplog):
    model = Steady()
    model.skeleton = Skeleton("thing", tuple(map(str, range(17))))
    Predictor(model, device="cpu", flip_test=False)
    assert not caplog.messages
    Predictor(model, device="cpu", flip_test=True)
    assert len(caplog.messages) == 1
    assert "--flip-test" in caplog.text


def test_without_a_word_on_flip_tests_the_skeleton_decides():
    image = np.zeros((80, 90, 3), np.uint8)
    found = [Predictor(Steady(), device="cpu", flip_test=flip)(image).keypoints for flip in (None, True, False)]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])
