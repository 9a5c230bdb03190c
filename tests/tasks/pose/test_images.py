"""`logpose predict` on images of people: results, what is assumed, what is left out."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
from pose_files import results_file

from logpose.core.placement import Viewpoint
from logpose.core.skeletons import COCO
from logpose.tasks.pose.images import overlay, plot_poses
from logpose.tasks.pose.predict import Predictor


class TestPictures:
    def test_files_hold_what_the_predictor_says(self, command, model_in_space, photos, tmp_path):
        out = tmp_path / "found"
        flags = ("--focal", 300, 310, "--centre", "59.5", "80", "--root-depth", 4000, "--looks", 1)
        saved = ("--save-json", out / "a.json", "--save-npz", out / "a.npz", "--save-images", out)
        code, said, err = command("predict", model_in_space, *photos, *flags, *saved)
        assert (code, said) == (0, "")
        assert "taken to be" not in err
        assert "adult" not in err
        view = Viewpoint((300.0, 310.0), (59.5, 80.0), 4000.0)
        first, second = Predictor(model_in_space, view=view, looks=1).many((photo, None) for photo in photos)
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
        code, out, err = command("predict", model_in_space, *photos, "--json", "--looks", 1)
        assert code == 0
        assert [row["camera"]["assumed"] for row in json.loads(out)] == [["focal", "centre", "root_depth_mm"]] * 2
        assert err.count("the focal length is taken to be the image's diagonal") == 1
        assert err.count("those of an adult of 1700 mm") == 1
        _, _, err = command("predict", model_in_space, *photos, "--json", "--focal=300")
        assert "diagonal" not in err

    def test_people_are_printed_with_millimetres(self, command, model_in_space, tiny_run, photos):
        code, out, _ = command("predict", model_in_space, photos[0], "--root-depth", 4000, "--looks", 1)
        assert code == 0
        assert len(out.splitlines()) == 18
        assert all(" mm  ± " in line for line in out.splitlines()[1:])
        _, out, _ = command("predict", tiny_run / "best.ckpt", photos[0])
        assert " mm" not in out

    def test_a_model_of_two_dimensions_writes_arrays_too(self, command, tiny_run, photos, tmp_path):
        words = ("--save-npz", tmp_path / "a.npz", "--looks", 1)
        assert command("predict", tiny_run / "best.ckpt", *photos, *words)[0] == 0
        with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
            assert arrays["keypoints"].shape == (2, 17, 2)
            assert "joints_mm" not in arrays

    def test_what_cannot_be_is_refused(self, refused, model_in_space, tiny_run, photos, lifting_files, tmp_path):
        predict = ("predict", model_in_space, photos[0])
        assert "--focal" in refused(*predict, "--focal", 1, 2, 3)
        assert "focal" in refused(*predict, "--focal", 0)
        assert "millimetres" in refused(*predict, "--root-depth", 4)
        assert f"{tmp_path}: " in refused(*predict, "--save-npz", tmp_path)
        (tmp_path / "file").write_text("")
        assert f"{tmp_path / 'file'}: " in refused(*predict, "--save-images", tmp_path / "file")
        assert "of two dimensions" in refused("predict", tiny_run / "best.ckpt", photos[0], "--root-depth", 4000)
        message = refused(*predict, "--picture", 480, 640, "--skeleton", "coco")
        assert message.startswith("logpose: --picture and --skeleton: ")
        assert str(model_in_space) in message
        assert "lifting models" in message
        message = refused("predict", tiny_run / "best.ckpt", lifting_files[1])
        assert "data_2d_x_gt.npz: " in message
        message = refused("predict", tiny_run / "best.ckpt", results_file(tmp_path / "r.json"))
        assert "r.json" in message
        assert "best.ckpt" in message


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
        words = ("--save-json", tmp_path / "a.json", "--save-images", tmp_path / "out", "--looks", 1)
        code, out, err = command("predict", tiny_run / "best.ckpt", folder, *words)
        assert (code, out) == (0, "")
        assert f"left out 1 of 3 images; the first: {cut}: " in err
        rows = json.loads((tmp_path / "a.json").read_text())
        assert [(row["image_id"], row["file_name"]) for row in rows] == [(i, f"{i}{cut.suffix}") for i in (0, 2)]
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0-poses.jpg", "2-poses.jpg"]

    def test_so_is_one_of_which_only_decoding_shows_it(self, command, refused, tiny_run, folder, monkeypatch):
        monkeypatch.setattr("logpose.tasks.pose.images.check_image", lambda _: None)
        cut = self.shortened(sorted(folder.iterdir())[1])
        code, out, err = command("predict", tiny_run / "best.ckpt", folder, "--json", "--looks", 1)
        assert code == 0
        assert [row["image_id"] for row in json.loads(out)] == [0, 2]
        assert f"left out 1 of 3 images; the first: {cut}: " in err
        message = refused("predict", tiny_run / "best.ckpt", cut)
        assert message.startswith(f"logpose: {cut}: ")

    def test_where_none_can_be_read_nothing_is_written(self, refused, tiny_run, folder, tmp_path):
        first, *_ = [self.shortened(photo) for photo in sorted(folder.iterdir())]
        message = refused("predict", tiny_run / "best.ckpt", folder, "--save-json", tmp_path / "a.json")
        assert f"none of the 3 images can be read; the first: {first}: " in message
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
        assert f"the first: {file}: row 1: " in err
        assert f"the first: {file}: row 2: " in err
        assert f"{file}: no box for 1 of 3 images" in err

    def test_labels_are_boxes(self, command, tiny_run, coco_folder):
        file = coco_folder / "annotations" / "person_keypoints_val.json"
        labels = json.loads(file.read_text())["annotations"]
        code, out, err = command("predict", tiny_run / "best.ckpt", coco_folder / "val", "--boxes", file, "--json")
        assert code == 0, err
        assert sorted(row["bbox"] for row in json.loads(out)) == sorted(row["bbox"] for row in labels)

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
    saved = ("--save-json", tmp_path / "a.json", "--save-npz", tmp_path / "a.npz")
    words = ("predict", tiny_run / "best.ckpt", "--looks", 1, *saved)
    assert command(*words, file, "--images", coco_folder / "val")[0] == 0
    rows = json.loads((tmp_path / "a.json").read_text())
    assert [row["image_id"] for row in rows] == [70, 71]
    assert all(set(row) == {"image_id", "category_id", "keypoints", "score"} for row in rows)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert arrays["sigma"].shape == (2, 17, 2)
    data = (coco_folder, "--save-json", tmp_path / "b.json")
    assert command("eval", tiny_run / "best.ckpt", *data)[0] == 0
    assert set(json.loads((tmp_path / "b.json").read_text())[0]) == set(rows[0])
    assert command(*words, coco_folder / "val" / names[0])[0] == 0
    assert {"sigma", "bbox", "file_name"} <= set(json.loads((tmp_path / "a.json").read_text())[0])


def test_results_have_the_category_of_the_list(command, tiny_run, coco_folder, tmp_path):
    content = json.loads((coco_folder / "annotations" / "person_keypoints_val.json").read_text())
    content["categories"] = [{"id": 0, "name": "car"}, {**content["categories"][0], "id": 7}]
    for row in content["annotations"]:
        row["category_id"] = 7
    (tmp_path / "list.json").write_text(json.dumps(content))
    boxes = {image["file_name"]: [[1, 2, 20, 30]] for image in content["images"]}
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    for words in (("--looks", 1), ("--boxes", tmp_path / "boxes.json")):
        given = ("--images", coco_folder / "val", "--save-json", tmp_path / "out.json", *words)
        code, _, err = command("predict", tiny_run / "best.ckpt", tmp_path / "list.json", *given)
        assert code == 0, err
        assert {row["category_id"] for row in json.loads((tmp_path / "out.json").read_text())} == {7}


def test_images_of_one_name_are_told_apart(command, tiny_run, photos, tmp_path):
    for folder, photo in zip(("cam1", "cam2"), photos, strict=True):
        (tmp_path / "vid" / folder).mkdir(parents=True)
        (tmp_path / "vid" / folder / "frame.jpg").write_bytes(photo.read_bytes())
    saved = ("--save-json", tmp_path / "o.json", "--save-npz", tmp_path / "o.npz")
    words = ("predict", tiny_run / "best.ckpt", tmp_path / "vid", "--looks", 1)
    code, out, _ = command(*words)
    assert code == 0
    names = ["cam1/frame.jpg", "cam2/frame.jpg"]
    assert [line.split()[0] for line in out.splitlines() if "score" in line] == names
    assert command(*words, *saved)[0] == 0
    rows = json.loads((tmp_path / "o.json").read_text())
    assert [(row["image_id"], row["file_name"]) for row in rows] == [(name[:-4], name) for name in names]
    with np.load(tmp_path / "o.npz", allow_pickle=False) as arrays:
        assert (arrays["file_name"].tolist(), arrays["image_id"].tolist()) == (names, [name[:-4] for name in names])


def test_pictures_and_boxes_that_are_none_are_refused(refused, coco_folder, tiny_run, tmp_path):
    checkpoint = tiny_run / "best.ckpt"
    (tmp_path / "text.jpg").write_text("not a picture")
    assert "text.jpg: " in refused("predict", checkpoint, tmp_path / "text.jpg")
    cv2.imwrite(str(tmp_path / "cut.png"), np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    assert "cut.png: " in refused("predict", checkpoint, tmp_path / "cut.png", "--save-json", tmp_path / "o.json")
    assert not (tmp_path / "o.json").exists()
    (tmp_path / "boxes.json").write_text('{"elsewhere.jpg": [[1, 2, 3, 4]]}')
    photo = next((coco_folder / "val").iterdir())
    assert "boxes.json" in refused("predict", checkpoint, photo, "--boxes", tmp_path / "boxes.json")


def test_a_photo_is_never_written_over(command, coco_folder, tiny_run, tmp_path):
    photos = [shutil.copy(path, tmp_path / path.name) for path in sorted((coco_folder / "val").iterdir())[:2]]
    before = [path.read_bytes() for path in photos]
    words = ("predict", tiny_run / "best.ckpt", *photos, photos[0], "--save-images", tmp_path)
    assert command(*words)[0] == 0
    assert [path.read_bytes() for path in photos] == before
    assert sorted(path.name for path in tmp_path.glob("*-poses.jpg")) == [f"{path.stem}-poses.jpg" for path in photos]


def is_picture(path):
    image = cv2.imread(str(path))
    return image is not None and image.std() > 5


def test_an_overlay_has_the_joints_in_their_places(tiny_run):
    image = np.full((96, 72, 3), 30, np.uint8)
    poses = Predictor(tiny_run / "best.ckpt", device="cpu", looks=1)(image)
    poses.keypoints[0] = (36, 48)
    poses.sigma[0] = 0.01
    drawn = overlay(image, poses, 384)
    lit = np.argwhere((drawn != 30).any(axis=2)).mean(axis=0)
    np.testing.assert_allclose(lit, ((48 + 0.5) * 4 - 0.5, (36 + 0.5) * 4 - 0.5), atol=0.6)


def test_poses_of_several_images_are_one_sheet(tiny_run, tmp_path):
    image = np.zeros((64, 48, 3), np.uint8)
    poses = Predictor(tiny_run / "best.ckpt", device="cpu", looks=1)(image)
    plot_poses([(image, poses)] * 3, tmp_path / "poses.png", columns=2)
    assert is_picture(tmp_path / "poses.png")


def test_lists_of_other_joints_and_sizes_are_reported_once(command, tiny_run, coco_folder, tmp_path):
    content = json.loads((coco_folder / "annotations" / "person_keypoints_val.json").read_text())
    content["images"] = content["images"][:2]
    content["annotations"] = []
    words = (tiny_run / "best.ckpt", tmp_path / "list.json", "--images", coco_folder / "val", "--json", "--looks", 1)
    (tmp_path / "list.json").write_text(json.dumps(content))
    assert "list.json" not in command("predict", *words)[2]
    content["categories"][0]["keypoints"].reverse()
    content["images"][1]["width"] += 1
    (tmp_path / "list.json").write_text(json.dumps(content))
    code, out, err = command("predict", *words)
    assert (code, len(json.loads(out))) == (0, 2)
    assert err.count("another order") == err.count("1 of 2 images") == 1


def test_images_in_which_nobody_is_found_are_named(command, refused, tiny_run, photos, tmp_path):
    """By a model that was hardly trained: all joints are as uncertain as those of nobody."""
    code, out, err = command("predict", tiny_run / "best.ckpt", *photos, "--json")
    assert (code, json.loads(out)) == (0, [])
    assert "nobody was found in 2 of 2 images" in err
    assert f"the first: {photos[0]}. --looks 1 " in err
    assert "--looks" in refused("predict", tiny_run / "best.ckpt", photos[0], "--looks", 0)
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({photos[0].name: [[1, 2, 20, 30]]}))
    assert "--looks" in refused("predict", tiny_run / "best.ckpt", photos[0], "--looks", 2, "--boxes", boxes)
