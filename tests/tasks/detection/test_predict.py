"""From whole photographs to everybody's pose: in Python and by `logpose predict` and `logpose eval`."""

from __future__ import annotations

import importlib.util
import json

import cv2
import numpy as np
import pytest
import torch

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.core.structures import ErrorDistribution, LossDict, Prediction
from logpose.data.image_sets import LabelledImage
from logpose.data.images import read_image
from logpose.models import Detections, Detector, PointSetAnchors, PointSetOptions, RegressionModel, create_backbone
from logpose.models.detector import box_maps, nobody
from logpose.tasks.detection.evaluate import evaluate_detector
from logpose.tasks.detection.predict import Finder
from logpose.tasks.pose.predict import Predictor

with_torchvision = pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is an extra")


class Bright(Detector):
    """Finds one person: the box of what is bright, all joints in its middle; and an unsure one on the left."""

    def __init__(self) -> None:
        super().__init__(COCO, 64, 128)
        self.set_error_distribution(ErrorDistribution(torch.zeros(2), torch.ones(2), torch.arange(1.0, 21.0)))

    def training_losses(self, batch, loss) -> LossDict:
        raise NotImplementedError

    def config(self):
        return {}

    def detect(self, images, sizes):
        found = []
        for image in images:
            rows, columns = (image[0] > 127).nonzero().unbind(dim=1)
            if not len(rows):
                found.append(nobody(self))
                continue
            low, high = ([float(at) for at in (f(columns), f(rows))] for f in (torch.amin, torch.amax))
            boxes = torch.tensor([[*low, *high], [0.0, 0.0, 5.0, 5.0]])
            mu = torch.zeros(2, 17, 2)
            said = Prediction(mu, torch.full_like(mu, 0.1), torch.full((2, 17), 0.5), self.error_distribution)
            found.append(Detections(boxes, torch.tensor([0.9, 0.2]), said, box_maps(boxes)))
        return found


def bright_picture(width: int = 200, height: int = 100) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    image[20:60, 50:90] = 255
    return image


def test_a_large_photograph_is_seen_as_it_is_measured(tmp_path):
    """JPEGs are decoded to a fraction: what is found is what evaluation finds."""
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    cv2.imwrite(str(file := tmp_path / "large.jpg"), noise)
    torch.manual_seed(0)
    options = PointSetOptions(channels=16, depth=1, least_score=0.0)
    backbone = create_backbone("resnet18", (64, 64), neck=False, all_branches=True)
    model = PointSetAnchors(backbone, COCO, True, options, 64, 128)

    class One:
        skeleton = COCO

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> LabelledImage:
            return LabelledImage(file, 1, ())

    measured = evaluate_detector(model, One()).rows[0].people
    found = Finder(model, "cpu", least_score=0.0)(file)
    assert len(found) == len(measured.boxes) > 0
    assert np.allclose(found.keypoints, measured.keypoints, atol=1e-2)
    boxes = Finder(model, "cpu", least_score=0.0).boxes(file)
    assert np.allclose(boxes[:, 4], measured.box_scores[: len(boxes)], atol=1e-5)


def test_people_are_found_in_pixels_of_the_image(tmp_path):
    finder = Finder(Bright(), "cpu", batch_size=2)
    cv2.imwrite(str(tmp_path / "one.png"), bright_picture())
    sources = [bright_picture(), tmp_path / "one.png", np.zeros((50, 60, 3), np.uint8)]
    found = list(finder.many(sources))
    assert [len(poses) for poses in found] == [1, 1, 0]
    assert np.allclose(found[0].boxes, [[50, 20, 39, 39]], atol=1.6)  # it sees pixels of 1.6
    assert np.allclose(found[0].keypoints, [[[69.5, 39.5]] * 17], atol=1)
    assert np.allclose(found[0].sigma, 3.9, atol=0.2)
    assert found[0].scores.tolist() == pytest.approx([0.9])
    assert np.allclose(found[1].keypoints, found[0].keypoints)
    assert found[1].path == tmp_path / "one.png"
    everybody = Finder(Bright(), "cpu", least_score=0.0, scoring="product")(str(tmp_path / "one.png"))
    assert everybody.scores.tolist() == pytest.approx([0.45, 0.1])


def test_images_in_memory_in_other_forms():
    finder = Finder(Bright(), "cpu", least_score=0.0)
    image = bright_picture()
    expected, boxes = finder(image).keypoints, finder.boxes(image)
    for given in (image / 255, torch.from_numpy(image).permute(2, 0, 1), np.dstack([image, image[..., 0]])):
        np.testing.assert_array_equal(finder(given).keypoints, expected)
        np.testing.assert_array_equal(finder.boxes(given), boxes)
    for take in (finder, finder.boxes):
        with pytest.raises(InputError, match="uint8"):
            take(None)


