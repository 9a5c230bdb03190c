"""OKS and average precision against pycocotools, which everybody's numbers come from."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pycocotools import coco as reference
from pycocotools.cocoeval import COCOeval

from logpose.core.calibration import LEVELS
from logpose.core.skeletons import COCO
from logpose.metrics.oks import coco_ap, coco_ap_of_categories, coco_ground_truth, expected_oks, oks, oks_nms

NAMES = ("ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", "ar50", "ar75", "ar_medium", "ar_large")
SIGMAS = COCO.sigmas


def pycocotools(
    truth: dict[str, Any], results: list[dict[str, Any]], sigmas: tuple[float, ...], limit: int = 20
) -> COCOeval:
    """An evaluation by the reference implementation, of at most so many people an image."""
    with contextlib.redirect_stdout(io.StringIO()):
        file = reference.COCO()
        file.dataset = copy.deepcopy(truth)
        file.createIndex()
        evaluation = COCOeval(file, file.loadRes(copy.deepcopy(results)), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.params.maxDets = [limit]
        evaluation.evaluate()
        evaluation.accumulate()
        if limit == 20:  # it summarises no other limit
            evaluation.summarize()
    return evaluation


def summary(evaluation: COCOeval) -> list[float]:
    """AP, AP50, AP75, AR, AR50, AR75 as means of the reference's own arrays, whatever the limit."""
    precision, recall = evaluation.eval["precision"][..., 0, 0], evaluation.eval["recall"][..., 0, 0]
    return [*(float(part.mean()) for array in (precision, recall) for part in (array, array[0], array[5]))]


def people(seed: int, count: int = 40, joints: int = 17) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Joints, flags, boxes and areas, of all three of COCO's sizes."""
    rng = np.random.default_rng(seed)
    boxes = np.column_stack([rng.uniform(0, 300, (count, 2)), rng.uniform(15, 250, (count, 2))])
    joints_at = boxes[:, None, :2] + rng.uniform(0, 1, (count, joints, 2)) * boxes[:, None, 2:]
    visible = rng.choice([0, 1, 2], (count, joints), p=[0.3, 0.2, 0.5])
    visible[3] = 0
    return joints_at, visible, boxes, boxes[:, 2] * boxes[:, 3] * rng.uniform(0.3, 0.8, count)


def found(
    truth: np.ndarray, area: np.ndarray, image_ids: list[int], seed: int, category: int = 1
) -> list[dict[str, Any]]:
    """Results near the labels, some good, some bad, some invented."""
    rng = np.random.default_rng(seed)
    spread = np.sqrt(area)[:, None, None] * rng.choice([0.01, 0.05, 0.15], (len(truth), 1, 1))
    keypoints = np.where(np.isfinite(truth), truth, 0) + spread * rng.standard_normal(truth.shape)
    rows = [
        {
            "image_id": image_ids[i],
            "category_id": category,
            "keypoints": np.column_stack([keypoints[i], np.ones(truth.shape[1])]).ravel().tolist(),
            "score": float(rng.uniform()),
        }
        for i in range(len(truth))
    ]
    return [row for i, row in enumerate(rows) if i % 7 != 1] + [rows[0] | {"score": 0.01}]


# OKS


def test_oks_by_hand() -> None:
    predicted = np.array([[[3.0, 4.0], [0.0, 0.0], [9.0, 9.0]]])
    truth = np.array([[[0.0, 0.0], [0.0, 0.0], [math.nan, math.nan]]])
    visible, area = np.array([[1, 2, 0]]), np.array([100.0])
    # d² = 25; 2 · area · (2 · 0.25)² = 50
    assert oks(predicted, truth, visible, area, (0.25, 0.1, 0.1))[0] == pytest.approx((math.exp(-0.5) + 1) / 2)


