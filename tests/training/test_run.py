"""Training: schedules, checkpoints, resuming, what a run leaves behind, and that it learns."""

from __future__ import annotations

import math
import os
import signal
import threading
from dataclasses import replace
from functools import partial

import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Callback

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.data import InMemory
from logpose.data.synthetic import SyntheticPeople
from logpose.losses import HeatmapLoss, L1Loss, Laplace, RLELoss, WithHeatmaps
from logpose.models import AttentionModel, HeatmapModel, IntegralModel, RegressionModel
from logpose.report.page import read_curves
from logpose.tasks.image_recipe import labelled_people
from logpose.tasks.pose.evaluate import evaluate
from logpose.tasks.pose.recipe import attention, heatmaps, integral, regression
from logpose.training.checkpoint import load, read
from logpose.training.run import fit, in_whole_epochs, save_config, validation_interval


def test_steps_are_whole_epochs(make_recipe, tmp_path, caplog):
    """By SGD; the budget is rounded up to the end of an epoch, and that is logged."""
    recipe = make_recipe(steps=5, optimizer="sgd", lr=1e-3, weight_decay=1e-4, loggers=())
    with caplog.at_level("INFO", logger="logpose"):
        run = fit(recipe, tmp_path)
    content = read(run.folder / "last.ckpt")
    per_epoch = content["global_step"] // (content["epoch"] + 1)
    message = f"5 steps become {content['global_step']}, whole epochs of {per_epoch}"
    assert (message in caplog.text) == (content["global_step"] != 5)
    assert content["global_step"] == math.ceil(5 / per_epoch) * per_epoch
    groups = content["optimizer_states"][0]["param_groups"]
    assert [(group["momentum"], group["weight_decay"]) for group in groups] == [(0.9, 1e-4), (0.9, 0.0)]
    with pytest.raises(InputError, match=r"last\.ckpt: all 5 steps .*--steps"):
        fit(recipe, tmp_path, resume=run.folder / "last.ckpt")


def test_amsgrad_keeps_the_largest_second_moment(make_recipe, tmp_path):
    run = fit(make_recipe(optimizer="amsgrad", epochs=1), tmp_path)
    states = read(run.folder / "last.ckpt")["optimizer_states"][0]["state"].values()
    assert states
    assert all("max_exp_avg_sq" in state for state in states)


def test_a_run_leaves_checkpoints_settings_and_curves(tiny_run):
    assert {path.name for path in tiny_run.iterdir()} >= {"best.ckpt", "last.ckpt", "config.yaml", "csv-1"}
    settings = yaml.safe_load((tiny_run / "config.yaml").read_text())
    assert settings["size"] == [64, 48]
    assert settings["augmentation"]["rotation"] == 45
    curves = read_curves(tiny_run)
    assert [epoch for epoch, _ in curves["val/error_px"]] == [1, 2]
    assert [epoch for epoch, _ in curves["train/loss"]] == [1, 2]
    assert list((tiny_run / "tensorboard").glob("events*"))


def test_the_checkpoint_holds_the_error_distribution_that_the_loss_learned(tiny_run):
    model, loss = load(tiny_run / "last.ckpt")
    error_distribution = loss.error_distribution()
    assert torch.allclose(model.error_distribution.std, error_distribution.std)
    assert torch.allclose(model.error_distribution.radius, error_distribution.radius)
    assert model.error_distribution.mean.abs().max() < 0.02


def test_a_run_can_be_repeated(make_recipe, tiny_run, tmp_path):
    fit(make_recipe(), tmp_path)
    first, second = (load(folder / "last.ckpt")[0].state_dict() for folder in (tiny_run, tmp_path))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_another_seed_gives_another_run(make_recipe, tiny_run, tmp_path):
    fit(make_recipe(seed=1, epochs=1), tmp_path)
    first, second = (load(folder / "last.ckpt")[0].state_dict() for folder in (tiny_run, tmp_path))
    assert not torch.equal(first["fc_mu.weight"], second["fc_mu.weight"])


