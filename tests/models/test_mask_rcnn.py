"""Mask R-CNN: counts, what it learns from and by what, what it finds, weights from elsewhere, and odd images."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
import pytest
import torch

from logpose.core.compat import patch_torchvision
from logpose.core.errors import InputError
from logpose.core.samples import Sample
from logpose.core.skeletons import COCO, Skeleton
from logpose.data.image_sets import LabelledImage
from logpose.data.scenes import SceneBatch, ShortSide, join, scene
from logpose.losses import CellLoss, L1Loss, RLELoss, WithHeatmaps
from logpose.models import MaskRCNN, MaskRCNNOptions
from logpose.models.mask_rcnn import learns_normalisation, load_mask_rcnn_weights
from logpose.models.regions import peaks_in_boxes
from logpose.training.checkpoint import load, save

with_torchvision = pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is an extra")
TINY = {
    "backbone": "resnet18", "short": 64, "longest": 96, "frozen": False, "channels": 16, "box_head_width": 32,
    "anchor_sizes": (8, 16, 32, 64, 96), "keypoint_head_channels": (16, 16), "samples_per_image": (32, 16),
    "rpn_pre_nms_top_n": (60, 40), "rpn_post_nms_top_n": (30, 20), "detections_per_image": 10,
}  # fmt: skip


def network(skeleton: Skeleton = COCO, **chosen: Any) -> MaskRCNN:
    """A network of arguments and options, by their names."""
    options = {name: chosen.pop(name) for name in MaskRCNNOptions.arguments() if name in chosen}
    return MaskRCNN(skeleton, **chosen, options=MaskRCNNOptions(**options))


def counted(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def image_of(boxes: list[tuple[float, ...]], size: tuple[int, int] = (64, 80), labelled: bool = True) -> LabelledImage:
    rng = np.random.default_rng(len(boxes))
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    people = tuple(
        Sample(
            image, np.array(box, dtype=float), np.array(box[:2]) + rng.uniform(-0.2, 1.2, (17, 2)) * box[2:4],
            np.full(17, 2 if labelled else 0), float(box[2] * box[3]), 1, i,
        )
        for i, box in enumerate(boxes)
    )  # fmt: skip
    return LabelledImage(image, 1, people)


def batch_of(*scenes: LabelledImage) -> SceneBatch:
    return join([scene(one, COCO, ShortSide((64,), 96), i) for i, one in enumerate(scenes)])


LOSSES = {"regression": RLELoss, "heatmap": CellLoss}
ODD = {
    "two people": [(10, 10, 20, 40), (40, 20, 30, 40)],
    "nobody": [],
    "a crowd of 60": [(5.0 * (i % 12), 10.0 * (i // 12), 12.0, 20.0) for i in range(60)],
    "at the border": [(-20, -10, 40, 40), (70, 50, 30, 40), (0, 0, 80, 64)],
    "hardly there": [(79.5, 10, 30, 30), (10, 10, 1.2, 1.2)],
}


@with_torchvision
@pytest.mark.parametrize("head", LOSSES)
@pytest.mark.parametrize("who", ODD)
def test_losses_and_gradients_are_finite_whatever_the_scene(head, who):
    torch.manual_seed(0)
    model, loss = network(COCO, head=head, **TINY), LOSSES[head]()
    outcome = model.training_losses(batch_of(image_of(ODD[who]), image_of([])), loss)
    assert set(outcome.losses) == {"objectness", "proposals", "classes", "boxes", "keypoints"}
    assert all(value.isfinite() for value in outcome.losses.values())
    outcome.total.backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters()}
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    if who == "nobody":
        assert outcome.losses["keypoints"] == 0


@with_torchvision
@pytest.mark.parametrize("head", LOSSES)
def test_an_image_that_is_all_crowd_has_no_loss_and_no_nan(head):
    torch.manual_seed(0)
    model = network(COCO, head=head, **TINY)
    batch = batch_of(image_of([]))
    batch.people[0].ignored = torch.tensor([[-1e4, -1e4, 2e4, 2e4]])
    outcome = model.training_losses(batch, LOSSES[head]())
    assert {name: float(value.detach()) for name, value in outcome.losses.items()} == dict.fromkeys(outcome.losses, 0.0)
    outcome.total.backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in model.parameters())


@with_torchvision
@pytest.mark.parametrize("head", LOSSES)
def test_it_learns_and_finds_under_autocast(head):
    torch.manual_seed(0)
    model, batch = network(COCO, head=head, **TINY), batch_of(image_of(ODD["two people"]))
    with torch.autocast("cpu", torch.bfloat16):
        model.training_losses(batch, LOSSES[head]()).total.backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        (found,) = model.eval().predict(batch)
    assert len(found) > 0
    assert found.keypoints().isfinite().all()
    assert found.boxes.dtype == torch.float32


@with_torchvision
def test_people_without_labelled_joints_teach_boxes_only():
    torch.manual_seed(0)
    model = network(COCO, **TINY)
    outcome = model.training_losses(batch_of(image_of([(10, 10, 30, 40)], labelled=False)), RLELoss())
    assert outcome.losses["keypoints"] == 0
    assert outcome.losses["boxes"] > 0


@with_torchvision
@pytest.mark.parametrize("head", LOSSES)
def test_an_untrained_model_finds_well_formed_people(head):
    torch.manual_seed(0)
    model = network(COCO, head=head, **TINY).eval()
    batch = batch_of(image_of([(10, 10, 30, 40)], (64, 48)), image_of([], (32, 90)))
    with torch.inference_mode():
        found = model.predict(batch)
    assert len(found) == 2
    for people, (height, width) in zip(found, batch.sizes.tolist(), strict=True):
        assert 0 < len(people) <= TINY["detections_per_image"]
        assert people.keypoints().shape == (len(people), 17, 2)
        assert people.keypoints().isfinite().all()
        assert people.prediction.confidence.isfinite().all()
        assert ((people.box_scores >= 0) & (people.box_scores <= 1)).all()
        assert (people.box_scores[1:] <= people.box_scores[:-1]).all()
        assert (people.boxes >= 0).all()
        assert (people.boxes <= torch.tensor([width, height, width, height])).all()
        assert people.prediction.maps is None


@with_torchvision
def test_a_model_without_proposals_finds_nobody():
    model = network(COCO, **TINY).eval()
    torch.nn.init.constant_(model.rpn.head.bbox_pred.bias, float("nan"))
    with torch.inference_mode():
        found = model.predict(batch_of(image_of([])))
    assert [len(people) for people in found] == [0]
    with pytest.raises(RuntimeError, match="call eval"):
        model.train().predict(batch_of(image_of([])))


class Kept(L1Loss):
    """Keeps what it is asked of."""

    def of_prediction(self, prediction, target, weight):
        self.asked = prediction, target, weight
        return super().of_prediction(prediction, target, weight)


@with_torchvision
@pytest.mark.parametrize("frame", [1.0, 1.25])
@pytest.mark.parametrize("outside", ["supervise", "mask"])
def test_joints_are_learned_relative_to_the_proposals_box(outside, frame, monkeypatch):
    """The labels are those of the people, in the frame of each sampled box that shows a joint of theirs."""
    model, loss = network(COCO, predicts_sigma=False, outside=outside, roi_scale=frame, **TINY), Kept()
    batch = batch_of(image_of([(10, 10, 30, 40), (45, 10, 30, 40)], (64, 80)))
    boxes = torch.tensor(
        [[8.0, 12.0, 44.0, 48.0], [0.0, 50.0, 6.0, 60.0], [42.0, 5.0, 62.0, 50.0], [40.0, 0.0, 44.0, 2.0]]
    )
    sampled = [boxes], [torch.tensor([0, 0, 1, 1])], [torch.tensor([1, 0, 1, 1])]
    monkeypatch.setattr(model.roi_heads, "sampled", lambda *_: sampled)
    model.training_losses(batch, loss)
    prediction, target, weight = loss.asked
    rows = []
    for box, person in ((boxes[0], 0), (boxes[2], 1)):  # the second shows nobody, the last no joint
        middle, side = (box[:2] + box[2:]).numpy() / 2, (box[2:] - box[:2]).numpy()
        rows.append((batch.people[0].keypoints[person].numpy() - middle) / (frame * side))
    assert prediction.mu.shape == target.shape == (2, 17, 2)
    assert np.allclose(target, rows, atol=1e-5)
    inside = (np.abs(rows) <= 0.5).all(axis=-1)
    assert not inside.all()
    assert (weight.numpy() == (inside if outside == "mask" else 1)).all()


@with_torchvision
def test_the_networks_parameters_are_torchvisions():
    """The heatmap network is torchvision's, name for name; the paper's has its head instead."""
    patch_torchvision()
    from torchvision.models.detection import keypointrcnn_resnet50_fpn

    with torch.device("meta"):
        theirs = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    ours = network(COCO, head="heatmap")
    shapes = {name: tuple(tensor.shape) for name, tensor in ours.state_dict().items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in theirs.items() if "num_batches_tracked" not in name}
    assert {name: shape for name, shape in shapes.items() if not name.startswith(("error_", "pixel_"))} == wanted
    assert counted(ours.roi_heads.keypoint_head) == 17_698_816
    assert counted(ours.roi_heads.keypoint_predictor) == 139_281


@with_torchvision
@pytest.mark.parametrize("head", LOSSES)
def test_checkpoints_hold_the_model(head, tmp_path):
    torch.manual_seed(0)
    model = network(COCO, head=head, outside="mask", coordinates="cells", **TINY)
    loss = LOSSES[head]()
    if head == "regression":
        model.set_error_distribution(loss.error_distribution())
    save(model.eval(), loss, tmp_path / "model")
    again, density = load(tmp_path / "model")
    assert isinstance(again, MaskRCNN)
    assert again.config() == model.config()
    assert (density is None) == (head == "heatmap")
    batch = batch_of(image_of([]))
    with torch.inference_mode():
        before, after = model.predict(batch)[0], again.predict(batch)[0]
    assert torch.equal(before.boxes, after.boxes)
    assert torch.equal(before.prediction.mu, after.prediction.mu)


@with_torchvision
@pytest.mark.parametrize(("places", "side"), [("cells", 14), ("maps", 56)])
def test_cells_that_places_are_read_from_have_a_loss_too(places, side, tmp_path):
    torch.manual_seed(0)
    model = network(COCO, coordinates=places, with_logits=True, sharpness=2.0, **TINY)
    assert model.output_type == "coordinates and heatmap logits"
    loss, batch = WithHeatmaps(RLELoss(), weight=2.0, cells=True), batch_of(image_of(ODD["two people"]))
    random = torch.get_rng_state()
    both = model.training_losses(batch, loss)
    torch.set_rng_state(random)
    alone = model.training_losses(batch, loss.density)
    cells = float((both.losses["keypoints"] - alone.losses["keypoints"]).detach()) / 2
    assert cells == pytest.approx(math.log(side * side), rel=0.3)  # of a network that has not learned any is as likely
    both.total.backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())
    model.set_error_distribution(loss.error_distribution())
    save(model.eval(), loss, tmp_path / "model")
    again, density = load(tmp_path / "model")
    assert again.config() == model.config()
    assert density.config() == loss.density.config()
    with torch.inference_mode():
        (found,), (before,) = again.predict(batch), model.predict(batch)
    assert torch.equal(found.prediction.mu, before.prediction.mu)
    assert found.prediction.maps is None
    assert found.prediction.sigma.unique().numel() > 1  # of the regression, not read off maps
    for wrong in ({}, {"head": "heatmap", "coordinates": "cells"}):
        with pytest.raises(InputError, match="with_logits"):
            network(COCO, with_logits=True, **wrong, **TINY)


@with_torchvision
def test_weights_of_torchvisions_keypoint_network_load(tmp_path):
    """Also with the names of torchvision's older versions, which the published file has."""
    torch.manual_seed(0)
    source = network(COCO, head="heatmap", **{**TINY, "frozen": True})
    state = {name: tensor for name, tensor in source.state_dict().items() if not name.startswith(("error_", "pixel_"))}
    old = {}
    for name, tensor in state.items():
        for part in ("inner_blocks", "layer_blocks"):
            if part in name:
                name = name.replace(".0.weight", ".weight").replace(".0.bias", ".bias")
        old[name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")] = tensor
    assert old.keys() != state.keys()
    for names in (state, old):
        torch.save(names, tmp_path / "weights.pth")
        model = network(COCO, head="heatmap", **{**TINY, "frozen": True})
        load_mask_rcnn_weights(model, str(tmp_path / "weights.pth"))
        assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in state.items())
        assert model.options.norm_eps == 0.0