@pytest.mark.parametrize("along", [(3.0, 3.0), (0.5, 8.0), (0.0, 0.0)])
def test_expected_oks_is_the_integral_of_oks_over_a_gaussian(along: tuple[float, float]) -> None:
    steps = np.linspace(-80, 80, 32001)
    each = []
    for s in along:
        density = np.exp(-(steps**2) / (2 * s**2)) / (s * np.sqrt(2 * np.pi)) if s else (steps == 0) / 0.005
        each.append((density * np.exp(-(steps**2) / (2 * 900 * 0.2**2))).sum() * 0.005)
    found = expected_oks(np.array([[along]]), np.array([900.0]), (0.1,))
    assert found.shape == (1, 1)
    assert found[0, 0] == pytest.approx(each[0] * each[1], rel=1e-6)


def test_expected_oks_of_regions_is_the_mean_over_draws_of_a_heavy_tailed_error() -> None:
    """Of a Laplace distribution along each axis, whose Gaussian of the same deviation is much less alike."""
    rng = np.random.default_rng(0)
    error = rng.laplace(scale=np.sqrt(0.5), size=(400_000, 2))
    radii = np.quantile(np.hypot(*error.T), LEVELS)
    for along in ((4.0, 4.0), (1.0, 8.0), (30.0, 20.0)):
        drawn = np.exp(-((error * along) ** 2).sum(axis=1) / (2 * 900 * 0.2**2)).mean()
        found = expected_oks(np.array([[along]]), np.array([900.0]), (0.1,), radii)
        assert found[0, 0] == pytest.approx(drawn, abs=0.02)
        assert abs(found[0, 0] - drawn) < abs(expected_oks(np.array([[along]]), np.array([900.0]), (0.1,)) - drawn)


def test_expected_oks_of_no_area_and_of_an_unknown_spread() -> None:
    found = expected_oks(np.array([[[1.0, 1.0], [np.nan, 1.0]]]), np.array([0.0]), (0.1, 0.1))
    assert found[0, 0] < 1e-12
    assert np.isnan(found[0, 1])


def test_nobody_labelled_is_not_a_number() -> None:
    similarity = oks(np.zeros((2, 1, 2)), np.zeros((2, 1, 2)), np.array([[0], [1]]), np.ones(2), (0.1,))
    assert math.isnan(similarity[0])
    assert similarity[1] == 1


def test_oks_is_pycocotools() -> None:
    truth, visible, boxes, area = people(0)
    ids = list(range(1, 41))
    content = coco_ground_truth(truth, visible, boxes, area, ids)
    results = [row for row in found(truth, area, ids, 1) if row["score"] > 0.01]
    evaluation = pycocotools(content, results, SIGMAS)
    compared = 0
    for row in results:
        i = row["image_id"] - 1
        predicted = np.array(row["keypoints"]).reshape(1, 17, 3)[..., :2]
        ours = oks(predicted, truth[i : i + 1], visible[i : i + 1], area[i : i + 1], SIGMAS)[0]
        theirs = evaluation.computeOks(i + 1, 1)
        if visible[i].any():
            assert ours == pytest.approx(theirs.item(), abs=1e-6)
            compared += 1
    assert compared > 20


@given(st.integers(0, 2**31))
def test_oks_is_one_only_at_the_truth_and_falls_with_distance(seed: int) -> None:
    truth, visible, _, area = people(seed % 1000, 5)
    visible[:] = 2
    away = np.random.default_rng(seed).standard_normal(truth.shape)
    near, far = (oks(truth + s * away, truth, visible, area, SIGMAS) for s in (1.0, 2.0))
    assert np.all(oks(truth, truth, visible, area, SIGMAS) == 1)
    assert np.all((far < near) & (near < 1))


