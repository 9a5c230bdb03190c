"""`logpose predict`: pictures and keypoints in, pixels and millimetres out, bad input in a sentence or left out."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from logpose.core.placement import Viewpoint
from logpose.core.skeletons import COCO, HUMANEVA
from logpose.data.keypoint_files import read_keypoints
from logpose.tasks.lifting.predict import Lifter
from logpose.tasks.pose.predict import Predictor

POSE = np.random.default_rng(0).uniform([100, 80], [300, 400], (17, 2)).round(2)


def coco_results(path, poses=2):
    keypoints = np.column_stack([POSE, np.full(17, 0.5)]).ravel().tolist()
    path.write_text(json.dumps([{"image_id": i, "category_id": 1, "keypoints": keypoints} for i in range(poses)]))
    return path


@pytest.fixture
def photos(coco_folder):
    return sorted((coco_folder / "val").iterdir())[:2]


class TestPictures:
    def test_files_hold_what_the_predictor_says(self, command, model_in_space, photos, tmp_path):
        out = tmp_path / "found"
        flags = ("--focal", 300, 310, "--centre", "59.5", "80", "--root-depth", 4000)
        saved = ("--save-json", out / "a.json", "--save-npz", out / "a.npz", "--save-images", out)
        code, said, err = command("predict", model_in_space, *photos, *flags, *saved)
        assert (code, said) == (0, "")
        assert "taken to be" not in err
        assert "adult" not in err
        view = Viewpoint((300.0, 310.0), (59.5, 80.0), 4000.0)
        first, second = Predictor(model_in_space, view=view).many((photo, None) for photo in photos)
        rows = json.loads((out / "a.json").read_text())
        assert [row["file_name"] for row in rows] == [photo.name for photo in photos]
        np.testing.assert_allclose(rows[1]["joints_mm"], second.joints_mm[0], atol=0.1)
        np.testing.assert_allclose(rows[1]["sigma_mm"], second.sigma_mm[0], atol=0.1)
        camera = {"focal": [300.0, 310.0], "centre": [59.5, 80.0], "root_depth_mm": 4000.0, "assumed": []}
        assert rows[0]["camera"] == camera
        with np.load(out / "a.npz", allow_pickle=False) as arrays:
            np.testing.assert_allclose(arrays["joints_mm"][0], first.joints_mm[0], rtol=1e-4)
            assert arrays["joints"].tolist() == list(COCO.joints)
        drawn = [cv2.imread(str(out / f"{photo.stem}-poses.jpg")) for photo in photos]
        assert all(picture.shape[1] > picture.shape[0] for picture in drawn)  # the photograph stands upright
        assert all(picture[:, -picture.shape[0] :].std() > 5 for picture in drawn)

    def test_what_is_assumed_is_said_once(self, command, model_in_space, photos):
        code, out, err = command("predict", model_in_space, *photos, "--json")
        assert code == 0
        assert [row["camera"]["assumed"] for row in json.loads(out)] == [["focal", "centre", "root_depth_mm"]] * 2
        assert err.count("the focal length is taken to be the picture's diagonal") == 1
        assert err.count("those of an adult of 1700 mm") == 1
        _, _, err = command("predict", model_in_space, *photos, "--json", "--focal=300")
        assert "diagonal" not in err

    def test_people_are_printed_with_millimetres(self, command, model_in_space, tiny_run, photos):
        code, out, _ = command("predict", model_in_space, photos[0], "--root-depth", 4000)
        assert code == 0
        assert len(out.splitlines()) == 18
        assert all(" mm  ± " in line for line in out.splitlines()[1:])
        _, out, _ = command("predict", tiny_run / "best.ckpt", photos[0])
        assert " mm" not in out

    def test_a_model_of_two_dimensions_writes_arrays_too(self, command, tiny_run, photos, tmp_path):
        assert command("predict", tiny_run / "best.ckpt", *photos, "--save-npz", tmp_path / "a.npz")[0] == 0
        with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
            assert arrays["keypoints"].shape == (2, 17, 2)
            assert "joints_mm" not in arrays

    def test_what_cannot_be_is_refused(self, refused, model_in_space, tiny_run, photos, lifting_files, tmp_path):
        predict = ("predict", model_in_space, photos[0])
        assert "not 3 numbers" in refused(*predict, "--focal", 1, 2, 3)
        assert "a focal length is a number of pixels above 0, not 0" in refused(*predict, "--focal", 0)
        assert "more than 100 millimetres, not 4" in refused(*predict, "--root-depth", 4)
        assert "is a folder" in refused(*predict, "--save-npz", tmp_path)
        (tmp_path / "file").write_text("")
        assert "is a file, not a folder for pictures" in refused(*predict, "--save-images", tmp_path / "file")
        assert "of two dimensions" in refused("predict", tiny_run / "best.ckpt", photos[0], "--root-depth", 4000)
        told = refused(*predict, "--picture", 480, 640, "--skeleton", "coco")
        assert f"--picture and --skeleton: about files of keypoints, and {model_in_space} looks at pictures" in told
        told = refused("predict", tiny_run / "best.ckpt", lifting_files[1])
        assert "data_2d_x_gt.npz: keypoints to be lifted into space, and" in told
        told = refused("predict", tiny_run / "best.ckpt", coco_results(tmp_path / "r.json"))
        assert "r.json: no list of images; " in told
        assert "best.ckpt looks at pictures, and lifts no keypoints" in told


class TestWhatIsLeftOut:
    """One bad picture or box among many costs itself, not the run."""

    @pytest.fixture
    def folder(self, coco_folder, tmp_path):
        (folder := tmp_path / "pictures").mkdir()
        for i, photo in enumerate(sorted((coco_folder / "val").iterdir())[:3]):
            shutil.copy(photo, folder / f"{i}{photo.suffix}")
        return folder

    @staticmethod
    def shortened(photo):
        whole = photo.read_bytes()
        photo.write_bytes(whole[: len(whole) // 2])
        return photo

    def test_a_picture_that_breaks_off_is_named_and_the_others_are_predicted(self, command, tiny_run, folder, tmp_path):
        cut = self.shortened(sorted(folder.iterdir())[1])
        words = ("--save-json", tmp_path / "a.json", "--save-images", tmp_path / "out")
        code, out, err = command("predict", tiny_run / "best.ckpt", folder, *words)
        assert (code, out) == (0, "")
        assert f"left out 1 of 3 pictures; the first: {cut}: truncated image" in err
        rows = json.loads((tmp_path / "a.json").read_text())
        assert [(row["image_id"], row["file_name"]) for row in rows] == [(i, f"{i}{cut.suffix}") for i in (0, 2)]
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0-poses.jpg", "2-poses.jpg"]

    def test_so_is_one_of_which_only_decoding_shows_it(self, command, refused, tiny_run, folder, monkeypatch):
        monkeypatch.setattr("logpose.cli.predict.check_image", lambda _: None)
        cut = self.shortened(sorted(folder.iterdir())[1])
        code, out, err = command("predict", tiny_run / "best.ckpt", folder, "--json")
        assert code == 0
        assert [row["image_id"] for row in json.loads(out)] == [0, 2]
        assert f"left out 1 of 3 pictures; the first: {cut}: " in err
        told = refused("predict", tiny_run / "best.ckpt", cut)
        assert told == f"logpose: {cut}: truncated image"

    def test_where_none_can_be_read_nothing_is_written(self, refused, tiny_run, folder, tmp_path):
        first, *_ = [self.shortened(photo) for photo in sorted(folder.iterdir())]
        told = refused("predict", tiny_run / "best.ckpt", folder, "--save-json", tmp_path / "a.json")
        assert f"none of the 3 pictures can be read; the first: {first}: truncated image" in told
        assert not (tmp_path / "a.json").exists()

    def test_boxes_outside_their_picture_or_on_none_are_counted(self, command, tiny_run, folder, tmp_path):
        file = tmp_path / "boxes.json"
        rows = [
            {"image_id": image, "category_id": 1, "bbox": box, "score": 0.5}
            for image, box in ((0, [4, 4, 20, 30]), (7, [4, 4, 20, 30]), (1, [5000, 4, 20, 30]), (1, [2, 3, 20, 30]))
        ]
        file.write_text(json.dumps(rows))
        code, out, err = command("predict", tiny_run / "best.ckpt", folder, "--boxes", file, "--json")
        assert code == 0
        assert [(row["image_id"], row["bbox"]) for row in json.loads(out)] == [(0, [4, 4, 20, 30]), (1, [2, 3, 20, 30])]
        assert f"left out 1 box on none of the pictures; the first: {file}: row 1: on none of the pictures ('7')" in err
        assert f"left out 1 box outside the picture; the first: {file}: row 2: outside the picture" in err
        assert f"{file}: no box for 1 of 3 pictures" in err

    @pytest.mark.parametrize(("kinds", "words", "found"), [((5, 5), (), [5, 5]), ((1, 3), ("--box-category", 3), [3])])
    def test_results_have_the_category_of_the_boxes(self, command, tiny_run, folder, tmp_path, kinds, words, found):
        file = tmp_path / "boxes.json"
        rows = [{"image_id": i, "category_id": kind, "bbox": [4, 4, 20, 30]} for i, kind in enumerate(kinds)]
        file.write_text(json.dumps(rows))
        code, out, _ = command("predict", tiny_run / "best.ckpt", folder, "--boxes", file, "--json", *words)
        assert code == 0
        assert [row["category_id"] for row in json.loads(out)] == found


def test_results_of_a_list_of_images_have_the_official_keys_only(command, tiny_run, coco_folder, tmp_path):
    """With a `bbox`, pycocotools takes its area for the person's: AP(M) and AP(L) would be of others."""
    names = sorted(photo.name for photo in (coco_folder / "val").iterdir())[:2]
    file = tmp_path / "image_info_test.json"
    file.write_text(json.dumps({"images": [{"id": 70 + i, "file_name": name} for i, name in enumerate(names)]}))
    words = ("predict", tiny_run / "best.ckpt", "--save-json", tmp_path / "a.json", "--save-npz", tmp_path / "a.npz")
    assert command(*words, file, "--image-folder", coco_folder / "val")[0] == 0
    rows = json.loads((tmp_path / "a.json").read_text())
    assert [row["image_id"] for row in rows] == [70, 71]
    assert all(set(row) == {"image_id", "category_id", "keypoints", "score"} for row in rows)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert arrays["sigma"].shape == (2, 17, 2)
    data = ("--data", coco_folder, "--save-json", tmp_path / "b.json")
    assert command("eval", tiny_run / "best.ckpt", *data)[0] == 0
    assert set(json.loads((tmp_path / "b.json").read_text())[0]) == set(rows[0])
    assert command(*words, coco_folder / "val" / names[0])[0] == 0
    assert {"sigma", "bbox", "file_name"} <= set(json.loads((tmp_path / "a.json").read_text())[0])


