"""What a run takes of the checkpoint that it starts from: backbone, head and flow, of joints by their names."""

from __future__ import annotations

import copy
import importlib.util
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.callbacks import Callback
from tiny_runs import Tiny, tiny

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, Skeleton
from logpose.flows import RealNVP
from logpose.losses import HeatmapLoss, L1Loss, Laplace, MixedRLELoss, PoseLoss, RLELoss, WithHeatmaps
from logpose.models import (
    HeatmapModel,
    IntegralModel,
    MaskRCNN,
    MaskRCNNOptions,
    Model,
    PointSetAnchors,
    PointSetOptions,
    RegressionModel,
    ResNet,
)
from logpose.tasks.detection.recipe import MaskRCNNRecipe, mask_rcnn
from logpose.training.checkpoint import load, save
from logpose.training.run import Run, fit
from logpose.training.warm_start import same_joints, warm_start

FACE = Skeleton("face", ("a", "b", "c", "d"))
pytestmark = pytest.mark.usefixtures("thin_module")
with_torchvision = pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is an extra")


def scrambled(module: torch.nn.Module, seed: int = 1) -> Any:
    """The module with other numbers in all that it has learned."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point() and not tensor.isnan().any():
                tensor.copy_(torch.rand(tensor.shape, generator=generator))
    return module


def regression(skeleton: Skeleton = FACE, dim: int = 2, sigma: bool = True, **changes: Any) -> RegressionModel:
    return RegressionModel(ResNet(18), skeleton, (64, 64), dim, predicts_sigma=sigma, **changes)


def started(
    tmp_path: Path, before: Model, loss_before: PoseLoss | None, model: Model, loss: PoseLoss, **changes: Any
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The tensors of a model and its loss as they were, and as they are after a warm start from a checkpoint."""
    save(scrambled(before), loss_before if loss_before is None else scrambled(loss_before, 2), tmp_path / "before")
    whole = torch.nn.ModuleDict({"model": model, "loss": loss})
    fresh = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    warm_start(model, loss, tiny(weights=str(tmp_path / "before"), **changes))
    return fresh, whole.state_dict()


def changed(fresh: dict[str, torch.Tensor], now: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in fresh if not torch.equal(fresh[name], now[name]) and not fresh[name].isnan().any()}


def of_joints(tensor: torch.Tensor, count: int) -> torch.Tensor:
    return tensor.view(count, -1, *tensor.shape[1:])


# Whole runs


class Before(Callback):
    """Keeps a copy of what a run starts with."""

    def on_train_start(self, _: Any, module: Any) -> None:  # type: ignore[override]
        self.model, self.loss = copy.deepcopy(module.model).eval(), copy.deepcopy(module.loss).eval()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(tiny(lr=5e-3), tmp_path_factory.mktemp("run"))


def figures_of(recipe: Any, model: Any, loss: Any) -> dict[str, float]:
    val = recipe.people(recipe, "val")
    evaluation = recipe.evaluation(val, model, None if loss is None else loss.density)
    with torch.inference_mode():
        for batch in recipe.loader(val, model, training=False):
            evaluation.update(batch, model.predict(batch, recipe.flip_test))
    return dict(evaluation.compute())


def test_a_run_on_the_same_joints_starts_with_the_figures_of_its_checkpoint(run, tmp_path, caplog):
    caplog.set_level(logging.INFO, "logpose")
    start = Before()
    recipe = tiny(weights=str(run.best), lr=1e-9, weight_decay=0.0, epochs=1)
    fit(recipe, tmp_path / "tuned", callbacks=(start,))
    before, density = load(run.best, Tiny())
    for old, new in ((before, start.model), (density, start.loss)):
        assert new.state_dict().keys() == old.state_dict().keys()
        assert all(
            torch.equal(new.state_dict()[name], t) for name, t in old.state_dict().items() if "error_" not in name
        )
    start.model.set_error_distribution(start.loss.error_distribution())
    figures = figures_of(recipe, start.model, start.loss)
    both = figures.keys() & run.figures.keys()
    assert {"error_px", "nll"} <= both
    old, new = ({name: found[name] for name in both} for found in (run.figures, figures))
    assert new == pytest.approx(old, rel=0, abs=0, nan_ok=True)
    (line,) = [record.getMessage() for record in caplog.records if "taken: " in record.getMessage()]
    assert line == f"--weights {run.best}: taken: backbone, head, sigma head, flow"