def test_pictures_that_cannot_be_read_are_told_and_left_out(tmp_path):
    (tmp_path / "bad.jpg").write_text("no")
    finder = Finder(Bright(), "cpu", batch_size=2)
    sources = [np.zeros((50, 60, 3), np.uint8), tmp_path / "bad.jpg", bright_picture()]
    with pytest.raises(InputError, match=r"bad\.jpg"):
        list(finder.many(sources))
    told = []
    assert [len(poses) for poses in finder.many(sources, told.append)] == [0, 1]
    assert [str(error).partition(":")[0] for error in told] == [str(tmp_path / "bad.jpg")]


class AtTheEdge(Bright):
    """Finds boxes without a width, beyond the picture, and across its edge."""

    def detect(self, images, sizes):
        boxes = torch.tensor([[0.0, 10.0, 0.0, 40.0], [200.0, 10.0, 220.0, 40.0], [-10.0, 50.0, 30.0, 90.0]])
        mu = torch.zeros(3, 17, 2)
        said = Prediction(mu, torch.full_like(mu, 0.1), torch.full((3, 17), 0.5), self.error_distribution)
        return [Detections(boxes, torch.tensor([0.9, 0.8, 0.7]), said, box_maps(boxes)) for _ in images]


def test_boxes_are_parts_of_the_picture():
    boxes = Finder(AtTheEdge(), "cpu").boxes(np.zeros((64, 100, 3), np.uint8))
    assert boxes == pytest.approx(np.array([[0, 50, 30, 14, 0.7]]), abs=1)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, :2] + boxes[:, 2:4] <= (100, 64)).all()


def test_a_detectors_boxes_go_to_a_model_of_crops(law_in_space):
    torch.manual_seed(0)
    model = RegressionModel(create_backbone("resnet18", (64, 48)), COCO, (64, 48))
    model.set_error_distribution(ErrorDistribution(torch.zeros(2), torch.ones(2), torch.arange(1.0, 21.0)))
    finder, predictor = Finder(Bright(), "cpu"), Predictor(model, "cpu")
    image = bright_picture()
    boxes = finder.boxes(image)
    assert boxes.shape == (1, 5)
    by_callable, by_boxes = predictor(image, boxes=finder.boxes), predictor(image, boxes=boxes)
    assert np.array_equal(by_callable.keypoints, by_boxes.keypoints)
    assert np.array_equal(by_callable.scores, by_boxes.scores)
    assert len(predictor(np.zeros_like(image), boxes=finder.boxes)) == 0
    assert len(predictor(image, boxes=lambda _: [[10, 10, 30, 40]])) == 1
    with pytest.raises(InputError, match="box 0 is not"):
        predictor(image, boxes=lambda _: [[10, 10, 0, 40]])


def test_other_models_find_nobody_by_themselves(model_in_space):
    with pytest.raises(InputError, match="crops of 64×48"):
        Finder(model_in_space)


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """Checkpoint of an untrained Mask R-CNN, whose boxes are sure of themselves."""
    from logpose.losses import RLELoss
    from logpose.models import MaskRCNN, MaskRCNNOptions
    from logpose.training.checkpoint import save

    torch.manual_seed(0)
    model = MaskRCNN(
        COCO,
        backbone="resnet18",
        short=64,
        longest=128,
        options=MaskRCNNOptions(
            frozen=False,
            channels=16,
            box_head_width=32,
            keypoint_head_channels=(16,),
            anchor_sizes=(8, 16, 32, 64, 96),
            samples_per_image=(32, 16),
            rpn_pre_nms_top_n=(60, 40),
            rpn_post_nms_top_n=(30, 20),
            detections_per_image=5,
        ),
    )
    torch.nn.init.constant_(model.roi_heads.box_predictor.cls_score.bias[1:], 3.0)
    loss = RLELoss()
    model.set_error_distribution(loss.error_distribution())
    save(model, loss, folder := tmp_path_factory.mktemp("detector") / "model")
    return folder