# Average precision


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("joints", "sigmas"), [(17, SIGMAS), (5, (0.03, 0.05, 0.1, 0.02, 0.08))])
def test_ap_is_pycocotools_on_made_up_people(seed: int, joints: int, sigmas: tuple[float, ...]) -> None:
    truth, visible, boxes, area = people(seed, joints=joints)
    ids = [100 + i // 4 for i in range(len(truth))]
    truth[visible == 0] = math.nan
    content = coco_ground_truth(truth, visible, boxes, area, ids)
    results = found(truth, area, ids, seed + 10)
    ours = coco_ap(content, results, sigmas)
    theirs = pycocotools(content, results, sigmas).stats
    assert tuple(ours) == NAMES
    np.testing.assert_allclose(list(ours.values()), theirs, atol=1e-6)
    assert 0.1 < ours["ap"] < 0.9


@pytest.mark.parametrize("seed", range(3))
def test_ap_is_pycocotools_on_coco(data_root: Path, seed: int) -> None:
    file = data_root / "coco_mini" / "annotations" / "person_keypoints_val2017.json"
    if not file.is_file():
        pytest.skip(f"no {file}")
    content = json.loads(file.read_text())
    rows = [row for row in content["annotations"] if row["num_keypoints"]]
    truth = np.array([row["keypoints"] for row in rows], dtype=float).reshape(-1, 17, 3)[..., :2]
    area = np.array([row["area"] for row in rows])
    results = found(truth, area, [row["image_id"] for row in rows], seed)
    before = copy.deepcopy((content, results))
    ours = coco_ap(content, results, SIGMAS)
    np.testing.assert_allclose(list(ours.values()), pycocotools(content, results, SIGMAS).stats, atol=1e-6)
    assert 0.1 < ours["ap"] < 0.9
    assert (content, results) == before, "what is given is left alone"


OF_ALL = ("ap", "ap50", "ap75", "ar", "ar50", "ar75")


def crowded(labelled: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One image with 40 people, of whom so many have labels, and one with 4; and as many detections and more."""
    truth, visible, boxes, area = people(5, 44)
    visible[:labelled, 0] = 2
    visible[labelled:40] = 0
    ids = [1] * 40 + [2] * 4
    return coco_ground_truth(truth, visible, boxes, area, ids), found(truth, area, ids, 6)


def test_more_than_twenty_people_in_an_image_all_count() -> None:
    content, results = crowded(36)
    ours = coco_ap(content, results, SIGMAS)
    np.testing.assert_allclose([ours[name] for name in OF_ALL], summary(pycocotools(content, results, SIGMAS, 36)))
    assert ours["ar50"] > pycocotools(content, results, SIGMAS).stats[6] + 0.1


def test_people_without_labels_do_not_raise_the_limit() -> None:
    content, results = crowded(20)
    ours = coco_ap(content, results, SIGMAS)
    np.testing.assert_allclose(list(ours.values()), pycocotools(content, results, SIGMAS).stats, atol=1e-9)
    beyond = summary(pycocotools(content, results, SIGMAS, 36))
    assert not np.allclose([ours[name] for name in OF_ALL], beyond), "the detections beyond the limit must matter"


NAN, INF = math.nan, math.inf
NUMBERS = st.sampled_from([NAN, INF, -INF, 0.0, -50.0, 60.0, 1e300])
UNLABELLED = st.tuples(st.lists(NUMBERS, min_size=4, max_size=4), NUMBERS, st.booleans())


@given(st.lists(UNLABELLED, min_size=1, max_size=4), st.integers(0, 5))
@example([([NAN, 0.0, 60.0, 60.0], 900.0, False)], 0)
@example([([0.0, 0.0, 60.0, 60.0], NAN, True)], 0)
@example([([INF, INF, 60.0, 60.0], INF, False), ([0.0, 0.0, 60.0, 60.0], 900.0, False)], 1)
@settings(max_examples=40, deadline=None)
def test_boxes_and_areas_of_people_without_labels_may_be_anything(
    rows: list[tuple[list[float], float, bool]], seed: int
) -> None:
    """The reference matches a NaN with any detection that is left, and ignores that."""
    truth, visible, boxes, area = people(seed, 9)
    ids = [1, 1, 1, 2, 2, 2, 3, 3, 3]
    content = coco_ground_truth(truth, visible, boxes, area, ids)
    nobody = {"category_id": 1, "keypoints": [0.0] * 51, "num_keypoints": 0}
    for number, (box, size, crowd) in enumerate(rows):
        own = {"id": 100 + number, "image_id": 1 + number % 2, "bbox": box, "area": size, "iscrowd": int(crowd)}
        content["annotations"].append(nobody | own)
    results = found(truth, area, ids, seed + 1) + found(truth + 40, area, ids, seed + 2)
    with np.errstate(all="ignore"):
        theirs = pycocotools(content, results, SIGMAS).stats
    ours = coco_ap(content, results, SIGMAS)
    np.testing.assert_allclose(list(ours.values()), np.where(theirs < 0, math.nan, theirs), atol=1e-9)


def test_the_truth_is_perfect_and_sizes_that_nobody_has_are_not_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    truth, visible, boxes, _ = people(1)
    visible[3] = 2
    area = np.full(40, 50.0**2)  # medium
    ids = list(range(40))
    results = [
        {
            "image_id": i,
            "category_id": 1,
            "keypoints": np.column_stack([truth[i], np.ones(17)]).ravel().tolist(),
            "score": 1.0,
        }
        for i in ids
    ]
    figures = coco_ap(coco_ground_truth(truth, visible, boxes, area, ids), results, SIGMAS)
    for name in ("ap", "ap50", "ap75", "ap_medium", "ar"):
        assert figures[name] == pytest.approx(1)
    assert math.isnan(figures["ap_large"])
    assert capsys.readouterr().out == ""


def test_nothing_found() -> None:
    truth, visible, boxes, area = people(1)
    figures = coco_ap(coco_ground_truth(truth, visible, boxes, area, list(range(40))), [], SIGMAS)
    assert figures == dict.fromkeys(NAMES, 0.0)


def test_ground_truth_is_a_coco_file() -> None:
    truth, visible, boxes, area = people(2, 4)
    truth[visible == 0] = math.nan
    content = coco_ground_truth(truth, visible, boxes, area, [7, 7, 9, 7])
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["images"] == [{"id": 7}, {"id": 9}]
    assert [row["id"] for row in content["annotations"]] == [1, 2, 3, 4], "COCO's evaluation takes 0 for no match"
    row = content["annotations"][2]
    assert row["image_id"] == 9
    assert row["num_keypoints"] == int((visible[2] > 0).sum())
    triplets = np.array(row["keypoints"]).reshape(17, 3)
    np.testing.assert_array_equal(triplets[:, 2], visible[2])
    np.testing.assert_array_equal(triplets[visible[2] > 0, :2], truth[2][visible[2] > 0])


# Several categories


def of_categories(seed: int, kinds: dict[int, int]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """People of several categories, by id, with so many joints each, in the same images; one more has nobody."""
    rows, results = [], []
    ids = [100 + i // 4 for i in range(40)]
    for category, joints in kinds.items():
        truth, visible, boxes, area = people(seed + category, joints=joints)
        truth[visible == 0] = math.nan
        own = coco_ground_truth(truth, visible, boxes, area, ids)["annotations"]
        rows += [{**row, "category_id": category} for row in own]
        results += found(truth, area, ids, seed + 10, category)
    results += [{**results[0], "category_id": 99}]  # of nobody: pycocotools leaves such a category out of means
    categories = [{"id": category, "name": f"kind {category}"} for category in (*kinds, 99)]
    rows = [{**row, "id": i} for i, row in enumerate(rows, start=1)]
    return {"images": [{"id": i} for i in set(ids)], "annotations": rows, "categories": categories}, results


@pytest.mark.parametrize("seed", range(3))
def test_means_over_categories_are_pycocotools(seed: int) -> None:
    content, results = of_categories(seed, {3: 5, 7: 5, 2: 5})
    sigmas = (0.03, 0.05, 0.1, 0.02, 0.08)
    ours = coco_ap_of_categories(content, results, dict.fromkeys((3, 7, 2, 99), sigmas))
    theirs = pycocotools(content, results, sigmas)
    np.testing.assert_allclose([ours[name] for name in NAMES], theirs.stats, atol=1e-6)
    precision = theirs.eval["precision"][:, :, :, 0, 0]  # thresholds, recalls, categories; all sizes
    each = {number: precision[:, :, place].mean() for place, number in enumerate(theirs.params.catIds)}
    for number in (2, 3, 7):
        assert ours[f"ap/kind {number}"] == pytest.approx(each[number], abs=1e-6)
    assert math.isnan(ours["ap/kind 99"])
    assert set(ours) == {*NAMES, *(f"ap/kind {number}" for number in (2, 3, 7, 99))}


def test_each_category_has_its_own_joints_and_sigmas() -> None:
    content, results = of_categories(4, {1: 17, 8: 5})
    sigmas = {1: SIGMAS, 8: (0.03, 0.05, 0.1, 0.02, 0.08), 99: (0.1,)}
    ours = coco_ap_of_categories(content, results, sigmas)
    stats = []
    for number in (1, 8):
        own = {**content, "annotations": [row for row in content["annotations"] if row["category_id"] == number]}
        mine = [row for row in results if row["category_id"] == number]
        stats.append(pycocotools(own, mine, sigmas[number]).stats)
        assert ours[f"ap/kind {number}"] == pytest.approx(stats[-1][0], abs=1e-6)
    np.testing.assert_allclose([ours[name] for name in NAMES], np.mean(stats, axis=0), atol=1e-6)
    missed = coco_ap_of_categories(content, [row for row in results if row["category_id"] != 8], sigmas)
    assert (missed["ap/kind 8"], missed["ap"]) == (0, pytest.approx(stats[0][0] / 2, abs=1e-6))


def test_oks_by_sigmas_of_each_one() -> None:
    truth, visible, _, area = people(0, 4, joints=3)
    sigmas = np.array([(0.1, 0.2, 0.3), (0.3, 0.2, 0.1), (0.05,) * 3, (0.1, 0.2, 0.3)])
    visible[:] = 2
    away = truth + 20
    every = oks(away, truth, visible, area, sigmas)
    alone = [oks(away[[i]], truth[[i]], visible[[i]], area[[i]], tuple(sigmas[i]))[0] for i in range(4)]
    assert every.tolist() == alone
    std = np.full((4, 3, 2), 9.0)
    one = [expected_oks(std[[i]], area[[i]], tuple(sigmas[i]))[0].tolist() for i in range(4)]
    assert expected_oks(std, area, sigmas).tolist() == one


# People found more than once


@given(st.integers(0, 2**31), st.integers(0, 9), st.floats(0.2, 0.99))
def test_oks_nms_is_the_naive_loop(seed: int, count: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    keypoints = rng.integers(0, 3, (count, 1, 1)) * 40 + rng.normal(0, 3, (count, 3, 2))
    scores, area = rng.integers(0, 5, count) / 4, rng.uniform(400, 4000, count)
    sigmas = (0.05, 0.1, 0.07)

    def similarity(i: int, j: int) -> float:
        squared = ((keypoints[i] - keypoints[j]) ** 2).sum(axis=1)
        each = [
            math.exp(-d / (2 * (area[i] + area[j]) / 2 * (2 * s) ** 2)) for d, s in zip(squared, sigmas, strict=True)
        ]
        return sum(each) / 3

    kept: list[int] = []
    for i in sorted(range(count), key=lambda i: -scores[i]):
        if all(similarity(i, j) <= threshold for j in kept):
            kept.append(i)
    assert oks_nms(keypoints, scores, area, sigmas, threshold) == kept
    for most in (0, 1, 3):
        assert oks_nms(keypoints, scores, area, sigmas, threshold, most) == kept[:most]


def test_oks_nms_keeps_the_best_of_each() -> None:
    one, other = np.zeros((3, 2)), np.full((3, 2), 500.0)
    keypoints = np.stack([one, other, one + 0.1, other + 0.1, one + 0.2])
    scores, area = np.array([0.5, 0.6, 0.9, 0.1, 0.2]), np.full(5, 1e4)
    assert oks_nms(keypoints, scores, area, (0.1, 0.1, 0.1)) == [2, 1]
    assert oks_nms(keypoints[:0], scores[:0], area[:0], (0.1, 0.1, 0.1)) == []
