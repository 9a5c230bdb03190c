"""Models of several categories, from the labels to the predictions; and the categories of boxes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import tiny_recipe
from tests.support.two_kinds import BUST, BUST_ID, PERSON_ID, write_two_kinds

from logpose.core.categories import united
from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, Category, Skeleton
from logpose.data.files import open_people
from logpose.tasks.pose.boxes import box_categories, box_of_joints, category_id, checked_boxes, is_nobody, overlap
from logpose.tasks.pose.poses import results_arrays
from logpose.tasks.pose.predict import Predictor
from logpose.training.checkpoint import load_model
from logpose.training.run import fit

CAT, DOG = (Category(i, Skeleton(n, j)) for i, n, j in ((0, "cat", ("a", "b")), (7, "dog", ("c", "a", "d"))))
BOTH = united([CAT, DOG])


def test_the_category_of_each_box():
    boxes = checked_boxes([[1, 2, 3, 4, 0.5, 7], [5, 6, 7, 8, 1, 0]], (40, 40), None)
    assert box_categories(BOTH, boxes).tolist() == [7, 0]
    plain = checked_boxes([[1, 2, 3, 4], [5, 6, 7, 8, 0.5]], (40, 40), None)
    assert plain.tolist() == [[1, 2, 3, 4, 1], [5, 6, 7, 8, 0.5]]
    assert box_categories(BOTH, plain, 7).tolist() == [7, 7]
    assert box_categories(COCO, plain) is None
    assert box_categories(BOTH, checked_boxes([], (40, 40), None)).tolist() == []


@pytest.mark.parametrize(
    ("skeleton", "boxes", "default", "report"),
    [
        (BOTH, [[1, 2, 3, 4]], None, r"a\.jpg: box 0 has no category.*cat \(0\), dog \(7\)"),
        (BOTH, [[1, 2, 3, 4, 1, 7], [1, 2, 3, 4, 1, 3]], 7, r"a\.jpg: box 1 has category 3.*cat \(0\), dog \(7\)"),
        (BOTH, [[1, 2, 3, 4]], 5, "category 5"),
        (COCO, [[1, 2, 3, 4, 1, 7]], None, "one kind"),
    ],
)
def test_categories_that_cannot_be_told(skeleton, boxes, default, report):
    with pytest.raises(InputError, match=report):
        box_categories(skeleton, checked_boxes(boxes, (40, 40), None), default, Path("a.jpg"))


@pytest.mark.parametrize("boxes", [[[1, 2, 3, 4], [1, 2, 3, 4, 1, 7]], [[1, 2, 3]], [[1, 2, 3, 4, 1, np.nan]]])
def test_boxes_that_are_none(boxes):
    with pytest.raises(InputError, match="box"):
        checked_boxes(boxes, (40, 40), None)


@pytest.mark.parametrize("boxes", [{"boxes": [[1, 2, 3, 4]]}, "boxes.json", 7, [["x", 2, 3, 4]], [[1, 2, [3], 4]]])
def test_what_is_no_list_of_boxes(boxes):
    with pytest.raises(InputError, match=r"a\.jpg: box"):
        checked_boxes(boxes, (40, 40), Path("a.jpg"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_boxes_of_a_detector_as_they_are(dtype):
    """Tensors with a gradient, or of a data type that NumPy lacks; rows may be tensors of their own."""
    boxes = torch.tensor([[1, 2, 3, 4, 0.5]], dtype=dtype, requires_grad=True)
    assert checked_boxes(boxes, (40, 40), None).tolist() == [[1, 2, 3, 4, 0.5]]
    assert checked_boxes(list(boxes), (40, 40), None).tolist() == [[1, 2, 3, 4, 0.5]]


def test_a_category_by_name_or_id():
    assert [category_id(BOTH, each) for each in ("dog", " Dog", 7, "cat", 0)] == [7, 7, 7, 0, 0]
    for wrong in ("cow", 3, "all", "cat,dog"):
        with pytest.raises(InputError, match=r"cat.*dog"):
            category_id(BOTH, wrong)
    with pytest.raises(InputError, match="one kind"):
        category_id(COCO, "person")


# From the labels to the predictions


@pytest.fixture(scope="module")
def folder(coco_folder, tmp_path_factory):
    return write_two_kinds(coco_folder, tmp_path_factory.mktemp("two") / "data")


@pytest.fixture(scope="module")
def run(thin_module, folder, tmp_path_factory):
    """The folder of a finished run of a thin network on both kinds."""
    fit(tiny_recipe(folder, category="all", epochs=1), out := tmp_path_factory.mktemp("run"))
    return out


def val_file(folder):
    return folder / "annotations" / "person_keypoints_val.json"


def test_the_model_has_the_union_of_joints(run):
    skeleton = load_model(run / "best.ckpt").skeleton
    assert skeleton.joints == (*COCO.joints, "crown")
    assert [(each.id, each.name) for each in skeleton.categories] == [(PERSON_ID, "person"), (BUST_ID, "bust")]
    assert skeleton.of(BUST_ID)[0].joints == tuple(BUST)
    assert skeleton.mirrors


def test_labels_of_joints_that_a_category_lacks_do_not_count(folder):
    people = open_people(folder / "annotations" / "person_keypoints_train.json", category="all")
    bust = next(who for who in people.samples if who.category_id == BUST_ID)
    assert set(np.flatnonzero(bust.visible)) <= set(people.skeleton.of(BUST_ID)[1])
    whole = open_people(folder / "annotations" / "person_keypoints_train.json", category="bust")
    alone = {who.id: who for who in whole.samples}[bust.id]
    joints = people.skeleton.of(BUST_ID)[1]
    assert bust.keypoints[joints].tolist() == alone.keypoints.tolist()
    assert bust.visible[joints].tolist() == alone.visible.tolist()


def test_ap_is_of_each_category_and_their_mean(command, run, folder, tmp_path):
    words = ("eval", run / "best.ckpt", "--data", folder, "--device", "cpu", "--json")
    code, out, err = command(*words, "--save-json", tmp_path / "both.json", "--report", tmp_path / "page.html")
    assert code == 0, err
    both = json.loads(out)
    assert both["ap"] == pytest.approx((both["ap/person"] + both["ap/bust"]) / 2)
    assert "ap/bust" in (tmp_path / "page.html").read_text()
    alone = {}
    for name in ("person", "bust"):  # ids are the file's: a model of several is measured on one as well
        code, out, err = command(*words, "--category", name)
        assert code == 0, err
        alone[name] = json.loads(out)
        assert alone[name]["ap"] == pytest.approx(both[f"ap/{name}"])
    for figure in ("people", "joints"):
        assert sum(one[figure] for one in alone.values()) == both[figure]
    total = sum(one["error_px"] * one["joints"] for one in alone.values())
    assert both["error_px"] == pytest.approx(total / both["joints"])
    rows = json.loads((tmp_path / "both.json").read_text())
    labels = json.loads(val_file(folder).read_text())["annotations"]
    assert {row["category_id"]: len(row["keypoints"]) // 3 for row in rows} == {7: 17, 2: 4}
    assert Counter(row["category_id"] for row in rows) == Counter(row["category_id"] for row in labels)


@pytest.fixture
def boxes(folder, tmp_path):
    """Detections in the labelled boxes of the validation part, as `eval` crops them; ids are the file's."""
    people = open_people(val_file(folder), category="all")
    rows = [
        {"image_id": who.image_id, "category_id": who.category_id, "bbox": who.box.tolist(), "score": 1.0}
        for who in people.samples
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    return tmp_path / "boxes.json"


def test_predictions_are_those_of_evaluation(command, run, folder, boxes, tmp_path):
    measured, predicted = tmp_path / "measured.json", tmp_path / "predicted.json"
    words = ("--device", "cpu", "--no-flip-test")
    code, _, err = command("eval", run / "best.ckpt", "--data", folder, *words, "--save-json", measured)
    assert code == 0, err
    words = ("predict", run / "best.ckpt", val_file(folder), "--boxes", boxes, "--device", "cpu")
    code, _, err = command(*words, "--save-json", predicted, "--save-images", tmp_path / "drawn")
    assert code == 0, err
    ours, theirs = ([*map(_plain, json.loads(file.read_text()))] for file in (predicted, measured))
    assert np.concatenate(sorted(ours)) == pytest.approx(np.concatenate(sorted(theirs)), abs=2e-3)
    assert any((tmp_path / "drawn").iterdir())


def test_detected_boxes_have_a_category(command, run, folder, boxes):
    words = ("eval", run / "best.ckpt", "--data", folder, "--boxes", boxes, "--device", "cpu", "--json")
    code, out, err = command(*words)
    assert code == 0, err
    assert json.loads(out)["people"] == len(json.loads(boxes.read_text()))
    rows = [
        {name: value for name, value in row.items() if name != "category_id"} for row in json.loads(boxes.read_text())
    ]
    boxes.write_text(json.dumps(rows))
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert "needs category_id" in err


def _plain(row):
    return [row["image_id"], row["category_id"], *row["keypoints"], row["score"]]


def test_boxes_of_labels_have_their_category(command, run, folder):
    words = ("predict", run / "best.ckpt", folder / "val", "--boxes", val_file(folder), "--device", "cpu", "--json")
    code, out, err = command(*words)
    assert code == 0, err
    found = Counter((row["category_id"], row["category"]) for row in json.loads(out))
    labels = json.loads(val_file(folder).read_text())["annotations"]
    ids = Counter(row["category_id"] for row in labels)
    assert found == {(7, "person"): ids[7], (2, "bust"): ids[2]}
    code, out, err = command(*words, "--box-category", 2)
    assert (code, {row["category"] for row in json.loads(out)}) == (0, {"bust"})


def test_rows_name_their_category(command, run, folder, boxes, tmp_path):
    words = ("predict", run / "best.ckpt", folder / "val", "--device", "cpu")
    content = [
        {**row, "category_id": {7: PERSON_ID, 2: BUST_ID}[row["category_id"]]} for row in json.loads(boxes.read_text())
    ]
    boxes.write_text(json.dumps([*content, {**content[0], "category_id": 5}]))
    code, out, err = command(*words, "--boxes", boxes, "--json", "--save-npz", tmp_path / "found.npz")
    assert code == 0, err
    assert "1 left out" in err, "a box of a category that the model does not have"
    rows = json.loads(out)
    assert len(rows) == len(content)
    assert {(row["category_id"], row["category"]) for row in rows} == {(PERSON_ID, "person"), (BUST_ID, "bust")}
    arrays = np.load(tmp_path / "found.npz")
    assert arrays["category_id"].tolist() == [row["category_id"] for row in rows]
    assert arrays["category"].tolist() == [row["category"] for row in rows]
    is_bust = arrays["category"] == "bust"
    has = np.isin(arrays["joints"], BUST)
    for name in ("keypoints", "sigma", "confidence"):
        assert np.isnan(arrays[name][is_bust][:, ~has]).all()
        assert np.isfinite(arrays[name][is_bust][:, has]).all()
    assert np.isnan(arrays["keypoints"][~is_bust][:, arrays["joints"] == "crown"]).all()
    code, out, _ = command(*words, "--boxes", boxes)
    assert code == 0
    assert out.count("  crown") == int(is_bust.sum())


def test_the_category_of_boxes_without_one_is_given(command, refused, run, folder, boxes, tmp_path):
    words = ("predict", run / "best.ckpt", folder / "val", "--device", "cpu", "--json")
    assert "person, bust" in refused(*words)
    assert "'cow'" in refused(*words, "--category", "cow")
    assert "(4, 9)" in refused(*words, "--boxes", boxes), "the file's ids are of another file's categories"
    ours = (
        boxes.read_text()
        .replace('"category_id": 7', '"category_id": 4')
        .replace('"category_id": 2', '"category_id": 9')
    )
    boxes.write_text(ours)
    assert "--category" in refused(*words, "--category", "bust", "--boxes", boxes)
    code, out, _ = command(*words, "--category", "bust", "--looks", 1)
    assert (code, {row["category"] for row in json.loads(out)}) == (0, {"bust"})
    plain = {path.name: [[4, 4, 20, 30]] for path in (folder / "val").iterdir()}
    boxes.write_text(json.dumps(plain))
    assert "person, bust" in refused(*words, "--boxes", boxes)
    code, out, _ = command(*words, "--boxes", boxes, "--category", "person")
    assert {row["category_id"] for row in json.loads(out)} == {PERSON_ID}


def test_a_model_of_one_kind_has_no_category_to_give(refused, tiny_run, folder):
    words = ("predict", tiny_run / "best.ckpt", folder / "val", "--device", "cpu", "--category", "person")
    assert "one kind" in refused(*words)


def test_from_python(run):
    predictor = Predictor(run / "best.ckpt", "cpu", nms=True)
    image = np.full((60, 60, 3), 90, np.uint8)
    box = [5, 5, 40, 40, 1]
    found = predictor(image, [[*box, BUST_ID], [*box, PERSON_ID], [*box, BUST_ID]])
    assert sorted(found.category_ids) == [PERSON_ID, BUST_ID], "of one category one is left of two in the same place"
    own, joints = found.own(int(np.argmax(found.category_ids == BUST_ID)))
    assert own.joints == tuple(BUST)
    assert results_arrays([(1, found)], found.skeleton)["category"].tolist()
    alone = Predictor(run / "best.ckpt", "cpu", category="bust", looks=1)(image)
    assert alone.category_ids.tolist() == [BUST_ID]
    assert np.isnan(alone.keypoints[0]).any(axis=1).sum() == 14
    with pytest.raises(InputError, match="bust"):
        predictor(image)
    del joints


def test_inspect_counts_each_category(command, folder, tmp_path):
    file = folder / "annotations" / "person_keypoints_train.json"
    words = ("inspect", file, "--out", tmp_path)
    code, out, err = command(*words, "--category", "all", "--json")
    assert code == 0, err
    facts = json.loads(out)[str(file)]
    assert [(row["name"], row["joints"]) for row in facts["categories"]] == [("person", [*COCO.joints]), ("bust", BUST)]
    assert sum(row["people"] for row in facts["categories"]) == facts["counts"]["people"]
    code, out, _ = command(*words, "--category", "all")
    assert "bust (id 9)" in out
    code, out, _ = command(*words, "--category", "bust", "--json")
    assert "categories" not in json.loads(out)[str(file)]


def test_detectors_have_one_class(refused, folder, tmp_path):
    words = ("train", "mask_rcnn_resnet50_rle", "--data", folder, "--category", "all", "--weights", "random")
    assert "--category" in refused(*words, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_box_of_joints_stays_in_the_image():
    joints = np.array([[-5.0, 3.0], [12.0, 40.0], [7.0, 90.0]])
    assert box_of_joints(joints, (60, 50)).tolist() == [0, 3, 12, 57]
    assert box_of_joints(joints + 400, (60, 50)).tolist() == [48, 58, 2, 2]
    assert box_of_joints(joints[:1], (1, 60)).tolist() == [0, 0, 2, 1]


def test_overlap_is_intersection_over_union():
    assert overlap(np.array([0.0, 0, 4, 4]), np.array([2.0, 0, 4, 4, 1])) == pytest.approx(8 / 24)
    assert overlap(np.array([0.0, 0, 4, 4]), np.array([9.0, 0, 4, 4])) == 0


def test_nobody_is_as_uncertain_as_joints_anywhere_in_the_box():
    box = np.array([5.0, 5, 40, 80])
    anywhere = np.full((5, 2), 80 / 12**0.5)
    assert is_nobody(anywhere, box)
    assert not is_nobody(anywhere / 2, box)
    assert is_nobody(anywhere / 2, box, most=0.1)
    assert not is_nobody(np.where(np.arange(5)[:, None] < 2, anywhere, anywhere / 2), box)
    assert not is_nobody(np.full((5, 2), np.nan), box)