class TestKeypoints:
    def test_files_hold_what_the_lifter_says(self, command, lifters, lifting_files, tmp_path):
        words = ("--save-json", tmp_path / "a.json", "--save-npz", tmp_path / "a.npz", "--flip-test", "--batch-size", 7)
        code, out, err = command("predict", lifters["windows"], lifting_files[1], *words)
        assert (code, out) == (0, "")
        assert "one by one" not in err
        sequences = read_keypoints(lifting_files[1], HUMANEVA).sequences
        lifter = Lifter(lifters["windows"], flip_test=True)
        found = list(lifter.many((sequence.keypoints, sequence.size) for sequence in sequences))
        rows = json.loads((tmp_path / "a.json").read_text())
        assert len(rows) == sum(map(len, found)) == 48
        assert {key: rows[14][key] for key in ("file_name", "sequence", "frame")} == {
            "file_name": str(lifting_files[1]),
            "sequence": "Train/P1, Walk 1, camera 1",
            "frame": 2,
        }
        np.testing.assert_allclose(rows[14]["joints_mm"], found[1].joints_mm[2], atol=0.1)
        np.testing.assert_allclose(rows[14]["sigma_mm"], found[1].sigma_mm[2], atol=0.1)
        with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
            np.testing.assert_allclose(
                arrays["joints_mm"], np.concatenate([p.joints_mm for p in found]), rtol=1e-3, atol=0.01
            )
            assert arrays["frame"][14] == 2

    def test_coco_s_joints_are_brought_to_the_model_s(self, command, lifters, tmp_path):
        file = coco_results(tmp_path / "r.json")
        words = ("predict", lifters["h36m"], file, "--skeleton", "coco", "--picture", 480, 640, "--json")
        code, out, err = command(*words)
        assert code == 0
        rows = json.loads(out)
        assert [(row["sequence"], row["image_id"], row["frame"]) for row in rows] == [("row 0", 0, 0), ("row 1", 1, 0)]
        assert "pelvis of left_hip and right_hip" in err
        assert "head of left_eye and right_eye" in err

    def test_labelled_people_of_a_data_set_are_lifted(self, command, lifters, coco_folder):
        file = coco_folder / "annotations" / "person_keypoints_val.json"
        code, out, err = command("predict", lifters["windows"], file, "--json")
        assert code == 0
        rows = json.loads(out)
        assert rows[0]["sequence"].startswith("annotation ")
        assert "of its poses or sequences; the first: " in err
        assert "a joint that the model needs is not labelled" in err
        assert "lifted one by one, and the model is made for keypoints of 9 frames" in err

    def test_poses_are_printed(self, command, lifters, lifting_files):
        code, out, _ = command("predict", lifters["humaneva"], lifting_files[1])
        assert code == 0
        lines = out.splitlines()
        assert len(lines) == 48 * 16
        assert lines[16] == f"{lifting_files[1]}: Train/P1, Walk 1, camera 0, frame 1"
        assert lines[1].split()[:4] == ["pelvis", "0", "0", "0"]
        assert " mm  ± " in lines[2]
        _, out, _ = command("predict", lifters["unsure"], lifting_files[1])
        assert " mm  confidence" in out.splitlines()[2]

    def test_pictures_are_of_every_pose_or_evenly_of_fifty(
        self, command, lifters, lifting_files, tmp_path, monkeypatch
    ):
        file = coco_results(tmp_path / "r.json", poses=2)
        (tmp_path / "b").mkdir()
        other = shutil.copy(file, tmp_path / "b" / "r.json")
        words = ("--skeleton", "coco", "--picture", "480x640", "--save-images", tmp_path / "out")
        code, out, err = command("predict", lifters["h36m"], file, other, *words)
        assert (code, out) == (0, "")
        assert "evenly over all" not in err
        names = sorted(path.name for path in (tmp_path / "out").iterdir())
        assert names == [f"r-{i // 2}-pose-{i:06d}.png" for i in range(4)]
        picture = cv2.imread(str(tmp_path / "out" / names[0]))
        assert picture[:, : -picture.shape[0]].std() > 5
        assert picture[:, -picture.shape[0] :].std() > 5
        monkeypatch.setattr("logpose.cli.predict.DRAWN", 3)
        _, _, err = command("predict", lifters["humaneva"], lifting_files[1], "--save-images", tmp_path / "few")
        assert "pictures of 3 of the 48 poses, evenly over all" in err
        names = sorted(path.name for path in (tmp_path / "few").iterdir())
        assert names == [f"data_2d_x_gt-pose-{number:06d}.png" for number in (0, 24, 47)]

    def test_flags_that_a_file_contradicts_are_refused(self, refused, command, lifters, coco_folder, tmp_path):
        lifts, array = lifters["h36m"], tmp_path / "a.npz"
        np.savez(array, keypoints=POSE[None], size=[480, 640])
        told = refused("predict", lifts, array, "--picture", 500, 700, "--skeleton", "model")
        assert f"--picture: {array} tells that its picture is 640 pixels wide and 480 high, not 700 pixels" in told
        assert command("predict", lifts, array, "--picture", 480, 640, "--skeleton", "model")[0] == 0
        np.savez(tmp_path / "b.npz", keypoints=POSE[None])
        both = (array, tmp_path / "b.npz", "--picture", 500, 700, "--skeleton", "model")
        assert command("predict", lifts, *both)[0] == 0
        named = coco_folder / "annotations" / "person_keypoints_val.json"
        told = refused("predict", lifters["humaneva"], named, "--skeleton", "mpii")
        assert f"--skeleton mpii: {named} names its joints, and they are others" in told
        assert "--skeleton model" in refused("predict", lifters["humaneva"], named, "--skeleton", "model")
        assert command("predict", lifters["humaneva"], named, "--skeleton", "coco")[0] == 0

    def test_what_cannot_be_is_refused(self, refused, lifters, photos, coco_folder, lifting_files, tmp_path):
        lifts = lifters["h36m"]
        assert f"{photos[0].name}: no file of keypoints; the model lifts keypoints, from .json" in refused(
            "predict", lifts, photos[0]
        )
        assert "a folder, not a file of keypoints" in refused("predict", lifts, coco_folder)
        told = refused("predict", lifts, lifting_files[1], "--boxes", "b.json", "--focal", 3, "--score", "box")
        assert "--boxes and --score and --focal: about people in pictures, and" in told
        file = coco_results(tmp_path / "r.json")
        assert "give --picture HEIGHT WIDTH" in refused("predict", lifts, file, "--skeleton", "coco")
        assert "give --skeleton model or --skeleton coco" in refused("predict", lifts, file, "--picture", 480, 640)
        bad = json.loads(file.read_text())
        bad[1]["keypoints"][4] = "x"
        (tmp_path / "bad.json").write_text(json.dumps(bad))
        told = refused(
            "predict", lifts, file, tmp_path / "bad.json", "--skeleton", "coco", "--picture", 480, 640,
            "--save-json", tmp_path / "o.json",
        )  # fmt: skip
        assert "bad.json: row 1: keypoints are not numbers" in told
        assert not (tmp_path / "o.json").exists()
        assert "15 joints, which are not those of --skeleton coco" in refused(
            "predict", lifts, lifting_files[1], "--skeleton", "coco"
        )
        assert "--batch-size" in refused("predict", lifts, file, "--batch-size", 0)


