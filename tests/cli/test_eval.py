"""`logpose eval` of models that lift keypoints, and what belongs to which kind of model."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from logpose.data.archive import read_archive
from logpose.data.lifting import LiftingPoses
from logpose.data.windows import Windows, window_loader
from logpose.tasks.lifting.evaluate import LiftingEvaluation
from logpose.training.checkpoint import load, save


@pytest.mark.parametrize("flip_test", [True, False])
def test_figures_are_those_of_the_evaluation(command, lifters, lifting_files, flip_test):
    flags = () if flip_test else ("--no-flip-test",)
    code, out, err = command(
        "eval", lifters["windows"], "--data", lifting_files[0], "--subjects", "Val", "--json", "--device", "cpu", *flags
    )
    assert code == 0
    assert "measuring 24 frames of Val/P1, Val/P2, the keypoints of" in err
    model, loss = load(lifters["windows"])
    poses = LiftingPoses(*lifting_files, subjects=["Val"])
    evaluation = LiftingEvaluation(poses, model, loss)
    for batch in window_loader(Windows(poses, 9), 64, training=False):
        evaluation.update(batch, model.predict(batch, flip_test))
    figures = json.loads(out)
    assert figures == pytest.approx(evaluation.compute(), rel=1e-4)
    assert {"mpjpe", "pa_mpjpe", "mpjpe_mean", "nll", "coverage@0.9", "mpjpe_walk"} <= figures.keys()


def test_figures_are_printed_for_people_and_subjects_chosen(command, lifters, lifting_files):
    words = ("--data", lifting_files[0], "--subjects", "Val/P2", "Train/P1", "--batch-size", 5)
    code, out, _ = command("eval", lifters["unsure"], *words)
    assert code == 0
    figures = {name: float(value) for name, value in map(str.split, out.splitlines())}
    assert figures["frames"] == 34
    assert math.isfinite(figures["mpjpe"])
    assert "nll" not in figures


def test_without_keypoints_cameras_are_placed_around(command, lifters, lifting_files, tmp_path):
    (data := tmp_path / "data_3d_alone.npz").write_bytes(lifting_files[0].read_bytes())
    found = {}
    for flags in (
        (),
        ("--camera-seed", 3),
        ("--cameras", 1),
        ("--keypoints", lifting_files[1], "--picture", "480x640"),
    ):
        code, out, err = command("eval", lifters["humaneva"], "--data", data, "--json", *flags)
        assert code == 0
        assert ("cameras placed around each sequence" in err) == ("--keypoints" not in flags)
        found[flags] = json.loads(out)
    frames = [figures["frames"] for figures in found.values()]
    assert frames == [96, 96, 24, 48]
    assert len({figures["mpjpe"] for figures in found.values()}) == 4


@pytest.fixture
def detected(lifting_files, tmp_path):
    """What a detector that is some pixels off found of `lifting_files`."""
    table = read_archive(lifting_files[1])["positions_2d"]
    rng = np.random.default_rng(0)
    found = {s: {a: [v + rng.normal(0, 4, v.shape) for v in vs] for a, vs in d.items()} for s, d in table.items()}
    np.savez(file := tmp_path / "data_2d_x_found.npz", positions_2d=found)
    return file


def test_a_detector_s_keypoints_are_lifted_through_the_exact_ones_cameras(command, lifters, lifting_files, detected):
    figures = {}
    for flags in ((), ("--detected", detected), ("--detected", detected, "--keypoints", lifting_files[1])):
        code, out, err = command("eval", lifters["humaneva"], "--data", lifting_files[0], "--json", *flags)
        assert code == 0
        assert f"the keypoints of {detected if flags else lifting_files[1]}" in err
        figures[flags] = json.loads(out)
    exact, found, named = figures.values()
    assert found == named
    assert exact["frames"] == found["frames"]
    assert exact["mpjpe"] != found["mpjpe"]
    assert abs(exact["mpjpe"] - found["mpjpe"]) < 0.05 * exact["mpjpe"], "an untrained model hardly looks"


def test_detections_that_cannot_be_are_told(refused, lifters, lifting_files, detected, tmp_path, coco_folder, tiny_run):
    data, lifts = lifting_files[0], lifters["humaneva"]
    told = refused("eval", lifts, "--data", data, "--keypoints", detected)
    assert "cannot be recovered" in told
    assert "what a detector found is given as --detected, beside exact keypoints" in told
    (alone := tmp_path / "data_3d_alone.npz").write_bytes(data.read_bytes())
    told = refused("eval", lifts, "--data", alone, "--detected", detected)
    assert "data_2d_x_found.npz: cameras cannot be told from it: data_2d_alone_gt.npz is needed too" in told
    assert "nowhere.npz: no such file" in refused("eval", lifts, "--data", data, "--detected", "nowhere.npz")
    told = refused("eval", lifts, "--data", data, "--detected", data)
    assert "data_3d_x.npz: has no table positions_2d" in told
    told = refused("eval", tiny_run / "best.ckpt", "--data", coco_folder, "--detected", detected)
    assert "--detected: about poses to be lifted into space" in told


def test_what_is_another_model_s_is_refused(refused, lifters, lifting_files, coco_folder, tiny_run):
    data, lifts, looks = lifting_files[0], lifters["humaneva"], tiny_run / "best.ckpt"
    annotations = coco_folder / "annotations" / "person_keypoints_val.json"
    for other in (coco_folder, annotations):
        told = refused("eval", lifts, "--data", other)
        assert f"{other}: {lifts} lifts keypoints into space, and is measured on VideoPose3D's data_3d_NAME.npz" in told
    assert "no such file; " in refused("eval", lifts, "--data", "nowhere")
    assert f"{data}: poses to be lifted into space, and {looks} looks at pictures" in refused(
        "eval", looks, "--data", data
    )
    told = refused("eval", lifts, "--data", data, "--boxes", "b.json", "--save-json", "o.json")
    assert "--boxes and --save-json: about people in pictures, and" in told
    told = refused("eval", looks, "--data", coco_folder, "--subjects", "S9", "S11", "--picture", 3, 4)
    assert "--subjects and --picture: about poses to be lifted into space" in told


def test_whoever_was_learned_from_is_left_out(command, refused, lifters, lifting_files, tmp_path):
    data = lifting_files[0]
    model, loss = load(lifters["humaneva"])
    every = LiftingPoses(*lifting_files).fingerprints
    assert len(set(every.values())) == 3
    model.prepare(LiftingPoses(*lifting_files, subjects=["Train"]))
    assert model.learned_from == (every["Train/P1"],)
    save(model, loss, tmp_path / "model")
    found = {}
    for flags in ((), ("--subjects", "Val"), ("--subjects", "Train")):
        code, out, err = command("eval", tmp_path / "model", "--data", data, "--json", *flags)
        assert code == 0
        found[flags] = json.loads(out)
        assert ("Train/P1 were learned from and are left out" in err) is (not flags)
        assert ("learned from Train/P1: figures of what is known by heart" in err) is (flags[-1:] == ("Train",))
    assert found[()] == found["--subjects", "Val"] != found["--subjects", "Train"]
    model.learned_from = tuple(every.values())
    save(model, loss, tmp_path / "model")
    told = refused("eval", tmp_path / "model", "--data", data)
    assert "learned from all of it; --subjects names whom to measure" in told


def test_people_without_a_place_in_space_have_no_millimetres(command, model_in_space, coco_folder):
    code, out, err = command("eval", model_in_space, "--data", coco_folder, "--json", "--device", "cpu")
    assert code == 0
    assert "does not say where joints are in space: there are no figures in millimetres" in err
    assert "mpjpe" not in json.loads(out)


def test_bad_files_and_flags_are_told_in_a_sentence(refused, lifters, lifting_files, tmp_path):
    data, lifts = lifting_files[0], lifters["humaneva"]
    assert "data_3d_x.npz: there is no subject 'Vol' among" in refused(
        "eval", lifts, "--data", data, "--subjects", "Vol"
    )
    told = refused("eval", lifters["h36m"], "--data", data)
    assert "made for the 17 joints pelvis, r_hip, r_knee …" in told
    assert "has 15: pelvis, thorax, l_shoulder …" in told
    assert "at least 1" in refused("eval", lifts, "--data", data, "--cameras", 0)
    assert "--batch-size must be at least 1" in refused("eval", lifts, "--data", data, "--batch-size", 0)
    told = refused("eval", lifts, "--data", data, "--cameras", 2, "--camera-seed", 1)
    assert "--cameras and --camera-seed: about cameras that are placed around, and" in told
    assert "data_2d_x_gt.npz has its own" in told
    (alone := tmp_path / "data_3d_alone.npz").write_bytes(data.read_bytes())
    told = refused("eval", lifts, "--data", alone, "--picture", 480, 640)
    assert "--picture: about a file of --keypoints, and without one cameras are placed around" in told
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    assert "other.npz: has no table positions_3d" in refused("eval", lifts, "--data", tmp_path / "other.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK no")
    assert "bad.npz: not a NumPy archive" in refused("eval", lifts, "--data", tmp_path / "bad.npz")
    assert "data_2d.npz: no such file" in refused(
        "eval", lifts, "--data", data, "--keypoints", tmp_path / "data_2d.npz"
    )


@pytest.fixture(scope="module")
def boundary_files(tmp_path_factory):
    """A checkpoint of an untrained model of boundaries, and a file of two labelled B-scans of both graders."""
    import torch
    from scipy.io import savemat

    from logpose.data.scans import RETINA
    from logpose.data.synthetic_oct import SyntheticScans
    from logpose.losses import RLELoss
    from logpose.models import BoundaryModel
    from logpose.training.checkpoint import save

    folder = tmp_path_factory.mktemp("boundaries")
    torch.manual_seed(0)
    loss = RLELoss(dim=8)
    model = BoundaryModel(RETINA, (64, 32), channels=2, depth=1, cells=2)
    model.set_error_distribution(loss.eval().error_distribution())
    save(model, loss, folder / "model")
    scans = SyntheticScans(2, seed=1, size=(96, 80))
    layers = np.stack([scans[i].rows + 1 for i in range(2)], axis=-1)
    images = np.stack([scans[i].image for i in range(2)], axis=-1)
    savemat(folder / "scans.mat", {"images": images, "manualLayers1": layers, "manualLayers2": layers + 2})
    return folder / "model", folder / "scans.mat"


def test_figures_of_boundaries(command, boundary_files):
    model, file = boundary_files
    code, out, err = command("eval", model, "--data", file, "--json", "--device", "cpu")
    assert code == 0
    assert "measuring 2 B-scans of scans" in err
    figures = json.loads(out)
    assert (figures["scans"], figures["columns"]) == (2, 160)
    assert {"error_px", "rmse_px", "p95_px", "nll", "band@0.9", "coverage@0.9", "error_px_BM"} <= figures.keys()
    assert "error_um" not in figures
    words = ("--columns", 20, "--um-per-px", 4, "--grader", 2, "--no-flip-test", "--json")
    code, out, _ = command("eval", model, "--data", file, "--device", "cpu", *words)
    assert code == 0
    other = json.loads(out)
    assert other["columns"] == 40
    assert other["error_um"] == pytest.approx(4 * other["error_px"])
    assert other["error_px"] != pytest.approx(figures["error_px"], abs=0.01)


def test_scans_that_were_learned_from_are_left_out(command, refused, boundary_files, tmp_path):
    from logpose.data.images import read_image
    from logpose.data.oct import open_scans
    from logpose.training.checkpoint import load, save

    checkpoint, file = boundary_files
    model, loss = load(checkpoint)
    model.learned_from = (open_scans(file)[1].fingerprint, "another")
    save(model, loss, tmp_path / "model")
    found = {}
    for part in (None, "val", "train", "all"):
        words = ("--part", part) if part else ()
        code, out, err = command("eval", tmp_path / "model", "--data", file, "--json", "--device", "cpu", *words)
        assert code == 0
        found[part] = json.loads(out)
        assert ("measuring 1 B-scans of scans; 1 that were learned from are left out" in err) is (part in (None, "val"))
    assert [found[part]["scans"] for part in (None, "val", "train", "all")] == [1, 1, 1, 2]
    assert found[None] == found["val"]
    command("eval", tmp_path / "model", "--data", file, "--device", "cpu", "--save-images", tmp_path / "seen")
    assert [picture.name for picture in (tmp_path / "seen").iterdir()] == ["scans-0-boundaries.png"]
    height, width, _ = read_image(tmp_path / "seen" / "scans-0-boundaries.png").shape
    assert width == 2 * 80
    assert height > 2 * 96, "names stand below"
    assert (height - 2 * 96) % 22 == 0
    assert found["all"]["error_px"] == pytest.approx((found["val"]["error_px"] + found["train"]["error_px"]) / 2)
    model.learned_from = tuple(scan.fingerprint for scan in open_scans(file).scans)
    save(model, loss, tmp_path / "model")
    told = refused("eval", tmp_path / "model", "--data", file)
    assert f"{file}: of its 2 B-scans all were learned from; --part all measures them all" in told


def test_boundaries_of_a_model_that_has_diverged_are_not_drawn(command, boundary_files, tmp_path):
    checkpoint, file = boundary_files
    model, loss = load(checkpoint)
    with torch.no_grad():
        model.output.bias[0] = torch.nan
    save(model, loss, tmp_path / "nan")
    words = ("--device", "cpu", "--save-images", tmp_path / "seen", "--report", tmp_path / "page.html")
    code, out, err = command("eval", tmp_path / "nan", "--data", file, *words)
    assert (code, out) == (2, "")
    assert err.endswith("nan: the model gives numbers that are not finite; it has diverged\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nan"]


def test_columns_without_a_label_are_not_measured(command, boundary_files, tmp_path):
    """The model is sound: what lacks is labels."""
    from scipy.io import loadmat, savemat

    checkpoint, file = boundary_files
    content = {key: value for key, value in loadmat(file).items() if not key.startswith("__")}
    content["manualLayers1"][:, 20:] = np.nan
    savemat(tmp_path / "left.mat", content)
    words = ("eval", checkpoint, "--data", tmp_path / "left.mat", "--device", "cpu", "--columns")
    code, out, err = command(*words, 20)
    assert (code, out) == (2, "")
    assert err.endswith("left.mat: no label in the 20 columns in the middle of any of its B-scans\n")
    assert command(*words, 60)[0] == 0


def test_where_no_column_has_every_label_the_page_says_so(command, boundary_files, tmp_path):
    from scipy.io import loadmat, savemat

    checkpoint, file = boundary_files
    content = {key: value for key, value in loadmat(file).items() if not key.startswith("__")}
    content["manualLayers1"][3] = np.nan
    savemat(tmp_path / "part.mat", content)
    words = ("eval", checkpoint, "--data", tmp_path / "part.mat", "--device", "cpu", "--json")
    code, out, err = command(*words, "--report", tmp_path / "page.html")
    assert code == 0, err
    figures = json.loads(out)
    assert {"band@0.9", "std_px", "sigma_rank"} <= figures.keys()
    assert not {"coverage@0.9", "nll"} & figures.keys()
    page = (tmp_path / "page.html").read_text()
    assert "No column has a label of every boundary" in page
    assert "trained without a likelihood" not in page


def test_what_is_not_about_boundaries_is_refused(refused, boundary_files, lifters, lifting_files, tmp_path):
    import cv2

    model, file = boundary_files
    told = refused("eval", model, "--data", file, "--boxes", "b.json")
    assert "--boxes: about people in pictures, and" in told
    assert "finds boundaries in B-scans" in told
    assert "--cameras: about poses to be lifted" in refused("eval", model, "--data", file, "--cameras", 2)
    told = refused("eval", lifters["humaneva"], "--data", lifting_files[0], "--columns", 5)
    assert "--columns: about B-scans, and" in told
    assert "--columns must be at least 1, got 0" in refused("eval", model, "--data", file, "--columns", 0)
    assert "height of a pixel" in refused("eval", model, "--data", file, "--um-per-px", -1)
    assert "nowhere.mat: no such file or folder" in refused("eval", model, "--data", "nowhere.mat")
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 30), dtype=np.uint8))
    np.savetxt(tmp_path / "a.csv", np.full((3, 30), 5.0), delimiter=",")
    told = refused("eval", model, "--data", tmp_path)
    assert "made for the boundaries ILM, RNFL/GCL-IPL" in told
    assert f"{tmp_path} has boundary 1, boundary 2, boundary 3" in told


@pytest.mark.parametrize(
    ("name", "count"), [("person_keypoints_val2017", "all"), ("image_info_test", "all"), ("x", "part")]
)
def test_a_lone_file_of_a_validation_part_is_measured_whole(command, tiny_run, coco_folder, tmp_path, name, count):
    (tmp_path / "annotations").mkdir()
    file = coco_folder / "annotations" / "person_keypoints_train.json"
    (tmp_path / "annotations" / f"{name}.json").write_bytes(file.read_bytes())
    (tmp_path / "images").symlink_to(coco_folder / "train")
    people = {}
    for words in ((), ("--part", "all"), ("--part", "val")):
        code, out, err = command(
            "eval", tiny_run / "best.ckpt", "--data", tmp_path, "--json", "--device", "cpu", *words
        )
        assert code == 0, err
        people[words] = json.loads(out)["people"]
    assert people["--part", "val"] < people["--part", "all"]
    assert people[()] == people["--part", "all" if count == "all" else "val"]


def test_a_kind_is_chosen_by_name(command, refused, tiny_run, coco_folder, tmp_path):
    content = json.loads((coco_folder / "annotations" / "person_keypoints_val.json").read_text())
    content["categories"].append({"id": 7, "name": "robot", "keypoints": ["head"]})
    (tmp_path / "two.json").write_text(json.dumps(content))
    words = ("eval", tiny_run / "best.ckpt", "--data", tmp_path / "two.json", "--images", coco_folder / "val")
    assert "choose one by --category NAME" in refused(*words)
    assert "no category 'dog' names keypoints, only person, robot" in refused(*words, "--category", "dog")
    code, out, _ = command(*words, "--category", "person", "--json", "--device", "cpu")
    assert (code, json.loads(out)["people"] > 0) == (0, True)


def test_results_have_each_one_s_kind(command, tiny_run, coco_folder, tmp_path):
    content = json.loads((coco_folder / "annotations" / "person_keypoints_val.json").read_text())
    content["categories"].append({**content["categories"][0], "id": 2, "name": "statue"})
    for row in content["annotations"][::2]:
        row["category_id"] = 2
    (tmp_path / "two.json").write_text(json.dumps(content))
    words = ("--data", tmp_path / "two.json", "--images", coco_folder / "val", "--device", "cpu")
    code, _, err = command("eval", tiny_run / "best.ckpt", *words, "--save-json", tmp_path / "out.json")
    assert code == 0, err
    wanted = Counter(row["category_id"] for row in content["annotations"])
    assert Counter(row["category_id"] for row in json.loads((tmp_path / "out.json").read_text())) == wanted
    assert wanted.keys() == {1, 2}


def test_a_model_that_has_diverged_is_not_measured(command, tiny_run, coco_folder, tmp_path):
    model, loss = load(tiny_run / "best.ckpt")
    with torch.no_grad():
        model.fc_mu.bias[0] = torch.nan
    save(model, loss, tmp_path / "nan")
    words = ("eval", tmp_path / "nan", "--data", coco_folder, "--device", "cpu")
    code, out, err = command(*words, "--report", tmp_path / "page.html", "--save-json", tmp_path / "out.json")
    assert (code, out) == (2, "")
    assert err.endswith("nan: the model gives numbers that are not finite; it has diverged\n")
    assert not (tmp_path / "page.html").exists()
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("own", [False, True])
def test_where_sigmas_are_nobody_s_own_it_is_told(command, tiny_run, coco_folder, tmp_path, own):
    model, loss = load(tiny_run / "best.ckpt")
    content = json.loads((coco_folder / "annotations" / "person_keypoints_val.json").read_text())
    names = [f"{joint}_x" for joint in model.skeleton.joints]
    content["categories"][0]["keypoints"] = names
    (tmp_path / "named.json").write_text(json.dumps(content))
    sigmas = tuple(0.01 * (i + 1) for i in range(17)) if own else None
    model.skeleton = replace(model.skeleton, joints=tuple(names), oks_sigmas=sigmas)
    save(model, loss, tmp_path / "model")
    words = ("--data", tmp_path / "named.json", "--images", coco_folder / "val", "--device", "cpu")
    code, _, err = command("eval", tmp_path / "model", *words, "--report", tmp_path / "page.html")
    assert code == 0, err
    page = (tmp_path / "page.html").read_text()
    assert ("take 0.05 as the sigma of every joint" in err) is ("take 0.05 as the sigma" in page) is not own