def test_networks_of_one_seed_begin_alike_whatever_the_loss(make_recipe, tmp_path):
    class Begun(Callback):
        def on_fit_start(self, trainer, module):
            self.trunk = {name: value.clone() for name, value in module.model.backbone.state_dict().items()}
            trainer.should_stop = True

    first, second = Begun(), Begun()
    fit(make_recipe(epochs=1, loss=L1Loss), tmp_path / "l1", callbacks=(first,))
    fit(make_recipe(epochs=1, loss=RLELoss), tmp_path / "rle", callbacks=(second,))
    assert first.trunk.keys() == second.trunk.keys()
    assert all(torch.equal(first.trunk[name], second.trunk[name]) for name in first.trunk)


def test_resuming_goes_on_where_the_run_stopped(make_recipe, tmp_path):
    """Two epochs, or one and one more: the same weights, for schedule, moments and order go on too.

    By L1, since RLE draws fresh points at every step, others after a pause.
    """

    class StopAfterOne(Callback):
        def on_train_epoch_end(self, trainer, module):
            trainer.should_stop = True

    whole = fit(make_recipe(loss=L1Loss), tmp_path / "whole").folder
    half = fit(make_recipe(loss=L1Loss), tmp_path / "half", callbacks=(StopAfterOne(),)).folder
    fit(make_recipe(loss=L1Loss), half, resume=half / "last.ckpt")
    first, second = (load(folder / "last.ckpt")[0].state_dict() for folder in (whole, half))
    assert all(torch.allclose(first[name].float(), second[name].float(), atol=1e-5) for name in first)
    assert [epoch for epoch, _ in read_curves(half)["val/error_px"]] == [1, 2]
    with pytest.raises(InputError, match=r"last\.ckpt: all 2 epochs"):
        fit(make_recipe(loss=L1Loss), half, resume=half / "last.ckpt")


def test_a_checkpoint_of_before_a_setting_was_there_is_gone_on_from(make_recipe, tmp_path):
    """What it does not say has the default that it was made with."""
    recipe = make_recipe(loss=L1Loss)
    folder = fit(recipe, tmp_path / "run").folder
    content = torch.load(folder / "last.ckpt", weights_only=True)
    del content["logpose"]["model"]["unit_features"]
    torch.save(content, folder / "last.ckpt")
    fit(replace(recipe, epochs=3), folder, resume=folder / "last.ckpt")
    assert read(folder / "last.ckpt")["epoch"] == 2
    del content["logpose"]["model"]["dim"]
    content["logpose"]["model"]["padding"] = 1.5
    torch.save(content, folder / "last.ckpt")
    with pytest.raises(InputError, match=r"last\.ckpt: .*another model.*padding"):
        fit(replace(recipe, epochs=3), folder, resume=folder / "last.ckpt")


def test_ctrl_c_keeps_the_last_checkpoint(make_recipe, tmp_path):
    class Interrupt(Callback):
        def on_train_epoch_start(self, trainer, module):
            if trainer.current_epoch == 1:
                os.kill(os.getpid(), signal.SIGINT)
                threading.Event().wait(0.2)

    # A shell's background jobs are started with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run = fit(make_recipe(), tmp_path, callbacks=(Interrupt(),))
    finally:
        signal.signal(signal.SIGINT, before)
    assert run.interrupted
    assert load(run.folder / "last.ckpt")[0].size == (64, 48)


@pytest.mark.parametrize("loss", [L1Loss, Laplace, lambda: RLELoss(mode="dle"), lambda: RLELoss(mode="basic")])
def test_every_loss_goes_through(make_recipe, tmp_path, loss):
    run = fit(make_recipe(loss=loss, epochs=1), tmp_path)
    assert math.isfinite(run.figures["error_px"])
    model, restored = load(run.best)
    assert type(restored) is type(loss())
    assert (model.fc_sigma is None) == (not restored.learns_sigma)


