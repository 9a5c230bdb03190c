"""The recipe of two-stage 3-D pose, on random poses."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from logpose.cli.recipe_flags import parse_recipe
from logpose.core.errors import InputError, UnknownSubjectError
from logpose.core.skeletons import H36M_LIFTING
from logpose.data.archive import read_archive
from logpose.flows import RealNVP
from logpose.losses import L1Loss, L2Loss, RLELoss
from logpose.models import LiftingModel
from logpose.recipes import lifting
from logpose.tasks.lifting.evaluate import LiftingEvaluation
from logpose.tasks.lifting.recipe import LiftingRecipe, poses_of_file
from logpose.training.checkpoint import load, load_of_crops
from logpose.training.run import fit

# Human3.6M's 17 joints of somebody who stands, metres, z up.
STANDING = np.array(
    [
        *((0, 0, 0.9), (-0.13, 0, 0.9), (-0.13, 0, 0.5), (-0.13, 0, 0.1), (0.13, 0, 0.9), (0.13, 0, 0.5)),
        *((0.13, 0, 0.1), (0, 0, 1.15), (0, 0, 1.4), (0, 0.08, 1.5), (0, 0, 1.6), (0.17, 0, 1.4)),
        *((0.4, 0, 1.4), (0.6, 0, 1.4), (-0.17, 0, 1.4), (-0.4, 0, 1.4), (-0.6, 0, 1.4)),
    ]
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two subjects who turn round and sway."""
    rng = np.random.default_rng(0)
    poses: dict[str, dict[str, np.ndarray]] = {}
    for subject in ("S1", "S9"):
        for action in ("Walking 1", "Sitting"):
            angle = rng.uniform(0, 6) + np.linspace(0, 2, 24)
            cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
            bent = STANDING + rng.normal(0, 0.03, (24, 17, 3))
            turned = [cos * bent[..., 0] - sin * bent[..., 1], sin * bent[..., 0] + cos * bent[..., 1], bent[..., 2]]
            poses.setdefault(subject, {})[action] = np.stack(turned, axis=-1).astype(np.float32)
    path = tmp_path_factory.mktemp("lifting") / "data_3d_made.npz"
    np.savez_compressed(path, positions_3d=np.array(poses, dtype=object))
    return path


def small(file: Path, make=lifting.lifting_fc_rle, **changes) -> LiftingRecipe:
    settings = {"data": file, "train_subjects": ("S1",), "val_subjects": ("S9",), "width": 32, "epochs": 2}
    settings |= {"batch_size": 32, "loggers": (), "accelerator": "cpu", "flow_hidden": (8, 8)}
    return replace(make(), **{**settings, **changes})


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (lifting.lifting_fc_rle, {}),
        (lifting.lifting_fc_rle, {"loss": "l1"}),
        (lifting.lifting_martinez_l2, {}),
        (lifting.lifting_martinez_l2, {"loss": "rle"}),
        (lifting.lifting_fc_rle, {"network": "srnet"}),
        (lifting.lifting_fc_rle, {"network": "srnet", "filters": (3, 3), "loss": "l1"}),
        (lifting.lifting_fc_rle, {"convention": "paper"}),
        (lifting.lifting_fc_rle, {"convention": "released"}),
    ],
)
def test_it_trains_and_is_read_again(file: Path, tmp_path: Path, make, changes) -> None:
    recipe = small(file, make, **changes)
    run = fit(recipe, tmp_path)
    assert run.figures["frames"] == 4 * 48
    assert 0 < run.figures["mpjpe"] < 2000
    assert {"mpjpe_walking", "mpjpe_sitting", "pa_mpjpe", "velocity", "nll"} <= run.figures.keys()
    model, loss = load(run.best)
    assert isinstance(model, LiftingModel)
    assert loss is not None
    val = recipe.people(recipe, "val")
    again = LiftingEvaluation(val, model, loss)
    with torch.inference_mode():
        for batch in recipe.loader(val, model, training=False):
            again.update(batch, model.flip_average(model(batch.inputs), model(model.mirrored(batch.inputs))))
    assert again.compute()["mpjpe"] == pytest.approx(run.figures["mpjpe"], rel=1e-4)
    with pytest.raises(InputError, match=r"best.ckpt"):
        load_of_crops(run.best)


@pytest.mark.usefixtures("unchecked")
def test_it_learns(file: Path, tmp_path: Path) -> None:
    """Training poses have a far lower error than the mean pose."""
    recipe = small(file, epochs=16, batch_size=12, schedule="cosine", lr=1e-2, validate_every=16)
    recipe.loss = partial(RLELoss, RealNVP(3, layers=4, hidden=(16, 16)), dim=3)
    recipe = replace(recipe, people=lambda r, _: poses_of_file(r, "train"))
    run = fit(recipe, tmp_path)
    targets = recipe.people(recipe, "val").targets
    of_mean_pose = 1000 * np.linalg.norm(targets - targets.mean(axis=0), axis=-1).mean()
    assert run.figures["mpjpe"] < of_mean_pose / 2
    assert 0.5 < run.figures["coverage@0.9"] <= 1


def test_losses_have_three_dimensions() -> None:
    for word, kind in (("l1", L1Loss), ("l2", L2Loss), ("rle", RLELoss)):
        loss = LiftingRecipe(loss=word).make_loss(H36M_LIFTING)
        assert type(loss) is kind
        assert loss.dim == 3
    own = RLELoss(dim=3)
    assert LiftingRecipe(loss=lambda: own).make_loss(H36M_LIFTING) is own


