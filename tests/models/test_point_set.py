"""Point-set anchors as a whole: what they learn from, and what they find."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from logpose.core.samples import Sample
from logpose.core.skeletons import COCO, Skeleton
from logpose.core.structures import Prediction
from logpose.data.scenes import LabelledImage, SceneBatch, ScenePeople, join
from logpose.losses import L1Loss, Laplace, RLELoss
from logpose.models import create_backbone
from logpose.models.anchors import default_template
from logpose.models.detector import Detections
from logpose.models.point_set import PointSetAnchors, PointSetOptions, Targets
from logpose.models.towers import StageOutput

SMALL = PointSetOptions(channels=16, depth=1)
K = len(COCO)

pytestmark = pytest.mark.usefixtures("thin_module")


def model_of(sigma: bool = True, backbone: str = "resnet18", **changes: object) -> PointSetAnchors:
    torch.manual_seed(0)
    made = create_backbone(backbone, (64, 64), neck=False, all_branches=True)
    return PointSetAnchors(made, COCO, sigma, replace(SMALL, **changes), short=64, longest=128)


def standing(x: float, y: float, height: float) -> Tensor:
    """Somebody upright whose hips are at (x, y)."""
    return default_template(COCO) * height + torch.tensor([x, y])


def people(*poses: Tensor, ignored: tuple[tuple[float, ...], ...] = ()) -> ScenePeople:
    """People of whom all joints are labelled."""
    keypoints = torch.stack(poses) if poses else torch.zeros(0, K, 2)
    boxes = torch.cat([keypoints.amin(dim=1), keypoints.amax(dim=1)], dim=1) if poses else torch.zeros(0, 4)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    return ScenePeople(boxes, keypoints, torch.ones(len(poses), K), area, torch.tensor(ignored).view(-1, 4))


def batch_of(*pictures: ScenePeople, size: tuple[int, int] = (64, 64), seed: int = 0) -> SceneBatch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (len(pictures), 3, *size), generator=generator, dtype=torch.uint8)
    maps = torch.eye(2, 3).expand(len(pictures), 2, 3)
    return SceneBatch(images, torch.tensor([size] * len(pictures)), maps, torch.arange(len(pictures)), list(pictures))


def check(found: list[Detections], size: tuple[int, int]) -> None:
    """Well formed: best first, boxes in the picture, everything finite and of its shape."""
    for one in found:
        count = len(one)
        assert one.boxes.shape == (count, 4)
        assert one.keypoints().shape == one.prediction.sigma.shape == (count, K, 2)
        assert one.to_input.shape == (count, 2, 3)
        for part in (one.boxes, one.box_scores, one.keypoints(), one.prediction.mu, one.prediction.sigma):
            assert part.isfinite().all()
        assert (one.box_scores.diff() <= 0).all()
        assert ((one.box_scores > 0) & (one.box_scores <= 1)).all()
        assert (one.boxes >= 0).all()
        assert (one.boxes[:, 2:] >= one.boxes[:, :2]).all()
        assert (one.boxes[:, 2:] <= torch.tensor(size[::-1])).all()


# --- Learning ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sigma", "loss"), [(False, L1Loss()), (True, RLELoss())], ids=["l1", "rle"])
def test_a_gradient_reaches_every_parameter(sigma: bool, loss: L1Loss | RLELoss) -> None:
    # Anchors small enough that all levels read something of so small a picture.
    model = model_of(sigma, scale=4.0)
    model.training_losses(batch_of(people(standing(30, 34, 50)), people(standing(20, 30, 40))), loss).total.backward()
    inapplicable = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not inapplicable
    assert all(p.grad is not None and p.grad.isfinite().all() for p in loss.parameters())


def test_the_losses_have_names() -> None:
    lesson = model_of().training_losses(batch_of(people(standing(30, 34, 50)), people()), RLELoss())
    each = {"classification", "keypoints", "boxes"}
    assert set(lesson.losses) == each | {f"{name}_2" for name in each} | {"maps", "offsets"}
    assert set(lesson.figures) == {"error_px"}
    assert float(lesson.figures["error_px"]) > 0


HALF = people(standing(0, 30, 50))  # cut in half by the left edge
EDGE = ScenePeople(  # a box at the border, of no width; one labelled joint
    torch.tensor([[63.0, 10.0, 63.0, 30.0]]),
    torch.full((1, K, 2), 63.0),
    torch.eye(K)[:1],
    torch.ones(1),
    torch.zeros(0, 4),
)
UNLABELLED = ScenePeople(
    torch.tensor([[5.0, 5.0, 40.0, 60.0]]), torch.zeros(1, K, 2), torch.zeros(1, K), torch.ones(1), torch.zeros(0, 4)
)
CROWD = people(*(standing(3.0 + i, 20 + 0.4 * i, 5 + 0.5 * i) for i in range(60)), ignored=((0.0, 0.0, 63.0, 63.0),))


@pytest.mark.parametrize(
    "scene", [people(), CROWD, HALF, EDGE, UNLABELLED], ids=["nobody", "crowd", "half", "edge", "unlabelled"]
)
@pytest.mark.parametrize("sigma", [False, True], ids=["l1", "rle"])
def test_losses_and_gradients_are_finite_whoever_is_there(scene: ScenePeople, sigma: bool) -> None:
    model, loss = model_of(sigma), RLELoss() if sigma else L1Loss()
    lesson = model.training_losses(batch_of(scene), loss)
    lesson.total.backward()
    assert all(value.isfinite() for value in (*lesson.losses.values(), *lesson.figures.values()))
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_it_learns_and_finds_under_autocast() -> None:
    model, batch, loss = model_of(), batch_of(people(standing(32, 34, 40.0))), RLELoss()
    exact = model.training_losses(batch, loss).losses
    with torch.autocast("cpu", torch.bfloat16):
        half = model.training_losses(batch, loss)
    half.total.backward()
    for name in set(exact) - {"keypoints", "keypoints_2"}:  # their s is drawn afresh
        assert half.losses[name].item() == pytest.approx(exact[name].item(), rel=0.02), name
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    model.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        check(model.detect(batch.images, batch.sizes), (64, 64))


def targets_of(model: PointSetAnchors, batch: SceneBatch, stage: int = 0) -> tuple[Targets, Tensor, Tensor]:
    levels = model.trunk(model.inputs(batch.images, batch.sizes))
    grid, poses, _ = list(model.run_stages(levels))[stage]
    return model._targets(batch, grid, poses, model.options.thresholds[stage]), poses, grid.scale


def test_what_positive_anchors_learn_leads_to_their_person() -> None:
    model = model_of()
    scene = people(standing(30, 34, 110), standing(50, 20, 60))
    scene.weight[1, :3] = 0
    targets, poses, scale = targets_of(model, batch_of(people(), scene))
    image, row = targets.row
    assert set(image.tolist()) == {1}
    assert 18 <= len(row) < 64 + 16 + 4  # nine for each at least, not all
    reached = poses[image, row] + targets.joints * scale[row, None, None]
    for place, weight in zip(reached, targets.weight, strict=True):
        whose = int(weight[0] == 0)  # the second one has no nose
        there = weight > 0
        assert torch.allclose(place[there], scene.keypoints[whose][there], atol=1e-3)


def test_ignored_regions_and_people_without_joints_teach_nothing() -> None:
    model = model_of()
    box = (0.0, 0.0, 30.0, 63.0)
    for scene in (people(ignored=(box,)), replace_boxes(UNLABELLED, box)):
        targets, _, _ = targets_of(model, batch_of(scene))
        assert len(targets.row[0]) == 0
        of_finest = targets.state[0, :64].view(8, 8)
        assert (of_finest[:, :4] == 0).all()  # cells at 0, 8, 16 and 24
        assert (of_finest[:, 4:] == -1).all()


def test_people_of_whom_no_joint_is_in_the_input_are_not_posed() -> None:
    """A square shows an elbow's sleeve: nine anchors would learn to pose whom nobody sees."""
    model = model_of()
    hand = torch.tensor((50.0, 10.0, 63.0, 63.0))
    beyond = people(standing(100, 34, 60))
    beyond.boxes[0] = hand
    targets, _, _ = targets_of(model, batch_of(beyond))
    assert len(targets.row[0]) == 0
    assert (targets.state[0, :64].view(8, 8)[2:, 7] == 0).all()  # cells in the box are not negative either
    beyond.keypoints[0, 9] = torch.tensor((63.0, 20.0))
    assert len(targets_of(model, batch_of(beyond))[0].row[0]) >= 9


