"""What was found in an image as results: COCO's, arrays."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from logpose.core.placement import Viewpoint
from logpose.core.skeletons import COCO
from logpose.metrics.oks import coco_ap, coco_ground_truth
from logpose.tasks.pose.poses import Poses, coco_results, people_text, results_arrays

RNG = np.random.default_rng(0)


SIZE = (200, 300)


def poses(people: int = 2, path: Path | None = None) -> Poses:
    keypoints = RNG.uniform(20, 180, (people, 17, 2))
    sigma, confidence = RNG.uniform(1, 5, (people, 17, 2)), RNG.uniform(0, 1, (people, 17))
    boxes = np.tile([10.0, 20, 60, 80], (people, 1))
    return Poses(COCO, boxes, keypoints, sigma, confidence, confidence.mean(axis=1), 1.5, path)


def in_space(flat: Poses, view: Viewpoint | None = None) -> Poses:
    view = view or Viewpoint()
    depth = RNG.normal(0, 100, (len(flat), 17, 1))
    placed = view.place(
        np.concatenate([flat.keypoints, depth], axis=2), np.full((len(flat), 17, 3), 20.0), SIZE, COCO
    )  # fmt: skip
    return replace(
        flat, joints_mm=placed.joints, sigma_mm=placed.sigma, root_depth_mm=placed.root_depth, camera=placed.camera,
        assumed=view.assumed,
    )  # fmt: skip


def test_results_are_a_coco_results_file() -> None:
    found = poses(1)
    rows = json.loads(json.dumps(coco_results(found, 7)))
    assert rows[0]["image_id"] == 7
    assert len(rows[0]["sigma"]) == 34
    assert {"joints_mm", "sigma_mm", "camera", "file_name"}.isdisjoint(rows[0])
    content = coco_ground_truth(found.keypoints, np.full((1, 17), 2), found.boxes, np.array([4800.0]), [7])
    assert coco_ap(content, rows, COCO.sigmas)["ap"] == pytest.approx(1)


def test_what_is_in_space_is_told_with_what_was_assumed() -> None:
    found = in_space(poses(2, Path("a/b.jpg")))
    first, second = json.loads(json.dumps(coco_results(found, "b"), allow_nan=False))
    assert first["file_name"] == "b.jpg"
    np.testing.assert_allclose(first["joints_mm"], found.joints_mm[0], atol=0.006)
    np.testing.assert_allclose(second["sigma_mm"], found.sigma_mm[1], atol=0.006)
    camera = second["camera"]
    assert camera["focal"] == pytest.approx([np.hypot(*SIZE)] * 2, abs=1e-3)
    assert camera["centre"] == [149.5, 99.5]
    assert camera["root_depth_mm"] == pytest.approx(found.root_depth_mm[1], abs=0.06)
    assert camera["assumed"] == ["focal", "centre", "root_depth_mm"]
    known = in_space(poses(1), Viewpoint((500.0, 500.0), (1.0, 2.0), 3000.0))
    assert coco_results(known, 1)[0]["camera"]["assumed"] == []


def test_what_is_not_known_is_null() -> None:
    found = in_space(poses(1))
    found.sigma[0, 3] = found.sigma_mm[0, 3] = np.nan
    (row,) = coco_results(found, 1)
    assert row["sigma"] is row["sigma_mm"] is None
    assert row["joints_mm"] is not None


def test_arrays_have_a_row_for_each_person() -> None:
    found = [(4, in_space(poses(2, Path("a.jpg")))), ("x", in_space(poses(0))), (5, in_space(poses(3)))]
    arrays = results_arrays(found, COCO)
    assert arrays["joints"].tolist() == list(COCO.joints)
    assert arrays["image_id"].tolist() == ["4", "4", "5", "5", "5"]
    assert arrays["file_name"].tolist() == ["a.jpg", "a.jpg", "", "", ""]
    shapes = {name: array.shape for name, array in arrays.items()}
    assert shapes["keypoints"] == shapes["sigma"] == (5, 17, 2)
    assert shapes["joints_mm"] == shapes["sigma_mm"] == (5, 17, 3)
    assert shapes["focal"] == shapes["centre"] == (5, 2)
    assert shapes["scores"] == shapes["root_depth_mm"] == (5,)
    np.testing.assert_array_equal(arrays["joints_mm"][2:], found[2][1].joints_mm)
    assert arrays["assumed"].tolist() == ["focal", "centre", "root_depth"]
    assert "joints_mm" not in results_arrays([(1, poses(2))], COCO)
    assert results_arrays([(1, poses(0))], COCO)["keypoints"].shape == (0, 17, 2)
    assert not any(array.dtype.hasobject for array in arrays.values())


def test_covariances_and_probabilities_are_among_the_results() -> None:
    found = poses(2)
    assert found.covariance is None
    correlation = RNG.uniform(-0.9, 0.9, (2, 17))
    found = replace(found, correlation=correlation, visible=RNG.uniform(0, 1, (2, 17)))
    row = json.loads(json.dumps(coco_results(found, 7)))[1]
    matrix = np.array(row["covariance"])
    assert matrix.shape == (17, 2, 2)
    np.testing.assert_allclose(np.sqrt(matrix[:, [0, 1], [0, 1]]), found.sigma[1], atol=2e-3)
    np.testing.assert_allclose(matrix[:, 0, 1], correlation[1] * found.sigma[1].prod(axis=1), atol=1e-3)
    np.testing.assert_allclose(row["visible"], found.visible[1], atol=6e-4)
    arrays = results_arrays([(7, found)], COCO)
    assert arrays["covariance"].shape == (2, 17, 2, 2)
    assert (arrays["visible"] == found.visible).all()
    assert any(f"visible {row['visible'][0]:.3f}" in line for line in people_text([row | {"file_name": "a"}], COCO))
    assert {"covariance", "visible"}.isdisjoint(results_arrays([(7, poses(1))], COCO))