@with_torchvision
def test_a_heatmap_network_hands_its_trunk_to_the_papers(tmp_path, caplog):
    torch.manual_seed(0)
    trained = network(COCO, head="heatmap", **TINY)
    save(trained, CellLoss(), tmp_path / "heatmaps")
    model = network(COCO, **TINY)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    load_mask_rcnn_weights(model, str(tmp_path / "heatmaps"))
    assert "another last layer" in caplog.text
    for name, tensor in model.state_dict().items():
        if name.startswith("roi_heads.keypoint_predictor") or name.startswith("error_"):
            assert torch.equal(tensor.nan_to_num(), before[name].nan_to_num())
        else:
            assert torch.equal(tensor, trained.state_dict()[name])


@with_torchvision
def test_a_heatmap_network_hands_over_its_maps_to_one_that_reads_places_from_them(tmp_path, caplog):
    torch.manual_seed(0)
    trained = network(COCO, head="heatmap", **TINY)
    save(trained, CellLoss(), tmp_path / "heatmaps")
    model = network(COCO, coordinates="maps", **TINY)
    sigma = model.state_dict()["roi_heads.keypoint_predictor.fc_sigma.weight"].clone()
    load_mask_rcnn_weights(model, str(tmp_path / "heatmaps"))
    assert "no sigma" in caplog.text
    handed, kept = model.state_dict(), trained.state_dict()
    assert torch.equal(handed["roi_heads.keypoint_predictor.fc_sigma.weight"], sigma)
    names = [name for name in kept if not name.startswith("error_")]
    assert any("kps_score_lowres" in name for name in names)
    assert all(torch.equal(handed[name], kept[name]) for name in names)
    batch = batch_of(image_of(ODD["two people"]))
    outcome = model.training_losses(batch, RLELoss())
    outcome.total.backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