def replace_boxes(scene: ScenePeople, box: tuple[float, ...]) -> ScenePeople:
    return ScenePeople(torch.tensor([box]), scene.keypoints, scene.weight, scene.area, scene.ignored)


def test_anchors_beyond_a_picture_take_no_part() -> None:
    model = model_of()
    batch = batch_of(people(standing(20, 34, 110)))
    batch.sizes[0] = torch.tensor([64, 40])
    targets, _, _ = targets_of(model, batch)
    assert (targets.state[0, :64].view(8, 8)[:, 5:] == 0).all()
    assert (targets.state[0, :64].view(8, 8)[:, :5] != 0).any()
    assert all(column % 8 < 5 for column in targets.row[1].tolist() if column < 64)


def test_the_second_stage_begins_where_the_first_one_led() -> None:
    model = model_of()
    batch = batch_of(people(standing(30, 34, 60)))
    levels = model.trunk(model.inputs(batch.images, batch.sizes))
    (grid, first, told), (_, second, _) = model.run_stages(levels)
    assert torch.equal(first[0], grid.poses)
    assert torch.allclose(second, first + told.poses[..., :2] * grid.scale[:, None, None])
    assert not second.requires_grad


def test_the_loss_counts_a_sum_over_joints_for_each_positive_anchor() -> None:
    scene = people(standing(30, 34, 110))
    four = [5, 6, 11, 12]
    scene.weight[0] = torch.zeros(K).index_fill(0, torch.tensor(four), 1.0)
    losses = []
    for weight in (10.0, None):
        model = model_of(sigma=False, pose_weight=weight)
        batch = batch_of(scene)
        levels = model.trunk(model.inputs(batch.images, batch.sizes))
        grid, poses, told = next(model.run_stages(levels))
        targets = model._targets(batch, grid, poses, (0.5, 0.4))
        value = model._stage_losses(told, targets, L1Loss())["keypoints"]
        apart = (told.poses[targets.row] - targets.joints).abs()[:, four].sum()
        assert float(value.detach()) == pytest.approx(10 * float(apart.detach()) / len(targets.weight), rel=1e-4)
        losses.append(float(value.detach()))
    assert losses[0] == losses[1]  # 10 is what L1 has