def test_a_run_may_take_the_backbone_alone(run, tmp_path):
    start = Before()
    fit(tiny(weights=str(run.best), weights_of="backbone", epochs=1), tmp_path / "tuned", callbacks=(start,))
    fresh = Before()
    fit(tiny(epochs=1), tmp_path / "fresh", callbacks=(fresh,))
    assert torch.equal(start.model.fc_mu.weight, fresh.model.fc_mu.weight)


def test_a_resumed_run_and_one_of_a_stage_before_take_nothing(run, tmp_path, caplog):
    caplog.set_level(logging.INFO, "logpose")
    fit(tiny(weights=str(run.best), epochs=1), tmp_path / "one")
    assert "taken: " in caplog.text
    caplog.clear()
    fit(tiny(weights=str(run.best), epochs=2), tmp_path / "one", resume=tmp_path / "one" / "last.ckpt")
    start, alone = Before(), Before()
    two = tiny(first=lambda recipe: replace(recipe, first=None, seed=5), epochs=1)
    fit(two, tmp_path / "two", callbacks=(start,))
    fit(tiny(epochs=1), tmp_path / "alone", callbacks=(alone,))
    assert torch.equal(start.model.fc_mu.weight, alone.model.fc_mu.weight)
    assert all(torch.equal(a, b) for a, b in zip(start.loss.parameters(), alone.loss.parameters(), strict=True))
    assert "taken: " not in caplog.text


def test_frozen_stages_are_those_of_the_checkpoint(run, tmp_path):
    before, _ = load(run.best, Tiny())
    recipe = tiny(weights=str(run.best), freeze=1, layer_decay=0.5, freeze_norm=True, epochs=1, lr=1e-2)
    after, _ = load(fit(recipe, tmp_path / "tuned").best, Tiny())
    assert torch.equal(after.backbone.layers[0].weight, before.backbone.layers[0].weight)
    assert torch.equal(after.backbone.layers[1].running_mean, before.backbone.layers[1].running_mean)
    assert not torch.equal(after.backbone.layers[3].weight, before.backbone.layers[3].weight)


# Joints


def test_joints_of_one_name_are_found_in_any_spelling():
    other = Skeleton("x", ("R_ankle", "right_hip", "nose", "tail"))
    assert same_joints(COCO, other) == [(0, 2), (12, 1), (16, 0)]
    assert same_joints(Skeleton("x", ("a", "A")), Skeleton("x", ("A", "b", "a"))) == [(0, 2), (1, 0)]


@given(st.permutations(FACE.joints).flatmap(lambda names: st.integers(1, 4).map(lambda n: tuple(names[:n]))))
def test_rows_of_mu_and_sigma_go_to_the_joints_of_their_names(tmp_path_factory, joints):
    before, model = regression_of(Tiny(), FACE), regression_of(Tiny(), Skeleton("face", (*joints, "new")))
    save(scrambled(before), None, folder := tmp_path_factory.mktemp("before"))
    fresh = copy.deepcopy(model)
    warm_start(model, Laplace(), tiny(weights=str(folder)))
    for layer in ("fc_mu", "fc_sigma"):
        for part in ("weight", "bias"):
            old, now, start = (
                of_joints(getattr(getattr(each, layer), part), len(each.skeleton)) for each in (before, model, fresh)
            )
            assert torch.equal(now[:-1], old[[FACE.joints.index(joint) for joint in joints]])
            assert torch.equal(now[-1], start[-1])


