"""What counts as the same prediction, and where labelled data to prove it come from."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_runs import Tiny

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO
from logpose.core.structures import Prediction
from logpose.export.verification import LIMITS, Limits, Observed, Verified, data_of, observe, refuse_nobody, verify
from logpose.losses import Laplace
from logpose.models import Detections, KeypointWrapper, PointSetAnchors, RegressionModel, create_backbone
from logpose.models.detector import box_maps
from logpose.models.options import PointSetOptions
from logpose.tasks import TASKS, task_of
from logpose.training.checkpoint import load

POSE, LIFTING = (next(task for task in TASKS if task.name == name) for name in ("pose", "lifting"))


def verified(moved=0.001, sigma=1e-4, others=0.0, before=None, after=None, **more) -> Verified:
    figures = {"pck@0.2": 0.8, "coverage@0.9": 0.9, "coverage@0.9/hidden": 0.5}
    return Verified(
        "crop_px",
        3,
        np.array([0.0, moved]),
        np.array([0.0, sigma]),
        others,
        figures | (before or {}),
        figures | (after or {}),
        **more,
    )


def test_each_limit_holds_for_its_precision():
    assert verified().excess(LIMITS["single"]) == []
    assert "move by up to 0.02 crop_px" in verified(moved=0.02).excess(LIMITS["single"])[0]
    assert verified(moved=0.02).excess(LIMITS["half"]) == []
    assert "0.31" in verified(moved=0.31).excess(LIMITS["half"])[0]
    assert "sigma changes by up to 0.20%" in verified(sigma=0.002).excess(LIMITS["single"])[0]
    assert verified(moved=9.0, sigma=3.0).excess(LIMITS["int8"]) == []
    assert "pck@0.2 falls by 0.011" in verified(after={"pck@0.2": 0.789}).excess(LIMITS["int8"])[0]
    assert verified(after={"pck@0.2": 0.9}).excess(LIMITS["int8"]) == []
    for share in (0.879, 0.921):
        assert "coverage@0.9 changes by" in verified(after={"coverage@0.9": share}).excess(LIMITS["int8"])[0]
    assert verified(after={"coverage@0.9/hidden": 0.1}).excess(LIMITS["int8"]) == []


NAN = math.nan
LOST = ({"moved": NAN}, {"sigma": NAN}, {"others": NAN}, {"after": {"pck@0.2": NAN}}, {"after": {"coverage@0.9": NAN}})


@pytest.mark.parametrize("changes", LOST)
def test_what_is_not_a_number_is_never_the_same(changes):
    assert verified(**changes).excess(Limits(1, 1, 1, 1, 1, 1))


def test_of_positions_in_steps_one_in_a_thousand_may_jump():
    moved = np.zeros(2001)
    moved[0] = 1.0
    many = Verified("crop_px", 3, moved, np.empty(0), 0.0, {}, {})
    assert many.excess(LIMITS["single"])
    assert not Verified("crop_px", 3, moved, np.empty(0), 0.0, {}, {}, in_steps=True).excess(LIMITS["single"])
    moved[:3] = 1.0
    assert Verified("crop_px", 3, moved, np.empty(0), 0.0, {}, {}, in_steps=True).excess(LIMITS["single"])


@pytest.mark.usefixtures("thin_resnets")
def test_changes_are_measured_on_the_first_rows(tiny_run, coco_folder):
    model, loss = load(tiny_run)
    task, options = task_of(model), data_of(POSE, tiny_run, {"data": str(coco_folder)}, None)
    seen = observe(task, model, loss, options, 5)
    assert "predict" not in vars(model)  # as it was
    assert len(seen.inputs) == 1
    assert len(seen.evaluator.rows) == len(seen.inputs[0]) > 8  # those of one batch
    same = verify(seen, observe(task, model, loss, options, 5), model)
    assert (same.moved.max(), same.sigma.max()) == (0, 0)
    assert same.before == same.after
    assert "nll" in same.before
    with torch.no_grad():
        model.fc_mu.bias[0] += 0.25  # of 48 columns
        model.fc_sigma.bias += 0.1
    changed = verify(seen, observe(task, model, loss, options, 5), model)
    assert changed.moved.reshape(-1, 17)[:, 0] == pytest.approx(12, abs=1e-3)
    assert changed.moved.reshape(-1, 17)[:, 1:].max() < 1e-4
    assert (changed.sigma > 0).all()
    assert changed.figures()["moved_crop_px_largest"] == pytest.approx(12, abs=1e-3)
    assert any("12 (largest)" in line for line in changed.text())


def test_figures_that_are_not_known_of_these_people_are_left_out():
    """Nobody has a labelled shoulder and hip, for example."""
    unknown = {"pck_torso@0.1": math.nan}
    for precision in LIMITS:
        assert verified(before=unknown, after=unknown).excess(LIMITS[precision]) == []
    assert verified(before=unknown, after=unknown).figures()["checkpoint_and_export"]["pck_torso@0.1"] == [None, None]


def test_confidences_count_too_and_errors_where_there_is_no_pck():
    assert "changes by 0.002" in verified(others=0.002).excess(LIMITS["single"])[0]
    moved = np.zeros(2)
    for before, after, wrong in (({"mpjpe": 50.0}, {"mpjpe": 52.0}, 0), ({"mae_um": 5.0}, {"mae_um": 5.3}, 1),
                                 ({"mpjpe": 50.0}, {}, 1)):  # fmt: skip
        assert len(Verified("mm", 3, moved, np.empty(0), 0.0, before, after).excess(LIMITS["int8"])) == wrong


def test_deviations_that_are_lost_are_a_change():
    model = RegressionModel(Tiny(), COCO, (32, 32)).eval()
    model.set_error_distribution(Laplace(2).error_distribution())
    with torch.no_grad():
        one = model(model.example_input())
    other = replace(one, sigma=torch.full_like(one.sigma, math.nan))
    seen = [Observed(SimpleNamespace(compute=lambda **_: {}), [np.zeros((1, 1))], [each]) for each in (one, other)]
    assert any("sigma changes" in each for each in verify(*seen, model).excess(LIMITS["single"]))
    assert verify(seen[0], seen[0], model).excess(LIMITS["single"]) == []


def test_data_are_those_given_or_those_of_the_run(coco_folder, tmp_path):
    recipe = {"data": str(coco_folder), "images": str(tmp_path), "category": "person", "other": 1, "flip_test": True}
    found = data_of(POSE, Path("run"), recipe, None)
    assert (found.data, found.images, found.category, found.flip_test) == (coco_folder, tmp_path, "person", None)
    other = recipe | {"val_data": str(tmp_path), "val_images": str(coco_folder)}
    found = data_of(POSE, Path("run"), other, None)
    assert (found.data, found.images) == (tmp_path, coco_folder)
    # The images of training are not those of other data.
    found = data_of(POSE, Path("run"), recipe, coco_folder)
    assert (found.data, found.images, found.category) == (coco_folder, None, "person")
    assert data_of(POSE, Path("run"), recipe, coco_folder, tmp_path).images == tmp_path
    lifting = {"data": str(tmp_path), "keypoints": "x.npz", "picture": [1000, 1002], "cameras": 2}
    found = data_of(LIFTING, Path("run"), lifting, None)
    assert (found.keypoints, found.picture, found.cameras) == (Path("x.npz"), (1000, 1002), 2)
    with pytest.raises(InputError, match="does not name its data: give --verify DATA, or --unverified"):
        data_of(POSE, Path("run"), {}, None)
    with pytest.raises(InputError, match="gone is not there: give --data DATA"):
        data_of(POSE, Path("run"), {}, tmp_path / "gone", flag="--data DATA")


def people_of(detector, *boxes) -> Detections:
    """People with these boxes and scores; their joints lie in the middles."""
    rows = torch.tensor(boxes, dtype=torch.float32).view(-1, 5)
    mu = torch.zeros(len(rows), len(COCO), 2)
    prediction = Prediction(mu, torch.full_like(mu, 0.1), torch.full(mu.shape[:2], 0.9), detector.error_distribution)
    return Detections(rows[:, :4], rows[:, 4], prediction, box_maps(rows[:, :4]))


@pytest.mark.usefixtures("thin_resnets")
def test_people_of_detectors_are_matched_and_missed():
    backbone = create_backbone("resnet18", (64, 64), neck=False, all_branches=True)
    detector = PointSetAnchors(backbone, COCO, options=PointSetOptions(channels=16, depth=1), short=64, longest=64)
    detector.set_error_distribution(Laplace(2).error_distribution())
    least = detector.score_threshold
    one = people_of(detector, (0, 0, 50, 100, 0.9), (60, 0, 90, 90, least + 0.01), (0, 0, 9, 9, 0.01))
    moved = people_of(detector, (60, 0, 90, 90.5, least - 0.001), (1, 0, 51, 100, 0.89))
    other = people_of(detector, (60, 0, 90, 90, 0.9))
    nobody = people_of(detector)

    def compared(before, after) -> Verified:
        seen = [
            Observed(SimpleNamespace(compute=lambda **_: {}), [np.zeros((1, 1))], [[each]]) for each in (before, after)
        ]
        return verify(*seen, detector)

    same = compared(one, one)
    assert (same.people, same.missing, same.moved.max(), same.sigma.max()) == (2, 0, 0, 0)
    assert same.excess(LIMITS["single"]) == []
    changed = compared(one, moved)  # who has a score just below the least in one of both is found all the same
    assert (changed.people, changed.missing) == (2, 0)
    assert changed.moved.max() == pytest.approx(1)
    assert changed.others == pytest.approx(0.011, abs=1e-5)
    assert changed.unit == "input_px"
    for before, after, missing, count in (
        (one, other, 1, 2),
        (other, one, 1, 2),
        (one, nobody, 2, 2),
        (nobody, one, 2, 2),
    ):
        lost = compared(before, after)
        assert (lost.missing, lost.people) == (missing, count)
        assert "of 2 people are not found by both" in lost.excess(LIMITS["single"])[-1]
    assert lost.figures()["not_found_by_both"] == 2
    twice = compared(other, people_of(detector, (60, 0, 90, 90, 0.9), (60, 0, 90, 90, 0.8)))
    assert (twice.missing, twice.people) == (1, 2)
    options = POSE.eval_options(checkpoint=Path("run"), data=Path("images"))
    refuse_nobody(Observed(None, [], [[nobody, one]]), detector, options)
    with pytest.raises(InputError, match="images: the model finds nobody"):
        refuse_nobody(Observed(None, [], [[nobody, nobody]]), detector, options)


def test_changes_of_a_wrapper_are_pixels():
    wrapper = KeypointWrapper(COCO, members=1).eval()
    wrapper.set_error_distribution(Laplace(2).error_distribution())
    people = torch.rand(3, len(COCO), 3)
    people[:, :2, :2] = torch.tensor([[0.0, 0.0], [200.0, 100.0]])
    with torch.no_grad():
        one = wrapper(people)
    other = one.about(one.mean + torch.tensor([0.01, 0.0]), one.sigma, one.confidence)
    seen = [Observed(SimpleNamespace(compute=lambda **_: {}), [people.numpy()], [each]) for each in (one, other)]
    changed = verify(*seen, wrapper)
    assert changed.unit == "px"
    assert changed.moved == pytest.approx(2.0, abs=1e-3)


def test_files_that_a_task_does_not_take_and_those_that_it_lacks(tmp_path):
    wrapping = next(task for task in TASKS if task.name == "wrapping")
    with pytest.raises(InputError, match="give --predictions too"):
        data_of(wrapping, "wrapper", {}, tmp_path)
    options = data_of(wrapping, "wrapper", {}, tmp_path, predictions=tmp_path / "a.json")
    assert options.predictions == tmp_path / "a.json"
    with pytest.raises(InputError, match="--predictions is for wrappers"):
        data_of(POSE, "run", {}, tmp_path, predictions=tmp_path / "a.json")
