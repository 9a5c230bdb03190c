"""Region proposals and boxes: suppression and crowds against loops, and nothing that needs compiled operators."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

if importlib.util.find_spec("torchvision") is None:
    pytest.skip("torchvision is an extra", allow_module_level=True)

from logpose.data.scenes import ScenePeople
from logpose.models import rcnn

ANCHORS = ((0.5, 1.0, 2.0), (0.7, 0.3))  # ratios and overlaps


def random_boxes(count: int, seed: int, reach: float = 40.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=generator) * reach
    return torch.cat([low, low + 4 + torch.rand(count, 2, generator=generator) * 20], dim=1)


def overlap(a: list[float], b: list[float]) -> float:
    wide, high = (max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return wide * high / (areas - wide * high)


@given(st.integers(0, 30), st.integers(0, 10**6), st.booleans())
def test_suppression_is_that_of_a_loop(count, seed, grouped):
    boxes = random_boxes(count, seed)
    scores = torch.rand(count, generator=torch.Generator().manual_seed(seed + 1))
    groups = torch.arange(count) % 3 if grouped else None
    expected: list[int] = []
    for row in sorted(range(count), key=lambda i: -float(scores[i])):
        same = [other for other in expected if not grouped or other % 3 == row % 3]
        if all(overlap(boxes[row].tolist(), boxes[other].tolist()) <= 0.5 for other in same):
            expected.append(row)
    assert rcnn.nms(boxes, scores, 0.5, groups).tolist() == expected


@given(st.integers(0, 10), st.integers(0, 3), st.integers(0, 10**6))
def test_boxes_in_crowds_are_those_of_a_loop(count, crowds, seed):
    boxes, ignored = random_boxes(count, seed), random_boxes(crowds, seed + 1)
    expected = []
    for box in boxes.tolist():
        shares = []
        for crowd in ignored.tolist():
            wide, high = (max(0.0, min(box[k + 2], crowd[k + 2]) - max(box[k], crowd[k])) for k in (0, 1))
            shares.append(wide * high / ((box[2] - box[0]) * (box[3] - box[1])))
        expected.append(any(share > 0.5 for share in shares))
    assert rcnn.in_crowd(boxes, ignored).tolist() == expected


def people(boxes: list[list[float]], ignored: list[list[float]]) -> ScenePeople:
    count = len(boxes)
    tensors = torch.tensor(boxes).view(-1, 4), torch.zeros(count, 17, 2), torch.ones(count, 17), torch.ones(count)
    return ScenePeople(*tensors, torch.tensor(ignored).view(-1, 4))


def test_nobody_is_learned_in_a_crowd():
    """Boxes that show nobody are not learned from where a crowd is; those that show somebody are."""
    heads = rcnn.box_heads(4, 8, samples=64, most=5)
    person, crowd = [10.0, 10.0, 30.0, 40.0], [50.0, 0.0, 90.0, 40.0]
    proposals = [torch.tensor([[11.0, 11.0, 31.0, 41.0], [55.0, 5.0, 70.0, 30.0], [0.0, 60.0, 20.0, 80.0]])]
    boxes, matched, labels = heads.sampled(proposals, [people([person], [crowd])])
    found = {tuple(box): label for box, label in zip(boxes[0].tolist(), labels[0].tolist(), strict=True)}
    assert found[11.0, 11.0, 31.0, 41.0] == 1
    assert found[tuple(person)] == 1  # labelled boxes are proposals too
    assert (55.0, 5.0, 70.0, 30.0) not in found
    assert found.get((0.0, 60.0, 20.0, 80.0), 0) == 0
    assert matched[0].max() == 0


def test_anchors_in_a_crowd_are_not_learned_from():
    network = rcnn.proposals(4, (8, 16, 32, 64, 128), 16, (50, 50), (20, 20), *ANCHORS)
    anchors = [torch.tensor([[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0], [100.0, 0.0, 110.0, 10.0]])]
    targets = [{"boxes": torch.tensor([[0.0, 0.0, 10.0, 11.0]]), "ignored": torch.tensor([[45.0, 45.0, 70.0, 70.0]])}]
    labels, boxes = network.assign_targets_to_anchors(anchors, targets)
    assert labels[0].tolist() == [1, -1, 0]
    assert boxes[0][0].tolist() == [0, 0, 10, 11]
    # Of an image without people all but the crowd is nobody.
    labels, _ = network.assign_targets_to_anchors(anchors, [{**targets[0], "boxes": torch.zeros(0, 4)}])
    assert labels[0].tolist() == [0, -1, 0]


def test_proposals_are_the_best_of_each_level_and_within_the_image():
    network = rcnn.proposals(4, (8, 16, 32, 64, 128), 16, (3, 3), (4, 4), *ANCHORS).eval()
    boxes = torch.cat([random_boxes(6, 1), random_boxes(4, 2)])[None] - 3
    boxes[0, 2] = torch.tensor([5.0, 5.0, 5.0, 5.0])  # of no extent
    objectness = torch.tensor([[5.0, 4.0, 9.0, -1.0, 0.5, float("nan"), 1.0, 2.0, -3.0, 0.0]])[..., None]
    found, scores = network.filter_proposals(boxes, objectness.nan_to_num(-50), [(30, 40)], [6, 4])
    assert len(found[0]) <= 4
    assert (found[0] >= 0).all()
    assert (found[0][:, 2] <= 40).all()
    assert (found[0][:, 3] <= 30).all()
    assert (scores[0][1:] <= scores[0][:-1]).all()
    best = boxes[0, 0].clamp_min(0)
    assert torch.allclose(found[0][0], torch.minimum(best, torch.tensor([40.0, 30.0, 40.0, 30.0])))


def test_box_losses_are_those_of_their_formula():
    """Cross-entropy over all boxes, and smooth L1 (beta 0.5) of somebody's, over the number of all."""
    torch.manual_seed(0)
    heads = rcnn.box_heads(4, 8, samples=64, most=5)
    levels = [torch.rand(1, 4, 32 >> i, 32 >> i) for i in range(4)]
    boxes = [torch.tensor([[10.0, 10.0, 30.0, 40.0], [60.0, 60.0, 90.0, 90.0]])]
    own = people([[12.0, 8.0, 34.0, 44.0]], [])
    matched, labels = [torch.tensor([0, 0])], [torch.tensor([1, 0])]
    with torch.no_grad():
        losses = heads.box_losses(levels, boxes, [own], matched, labels)
        logits, moves = heads.judged(levels, boxes)
    log_share = logits.log_softmax(dim=1)
    assert float(losses["classes"]) == pytest.approx(float(-(log_share[0, 1] + log_share[1, 0]) / 2), rel=1e-5)
    # Box (20, 25) of 20×30, truth (23, 26) of 22×36, weighted by 10, 10, 5, 5.
    wanted = torch.tensor(
        [10 * 3 / 20, 10 * 1 / 30, 5 * torch.log(torch.tensor(22 / 20)), 5 * torch.log(torch.tensor(1.2))]
    )
    apart = (moves[0] - wanted).abs()
    loss = torch.where(apart < 0.5, apart**2, apart - 0.25).sum()
    assert float(losses["boxes"]) == pytest.approx(float(loss) / 2, rel=1e-4)


def test_a_pyramid_has_five_levels():
    for name, channels in (("resnet18", 8), ("resnet50", 16)):
        levels = rcnn.pyramid(name, channels, frozen=name == "resnet50").eval()(torch.rand(1, 3, 64, 96))
        assert [tuple(level.shape[1:]) for level in levels.values()] == [
            (channels, 64 // stride, 96 // stride) for stride in (4, 8, 16, 32)
        ] + [(channels, 1, 2)]


def test_what_is_frozen():
    body = rcnn.pyramid("resnet18", 8, frozen=True).body
    learned = {name.split(".")[0] for name, weight in body.named_parameters() if weight.requires_grad}
    assert learned == {"layer2", "layer3", "layer4"}
    assert not any("bn" in name for name, _ in body.named_parameters())
    assert all(weight.requires_grad for weight in rcnn.pyramid("resnet18", 8, frozen=False).parameters())