def regression_of(backbone: Any, skeleton: Skeleton) -> RegressionModel:
    return RegressionModel(backbone, skeleton, (32, 32))


def test_joints_in_another_order_predict_the_same_positions(tmp_path, caplog):
    caplog.set_level(logging.INFO, "logpose")
    order = [2, 0, 3, 1]
    before, model = regression(), regression(Skeleton("face", tuple(FACE.joints[i] for i in order)))
    started(tmp_path, before, RLELoss(), model, RLELoss())
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    old, new = before.eval()(image), model.eval()(image)
    assert torch.equal(new.mu, old.mu[:, order])
    assert torch.equal(new.sigma, old.sigma[:, order])
    assert "joints that" not in caplog.text


def test_the_report_names_joints_that_are_new(tmp_path, caplog):
    caplog.set_level(logging.INFO, "logpose")
    started(tmp_path, regression(), RLELoss(), regression(Skeleton("face", ("x", "b", "y"))), RLELoss())
    assert "1 of 3 joints" in caplog.text
    assert "joints that the checkpoint does not have: x y" in caplog.text


def test_without_a_joint_in_common_the_head_starts_as_it_was(tmp_path, caplog):
    caplog.set_level(logging.INFO, "logpose")
    fresh, now = started(tmp_path, regression(), RLELoss(), regression(Skeleton("hand", ("x", "y"))), RLELoss())
    assert not {name for name in changed(fresh, now) if "fc_" in name}
    assert "head (no joint in common)" in caplog.text.partition("not taken: ")[2]
    assert {"model.backbone.conv1.weight", "loss.flow.weights.0"} <= changed(fresh, now)


# Dimensions, heads and losses


def test_from_two_dimensions_to_three_x_and_y_are_taken(tmp_path):
    before, model = regression(), regression(dim=3)
    flat, loss = RLELoss(), MixedRLELoss()
    fresh, now = started(tmp_path, before, flat, model, loss)
    assert torch.equal(of_joints(model.fc_mu.weight, 4)[:, :2], of_joints(before.fc_mu.weight, 4))
    assert torch.equal(of_joints(model.fc_mu.bias, 4)[:, :2], of_joints(before.fc_mu.bias, 4))
    z = [of_joints(state["model.fc_sigma.weight"], 4)[:, 2] for state in (fresh, now)]
    assert torch.equal(*z)
    assert all(torch.equal(t, flat.state_dict()[name]) for name, t in loss.plane.state_dict().items())
    assert not {name for name in changed(fresh, now) if name.startswith("loss.space")}


def test_from_three_dimensions_to_two_the_flow_of_the_plane_is_taken(tmp_path):
    before, model, loss = MixedRLELoss(), regression(), RLELoss()
    started(tmp_path, regression(dim=3), before, model, loss)
    assert all(torch.equal(t, before.plane.state_dict()[name]) for name, t in loss.state_dict().items())


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        (RLELoss, lambda: RLELoss(RealNVP(2, hidden=(8, 8))), "flow (of another kind"),
        (RLELoss, lambda: RLELoss(base="gaussian"), "flow (of another kind"),
        (RLELoss, lambda: RLELoss(convention="released"), "flow (of another kind"),
        (RLELoss, Laplace, "flow (this run has none)"),
        (Laplace, RLELoss, "flow (not in the checkpoint)"),
    ],
)
def test_a_flow_that_means_something_else_is_not_taken(tmp_path, caplog, before, after, word):
    caplog.set_level(logging.INFO, "logpose")
    fresh, now = started(tmp_path, regression(), before(), regression(), after())
    assert not {name for name in changed(fresh, now) if name.startswith("loss.")}
    assert {"model.fc_mu.weight", "model.fc_sigma.weight"} <= changed(fresh, now)
    assert word in caplog.text.partition("not taken: ")[2]