@with_torchvision
def test_predict_needs_no_boxes(detector, command, coco_folder, tmp_path):
    photographs = coco_folder / "val2017" if (coco_folder / "val2017").is_dir() else coco_folder / "val"
    code, _, err = command(
        "predict", detector, photographs, "--save-json", tmp_path / "people.json", "--save-images", tmp_path / "drawn",
        "--save-npz", tmp_path / "people.npz",
    )  # fmt: skip
    assert code == 0, err
    rows = json.loads((tmp_path / "people.json").read_text())
    assert len(rows) > 8
    assert all(len(row["keypoints"]) == 51 and len(row["sigma"]) == 34 and len(row["bbox"]) == 4 for row in rows)
    assert all(row["score"] >= 0.5 for row in rows)
    assert len(list((tmp_path / "drawn").iterdir())) == len(list(photographs.iterdir())) == 8
    with np.load(tmp_path / "people.npz") as arrays:
        assert arrays["keypoints"].shape == (len(rows), 17, 2)
    assert "nobody" not in err
    code, out, err = command("predict", detector, photographs, "--box-score", "0.999", "--json")
    assert code == 0
    assert json.loads(out) == []
    assert "8 images" in err
    assert "--box-score" in err


@with_torchvision
@pytest.mark.parametrize(
    "flags",
    [("--boxes", "boxes.json"), ("--detector", "x"), ("--nms",), ("--flip-test",), ("--box-category", "1"),
     ("--root-depth", "3"), ("--picture", "10", "10")],
)  # fmt: skip
def test_flags_about_crops_are_refused(detector, refused, coco_folder, flags):
    message = refused("predict", detector, coco_folder, *flags)
    assert flags[0] in message
    assert "detection models" in message


@with_torchvision
def test_a_detector_finds_the_boxes_for_a_model_of_crops(detector, tiny_run, command, coco_folder):
    photograph = next((coco_folder / "val").iterdir())
    code, out, err = command("predict", tiny_run / "best.ckpt", photograph, "--detector", detector, "--json")
    assert code == 0, err
    rows = json.loads(out)
    boxes = Finder(detector, "cpu").boxes(read_image(photograph))
    assert np.allclose([row["bbox"] for row in rows], boxes[:, :4], atol=1e-2)
    code, out, _ = command(
        "predict", tiny_run / "best.ckpt", photograph, "--detector", detector, "--box-score", "1", "--nms", "--json"
    )
    assert code == 0
    assert json.loads(out) == []


@with_torchvision
def test_boxes_come_from_one_place(detector, tiny_run, refused, coco_folder):
    words = ("predict", tiny_run / "best.ckpt", coco_folder)
    assert "--boxes and --detector" in refused(*words, "--detector", detector, "--boxes", "b.json")
    assert "best.ckpt" in refused(*words, "--detector", tiny_run / "best.ckpt")
    assert "--box-score lies in [0, 1], got 2" in refused("predict", detector, coco_folder, "--box-score", 2)


def test_whom_a_model_is_sure_of_goes_with_its_kind():
    assert PointSetAnchors.score_threshold < Detector.score_threshold == 0.5
    model = Bright()
    assert Finder(model, "cpu").least_score == 0.5
    assert Finder(model, "cpu", least_score=0.1).least_score == 0.1


@with_torchvision
def test_eval_measures_a_detector(detector, command, refused, coco_folder, tmp_path):
    code, out, err = command("eval", detector, coco_folder, "--json", "--save-json", tmp_path / "found.json")
    assert code == 0, err
    figures = json.loads(out)
    assert figures["images"] == 8
    assert 0 <= figures["ap"] <= 1
    assert len(json.loads((tmp_path / "found.json").read_text())) == figures["found"]
    for flags in (("--boxes", "b.json"), ("--flip-test",)):
        message = refused("eval", detector, coco_folder, *flags)
        assert message.startswith(f"logpose: {flags[0]}: ")
        assert "detection" in message


@with_torchvision
def test_commands_about_crops_say_what_it_is(detector, refused, command, coco_folder, tmp_path):
    with pytest.raises(InputError, match="detection"):
        Predictor(detector)
    assert "detection" in refused("inspect", coco_folder, "--model", detector)
    code, counts, err = command("complexity", detector)
    assert code == 0, err
    assert "MAC" in counts
    code, _, err = command("convert", detector, "--out", tmp_path / "copy")
    assert code == 0, err
    assert "short side has 64 pixels" in err
    assert len(Finder(tmp_path / "copy", "cpu")(bright_picture())) == len(Finder(detector, "cpu")(bright_picture()))


def test_weights_that_are_not_finite_are_refused():
    """Such a model finds nobody, which would be taken for what is in the picture."""
    model = PointSetAnchors(create_backbone("resnet18", (64, 64), neck=False), COCO, short=64, longest=96)
    with torch.no_grad():
        next(iter(model.parameters())).flatten()[0] = torch.nan
    with pytest.raises(InputError, match="weights are not finite; it has diverged"):
        Finder(model, "cpu")