def test_the_joints_pull_alike_however_small_sigma_is() -> None:
    scene = people(standing(30, 34, 110))
    model = model_of()
    batch = batch_of(scene)
    levels = model.trunk(model.inputs(batch.images, batch.sizes))
    grid, poses, told = next(model.run_stages(levels))
    targets = model._targets(batch, grid, poses, (0.5, 0.4))
    rle = RLELoss().eval()
    for logit in (0.0, -1.0, -3.0, -5.0):
        poses = told.poses.detach().clone()
        poses[..., 2:] = logit
        poses.requires_grad_()
        pulls = []
        for loss in (Laplace(), rle):
            torch.manual_seed(0)
            value = model._stage_losses(told._replace(poses=poses), targets, loss)["keypoints"]
            (gradient,) = torch.autograd.grad(value, poses)
            pulls.append(float(gradient[..., :2].abs().sum()))
        torch.manual_seed(0)  # the same estimate of s each time
        with torch.no_grad():
            mu, sigma = poses[targets.row].split(2, dim=-1)
            claim = Prediction(mu, sigma.sigmoid(), sigma[..., 0], model.error_distribution)
            plain = rle.of_prediction(claim, targets.joints, targets.weight)
        # Ten times sigma, and the seventeen joints that the loss is a mean over.
        assert float(value.detach()) == pytest.approx(10 / (1 + math.exp(-logit)) * K * float(plain), rel=0.05)
        # That of the published L1, whose weight is 10: of each of the joints' two coordinates, a mean over anchors.
        assert pulls[0] == pytest.approx(10 * K * 2, rel=1e-3)
        assert pulls[0] / 2 < pulls[1] < pulls[0] * 2


def test_the_anchors_are_the_mean_pose_of_the_training_data() -> None:
    model = model_of()
    wide = standing(0, 0, 50) * torch.tensor([3.0, 1.0])
    shown = [Sample(np.zeros((9, 9, 3), np.uint8), np.ones(4), wide.double().numpy(), np.full(K, 2), 1.0, 1, 1)]
    picture = LabelledImage(shown[0].image, 1, tuple(shown))
    before = model.template.clone()
    model.prepare([picture])
    assert not torch.allclose(model.template, before, atol=0.05)
    extent = model.template.amax(dim=0) - model.template.amin(dim=0)
    assert float(extent.norm()) == pytest.approx(1, abs=0.1)
    again = model_of()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.template, model.template)
    model.prepare([LabelledImage(shown[0].image, 1, ())])  # nobody: as it was
    assert torch.equal(again.template, model.template)


