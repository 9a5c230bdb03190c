"""Anchors, their assignment and what moves them, against naive loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from logpose.core.skeletons import COCO, H36M, LSP, MPII, Skeleton
from logpose.metrics.oks import oks_nms
from logpose.models import anchors

FACE = Skeleton("face", tuple(f"point_{i}" for i in range(12)))
FEW = Skeleton("thing", ("one", "two", "three"))


def random(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# --- The template --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skeleton", [COCO, MPII, FACE, FEW], ids=["coco", "mpii", "face", "few"])
def test_a_default_pose_is_centred_and_of_unit_size(skeleton: Skeleton) -> None:
    pose = anchors.default_template(skeleton)
    assert pose.shape == (len(skeleton), 2)
    if skeleton is COCO:
        assert torch.allclose((pose[11] + pose[12]) / 2, torch.zeros(2))  # the hips
        assert pose[0, 1] < pose[11, 1] < pose[15, 1]  # nose above hips above ankles
        assert (pose[5::2, 0] > 0).all()  # left is right in an image of somebody who faces the camera
        extent = pose.amax(dim=0) - pose.amin(dim=0)
        assert extent.norm() == pytest.approx(0.87, abs=0.03)  # a mean of poses is smaller than those


def test_the_mean_pose_is_relative_to_the_hips_and_to_the_diagonal() -> None:
    skeleton = Skeleton("p", ("head", "left_hip", "right_hip"))
    # Hips around (10, 20), 3 wide; head 4 above: a diagonal of 5.
    one = torch.tensor([[11.5, 16.0], [11.5, 20.0], [8.5, 20.0]])
    found = anchors.mean_pose(torch.stack([one, 7 * one + 3]), torch.ones(2, 3), skeleton)
    # Its mirror image has the head as far to the left, so on average it is in the middle.
    assert torch.allclose(found, torch.tensor([[0.0, -0.8], [0.3, 0.0], [-0.3, 0.0]]), atol=1e-6)


def test_the_mean_pose_is_of_whole_people_where_there_are_some() -> None:
    whole = anchors.default_template(COCO) * 40 + 100
    half = whole.clone()
    half[:5] += 30
    weight = torch.ones(3, 17)
    weight[1:, 15:] = 0
    mixed = anchors.mean_pose(torch.stack([whole, half, half]), weight, COCO)
    alone = anchors.mean_pose(whole[None], torch.ones(1, 17), COCO)
    assert torch.equal(mixed, alone)


def test_the_mean_pose_of_parts_takes_what_is_missing_from_the_default() -> None:
    default = anchors.default_template(COCO)
    weight = torch.ones(2, 17)
    weight[:, 15:] = 0  # nobody has ankles
    weight[1, 3] = 0  # one has no left ear
    poses = torch.stack([default * 50 + 80, default * 90 + 20])
    poses[1, 3] = math.nan
    found = anchors.mean_pose(poses, weight, COCO)
    assert torch.equal(found[15:], default[15:])
    seen = default[:15]
    diagonal = (seen.amax(dim=0) - seen.amin(dim=0)).norm()
    assert torch.allclose(found[:15], seen / diagonal, atol=1e-5)


@pytest.mark.parametrize("weight", [torch.zeros(2, 17), torch.eye(17)[:2]], ids=["no labels", "one joint"])
def test_nothing_usable_leaves_the_default(weight: Tensor) -> None:
    assert torch.equal(anchors.mean_pose(random(0, 2, 17, 2), weight, COCO), anchors.default_template(COCO))
    assert torch.equal(
        anchors.mean_pose(torch.zeros(0, 17, 2), torch.zeros(0, 17), COCO), anchors.default_template(COCO)
    )


def test_people_at_a_single_point_are_no_pose() -> None:
    assert torch.equal(anchors.mean_pose(torch.ones(2, 17, 2), torch.ones(2, 17), COCO), anchors.default_template(COCO))


def test_features_are_read_at_the_published_points() -> None:
    chosen = anchors.read_joints(COCO, anchors.default_template(COCO))
    assert sorted(chosen) == [0, 7, 8, 9, 10, 13, 14, 15, 16]  # Wei et al.'s configuration


@pytest.mark.parametrize("skeleton", [MPII, LSP, H36M], ids=["mpii", "lsp", "h36m"])
def test_other_bodies_are_read_at_a_joint_of_the_head_and_the_limbs(skeleton: Skeleton) -> None:
    names = {skeleton.joints[i] for i in anchors.read_joints(skeleton, anchors.default_template(skeleton))}
    limbs = {f"{side}_{part}" for side in "lr" for part in ("elbow", "wrist", "knee", "ankle")}
    assert limbs < names
    assert names - limbs <= {"nose", "head_top", "head"}


def test_what_is_no_body_is_read_at_points_far_apart() -> None:
    pose = torch.stack([torch.arange(12.0), torch.zeros(12)], dim=-1)
    chosen = anchors.read_joints(FACE, pose)
    assert len(set(chosen)) == 9
    assert chosen[:2] in ((0, 11), (11, 0))  # both ends, then the middle
    assert chosen[2] in (5, 6)
    assert anchors.read_joints(FEW, pose[:3])[3:] == anchors.read_joints(FEW, pose[:3])[:3] * 2


# --- Anchors -------------------------------------------------------------------------------------------------------


def test_every_cell_has_a_copy_of_the_template() -> None:
    pose = random(1, 5, 2) - 0.5
    found = anchors.anchor_poses(pose, (3, 4), stride=8, scale=128)
    for row in range(3):
        for column in range(4):
            expected = pose * 128 + torch.tensor([8.0 * column, 8.0 * row])
            assert torch.allclose(found[4 * row + column], expected)


# --- Similarity and assignment -------------------------------------------------------------------------------------


def naive_similarity(anchor: Tensor, person: Tensor, weight: Tensor, sigmas: Tensor) -> float:
    labelled = [k for k in range(len(sigmas)) if weight[k] > 0]
    if not labelled:
        return 0.0

    def area(points: list[list[float]]) -> float:
        xs, ys = zip(*points, strict=True)
        return (max(xs) - min(xs)) ** 2 + (max(ys) - min(ys)) ** 2

    both = (area(anchor.tolist()) + area([person[k].tolist() for k in labelled])) / 2
    total = 0.0
    for k in labelled:
        squared = sum((float(anchor[k, axis]) - float(person[k, axis])) ** 2 for axis in range(2))
        total += math.exp(-squared / (2 * both * (2 * float(sigmas[k])) ** 2))
    return total / len(labelled)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 6), people=st.integers(1, 4))
def test_similarity_is_the_naive_loops(seed: int, count: int, people: int) -> None:
    sigmas = 0.02 + 0.1 * random(seed, 5)
    poses, labels = 60 * random(seed + 1, count, 5, 2), 60 * random(seed + 2, people, 5, 2)
    weight = (random(seed + 3, people, 5) > 0.4).float()
    labels[weight == 0] = math.nan
    found = anchors.similarity(poses, labels, weight, sigmas)
    expected = [[naive_similarity(a, p, w, sigmas) for p, w in zip(labels, weight, strict=True)] for a in poses]
    assert torch.allclose(found, torch.tensor(expected), atol=1e-5)


def naive_assignment(
    alike: list[list[float]], positive: float, negative: float, forced: int, ignored: list[bool]
) -> list[tuple[str, int | None]]:
    """What each anchor is, and whose."""
    count, people = len(alike), len(alike[0])
    asked: list[list[int]] = [[] for _ in range(count)]
    for person in range(people):
        for anchor in sorted(range(count), key=lambda a: -alike[a][person])[:forced]:
            asked[anchor].append(person)
    found: list[tuple[str, int | None]] = []
    for anchor in range(count):
        row = alike[anchor]
        if asked[anchor]:
            found.append(("positive", max(asked[anchor], key=lambda p: row[p])))
        elif max(row) >= positive:
            found.append(("positive", row.index(max(row))))
        elif max(row) < negative and not ignored[anchor]:
            found.append(("negative", None))
        else:
            found.append(("neither", None))
    return found


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 30),
    people=st.integers(1, 6),
    forced=st.integers(0, 9),
    thresholds=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_assignment_is_the_naive_loops(
    seed: int, count: int, people: int, forced: int, thresholds: tuple[float, float]
) -> None:
    alike = random(seed, count, people)
    ignored = random(seed + 1, count) > 0.7
    positive, negative = max(thresholds), min(thresholds)
    found = anchors.assign(alike.double(), positive, negative, forced, ignored)
    expected = naive_assignment(alike.double().tolist(), positive, negative, forced, ignored.tolist())
    for anchor, (state, person) in enumerate(expected):
        assert bool(found.positive[anchor]) == (state == "positive")
        assert bool(found.negative[anchor]) == (state == "negative")
        if person is not None:
            assert int(found.person[anchor]) == person


def test_everybody_gets_the_nearest_anchors_however_far_they_are() -> None:
    alike = torch.full((40, 2), 0.01)
    alike[:9, 0], alike[20:29, 1] = 0.02, 0.03
    found = anchors.assign(alike)
    assert found.positive.nonzero()[:, 0].tolist() == [*range(9), *range(20, 29)]
    assert found.person[20:29].tolist() == [1] * 9
    assert int(found.negative.sum()) == 40 - 18


def test_without_people_all_anchors_are_nobodys_but_the_ignored() -> None:
    found = anchors.assign(torch.zeros(5, 0), ignored=torch.tensor([True, False, False, True, False]))
    assert not found.positive.any()
    assert found.negative.tolist() == [False, True, True, False, True]


def test_anchors_in_ignored_boxes_are_not_negative() -> None:
    template = anchors.default_template(COCO)
    poses, cells = (anchors.anchor_poses(t, (4, 4), 8, 20.0) for t in (template, torch.zeros(1, 2)))
    box = torch.tensor([[7.0, 7.0, 17.0, 9.0]])
    alike = anchors.similarity(poses, torch.zeros(0, 17, 2), torch.zeros(0, 17), torch.tensor(COCO.sigmas))
    found = anchors.assign(alike, ignored=anchors.inside(cells[:, 0], box).any(dim=1))
    assert (~found.negative).nonzero()[:, 0].tolist() == [5, 6]  # cells (8, 8) and (16, 8)


def test_an_anchor_that_is_the_label_is_positive() -> None:
    template = anchors.default_template(COCO)
    poses = anchors.anchor_poses(template, (8, 8), 8, 30.0)
    found = anchors.assign(
        anchors.similarity(poses, poses[[27]], torch.ones(1, 17), torch.tensor(COCO.sigmas)), 0.99, 0.5, 0
    )
    assert found.positive.nonzero()[:, 0].tolist() == [27]


# --- Boxes ---------------------------------------------------------------------------------------------------------


def test_bounds_are_of_labelled_joints_only() -> None:
    points = torch.tensor([[[1.0, 9.0], [4.0, 2.0], [-50.0, 99.0]]])
    assert anchors.bounds(points).tolist() == [[-50, 2, 4, 99]]
    assert anchors.bounds(points, torch.tensor([[True, True, False]])).tolist() == [[1, 2, 4, 9]]
    assert anchors.bounds(points, torch.zeros(1, 3, dtype=torch.bool)).tolist() == [[0, 0, 0, 0]]


@given(seed=st.integers(0, 10_000))
def test_boxes_go_there_and_back(seed: int) -> None:
    corners, extent = 100 * random(seed, 2, 6, 2), 1 + 60 * random(seed + 1, 2, 6, 2)
    own, wanted = torch.cat([corners, corners + extent], dim=-1)
    deltas = anchors.box_deltas(own, wanted)
    # The formula, of the first.
    x, w = float(own[0, 0] + own[0, 2]) / 2, float(own[0, 2] - own[0, 0])
    to_x, to_w = float(wanted[0, 0] + wanted[0, 2]) / 2, float(wanted[0, 2] - wanted[0, 0])
    assert float(deltas[0, 0]) == pytest.approx((to_x - x) / w, abs=1e-4)
    assert float(deltas[0, 2]) == pytest.approx(math.log(to_w / w), abs=1e-4)
    assert torch.allclose(anchors.moved_boxes(own, deltas), wanted, atol=1e-3)


def test_boxes_of_lines_and_wild_deltas_stay_finite() -> None:
    line = torch.tensor([[3.0, 3.0, 3.0, 90.0]])
    assert anchors.box_deltas(line, line).isfinite().all()
    assert anchors.moved_boxes(line, torch.full((1, 4), 1e4)).isfinite().all()


@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(0.05, 0.95))
def test_suppression_of_fixed_shape_keeps_what_suppression_keeps(seed, most, threshold):
    generator = torch.Generator().manual_seed(seed)
    poses = anchors.default_template(COCO) * 80 + 30 * torch.rand(12, 1, 2, generator=generator)
    poses = poses + 5 * torch.randn(12, len(COCO), 2, generator=generator)
    scores = torch.rand(12, generator=generator) * (torch.rand(12, generator=generator) > 0.3)
    there = (scores > 0).nonzero()[:, 0]
    corners = anchors.bounds(poses[there])
    area = (corners[:, 2:] - corners[:, :2]).prod(dim=1).double().numpy()
    kept = oks_nms(poses[there].double().numpy(), scores[there].numpy(), area, COCO.sigmas, threshold, most)
    rows, values = anchors.greedy(poses, scores, torch.tensor(COCO.sigmas), threshold, most)
    assert len(rows) == most
    assert rows[: len(kept)].tolist() == there[kept].tolist()
    assert values[: len(kept)].tolist() == scores[there[kept]].tolist()
    assert not values[len(kept) :].any()