@pytest.mark.parametrize(
    ("changes", "kind", "density"),
    [
        ({"model": heatmaps, "loss": HeatmapLoss}, HeatmapModel, None),
        ({"model": integral, "loss": L1Loss}, IntegralModel, L1Loss),
        ({"model": integral, "loss": RLELoss}, IntegralModel, RLELoss),
        ({"auxiliary": 1.0}, RegressionModel, RLELoss),
        ({"model": attention, "loss": RLELoss}, AttentionModel, RLELoss),
    ],
    ids=["heatmap", "integral", "integral with sigma", "auxiliary", "attention"],
)
def test_every_model_goes_through(make_recipe, tmp_path, changes, kind, density):
    """Trained, measured, loaded again: the same predictions, and the loss if it is a density."""
    recipe = make_recipe(epochs=1, size=(64, 64), **changes)
    run = fit(recipe, tmp_path)
    model, loss = load(run.best)
    assert type(model) is kind
    assert loss is None if density is None else type(loss) is density
    assert not any(name.startswith("auxiliary") for name in model.state_dict())
    found = evaluate(model, labelled_people(recipe, "val"), loss).compute()
    assert found["error_px"] == pytest.approx(run.figures["error_px"], rel=1e-5)
    assert ("nll" in found) == (density is not None)


def test_a_maps_confidence_is_held_against_oks(make_recipe, tmp_path):
    recipe = make_recipe(epochs=1, size=(64, 64), model=heatmaps, loss=HeatmapLoss)
    figures = fit(recipe, tmp_path).figures
    assert math.isfinite(figures["confidence_oks"])
    assert "sigma_rank" not in figures
    assert "coverage@0.9" not in figures
    direct = fit(make_recipe(epochs=1, loss=L1Loss), tmp_path / "direct").figures
    assert "confidence_oks" not in direct, "its predictions have no confidence"


with_heatmaps = partial(regression, auxiliary=True)