# --- Finding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [False, True], ids=["l1", "rle"])
@pytest.mark.parametrize("changes", [{}, {"snap": False}, {"maps_weight": 0.0}], ids=["snap", "plain", "without maps"])
def test_an_untrained_model_gives_well_formed_results(sigma: bool, changes: dict[str, object]) -> None:
    model = model_of(sigma, **changes).eval()
    batch = batch_of(people(), people(), size=(96, 64))
    batch.sizes[1] = torch.tensor([50, 64])
    found = model.detect(batch.images, batch.sizes)
    assert all(0 < len(one) <= 100 for one in found)
    check(found[:1], (96, 64))
    check(found[1:], (50, 64))
    assert (found[0].positions is None) == bool(changes)
    confidence = found[0].prediction.confidence
    assert ((confidence > 0) & (confidence < 1)).all() if sigma else (confidence == 1).all()


def test_whoever_is_found_does_not_depend_on_the_other_whole_images_a_batch() -> None:
    """Its norms are of all that they are given; what was put around a picture for a larger one must not be."""
    model = model_of().eval()
    small, large = batch_of(people(), size=(64, 96)), batch_of(people(), size=(160, 128), seed=1)
    small.sizes[0] = torch.tensor([50, 96])
    small.images[:, :, 50:] = 0
    together = join([small, large])
    assert together.images.shape[2:] == (160, 128)
    for alone, beside in zip((small, large), model.predict(together), strict=True):
        (own,) = model.predict(alone)
        assert len(own) == len(beside) > 0
        assert torch.allclose(own.keypoints(), beside.keypoints(), atol=1e-3)
        assert torch.allclose(own.box_scores, beside.box_scores, atol=1e-6)


def test_where_nobody_is_likely_nobody_is_found() -> None:
    found = model_of(least_score=0.5).eval().detect(*picture())
    check(found, (64, 64))
    assert len(found[0]) == 0


def picture(size: tuple[int, int] = (64, 64)) -> tuple[Tensor, Tensor]:
    batch = batch_of(people(), size=size)
    return batch.images, batch.sizes


class Oracle(PointSetAnchors):
    """Finds what it is told of, whatever the picture shows."""

    wanted: list[tuple[Tensor, Tensor]]

    def run_stages(self, levels):
        for grid, poses, told in super().run_stages(levels):
            logits, deltas = torch.full_like(told.logits, -20.0), told.poses.clone()
            for row, (pose, logit) in enumerate(self.wanted):
                logits[:, row] = logit
                deltas[:, row, :, :2] = (pose - poses[:, row]) / grid.scale[row]
            yield grid, poses, StageOutput(logits, deltas, torch.zeros_like(told.boxes))


def oracle(*wanted: tuple[Tensor, float], **changes: object) -> Oracle:
    torch.manual_seed(0)
    options = replace(SMALL, **{"maps_weight": 0.0, **changes})
    model = Oracle(create_backbone("resnet18", (64, 64)), COCO, True, options, short=64, longest=128)
    model.wanted = [(pose, torch.tensor(logit)) for pose, logit in wanted]
    return model.eval()


def test_what_the_last_stage_tells_is_decoded() -> None:
    one, other = standing(20, 30, 40), standing(45, 34, 55)
    found = oracle((one, 1.0), (other, 2.0)).detect(*picture())[0]
    assert found.box_scores.tolist() == pytest.approx([1 / (1 + math.exp(-2)), 1 / (1 + math.exp(-1))])
    assert torch.allclose(found.keypoints(), torch.stack([other, one]), atol=1e-3)
    # An untrained network says a tenth of the anchor's unit; the finest level's is 128 pixels.
    assert torch.allclose(found.prediction.sigma, torch.full((2, K, 2), 0.1), atol=0.03)
    assert torch.allclose(found.to_input[:, 0, 0], torch.tensor(128.0))