def test_a_model_that_lifts_becomes_a_folder(command, lifters, lifting_files, tmp_path):
    code, _, err = command("convert", lifters["windows"], "--out", tmp_path / "mine")
    assert code == 0
    assert "15 joints, from keypoints of 9 frames" in err
    said = [command("predict", each, lifting_files[1], "--json")[1] for each in (lifters["windows"], tmp_path / "mine")]
    assert said[0] == said[1]


def test_a_model_that_lifts_does_not_inspect_pictures(refused, lifters, coco_folder, tmp_path):
    told = refused("inspect", coco_folder, "--model", lifters["humaneva"], "--out", tmp_path / "out")
    assert f"{lifters['humaneva']}: is a model for lifting" in told
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def finder(tmp_path_factory):
    """The checkpoint of an untrained model of boundaries."""
    import torch

    from logpose.data.scans import RETINA
    from logpose.losses import Laplace
    from logpose.models import BoundaryModel
    from logpose.training.checkpoint import save

    torch.manual_seed(0)
    model = BoundaryModel(RETINA, (64, 32), channels=2, depth=1, cells=2)
    model.set_error_distribution(Laplace(8).error_distribution())
    folder = tmp_path_factory.mktemp("finder") / "model"
    save(model, Laplace(8), folder)
    return folder