def test_a_flow_is_taken_whatever_stands_around_it(tmp_path):
    """Of a loss with heatmaps beside, or other heuristics of training."""
    before, loss = WithHeatmaps(RLELoss()), RLELoss(gradient_reweighting=0.0)
    started(tmp_path, regression(auxiliary=True), before, regression(), loss)
    assert all(torch.equal(t, before.loss.state_dict()[name]) for name, t in loss.state_dict().items())


def test_from_l1_to_rle_sigma_starts_as_it_was(tmp_path, caplog):
    caplog.set_level(logging.INFO, "logpose")
    fresh, now = started(tmp_path, regression(sigma=False), L1Loss(), regression(), RLELoss())
    assert not {name for name in changed(fresh, now) if "fc_sigma" in name or name.startswith("loss.")}
    assert "model.fc_mu.weight" in changed(fresh, now)
    assert "sigma head (not in the checkpoint)" in caplog.text.partition("not taken: ")[2]


def test_from_rle_to_l1_mu_is_taken(tmp_path, caplog):
    caplog.set_level(logging.INFO, "logpose")
    fresh, now = started(tmp_path, regression(), RLELoss(), regression(sigma=False), L1Loss())
    assert {"model.fc_mu.weight", "model.fc_mu.bias"} <= changed(fresh, now)
    assert "sigma head (this run has none)" in caplog.text.partition("not taken: ")[2]


def test_the_scale_of_l1_is_taken(tmp_path):
    before, loss = L1Loss(), L1Loss()
    started(tmp_path, regression(sigma=False), before, regression(sigma=False), loss)
    assert torch.equal(loss.moment, before.moment)


def test_of_heatmaps_the_map_of_each_joint_is_taken(tmp_path):
    before = HeatmapModel(ResNet(18), FACE, (64, 64))
    model = HeatmapModel(ResNet(18), Skeleton("face", ("d", "new", "b")), (64, 64))
    fresh, now = started(tmp_path, before, HeatmapLoss(), model, HeatmapLoss())
    last = before.head.final_layer.weight
    assert torch.equal(model.head.final_layer.weight[[0, 2]], last[[3, 1]])
    assert torch.equal(now["model.head.final_layer.weight"][1], fresh["model.head.final_layer.weight"][1])
    assert torch.equal(model.head.deconv_layers[0].weight, before.head.deconv_layers[0].weight)


def integral(**changes: Any) -> IntegralModel:
    return IntegralModel(ResNet(18), FACE, (64, 64), **changes)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (lambda: HeatmapModel(ResNet(18), FACE, (64, 64)), integral),
        (integral, lambda: integral(normalisation="sigmoid")),
        (lambda: integral(dim=3, depth=8), integral),
        (lambda: integral(dim=3, depth=8), lambda: integral(dim=3, depth=16)),
    ],
)
def test_maps_that_mean_something_else_are_not_taken(tmp_path, before: Callable[[], Model], after: Callable[[], Model]):
    fresh, now = started(tmp_path, before(), None, after(), Laplace())
    assert not {name for name in changed(fresh, now) if "final_layer" in name}
    assert "model.backbone.conv1.weight" in changed(fresh, now)


def test_mu_of_features_of_length_1_is_something_else(tmp_path):
    fresh, now = started(tmp_path, regression(unit_features=True), None, regression(), RLELoss())
    assert not {name for name in changed(fresh, now) if "fc_mu" in name}
    assert "model.fc_sigma.weight" in changed(fresh, now)


def test_channel_statistics_travel_along(tmp_path):
    before = regression(pixel_mean=(0.1, 0.2, 0.3), pixel_std=(0.4, 0.5, 0.6))
    save(before, None, tmp_path / "before")
    model = regression()
    warm_start(model, RLELoss(), tiny(weights=str(tmp_path / "before")))
    assert model.config()["pixel_mean"] == [0.1, 0.2, 0.3]
    assert torch.equal(model.pixel_std, before.pixel_std)