def test_neighbours_that_are_snapped_to_the_same_peaks_are_two_people(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = standing(15, 32, 40), standing(49, 32, 40)
    model = oracle((one, 1.0), (other, 2.0), maps_weight=0.05, least_peak=0.5)

    def peaks(level: Tensor) -> tuple[Tensor, Tensor]:
        maps = torch.zeros(len(level), K, 16, 16)
        for joint, (column, row) in enumerate((one / 4).round().long().clamp(0, 15).tolist()):
            maps[:, joint, row, column] = 1
        return maps, torch.zeros(len(level), K, 2, 16, 16)

    monkeypatch.setattr(model.peaks, "forward", peaks)
    found = model.detect(*picture())[0]
    assert len(found) == 2
    assert torch.equal(found.positions[0], found.positions[1])
    model.wanted = [(one, torch.tensor(1.0)), (one + 0.5, torch.tensor(2.0))]  # the same person twice
    assert len(model.detect(*picture())[0]) == 1


class Drawn(PointSetAnchors):
    """Says what is drawn for it."""

    seed = 0

    def run_stages(self, levels):
        generator = torch.Generator().manual_seed(self.seed)
        for grid, poses, told in super().run_stages(levels):
            logits, deltas, boxes = (torch.randn(part.shape, generator=generator) for part in told[:3])
            self.said = (grid, poses, logits, deltas, boxes)
            yield grid, poses, StageOutput(logits - 1, deltas, boxes)


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    """One network for all examples: making it is slow. Nobody is taken out."""
    torch.manual_seed(0)
    options = replace(SMALL, maps_weight=0.0, nms=1.0, most=1000, candidates=20, least_score=0.2)
    return Drawn(create_backbone("resnet18", (64, 64)), COCO, True, options, short=64, longest=128).eval()


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_decoding_is_a_naive_loop(drawn: Drawn, seed: int) -> None:
    drawn.seed = seed
    found = drawn.detect(*picture())[0]
    _, poses, logits, deltas, boxes = drawn.said
    expected, row = [], 0
    for stride, cells in ((8, 64), (16, 16), (32, 4)):
        likely = []
        for anchor in range(row, row + cells):
            score = 1 / (1 + math.exp(1 - float(logits[0, anchor])))
            if score <= 0.2:
                continue
            unit = 16 * stride
            joints = [
                [float(poses[0, anchor, k, axis]) + unit * float(deltas[0, anchor, k, axis]) for axis in (0, 1)]
                for k in range(K)
            ]
            spread = [
                [unit / (1 + math.exp(-float(deltas[0, anchor, k, 2 + axis]))) for axis in (0, 1)] for k in range(K)
            ]
            corners = []
            for axis in (0, 1):
                places = [float(place) for place in poses[0, anchor, :, axis]]
                side = max(max(places) - min(places), 1.0)
                middle = (max(places) + min(places)) / 2 + side * float(boxes[0, anchor, axis])
                half = side / 2 * math.exp(float(boxes[0, anchor, 2 + axis]))
                corners.append([min(max(edge, 0.0), 64.0) for edge in (middle - half, middle + half)])
            (left, right), (top, bottom) = corners
            likely.append((score, joints, spread, [left, top, right, bottom]))
        expected += sorted(likely, key=lambda one: -one[0])[:20]
        row += cells
    expected.sort(key=lambda one: -one[0])
    scores, joints, spread, corners = zip(*expected, strict=True)
    assert found.box_scores.tolist() == pytest.approx(list(scores), abs=1e-5)
    assert torch.allclose(found.keypoints(), torch.tensor(joints), atol=0.02)
    assert torch.allclose(found.prediction.sigma * found.to_input[:, :1, :1], torch.tensor(spread), atol=0.02)
    assert torch.allclose(found.boxes, torch.tensor(corners), atol=0.02)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), nms=st.floats(0.05, 0.95))