def test_dropout_is_the_networks_own_unless_given(file: Path) -> None:
    for changes, share in (({}, 0.0), ({"network": "martinez"}, 0.5), ({"network": "martinez", "dropout": 0.0}, 0.0)):
        recipe = small(file, **changes)
        model = recipe.model(recipe, recipe.people(recipe, "train").skeleton, True)
        assert {layer.p for layer in model.modules() if isinstance(layer, torch.nn.Dropout)} <= {share}
        assert model.settings["dropout"] == share


def test_martinez_does_not_look_at_the_nose(file: Path) -> None:
    recipe = small(file, lifting.lifting_martinez_l2)
    model = recipe.model(recipe, recipe.people(recipe, "train").skeleton, False)
    assert 9 not in model.network.seen
    assert len(model.network.seen) == 16


def test_its_fields_are_flags(file: Path) -> None:
    flags = [str(file), "--network", "srnet", "--filters", "3", "3", "--train-subjects", "S1", "S9"]
    recipe, _, _ = parse_recipe("lifting_fc_rle", lifting.lifting_fc_rle(), flags)
    assert (recipe.network, recipe.filters, recipe.train_subjects) == ("srnet", (3, 3), ("S1", "S9"))
    assert recipe.data == file


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data": None}, "data_3d_NAME.npz"),
        ({"data": Path("nowhere/data_3d_x.npz")}, "nowhere"),
        ({"train_subjects": ("S10",)}, "S10.*--train-subjects"),
        ({"keypoints": Path("nowhere.npz")}, "nowhere.npz"),
    ],
)
def test_wrong_data_are_refused(file: Path, changes, told) -> None:
    recipe = small(file, **changes)
    kind = UnknownSubjectError if "subject" in told else InputError
    with pytest.raises(kind, match=told):
        recipe.people(recipe, "train")


FLAGS_THAT_CHANGE_NOTHING = [
    ("lifting_fc_rle", ("--filters", "3", "3"), "--filters"),
    ("lifting_martinez_l2", ("--filters", "[3]"), "--filters"),
    ("lifting_fc_rle", ("--filters", "3", "--network", "martinez"), "--filters"),
    ("lifting_fc_rle", ("ALONE", "--picture", "480x640"), "--picture"),
    ("lifting_fc_rle", ("BOTH", "--cameras", "2"), "--cameras"),
    ("lifting_fc_rle", ("BOTH", "--camera-seed=2"), "data_2d_x_gt.npz"),
    ("lifting_fc_rle", ("ALONE", "--keypoints", "a.npz", "--cameras", "2"), "a.npz"),
]


@pytest.mark.parametrize(("name", "flags", "told"), FLAGS_THAT_CHANGE_NOTHING)
def test_flags_that_change_nothing_are_refused(file, lifting_files, refused, name, flags, told) -> None:
    places = {"ALONE": file, "BOTH": lifting_files[0]}
    assert told in refused("train", name, *(places.get(word, word) for word in flags))


def test_flags_that_change_something_are_taken(file, lifting_files) -> None:
    for words in (
        ("--network", "srnet", "--filters", "3", "3"),
        (str(file), "--cameras", "2", "--camera-seed", "1"),
        (str(lifting_files[0]), "--picture", "480x640"),
        (str(file.parent), "--cameras", "2"),  # what is wrong with it is told later
    ):
        recipe, _, _ = parse_recipe("lifting_fc_rle", lifting.lifting_fc_rle(), words)
        assert recipe != lifting.lifting_fc_rle()


def test_a_detector_s_keypoints_are_learned_from(lifting_files, tmp_path) -> None:
    table = read_archive(lifting_files[1])["positions_2d"]
    found = {s: {a: [view + np.float32(3) for view in views] for a, views in d.items()} for s, d in table.items()}
    np.savez(detected := tmp_path / "data_2d_x_found.npz", positions_2d=found)
    recipe = small(lifting_files[0], train_subjects=("Train",), val_subjects=("Val",))
    exact = recipe.people(recipe, "train")
    words = (str(lifting_files[0]), "--detected", str(detected), "--train-subjects", "Train")
    parsed, _, _ = parse_recipe("lifting_fc_rle", recipe, words)
    for part, frames in (("train", 24), ("val", 24)):
        poses = parsed.people(parsed, part)
        assert (len(poses), poses.detected) == (frames, detected)
    poses = parsed.people(parsed, "train")
    np.testing.assert_array_equal(poses.targets, exact.targets)
    np.testing.assert_allclose(poses.inputs, exact.inputs + 3 / 320, atol=1e-6)


def test_a_folder_is_no_file(file: Path) -> None:
    recipe = small(file, data=file.parent)
    with pytest.raises(InputError, match=file.parent.name):
        recipe.people(recipe, "train")


def test_no_subject_is_in_both_parts(file: Path) -> None:
    recipe = small(file, val_subjects=("S1", "S9"))
    recipe.people(recipe, "train")
    with pytest.raises(InputError, match="S1"):
        recipe.people(recipe, "val")


def test_a_mean_over_one_action_is_not_watched(file: Path) -> None:
    recipe = small(file, watch="mpjpe_mean")
    val = recipe.people(recipe, "val")
    recipe.check_data(val, val, recipe.make_loss(val.skeleton))
    val.groups = ["walking"] * len(val)
    with pytest.raises(InputError, match="walking"):
        recipe.check_data(val, val, recipe.make_loss(val.skeleton))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"filters": (3, 2)}, "odd"), ({"filters": ()}, "odd"), ({"width": 0}, "width"), ({"dropout": 1.0}, "dropout"),
        ({"cameras": 0}, "cameras"), ({"decay": 0.0}, "decay"), ({"every": 0}, "every"), ({"epochs": 0}, "epochs"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(file: Path, changes, told) -> None:
    with pytest.raises(InputError, match=told):
        small(file, **changes)