def test_other_crops_are_reported(tmp_path, caplog):
    caplog.set_level(logging.INFO, "logpose")
    started(tmp_path, regression(), None, RegressionModel(ResNet(18), FACE, (64, 48)), RLELoss())
    assert "another shape or padding" in caplog.text


# Checkpoints and random numbers


def test_another_backbone_is_refused(tmp_path):
    save(regression_of(ResNet(18), FACE), None, tmp_path / "before")
    with pytest.raises(InputError, match="before: not weights of resnet34"):
        warm_start(regression_of(ResNet(34), FACE), RLELoss(), tiny(weights=str(tmp_path / "before")))


def test_weights_that_are_no_checkpoint_of_ours_leave_the_head(tmp_path, caplog):
    torch.save(ResNet(18).state_dict(), tmp_path / "theirs.pth")
    save(regression(), None, tmp_path / "ours")
    (tmp_path / "ours" / "config.json").unlink()
    for source in ("theirs.pth", "ours/model.safetensors"):
        model = regression()
        before = copy.deepcopy(model.state_dict())
        warm_start(model, RLELoss(), tiny(weights=str(tmp_path / source)))
        assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items() if "error_" not in name)
    assert "has no description of its model" in caplog.text


@pytest.mark.parametrize("weights", ["random", "imagenet", "before"])
def test_random_numbers_are_those_of_a_run_without(tmp_path, weights):
    save(regression(), RLELoss(), tmp_path / "before")
    model, loss = regression(), RLELoss()
    source = str(tmp_path / weights) if weights == "before" else weights
    state = torch.get_rng_state()
    warm_start(model, loss, tiny(weights=source))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_model_of_ones_own_is_taken_whole_or_but_for_its_joints(tmp_path, caplog):
    class Own(RegressionModel):
        kind = "own"

        def joint_outputs(self) -> None:  # type: ignore[override]
            return None

    caplog.set_level(logging.INFO, "logpose")
    save(scrambled(Own(ResNet(18), FACE, (64, 64))), None, tmp_path / "before")
    for joints, taken in ((FACE.joints, True), (("b", "a", "c", "d"), False)):
        model = Own(ResNet(18), Skeleton("face", joints), (64, 64))
        before = model.fc_mu.weight.clone()
        warm_start(model, RLELoss(), tiny(weights=str(tmp_path / "before")))
        assert torch.equal(model.fc_mu.weight, before) is not taken


# Detectors


def test_point_sets_take_joints_by_name_and_their_anchors(tmp_path):
    options = PointSetOptions(channels=16, depth=1)
    before = PointSetAnchors(ResNet(18), COCO, False, options)
    swapped = Skeleton("person", (COCO.joints[1], COCO.joints[0], *COCO.joints[2:], "tail"))
    model = PointSetAnchors(ResNet(18), swapped, True, options)
    fresh, _ = started(tmp_path, before, L1Loss(), model, RLELoss())
    old, new = (of_joints(each.stages[1].last["pose"].weight, len(each.skeleton)) for each in (before, model))
    assert torch.equal(new[[1, 0, *range(2, 17)], :2], old)
    start = of_joints(fresh["model.stages.1.last.pose.weight"], 18)
    assert torch.equal(new[:, 2:], start[:, 2:])  # sigma
    assert torch.equal(new[17], start[17])
    assert torch.equal(model.template[[1, 0, *range(2, 17)]], before.template)
    assert [swapped.joints[i] for i in model.read] == [COCO.joints[i] for i in before.read]
    assert torch.equal(model.peaks.maps[6].weight[[1, 0]], before.peaks.maps[6].weight[[0, 1]])
    offsets = (of_joints(each.peaks.offsets[6].bias, len(each.skeleton)) for each in (model, before))
    assert torch.equal(next(offsets)[1], next(offsets)[0])
    assert torch.equal(model.stages[0].indexed["pose"].conv.weight, before.stages[0].indexed["pose"].conv.weight)