@with_torchvision
def test_what_a_checkpoint_holds_of_itself_is_kept(tmp_path, caplog):
    """The eps of COCO's weights; and maps of other joints are not taken for these."""
    torch.manual_seed(0)
    trained = network(COCO, head="heatmap", **{**TINY, "frozen": True})
    trained.set_eps(0.0)
    save(trained, CellLoss(), tmp_path / "heatmaps")
    again = network(COCO, coordinates="maps", roi_scale=1.25, **{**TINY, "frozen": True})
    load_mask_rcnn_weights(again, str(tmp_path / "heatmaps"))
    assert again.options.norm_eps == 0.0
    hands = Skeleton("hand", tuple(f"point {i}" for i in range(17)))
    other = network(hands, coordinates="maps", **{**TINY, "frozen": True})
    name = "roi_heads.keypoint_predictor.kps_score_lowres.weight"
    before = other.state_dict()[name].clone()
    load_mask_rcnn_weights(other, str(tmp_path / "heatmaps"))
    assert "is of other joints" in caplog.text
    assert torch.equal(other.state_dict()[name], before)
    assert torch.equal(
        other.state_dict()["rpn.head.bbox_pred.weight"], trained.state_dict()["rpn.head.bbox_pred.weight"]
    )


@with_torchvision
@pytest.mark.parametrize("form", ["folder", "tensors", "state_dict", "legacy"])
def test_weights_of_a_checkpoint_load_in_any_form(form, tmp_path):
    """Also where nothing beside the tensors is known of joints and regions."""
    torch.manual_seed(0)
    trained = network(COCO, head="heatmap", **TINY)
    save(trained, CellLoss(), tmp_path / "folder")
    state = {f"model.{name}": tensor for name, tensor in trained.state_dict().items()}
    torch.save(state, tmp_path / "state_dict.pth")
    torch.save({"state_dict": state}, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    forms = {
        "folder": "folder", "tensors": "folder/model.safetensors", "state_dict": "state_dict.pth",
        "legacy": "legacy.pth",
    }  # fmt: skip
    model = network(COCO, coordinates="maps", **TINY)
    load_mask_rcnn_weights(model, str(tmp_path / forms[form]))
    name = "roi_heads.keypoint_predictor.kps_score_lowres.weight"
    assert torch.equal(model.state_dict()[name], trained.state_dict()[name])


@with_torchvision
@pytest.mark.parametrize(
    ("source", "message"),
    [("coco", "are of a resnet50, and the backbone is resnet18"), ("cocoo", "'coco', 'imagenet' or")],
)
def test_weights_that_cannot_be_had_are_refused(source, message):
    with pytest.raises(InputError, match=message):
        load_mask_rcnn_weights(network(COCO, **TINY), source)


@with_torchvision
@pytest.mark.parametrize(("head", "logits"), [("regression", True), ("regression", False), ("heatmap", False)])
def test_joints_lie_where_the_head_predicts_in_the_region_around_the_box(head, logits):
    """Mu is the regression's, peaks are the maps', both in a region a quarter larger than the box."""
    torch.manual_seed(0)
    places = "maps" if head == "regression" else "average"
    model = network(COCO, head=head, coordinates=places, with_logits=logits, roi_scale=1.25, **TINY, min_map_size=112)
    model.eval()
    batch = batch_of(image_of(ODD["two people"]))
    with torch.inference_mode():
        (found,) = model.detect(batch.images, batch.sizes)
        assert len(found)
        middle, half = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2, (found.boxes[:, 2:] - found.boxes[:, :2]) / 2
        regions = torch.cat([middle - 1.25 * half, middle + 1.25 * half], dim=1)
        levels = list(model.backbone(model.inputs(batch.images, batch.sizes)).values())[:4]
        prediction = model.posed(levels, [regions])
        mu = peaks_in_boxes(prediction.maps, regions, 112)[0] if head == "heatmap" else prediction.mu
    torch.testing.assert_close(found.prediction.mu, mu, atol=1e-5, rtol=0)
    expected = regions[:, None, :2] + (mu + 0.5) * (regions[:, 2:] - regions[:, :2])[:, None]
    torch.testing.assert_close(found.keypoints(), expected, atol=1e-3, rtol=0)


@with_torchvision
def test_a_normalisation_that_learned_goes_on_learning(tmp_path):
    for frozen in (True, False):
        save(network(COCO, **{**TINY, "frozen": frozen}), CellLoss(), tmp_path / str(frozen))
        assert learns_normalisation(str(tmp_path / str(frozen))) is not frozen
    from logpose.models import ResNet

    torch.save(ResNet(18).state_dict(), tmp_path / "resnet18.pth")
    assert not learns_normalisation(str(tmp_path / "resnet18.pth"))
    assert not learns_normalisation("imagenet")
    assert learns_normalisation("random")


@with_torchvision
def test_labelled_joints_count_alike():
    """Those of a person with one labelled joint as those of a person with all."""
    torch.manual_seed(0)
    shown = image_of(ODD["two people"])
    shown.people[1].visible[1:] = 0
    weights: list[torch.Tensor] = []
    network(COCO, **TINY).training_losses(batch_of(shown), Spy(weights))
    assert {float(row.sum()) for row in weights[0]} == {1.0, 17.0}


class Spy(RLELoss):
    """Keeps the weights of joints."""

    def __init__(self, kept: list[torch.Tensor]) -> None:
        super().__init__()
        self.kept = kept

    def of_prediction(self, prediction, target, weight):
        self.kept.append(weight)
        return super().of_prediction(prediction, target, weight)


@with_torchvision
def test_weights_of_a_backbone_alone_load(tmp_path):
    from logpose.models import ResNet

    torch.manual_seed(0)
    body = ResNet(18)
    torch.save(body.state_dict(), tmp_path / "resnet18.pth")
    for frozen in (True, False):
        model = network(COCO, **{**TINY, "frozen": frozen})
        load_mask_rcnn_weights(model, str(tmp_path / "resnet18.pth"))
        assert torch.equal(model.backbone.body.layer4[1].conv2.weight, body.layer4[1].conv2.weight)


@with_torchvision
def test_weights_that_do_not_fit_are_refused(tmp_path):
    save(network(COCO, **TINY), None, tmp_path / "narrow")
    model = network(COCO, **{**TINY, "channels": 24})
    with pytest.raises(InputError, match=r"narrow: not weights of this Mask R-CNN; \d+ tensors .*fpn"):
        load_mask_rcnn_weights(model, str(tmp_path / "narrow"))
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(InputError, match=r"text\.pth"):
        load_mask_rcnn_weights(model, str(tmp_path / "text.pth"))


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": "vgg"},
        {"anchor_sizes": (8, 16)},
        {"keypoint_head_channels": ()},
        {"rpn_post_nms_top_n": (0, 1)},
        {"channels": 0},
        {"aspect_ratios": ()},
        {"rpn_iou_thresholds": (0.3, 0.7)},
        {"roi_scale": 0.0},
        {"min_map_size": -1},
        {"sharpness": 0.0},
    ],
)
def test_networks_that_are_none_are_refused(changes):
    with pytest.raises(InputError, match=next(iter(changes))):
        network(COCO, **{**TINY, **changes})


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
def test_without_torchvision_the_package_to_install_is_named():
    with pytest.raises(InputError, match=r"pip install 'logpose-keypoints\[detect\]'"):
        network(COCO, **TINY)