@pytest.fixture
def scan_files(tmp_path):
    """A folder with a `.mat` file of two B-scans and a picture of a wider one of the same name."""
    import cv2
    from scipy.io import savemat

    from logpose.data.synthetic_oct import SyntheticScans

    scans = SyntheticScans(2, seed=1, size=(96, 70))
    (folder := tmp_path / "scans").mkdir()
    savemat(folder / "a.mat", {"images": np.stack([scans[i].image for i in range(2)], axis=-1)})
    cv2.imwrite(str(folder / "a.png"), SyntheticScans(1, seed=2, size=(96, 90))[0].image)
    return folder


def test_boundaries_are_written_in_every_form(command, finder, scan_files, tmp_path):
    from logpose.data.oct import unlabelled_scans
    from logpose.tasks.boundaries.predict import Segmenter

    words = ("--save-json", tmp_path / "o.json", "--save-npz", tmp_path / "o.npz", "--save-images", tmp_path / "o")
    code, out, err = command("predict", finder, scan_files, "--device", "cpu", *words)
    assert (code, out) == (0, "")
    assert err.count("wrote") == 3
    rows = json.loads((tmp_path / "o.json").read_text())
    assert [(row["file_name"], row["scan"]) for row in rows] == [("a.mat", "a-0"), ("a.mat", "a-1"), ("a.png", "a")]
    images = [scan.image for file in ("a.mat", "a.png") for scan in unlabelled_scans(scan_files / file)]
    expected = [Segmenter(finder, "cpu")(image) for image in images]
    for row, found in zip(rows, expected, strict=True):
        assert np.allclose(row["rows"], found.rows, atol=1e-3)
        assert np.allclose(row["sigma"], found.sigma, atol=1e-3)
        assert np.allclose(row["band90"], found.band, atol=1e-3)
    with np.load(tmp_path / "o.npz", allow_pickle=False) as arrays:
        assert arrays["rows"].shape == (3, 8, 90)
        assert np.isnan(arrays["rows"][:2, :, 70:]).all()
        assert np.allclose(arrays["rows"][2], expected[2].rows)
        assert arrays["boundaries"][7] == "BM"
    names = sorted(path.name for path in (tmp_path / "o").iterdir())
    assert names == ["a-0-boundaries.png", "a-1-boundaries.png", "a-boundaries.png"]