def test_features_read_at_other_joints_are_something_else(tmp_path):
    options = PointSetOptions(channels=16, depth=1)
    fresh, now = started(
        tmp_path, PointSetAnchors(ResNet(18), COCO, True, options), None,
        PointSetAnchors(ResNet(18), FACE, True, options), RLELoss(),
    )  # fmt: skip
    assert not {name for name in changed(fresh, now) if ".indexed." in name}
    assert "model.stages.0.towers.pose.0.0.weight" in changed(fresh, now)


def test_a_detector_takes_the_backbone_of_a_pose_model_only(tmp_path, caplog):
    caplog.set_level(logging.INFO, "logpose")
    model = PointSetAnchors(ResNet(18), COCO, True, PointSetOptions(channels=16, depth=1))
    fresh, now = started(tmp_path, regression(COCO), RLELoss(), model, RLELoss())
    assert not changed(fresh, now)  # the recipe's network has it already
    assert "of a model for pose" in caplog.text


PREDICTOR = "roi_heads.keypoint_predictor."
MASK_RCNN = MaskRCNNOptions(
    channels=16, box_head_width=32, keypoint_head_channels=(16, 16), anchor_sizes=(8, 16, 32, 64, 96), frozen=False
)


@with_torchvision
@pytest.mark.parametrize("head", ["regression", "heatmap"])
def test_mask_rcnn_takes_joints_by_name(tmp_path, head):
    before = MaskRCNN(FACE, "resnet18", head, True, 64, 96, MASK_RCNN)
    model = MaskRCNN(Skeleton("face", ("d", "new", "a")), "resnet18", head, True, 64, 96, MASK_RCNN)
    fresh, _ = started(tmp_path, before, RLELoss(), model, RLELoss())
    name = PREDICTOR
    if head == "heatmap":
        old, new = (each.state_dict()[f"{name}kps_score_lowres.weight"].transpose(0, 1) for each in (before, model))
        start = fresh[f"model.{name}kps_score_lowres.weight"].transpose(0, 1)
    else:
        old, new = (
            of_joints(each.state_dict()[f"{name}fc_sigma.weight"], len(each.skeleton)) for each in (before, model)
        )
        start = of_joints(fresh[f"model.{name}fc_sigma.weight"], 3)
    assert torch.equal(new[[0, 2]], old[[3, 0]])
    assert torch.equal(new[1], start[1])
    assert torch.equal(model.rpn.head.bbox_pred.weight, before.rpn.head.bbox_pred.weight)


@with_torchvision
@pytest.mark.parametrize("of", ["all", "backbone"])
def test_a_recipe_of_mask_rcnn_reports_once(tmp_path, caplog, of):
    caplog.set_level(logging.INFO, "logpose")
    before = scrambled(MaskRCNN(FACE, "resnet18", "regression", True, 64, 96, MASK_RCNN))
    save(before, None, tmp_path / "before")
    recipe = MaskRCNNRecipe(
        people=tiny().people, model=mask_rcnn, backbone="resnet18", weights=str(tmp_path / "before"), weights_of=of,
        test_short=64, longest=96, short=(64,),
    )  # fmt: skip
    model = mask_rcnn(recipe, Skeleton("face", ("d", "new")), True, options=MASK_RCNN)
    warm_start(model, RLELoss(), recipe)
    assert len(caplog.records) == (of == "all")
    assert torch.equal(model.backbone.body.conv1.weight, before.backbone.body.conv1.weight)
    mu, old = (of_joints(each.state_dict()[f"{PREDICTOR}fc_mu.bias"], len(each.skeleton)) for each in (model, before))
    assert torch.equal(mu[0], old[3]) is (of == "all")
