"""Maps of joints, and joints at their peaks."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from logpose.models.peaks import PeakBranch, peak_losses, peak_maps, snapped


def naive_map(joints: list[tuple[float, float]], size: tuple[int, int], stride: int) -> Tensor:
    drawn = torch.zeros(size)
    for x, y in joints:
        column, row = math.floor(x / stride), math.floor(y / stride)
        if not (0 <= column < size[1] and 0 <= row < size[0]):
            continue
        for r in range(max(0, row - 3), min(size[0], row + 4)):
            for c in range(max(0, column - 3), min(size[1], column + 4)):
                bump = math.exp(-((r - row) ** 2 + (c - column) ** 2) / 2)
                drawn[r, c] = max(float(drawn[r, c]), bump)
    return drawn


@given(seed=st.integers(0, 10_000), people=st.integers(0, 4))
def test_maps_are_the_naive_loops(seed: int, people: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(people, 2, 2, generator=generator) * 60 - 8  # some outside the 40×48 pixels
    weight = (torch.rand(people, 2, generator=generator) > 0.3).float()
    labels[weight == 0] = math.nan
    found = peak_maps(labels, weight, (10, 12), 4)
    for joint in range(2):
        there = [tuple(labels[p, joint].tolist()) for p in range(people) if weight[p, joint]]
        assert torch.allclose(found[joint], naive_map(there, (10, 12), 4))


def test_losses_are_sums_and_means_as_published() -> None:
    people = [(torch.tensor([[[9.0, 6.0]]]), torch.ones(1, 1)), (torch.zeros(0, 1, 2), torch.zeros(0, 1))]
    maps = torch.full((2, 1, 5, 6), 0.2)
    offsets = torch.full((2, 1, 2, 5, 6), 0.5)
    apart, wrong = peak_losses(maps, offsets, people, stride=4, background=0.1)
    target = naive_map([(9.0, 6.0)], (5, 6), 4)
    expected = sum(
        (0.2 - float(value)) ** 2 * (1 if value > 0 else 0.1) for value in (*target.flatten(), *torch.zeros(30))
    )
    assert float(apart) == pytest.approx(expected, rel=1e-5)
    assert float(wrong) == pytest.approx((abs(0.5 - 0.25) + abs(0.5 - 0.5)) / 2)  # 9 = 4 · 2.25, 6 = 4 · 1.5


def test_nobody_to_learn_from_is_no_error_of_offsets() -> None:
    nobody = [(torch.zeros(0, 2, 2), torch.zeros(0, 2))]
    apart, wrong = peak_losses(torch.rand(1, 2, 4, 4), torch.rand(1, 2, 2, 4, 4), nobody, 4)
    assert apart > 0
    assert wrong == 0


def naive_snap(pose: Tensor, maps: Tensor, offsets: Tensor, stride: int, peaks: int) -> Tensor:
    joints, height, width = maps.shape
    placed = pose.clone()
    for joint in range(joints):
        tops = []
        for r in range(height):
            for c in range(width):
                around = maps[joint, max(0, r - 2) : r + 3, max(0, c - 2) : c + 3]
                if maps[joint, r, c] == around.max():
                    tops.append((float(maps[joint, r, c]), r, c))
        best = math.inf
        for _, r, c in sorted(tops, reverse=True)[:peaks]:
            place = stride * (torch.tensor([float(c), float(r)]) + offsets[joint, :, r, c])
            if (apart := float((place - pose[joint]).norm())) < best:
                best, placed[joint] = apart, place
    return placed


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), peaks=st.integers(1, 8))
def test_joints_go_to_the_nearest_peak(seed: int, peaks: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps, offsets = torch.rand(2, 9, 8, generator=generator), torch.rand(2, 2, 9, 8, generator=generator)
    poses = torch.rand(3, 2, 2, generator=generator) * 50 - 8
    found = snapped(poses, maps, offsets, 4, peaks)
    expected = torch.stack([naive_snap(pose, maps, offsets, 4, peaks) for pose in poses])
    assert torch.allclose(found, expected, atol=1e-4)


def test_what_is_drawn_is_found_again() -> None:
    labels = torch.tensor([[[21.0, 34.5], [50.25, 8.0]], [[70.0, 60.0], [12.0, 63.0]]])
    maps = peak_maps(labels, torch.ones(2, 2), (20, 20), 4)
    offsets = torch.zeros(2, 2, 20, 20)
    for person in labels:
        for joint, place in enumerate(person):
            column, row = (place / 4).floor().long().tolist()
            offsets[joint, :, row, column] = place / 4 - (place / 4).floor()
    moved = labels + torch.tensor([3.0, -4.0])
    assert torch.allclose(snapped(moved, maps, offsets, 4), labels, atol=1e-4)


def test_peaks_that_are_low_or_far_off_take_no_joint() -> None:
    maps, offsets = torch.zeros(3, 10, 10), torch.full((3, 2, 10, 10), 0.5)
    maps[0, 2, 3], maps[1, 2, 3], maps[2, 2, 3] = 0.9, 0.05, 0.9  # at (14, 10)
    poses = torch.tensor([[[12.0, 9.0], [12.0, 9.0], [30.0, 30.0]]])
    assert snapped(poses, maps, offsets, 4, peaks=1)[0].tolist() == [[14, 10]] * 3
    assert snapped(poses, maps, offsets, 4, peaks=1, least=0.1)[0].tolist() == [[14, 10], [12, 9], [14, 10]]
    near = snapped(poses, maps, offsets, 4, 1, 0.1, torch.tensor([5.0]))
    assert near[0].tolist() == [[14, 10], [12, 9], [30, 30]]


def test_nobody_is_snapped_to_nothing() -> None:
    assert snapped(torch.zeros(0, 2, 2), torch.rand(2, 4, 4), torch.rand(2, 2, 4, 4), 4).shape == (0, 2, 2)
    same = snapped(
        torch.zeros(1, 2, 2), torch.full((2, 2, 2), 0.5), torch.zeros(2, 2, 2, 2), 4
    )  # fewer cells than peaks
    assert same.tolist() == [[[0, 0], [0, 0]]]


def test_the_branch_doubles_the_resolution_and_begins_unsure() -> None:
    torch.manual_seed(0)
    branch = PeakBranch(8, 3, stride=8)
    with torch.no_grad():
        maps, offsets = branch(torch.randn(2, 8, 5, 6))
    assert branch.stride == 4
    assert maps.shape == (2, 3, 10, 12)
    assert offsets.shape == (2, 3, 2, 10, 12)
    assert float(maps.mean()) == pytest.approx(0.01, abs=0.01)
    assert float(offsets.mean()) == pytest.approx(0.5, abs=0.1)