def test_boundaries_are_printed_as_csv_or_json(command, finder, scan_files):
    import csv

    code, out, _ = command("predict", finder, scan_files / "a.png", "--device", "cpu")
    assert code == 0
    lines = list(csv.reader(out.splitlines()))
    assert lines[0][:4] == ["file", "scan", "column", "ILM"]
    assert [lines[0][i] for i in (10, 11, 18, 19, 26)] == ["BM", "sigma ILM", "sigma BM", "band90 ILM", "band90 BM"]
    assert len(lines) == 91
    assert {len(line) for line in lines} == {27}
    assert lines[5][:3] == ["a.png", "a", "4"]
    assert float(lines[5][3]) <= float(lines[5][10])
    assert all(0 < float(sigma) < float(band) for sigma, band in zip(lines[5][11:19], lines[5][19:], strict=True))
    code, out, _ = command("predict", finder, scan_files / "a.png", "--device", "cpu", "--json", "--flip-test")
    assert code == 0
    assert len(json.loads(out)[0]["rows"]) == 8


def test_what_is_not_about_boundaries_is_refused(refused, finder, scan_files, tmp_path):
    told = refused("predict", finder, scan_files, "--boxes", "b.json")
    assert "--boxes: about people in pictures, and" in told
    assert "--picture: about files of keypoints" in refused("predict", finder, scan_files, "--picture", "5x5")
    assert "nowhere: no such file or folder" in refused("predict", finder, "nowhere")
    (tmp_path / "empty").mkdir()
    assert "holds no .mat file and no picture" in refused("predict", finder, tmp_path / "empty")
    (scan_files / "b.png").write_bytes(b"no picture")
    assert "b.png: " in refused("predict", finder, scan_files, "--save-json", tmp_path / "o.json")
    assert not (tmp_path / "o.json").exists()
    (scan_files / "c.mat").write_bytes(b"no such file")
    (scan_files / "b.png").unlink()
    assert "c.mat: not a MATLAB file" in refused("predict", finder, scan_files, "--save-images", tmp_path / "i")
    assert not (tmp_path / "i").exists()