@with_torchvision
@pytest.mark.slow
def test_it_finds_what_torchvisions_network_finds(monkeypatch):
    """The same weights and image in torchvision's own code give the same boxes, scores and joints."""
    patch_torchvision()
    import torchvision
    from torchvision.models.detection import KeypointRCNN

    monkeypatch.setattr(torchvision.ops.boxes, "_assert_has_ops", lambda: None)
    # Its stand-in for RoIAlign would be compiled first, in minutes.
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    torch.manual_seed(0)
    ours = network(COCO, backbone="resnet18", head="heatmap", short=128, longest=256, frozen=True).eval()
    theirs = KeypointRCNN(ours.backbone, num_classes=2, min_size=128, max_size=256).eval()
    state = {name: tensor for name, tensor in ours.state_dict().items() if not name.startswith(("error_", "pixel_"))}
    theirs.load_state_dict(state)
    image = torch.randint(0, 256, (3, 128, 160), dtype=torch.uint8)
    with torch.inference_mode():
        expected = theirs([image / 255])[0]
        found = ours(image[None])[0]
    assert len(found) == len(expected["boxes"]) > 10
    assert torch.allclose(found.boxes, expected["boxes"], atol=1e-2)
    assert torch.allclose(found.box_scores, expected["scores"], atol=1e-4)
    # Theirs has a pixel more or less on a side where a box's extent is a whole number but for rounding.
    apart = (found.keypoints() - expected["keypoints"][..., :2]).abs().amax(dim=-1)
    assert (apart < 0.6).float().mean() > 0.95