def test_people_found_twice_are_taken_out_as_by_a_naive_loop(seed: int, nms: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    poses = [standing(20 + 12 * float(u), 30 + 6 * float(v), 40) for u, v in torch.rand(12, 2, generator=generator)]
    logits = (4 * torch.rand(12, generator=generator) - 1).tolist()
    found = oracle_of(poses, logits, nms).detect(*picture())[0]

    def alike(a: Tensor, b: Tensor) -> float:
        areas = [float((p.amax(dim=0) - p.amin(dim=0)).prod()) for p in (a, b)]
        squared = (a - b).square().sum(dim=1)
        variance = (2 * torch.tensor(COCO.sigmas)) ** 2
        return float(torch.exp(-squared / (2 * variance * sum(areas) / 2)).mean())

    kept: list[int] = []
    for row in sorted(range(12), key=lambda i: -logits[i]):
        if all(alike(poses[row], poses[better]) <= nms for better in kept):
            kept.append(row)
    assert len(found) == len(kept)
    assert torch.allclose(found.keypoints(), torch.stack([poses[row] for row in kept]), atol=1e-2)


def oracle_of(poses: list[Tensor], logits: list[float], nms: float) -> Oracle:
    """One network for all examples: making it is slow."""
    if not hasattr(oracle_of, "kept"):
        oracle_of.kept = oracle()  # type: ignore[attr-defined]
    model: Oracle = oracle_of.kept  # type: ignore[attr-defined]
    model.wanted = [(pose, torch.tensor(logit)) for pose, logit in zip(poses, logits, strict=True)]
    model.options = replace(model.options, nms=nms)
    return model


def test_no_more_are_considered_or_found_than_said() -> None:
    many = [(standing(4.0 * i, 3.0 * i, 20), 3.0 - 0.1 * i) for i in range(12)]
    assert len(oracle(*many).detect(*picture())[0]) == 12
    for changes in ({"most": 5}, {"candidates": 5}):
        found = oracle(*many, **changes).detect(*picture())[0]
        assert torch.allclose(found.keypoints(), torch.stack([pose for pose, _ in many[:5]]), atol=1e-2)


def test_what_is_found_at_other_scales_is_brought_back() -> None:
    # In an input twice as large the same person is twice as large; corners of pixels stay corners.
    one = standing(20, 30, 40)
    twice = 2 * (one + 0.5) - 0.5
    model = oracle((twice, 1.0), scales=(2.0,))
    found = model.detect(*picture())[0]
    assert torch.allclose(found.keypoints(), one[None], atol=1e-3)
    plain = oracle((twice, 1.0)).detect(*picture())[0]
    assert torch.allclose(found.to_input[:, :, :2], plain.to_input[:, :, :2] / 2)
    both = oracle((one, 1.0), scales=(1.0, 2.0)).detect(*picture())[0]
    assert len(both) == 2  # half as large, and elsewhere, the second time
    check([both], (64, 64))


def test_several_scales_of_an_untrained_model_are_well_formed() -> None:
    model = model_of(scales=(0.7, 1.0, 1.5)).eval()
    check(model.detect(*picture((64, 96))), (64, 96))


# --- Around it -----------------------------------------------------------------------------------------------------


def test_options_are_plain_values_and_back() -> None:
    import json

    model = model_of(scales=(0.5, 1.0), pose_weight=2.0)
    config = json.loads(json.dumps(model.config()))
    assert PointSetOptions.from_config(config["options"]) == model.options
    assert config["kind"] == "point_set"
    assert config["backbone"] == {"kind": "resnet", "depth": 18}
    assert PointSetOptions.from_config({}) == PointSetOptions()


def test_any_skeleton_will_do() -> None:
    torch.manual_seed(0)
    face = Skeleton("face", tuple(f"point_{i}" for i in range(4)))
    model = PointSetAnchors(create_backbone("resnet18", (64, 64)), face, True, SMALL, short=64, longest=128)
    found = model.eval().detect(*picture())[0]
    assert found.keypoints().shape[1:] == (4, 2)


def test_the_published_network_reads_256_channels_at_nine_points_in_two_stages() -> None:
    # Worked out by hand: of a stage 3 towers of 4 convolutions with group normalisation, 3 layers that read at
    # 9 points, and last layers of 1, 4 K and 4 numbers.
    conv, norm = 256 * 256 * 9, 2 * 256
    stage = 3 * (4 * (conv + norm) + conv + norm) + sum(257 * n for n in (1, 4 * K, 4))
    model = PointSetAnchors(create_backbone("resnet18", (64, 64)), COCO)
    assert [sum(p.numel() for p in part.parameters()) for part in model.stages] == [stage, stage]
    of_maps = sum(p.numel() for p in model.peaks.parameters()) if model.peaks else 0
    deconv = 256 * 256 * 16
    assert of_maps == 2 * (conv + deconv + 2 * norm) + 257 * 3 * K


def test_predictions_fold_the_learned_mean_in() -> None:
    model = oracle((standing(20, 30, 40), 1.0))
    model.error_mean.copy_(torch.tensor([0.5, 0.0]))
    batch = batch_of(people())
    found = model.predict(batch)[0]
    claim: Prediction = found.prediction
    assert torch.allclose(
        found.keypoints()[0, :, 0], standing(20, 30, 40)[:, 0] + 0.5 * 128 * claim.sigma[0, :, 0], atol=1e-2
    )