@pytest.mark.parametrize(
    ("model", "loss", "output_type"),
    [
        (heatmaps, RLELoss, "outputs heatmaps"),
        (heatmaps, lambda: WithHeatmaps(L1Loss()), "outputs heatmaps"),
        (regression, HeatmapLoss, "outputs coordinates"),
        (integral, lambda: WithHeatmaps(L1Loss()), "outputs coordinates"),
        (with_heatmaps, RLELoss, "outputs coordinates and heatmaps"),
        (with_heatmaps, HeatmapLoss, "outputs coordinates and heatmaps"),
    ],
)
def test_a_loss_that_would_not_reach_the_network_is_refused(make_recipe, tmp_path, model, loss, output_type):
    with pytest.raises(InputError, match=output_type):
        fit(make_recipe(model=model, loss=loss, size=(64, 64)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_there_is_no_nll_of_maps_to_watch(make_recipe, tmp_path):
    with pytest.raises(InputError, match="--watch nll"):
        fit(make_recipe(model=heatmaps, loss=HeatmapLoss, size=(64, 64), watch="nll"), tmp_path)


class TestTwoStages:
    """First heatmaps, then a regression that starts from their backbone."""

    @pytest.fixture
    def recipe(self, make_recipe):
        def before(recipe):
            return replace(recipe, first=None, model=heatmaps, loss=HeatmapLoss, lr=1e-2, epochs=1)

        return make_recipe(first=before, lr=1e-9, schedule="constant", epochs=1, size=(64, 64))

    def test_the_backbone_is_handed_on(self, recipe, tmp_path, monkeypatch):
        reported = []
        monkeypatch.setattr(type(recipe), "report_data", lambda self, *_: reported.append(self.first))
        run = fit(recipe, tmp_path)
        assert reported == [None], "the same data, once"
        first, second = (load(file)[0] for file in (tmp_path / "first" / "best.ckpt", run.best))
        assert (type(first), type(second)) == (HeatmapModel, RegressionModel)
        fresh = replace(recipe, first=None).model(recipe, first.skeleton, True).backbone
        for name, parameter in second.backbone.named_parameters():
            torch.testing.assert_close(parameter, first.backbone.get_parameter(name), atol=1e-6, rtol=0)
        assert not torch.allclose(fresh.conv1.weight, first.backbone.conv1.weight)
        # What is written down makes the whole run again, not one that begins with this one's first stage.
        for settings in (tmp_path / "config.yaml", tmp_path / "first" / "config.yaml"):
            assert yaml.safe_load(settings.read_text())["weights"] == "random"

    def test_what_is_refused_in_the_first_leaves_nothing(self, recipe, tmp_path):
        with pytest.raises(InputError, match="train RECIPE"):
            fit(replace(recipe, data=None), tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_interrupted_in_the_first_it_goes_on(self, recipe, tmp_path):
        class StopFirst(Callback):
            def on_train_epoch_end(self, trainer, module):
                if isinstance(module.model, HeatmapModel):
                    trainer.should_stop = True

        first = replace(recipe, first=lambda r: replace(recipe.first(r), epochs=2))
        fit(first, tmp_path / "run", callbacks=(StopFirst(),))
        last = tmp_path / "run" / "first" / "last.ckpt"
        assert read(last)["epoch"] == 0
        for file in (tmp_path / "run").glob("*.ckpt"):
            file.unlink()  # as if it had never come to the second
        run = fit(first, tmp_path / "run", resume=last)
        assert read(last)["epoch"] == 1
        assert isinstance(load(run.best)[0], RegressionModel)
        # Where the first is finished, the second begins at once.
        written = last.stat().st_mtime_ns
        run.best.unlink()
        assert fit(first, tmp_path / "run", resume=last).best.is_file()
        assert last.stat().st_mtime_ns == written


def test_stages_follow_each_other_and_each_is_resumed_from_its_own_checkpoint(make_recipe, tmp_path):
    """Three stages of one epoch: resumed in the first, what is finished is not trained again."""
    trained = []

    class Watch(Callback):
        def on_train_epoch_end(self, trainer, module):
            trained.append((module.recipe.lr, module.recipe.epochs))

    def middle(recipe):
        return replace(recipe, first=lambda own: replace(own, first=None, lr=3e-3), lr=2e-3)

    recipe = make_recipe(first=middle, lr=1e-3, epochs=1, loss=L1Loss)
    run = fit(recipe, tmp_path, callbacks=(Watch(),))
    assert [lr for lr, _ in trained] == [3e-3, 2e-3, 1e-3]
    assert run.folder == tmp_path
    assert (tmp_path / "first" / "first" / "best.ckpt").is_file()
    for folder, lr in ((tmp_path / "first" / "first", 3e-3), (tmp_path / "first", 2e-3), (tmp_path, 1e-3)):
        assert yaml.safe_load((folder / "config.yaml").read_text())["lr"] == lr
    trained.clear()
    fit(recipe, tmp_path, resume=tmp_path / "first" / "first" / "last.ckpt", callbacks=(Watch(),))
    assert [lr for lr, _ in trained] == [2e-3, 1e-3]
    trained.clear()
    fit(recipe, tmp_path, resume=str(tmp_path / "first" / "last.ckpt"), callbacks=(Watch(),))
    assert [lr for lr, _ in trained] == [1e-3]


def test_wrong_rows_are_logged_once_with_their_count(make_recipe, coco_folder, tmp_path, caplog):
    import json
    import shutil

    data = shutil.copytree(coco_folder, tmp_path / "data")
    file = data / "annotations" / "person_keypoints_train.json"
    content = json.loads(file.read_text())
    for row in content["annotations"][:3]:
        row["bbox"] = [0, 0, 0, 0]
    content["annotations"][4]["area"] = 1
    file.write_text(json.dumps(content))
    fit(make_recipe(data=data, epochs=1), tmp_path / "run")
    messages = [record.message for record in caplog.records if "left out" in record.message]
    assert len(messages) == 1
    assert "3 left out, bbox has no area" in messages[0]
    assert "annotation 0" in messages[0]
    assert len([record for record in caplog.records if "annotation 4" in record.message]) == 1
    with pytest.raises(InputError, match="annotation 0"):
        fit(make_recipe(data=data, epochs=1, strict=True), tmp_path / "strict")
    assert not (tmp_path / "strict").exists()


@pytest.mark.usefixtures("unchecked")
def test_it_overfits_a_few_people(make_recipe, tmp_path):
    """Eight people, 60 times without augmentation: the pixel error falls far below that of guessing the middle."""
    from logpose.data import Augmentation

    people = InMemory(SyntheticPeople(8, seed=3, people=(1, 1)))
    repeated = InMemory(people, [*range(8)] * 6)
    recipe = make_recipe(
        people=lambda _, part: repeated if part == "train" else people,
        **{"epochs": 10, "validate_every": 10, "watch": "error_px", "flip_test": False},
        augmentation=Augmentation(0, 0, 0, 0, 0),
    )
    run = fit(recipe, tmp_path)
    model, loss = load(run.best)
    figures = evaluate(model, people, loss, flip_test=False).compute()
    assert figures["nme"] < 0.05
    assert figures["nll"] < -3


@pytest.mark.parametrize(("steps", "batches", "epochs"), [(0, 7, 3), (7, 7, 1), (8, 7, 2), (1, 7, 1), (5, 0, 5)])
def test_steps_become_epochs(make_recipe, steps, batches, epochs):
    recipe = in_whole_epochs(make_recipe(steps=steps, epochs=3), batches)
    assert (recipe.epochs, recipe.steps) == (epochs, steps)


@pytest.mark.parametrize(("steps", "epochs"), [(2, 1), (3, 2), (4, 2), (5, 3)])
def test_batches_that_are_accumulated_are_one_step(make_recipe, steps, epochs):
    """Seven batches are two steps of four and of three."""
    assert in_whole_epochs(make_recipe(steps=steps, accumulate=4), 7).epochs == epochs


def test_a_batch_that_cannot_be_normalised_is_refused(make_recipe, tmp_path):
    """Of one crop of 32×32 pixels a ResNet's last layers have one value of each channel."""
    people = InMemory(SyntheticPeople(2, seed=3, people=(1, 1)))
    recipe = make_recipe(people=lambda *_: people, batch_size=1, size=(32, 32))
    with pytest.raises(InputError, match=r"batch normalisation.*--batch-size"):
        fit(recipe, tmp_path / "run")


def test_a_run_s_folder_may_be_a_string(make_recipe, tmp_path):
    save_config(make_recipe(name="small"), str(tmp_path / "run"))
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["recipe"] == "small"


@pytest.mark.parametrize(("epochs", "every", "interval"), [(20, 5, 5), (12, 5, 4), (9, 5, 3), (7, 5, 1), (3, 60, 3)])
def test_the_last_epoch_is_validated(make_recipe, epochs, every, interval):
    assert validation_interval(make_recipe(epochs=epochs, validate_every=every)) == interval


@pytest.mark.parametrize(("watch", "token"), [("pckh@0.5", "no head boxes"), ("pck_torso@0.2", "shoulders and hips")])
def test_a_figure_that_the_data_do_not_give_is_refused_at_once(make_recipe, tmp_path, watch, token):
    face = Skeleton("face", ("left_eye", "right_eye"))
    people = InMemory(labelled_people(make_recipe(), "val"))
    if "torso" in watch:
        people.skeleton = face
    recipe = make_recipe(watch=watch)
    recipe.people = lambda *_: people
    with pytest.raises(InputError, match=token):
        fit(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("depth", "dim"), [(True, 2), (False, 3)])
def test_labels_of_other_dimensions_than_the_model_s(make_recipe, tmp_path, depth, dim):
    """What is labelled in space serves a model of the plane; a model of space learns x and y from the plane."""

    def people(_, part):
        return InMemory(SyntheticPeople(8, seed=1 + (part == "val"), people=(1, 1), easy=True, depth=depth))

    run = fit(make_recipe(people=people, dim=dim, epochs=1, batch_size=4, watch="error_px"), tmp_path)
    assert math.isfinite(run.figures["error_px"])
    assert load(run.best)[0].dim == dim
