"""Networks of boundaries: shapes, order, mirrors, and what they may not look like."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Prediction
from logpose.data.flattening import cleaned, flatten
from logpose.data.scans import RETINA
from logpose.data.synthetic_oct import SyntheticScans
from logpose.losses import L1Loss, RLELoss
from logpose.models.boundary import BoundaryModel, ResidualUNet, ordered
from logpose.training.checkpoint import build_model

SIZE = (32, 16)
HEADS = [*itertools.product(("column", "full", "rows"), (True, False))]


def made(head: str, sigma: bool = True, **settings: object) -> BoundaryModel:
    torch.manual_seed(0)
    given = {"channels": 4, "depth": 2, "cells": 4, **settings}
    model = BoundaryModel(RETINA, SIZE, head, sigma, **given)
    with torch.no_grad():  # so that the first predictions are not all alike
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def images(count: int = 2) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randint(0, 256, (count, 1, *SIZE), dtype=torch.uint8)


@pytest.mark.parametrize(("head", "sigma"), HEADS)
def test_shapes_and_scales(head: str, sigma: bool) -> None:
    model = made(head, sigma).eval()
    found = model(images())
    assert found.mu.shape == found.sigma.shape == (2, 16, 8)
    assert found.confidence.shape == (2, 16)
    assert ((found.sigma > 0) & (found.sigma <= 1)).all()
    assert bool((found.sigma == 1).all()) is not sigma
    assert torch.allclose(found.mu, model(images().float() / 255).mu, atol=1e-5)
    assert model.output_type == ("row logits" if head == "rows" else "coordinates")
    assert (found.maps is None) is (model.output_type == "coordinates")
    if found.maps is not None:
        assert found.maps.shape == (2, 16, 8, 32)
        rows = (found.maps.softmax(dim=-1) * (torch.arange(32) / 32 - 0.5)).sum(dim=-1)
        assert torch.allclose(found.mu, torch.cummax(rows, dim=-1).values, atol=1e-6)


@pytest.mark.parametrize(("head", "sigma"), HEADS)
def test_boundaries_keep_their_order_when_it_predicts(head: str, sigma: bool) -> None:
    model = made(head, sigma)
    assert ((model.eval()(images()).mu).diff(dim=-1) >= 0).all()
    learning = model.train()(images()).mu.diff(dim=-1)
    assert bool((learning >= 0).all()) is (head == "rows")  # He's is kept in order while it learns, too


@pytest.mark.parametrize(("head", "sigma"), HEADS)
def test_it_begins_where_the_labels_are(head: str, sigma: bool) -> None:
    scans = SyntheticScans(3, seed=1, size=(96, 80))
    model = BoundaryModel(RETINA, SIZE, head, sigma, channels=4, depth=2, cells=4, shown=96)
    model.prepare(scans)
    assert model.learned_from == tuple(scans[i].fingerprint for i in range(3))
    assert len(set(model.learned_from)) == 3
    assert build_model(model.config()).learned_from == model.learned_from
    places = [[] for _ in RETINA.joints]
    for i in range(3):
        rows = flatten(cleaned(scans[i].image), SIZE[0], 96, scans[i].um_per_px).to_crop(scans[i].rows)
        for boundary, own in enumerate(rows):
            places[boundary] += own.tolist()
    found = model.eval()(images(4))
    if head != "rows":
        means = torch.tensor([sum(own) / len(own) for own in places])
        assert torch.allclose(found.mu.mean(dim=(0, 1)), means, atol=0.02)
    if sigma:
        spread = torch.tensor([torch.tensor(own).std(correction=0) for own in places])
        assert torch.allclose(found.sigma.mean(dim=(0, 1)), spread, rtol=0.15)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=9))
def test_order_is_the_rule_of_he(rows: list[float]) -> None:
    expected = [rows[0]]
    for row in rows[1:]:
        expected.append(expected[-1] + max(0.0, row - expected[-1]))
    assert ordered(torch.tensor(rows, dtype=torch.float64)).tolist() == pytest.approx(expected, abs=1e-12)


def test_columns_share_their_layer_and_see_where_things_are() -> None:
    model = made("column", depth=0).eval()
    with torch.no_grad():
        window = torch.zeros(1, 1, *SIZE)
        window[:, :, 10] = 1
        low = torch.zeros(1, 1, *SIZE)
        low[:, :, 24] = 1
        first, second = model(window).mu[0], model(low).mu[0]
    assert torch.allclose(first[4:12], first[4].expand(8, 8), atol=1e-5)
    assert not torch.allclose(first[8], second[8], atol=1e-3)
    whole = made("full").eval()
    assert whole.output.out_features == 2 * 8 * 16


def test_the_trunk_keeps_rows_and_columns() -> None:
    trunk = ResidualUNet(3, 2).eval()
    x = torch.rand(1, 1, *SIZE)
    assert trunk(x).shape == (1, 3, *SIZE)
    names = {name.split(".")[0] for name, _ in trunk.named_parameters()}
    assert names == {"down", "up"}
    trunk(x).sum().backward()
    assert all(p.grad is not None for p in trunk.parameters())


@pytest.mark.parametrize("height", [float("nan"), 1e-7, -3.0])
def test_pixels_of_an_impossible_height_are_refused(height: float) -> None:
    with pytest.raises(InputError, match="must be the height of a pixel in micrometres"):
        BoundaryModel(RETINA, SIZE, channels=2, depth=1, cells=2, um_per_px=height)


@pytest.mark.parametrize("head", ["column", "rows"])
def test_the_mirror_is_undone(head: str) -> None:
    model = made(head).eval()
    with torch.no_grad():
        straight, mirrored = model(images()), model(model.mirrored(images()))
        both = model.flip_average(straight, mirrored)
        again = model.flip_average(mirrored, straight)
    assert torch.allclose(both.mu, again.mu.flip(1), atol=1e-6)
    assert torch.allclose(both.sigma, (straight.sigma + mirrored.sigma.flip(1)) / 2)
    assert torch.allclose(both.mu, ((straight.mu + mirrored.mu.flip(1)) / 2), atol=1e-6)
    assert (both.mu.diff(dim=-1) >= 0).all()


def test_distance_is_in_rows_over_labelled_boundaries() -> None:
    model = made("column")
    mu, target = torch.zeros(1, 2, 8), torch.full((1, 2, 8), torch.nan)
    target[0, 0, :2] = torch.tensor([0.25, -0.5])
    apart = model.distance(mu, target)
    assert apart[0, 0].item() == pytest.approx((8 + 16) / 2)
    assert apart[0, 1].isnan()


@pytest.mark.parametrize(("head", "sigma"), HEADS)
def test_it_is_made_again_with_its_error_distribution(head: str, sigma: bool) -> None:
    model = made(head, sigma, shown=40).eval()
    error_distribution = (RLELoss(dim=8) if sigma else L1Loss(8)).eval().error_distribution()
    model.set_error_distribution(error_distribution)
    again = build_model(model.config())
    again.load_state_dict(model.state_dict())
    again.eval()
    assert torch.equal(again(images()).mu, model(images()).mu)
    assert isinstance(again, BoundaryModel)
    assert (again.shown, again.skeleton.joints, again.skeleton.pairs, again.size) == (40, RETINA.joints, (), SIZE)
    assert torch.equal(again.error_bands.nan_to_num(), model.error_bands.nan_to_num())
    if sigma:
        assert error_distribution.bands is not None
        assert torch.equal(again.error_bands, error_distribution.bands)
    assert again.input_spec == "windows of 32×16"
    assert again(again.example_input()).mu.shape == (1, 16, 8)


@pytest.mark.parametrize(
    ("size", "settings", "message"),
    [
        ((30, 16), {}, "multiples of 4 rows and columns, not"),
        ((32, 10), {}, "multiples of 4"),
        ((32, 16), {"head": "heatmap"}, "column, full, rows, not 'heatmap'"),
        ((32, 16), {"channels": 0}, "1 to 1,024 channels"),
        ((32, 16), {"depth": 9}, "a depth of 0 to 8"),
        ((32, 16), {"shown": 0}, "1 to 8,192 rows"),
        ((32, 16), {"cells": 5}, "32 rows cannot be split into 5 cells alike"),
        ((0, 16), {}, "multiples of 4"),
    ],
)
def test_what_cannot_be(size: tuple[int, int], settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BoundaryModel(RETINA, size, **{"channels": 4, "depth": 2, "cells": 4, **settings})


def test_other_boundaries_than_eight() -> None:
    two = Skeleton("skin", ("top", "bottom"), flip_pairs=())
    model = BoundaryModel(two, SIZE, channels=4, depth=1, cells=2).eval()
    assert model(images()).mu.shape == (2, 16, 2)


@pytest.mark.parametrize("head", ["column", "full", "rows"])
def test_positions_are_fine_under_autocast_too(head: str) -> None:
    """In half precision a row of 224 would come in steps of half a row and more."""
    model = made(head).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mu = model(images(8)).mu
    assert mu.dtype == torch.float32
    assert not torch.equal(mu, mu.bfloat16().float())


def test_a_skewed_error_distribution_does_not_put_boundaries_out_of_order() -> None:
    """Averaged are expected rows: with sigma large and small in turn, the mean moves one over the next."""
    model = made("column").eval()
    error_distribution = replace(RLELoss(dim=8).eval().error_distribution(), mean=torch.ones(8))
    mu = torch.arange(8.0).mul(0.01).expand(2, 16, 8).clone()
    sigma = torch.tensor([0.1, 1e-4] * 4).expand(2, 16, 8).clone()
    found = model.flip_average(
        *(Prediction(mu.clone(), sigma.clone(), torch.ones(2, 16), error_distribution) for _ in range(2))
    )
    # Moved they lie at 0.1, 0.0101, 0.12, 0.0301, …: every other one is above the one before.
    expected = torch.tensor([0.10, 0.10, 0.12, 0.12, 0.14, 0.14, 0.16, 0.16])
    assert torch.allclose(found.mean, expected.expand(2, 16, 8), atol=1e-6)
    assert torch.allclose(found.mu, found.mean - sigma, atol=1e-6)