@with_torchvision
@pytest.mark.parametrize("form", ["ours", "torchvision"])
def test_of_a_whole_network_the_backbone_alone_may_be_taken(form, tmp_path, caplog):
    torch.manual_seed(0)
    trained = network(COCO, head="heatmap", **{**TINY, "frozen": True})
    trained.set_eps(0.0)
    if form == "ours":
        save(trained, CellLoss(), tmp_path / "weights")
    else:
        torch.save(trained.state_dict(), tmp_path / "weights")
    model = network(COCO, **{**TINY, "frozen": True, "channels": 8})
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    load_mask_rcnn_weights(model, str(tmp_path / "weights"), of="backbone")
    for name, tensor in model.state_dict().items():
        of = trained.state_dict() if name.startswith("backbone.body.") else before
        assert torch.equal(tensor.nan_to_num(), of[name].nan_to_num())
    assert model.options.norm_eps == 0.0
    assert not caplog.text


@with_torchvision
@pytest.mark.parametrize("changes", [{}, {"coordinates": "maps", "with_logits": True}, {"roi_scale": 1.4}])
def test_people_of_fixed_shape_are_those_that_are_detected(changes):
    torch.manual_seed(0)
    model = network(**TINY | changes).eval()
    for name, parameter in model.named_parameters():
        if "cls_" in name and parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    for height, width, size in ((64, 96, (64, 90)), (96, 64, (70, 64))):
        images, sizes = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8), torch.tensor([size])
        with torch.inference_mode():
            (found,), best = model.detect(images, sizes), model.best(images, sizes, 20)
        assert len(best) == 10
        assert (best.box_scores > 0).sum() == len(found) > 1
        assert torch.allclose(best.boxes[: len(found)], found.boxes, atol=1e-3)
        assert torch.allclose(best.box_scores[: len(found)], found.box_scores, atol=1e-5)
        assert torch.allclose(best.keypoints()[: len(found)], found.keypoints(), atol=1e-2)
        assert torch.allclose(best.prediction.sigma[: len(found)], found.prediction.sigma, rtol=1e-3)


@with_torchvision
def test_maps_as_large_as_their_boxes_have_no_fixed_shape():
    with pytest.raises(InputError, match="no fixed shapes"):
        network(**TINY, head="heatmap").eval().best(
            torch.zeros(1, 3, 64, 64, dtype=torch.uint8), torch.tensor([[64, 64]]), 5
        )
