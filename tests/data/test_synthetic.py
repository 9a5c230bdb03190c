"""Scenes are what they say: deterministic, anatomical, truthfully labelled, with errors of the stated distribution."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from pycocotools import coco
from scipy import stats

from logpose.core.errors import InputError
from logpose.core.samples import Sample
from logpose.core.skeletons import COCO
from logpose.data import synthetic
from logpose.data.synthetic import LabelNoise, Person, Scene, SyntheticPeople, write_coco

SIZE = (128, 96)
COUNT = 160
NOISE = LabelNoise(scale=1.5, dof=5.0, hidden_factor=2.5)


@pytest.fixture(scope="module")
def data() -> SyntheticPeople:
    return SyntheticPeople(COUNT, seed=7, size=SIZE)


@pytest.fixture(scope="module")
def scenes(data: SyntheticPeople) -> list[Scene]:
    return [data.scene(i) for i in range(COUNT)]


@pytest.fixture(scope="module")
def people(scenes: list[Scene]) -> list[Person]:
    return [person for scene in scenes for person in scene.people]


def same(a: Scene, b: Scene) -> bool:
    return (
        np.array_equal(a.image, b.image)
        and len(a.people) == len(b.people)
        and all(np.array_equal(p.keypoints, q.keypoints) for p, q in zip(a.people, b.people, strict=True))
        and all(np.array_equal(p.joints, q.joints) for p, q in zip(a.people, b.people, strict=True))
    )


# --- Determinism ---------------------------------------------------------------------------------------------------


def test_order_of_access_does_not_matter(data: SyntheticPeople, scenes: list[Scene]) -> None:
    for index in (11, 3, 150, 3):
        assert same(data.scene(index), scenes[index])
    assert same(SyntheticPeople(20, seed=7, size=SIZE).scene(11), scenes[11])  # nor the count


def test_another_process_draws_the_same(scenes: list[Scene]) -> None:
    code = (
        "import hashlib; from logpose.data.synthetic import SyntheticPeople as S;"
        f"s = S(9, seed=7, size={SIZE}).scene(5);"
        "print(hashlib.sha256(s.image.tobytes() + s.people[0].truth.tobytes()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    here = hashlib.sha256(scenes[5].image.tobytes() + scenes[5].people[0].truth.tobytes()).hexdigest()
    assert there == here


def test_seeds_and_indices_differ(scenes: list[Scene]) -> None:
    assert not same(SyntheticPeople(9, seed=8, size=SIZE).scene(5), scenes[5])
    assert len({scene.image.tobytes() for scene in scenes}) == COUNT


def test_global_random_state_is_left_alone(data: SyntheticPeople) -> None:
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    data.scene(1)
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002


# --- The data set's interface --------------------------------------------------------------------------------------


def test_items_are_samples_of_the_main_person(data: SyntheticPeople, scenes: list[Scene]) -> None:
    sample, person = data[4], scenes[4].people[0]
    assert isinstance(sample, Sample)
    assert isinstance(sample.image, np.ndarray)
    assert sample.image.shape == (*SIZE, 3)
    assert sample.image.dtype == np.uint8
    assert np.array_equal(sample.keypoints, person.keypoints)
    assert np.array_equal(sample.box, person.box)
    assert (sample.image_id, sample.area) == (5, person.area)
    assert len(data) == COUNT
    assert len({data[i].id for i in range(5)}) == 5
    assert data[-1].image_id == COUNT


def test_iteration_ends() -> None:
    assert len(list(SyntheticPeople(3, size=SIZE))) == 3  # type: ignore[call-overload]
    with pytest.raises(IndexError, match="3"):
        SyntheticPeople(3)[3]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"count": -1}, "count"),
        ({"seed": -1}, "seed"),
        ({"size": (16, 96)}, "32"),
        ({"people": (0, 2)}, "people"),
        ({"people": (3, 2)}, "people"),
    ],
)
def test_nonsense_is_refused(change: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        SyntheticPeople(**{"count": 1, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"dof": 2.0}, {"scale": 0.0}, {"hidden_factor": -1.0}, {"dof": float("nan")}])
def test_nonsense_noise_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        LabelNoise(**change)


@pytest.mark.parametrize("size", [(64, 48), (300, 520), (96, 160)])
def test_any_size(size: tuple[int, int]) -> None:
    scene = SyntheticPeople(2, size=size, people=(2, 4)).scene(0)
    assert scene.image.shape == (*size, 3)
    assert scene.owner.shape == size


# --- Anatomy -------------------------------------------------------------------------------------------------------


def lengths(people: list[Person], pairs: list[tuple[str, str]]) -> np.ndarray:
    ends = [(COCO.joints.index(a), COCO.joints.index(b)) for a, b in pairs]
    return np.array([[np.linalg.norm(p.joints[a] - p.joints[b]) for a, b in ends] for p in people])


@pytest.mark.parametrize(
    "bone", [("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"), ("eye", "ear")]
)
def test_bones_are_as_long_on_both_sides(people: list[Person], bone: tuple[str, str]) -> None:
    left, right = lengths(people, [(f"{s}_{bone[0]}", f"{s}_{bone[1]}") for s in ("left", "right")]).T
    np.testing.assert_allclose(left, right, rtol=1e-6)


def test_bodies_vary_within_human_measure(people: list[Person]) -> None:
    thigh, shin = lengths(people, [("left_hip", "left_knee"), ("left_knee", "left_ankle")]).T
    assert 0.18 < thigh.min() < thigh.max() < 0.65
    assert thigh.std() > 0.02
    assert (np.abs(np.log(thigh / shin)) < 0.1).all()


def test_knees_and_elbows_bend_the_right_way(people: list[Person]) -> None:
    joints = np.array([p.joints for p in people])
    # Out of the chest: from the right shoulder to the left one, crossed with up the spine.
    across = joints[:, 5] - joints[:, 6]
    hips = joints[:, 11] - joints[:, 12]
    up = joints[:, 5:7].mean(axis=1) - joints[:, 11:13].mean(axis=1)
    ahead = np.cross(hips, up)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    for hip, knee, ankle in ((11, 13, 15), (12, 14, 16)):
        thigh, shin = joints[:, knee] - joints[:, hip], joints[:, ankle] - joints[:, knee]
        # The knee's axis points to the person's left; a shin that turned about it the other way is broken.
        bend = np.einsum("ni,ni->n", np.cross(thigh, shin), hips)
        angle = np.arccos(
            np.clip(
                np.einsum("ni,ni->n", thigh, shin) / np.linalg.norm(thigh, axis=1) / np.linalg.norm(shin, axis=1), -1, 1
            )
        )
        assert (bend[angle > 0.5] > 0).all()
        assert angle.max() < np.deg2rad(141)
        assert angle.max() > np.deg2rad(90)
    # The face is on the front: the nose lies before the ears, on the side the chest looks to, give or take the neck.
    face = joints[:, 0] - joints[:, 3:5].mean(axis=1)
    chest = np.cross(across, up)
    turned = np.einsum("ni,ni->n", face, chest) / np.linalg.norm(face, axis=1) / np.linalg.norm(chest, axis=1)
    assert np.median(turned) > 0.8
    assert turned.min() > -0.3


def test_poses_vary(people: list[Person]) -> None:
    joints = np.array([p.joints for p in people])
    thigh, shin = joints[:, 13] - joints[:, 11], joints[:, 15] - joints[:, 13]
    cos = np.einsum("ni,ni->n", thigh, shin) / np.linalg.norm(thigh, axis=1) / np.linalg.norm(shin, axis=1)
    assert (cos > 0.9).mean() > 0.2  # legs stretched
    assert (cos < 0.3).mean() > 0.1  # and folded
    lowered = (joints[:, 9, 1] > joints[:, 5, 1]).mean()  # camera y points down
    assert 0.5 < lowered < 0.95
    height = joints[:, 15:, 1].mean(axis=1) - joints[:, 0, 1]
    assert (height > 0.8).mean() > 0.4  # upright
    assert (height < 0.4).mean() > 0.05  # lying, squatting, upside down


def test_sides_in_the_image_are_balanced(people: list[Person]) -> None:
    closer = np.array([p.joints[6, 2] - p.joints[5, 2] > 0 for p in people])
    assert abs(closer.mean() - 0.5) < 4 * 0.5 / len(people) ** 0.5
    seen = np.array([p.visible == 2 for p in people]).mean(axis=0)
    for a, b in COCO.pairs:
        assert abs(seen[a] - seen[b]) < 4 * 0.7 / len(people) ** 0.5


def test_people_are_seen_from_all_around(people: list[Person]) -> None:
    side = np.array([p.joints[5, 0] - p.joints[6, 0] for p in people])  # facing the camera: left is on the right
    assert 0.5 < (side > 0).mean() < 0.8


# --- Labels and pixels ---------------------------------------------------------------------------------------------


def test_truth_is_the_projection_of_the_joints(scenes: list[Scene], data: SyntheticPeople) -> None:
    for scene in scenes:
        for person in scene.people:
            projected = person.joints[:, :2] / person.joints[:, 2:] * scene.focal + scene.centre
            np.testing.assert_allclose(person.truth, projected)
            assert (person.joints[:, 2] > 0).all()
    assert (scenes[2].people[0].std == 0).all()


def test_flags_say_inside_or_outside(people: list[Person]) -> None:
    for person in people:
        inside = ((person.truth >= 0) & (person.truth <= (SIZE[1] - 1, SIZE[0] - 1))).all(axis=1)
        np.testing.assert_array_equal(person.visible > 0, inside)
        np.testing.assert_array_equal(person.keypoints, np.where(inside[:, None], person.truth, 0))


def test_seen_joints_lie_on_the_person(scenes: list[Scene]) -> None:
    for scene in scenes:
        for number, person in enumerate(scene.people, start=1):
            for x, y in np.rint(person.truth[person.visible == 2]).astype(int):
                assert scene.owner[y, x] == number


def test_every_joint_lies_within_the_drawn_body(monkeypatch: pytest.MonkeyPatch) -> None:
    # Alone and with nothing in front, also a joint behind the own body is on the silhouette.
    monkeypatch.setattr(synthetic, "occlude", lambda *_: None)
    data = SyntheticPeople(100, seed=3, size=SIZE, people=(1, 1))
    shares = []
    for i in range(len(data)):
        scene = data.scene(i)
        person = scene.people[0]
        if (person.visible == 0).any():
            continue
        columns, rows = np.rint(person.truth).astype(int).T
        shares.append((scene.owner[rows, columns] == 1).mean())
    assert len(shares) > 40
    assert np.mean(shares) > 0.99  # a nose or an eye may stand out of the head by less than a pixel
    assert min(shares) >= 14 / 17


def test_faces_are_seen_from_the_front_only(people: list[Person]) -> None:
    # What a head shows when it looks away from the camera, and when it looks at it.
    ahead = np.array([p.joints[0] - p.joints[3:5].mean(axis=0) for p in people])
    away = ahead[:, 2] / np.linalg.norm(ahead, axis=1)
    face = np.array([p.visible[:3] for p in people])
    behind, front = face[away > 0.85], face[away < -0.7]
    assert len(behind) > 15
    assert (behind != 2).all()
    assert (front[front > 0] == 2).mean() > 0.7


def test_the_closer_hides_the_further(scenes: list[Scene]) -> None:
    # Where two people's torsos overlap in the image, the far one's joints in the overlap are not seen.
    checked = 0
    for scene in scenes:
        for a, far in enumerate(scene.people, start=1):
            for b, near in enumerate(scene.people, start=1):
                if near.joints[:, 2].max() < far.joints[:, 2].min():
                    inside = far.visible > 0
                    columns, rows = np.rint(far.truth[inside]).astype(int).T
                    covered = scene.owner[rows, columns] == b
                    assert a != b
                    assert (far.visible[inside][covered] == 1).all()
                    checked += int(covered.sum())
    assert checked > 20


def test_visibility_is_like_in_photographs(people: list[Person], scenes: list[Scene]) -> None:
    main = np.array([scene.people[0].visible for scene in scenes])
    outside, hidden, seen = ((main == flag).mean() for flag in (0, 1, 2))
    assert 0.03 < outside < 0.25
    assert 0.12 < hidden < 0.4
    assert 0.45 < seen < 0.85
    assert ((main == 2).sum(axis=1) >= 5).all()


def test_boxes_are_tight_and_inside(scenes: list[Scene]) -> None:
    for scene in scenes:
        main = scene.people[0].box
        assert main[2] * main[3] >= 0.04 * SIZE[0] * SIZE[1]
        for number, person in enumerate(scene.people, start=1):
            mask = scene.owner == number
            rows, columns = np.nonzero(mask)
            x, y, w, h = person.box
            assert (x, y) == (columns.min(), rows.min())
            assert (x + w, y + h) == (columns.max() + 1, rows.max() + 1)
            assert 0 <= x < x + w <= SIZE[1]
            assert 0 <= y < y + h <= SIZE[0]
            assert person.area == mask.sum() > 0
            seen = person.truth[person.visible == 2]
            assert (seen >= (x - 0.5, y - 0.5)).all()
            assert (seen <= (x + w - 0.5, y + h - 0.5)).all()
        assert scene.owner.max() == len(scene.people)


def test_people_stand_out_of_the_image(scenes: list[Scene]) -> None:
    # Somebody who was not drawn could not be found: pixels inside the silhouette differ from those around it.
    contrast = []
    for scene in scenes[:100]:
        mask = (scene.owner == 1).astype(np.uint8)
        ring = cv2.dilate(mask, np.ones((7, 7), np.uint8)) - mask
        inner, outer = scene.image[mask > 0].mean(axis=0), scene.image[ring > 0].mean(axis=0)
        contrast.append(np.abs(inner - outer).max())
    assert np.median(contrast) > 25


def test_easy_people_are_seen_whole() -> None:
    easy = SyntheticPeople(60, seed=7, size=SIZE, people=(1, 1), easy=True)
    people = [easy.scene(i).people[0] for i in range(60)]
    assert all((person.visible > 0).all() for person in people)
    # What hides a joint is the own body only.
    varied = [SyntheticPeople(60, seed=7, size=SIZE, people=(1, 1)).scene(i).people[0] for i in range(60)]
    share = np.mean([(person.visible == 2).mean() for person in people])
    assert share > np.mean([(person.visible == 2).mean() for person in varied]) + 0.1
    assert all(person.truth[:5, 1].max() < person.truth[15:, 1].min() for person in people)  # head above feet


def test_number_of_people() -> None:
    counts = [len(SyntheticPeople(20, size=SIZE, people=(3, 3)).scene(i).people) for i in range(20)]
    assert max(counts) == 3
    assert np.mean(counts) > 2
    assert {len(SyntheticPeople(9, size=SIZE, people=(1, 1)).scene(i).people) for i in range(9)} == {1}


# --- Depth ---------------------------------------------------------------------------------------------------------


def test_depth_is_relative_to_the_middle_of_the_hips(scenes: list[Scene]) -> None:
    deep = SyntheticPeople(COUNT, seed=7, size=SIZE, depth=True)
    for index in (0, 3, 17):
        person, sample = scenes[index].people[0], deep[index]
        expected = 1000 * (person.joints[:, 2] - (person.joints[11, 2] + person.joints[12, 2]) / 2)
        np.testing.assert_allclose(sample.keypoints[:, 2], np.where(person.visible > 0, expected, 0))
        np.testing.assert_array_equal(sample.keypoints[:, :2], person.keypoints)
        np.testing.assert_array_equal(sample.image, scenes[index].image)


def test_where_somebody_is_in_space(data: SyntheticPeople, scenes: list[Scene]) -> None:
    space, person = data.space(6), scenes[6].people[0]
    np.testing.assert_allclose(space.joints, 1000 * person.joints)
    np.testing.assert_allclose(space.camera.project(space.joints), person.truth, atol=1e-6)
    noisy = SyntheticPeople(COUNT, seed=7, size=SIZE, noise=NOISE, depth=True).space(6)
    np.testing.assert_array_equal(noisy.joints, space.joints)  # the truth, whatever the labels
    assert data.evaluated == tuple(range(17))


@pytest.mark.slow
@pytest.mark.parametrize("noise", [NOISE, LabelNoise(dof=float("inf"))])
def test_depths_have_errors_of_the_same_distribution_and_size(noise: LabelNoise) -> None:
    flat, deep, true = (
        SyntheticPeople(COUNT, seed=7, size=SIZE, noise=error_distribution, depth=depth)
        for error_distribution, depth in ((noise, False), (noise, True), (None, True))
    )
    errors, pixels = [], []
    for index in range(COUNT):
        scene, labels = flat.scene(index), deep[index].keypoints
        person = scene.people[0]
        labelled = person.visible > 0
        np.testing.assert_array_equal(labels[:, :2], person.keypoints)  # pixels as without depth
        assert (labels[~labelled] == 0).all()
        millimetres = person.std[:, 0] * 1000 * person.joints[:, 2] / scene.focal  # of a pixel at that distance
        errors.append(((labels - true[index].keypoints)[:, 2] / millimetres)[labelled])
        pixels.append(((person.keypoints - person.truth)[:, 0] / person.std[:, 0])[labelled])
    standard, beside = np.concatenate(errors), np.concatenate(pixels)
    nu = noise.dof
    error_distribution = stats.norm() if np.isinf(nu) else stats.t(nu, scale=((nu - 2) / nu) ** 0.5)
    assert stats.kstest(standard, error_distribution.cdf).pvalue > 1e-3
    assert abs(stats.spearmanr(standard, beside).statistic) < 4 / len(standard) ** 0.5
    np.testing.assert_array_equal(deep[5].keypoints, deep[5].keypoints)


# --- Label noise ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def noisy() -> list[Scene]:
    data = SyntheticPeople(COUNT, seed=7, size=SIZE, noise=NOISE)
    return [data.scene(i) for i in range(COUNT)]


def test_noise_changes_labels_only(scenes: list[Scene], noisy: list[Scene]) -> None:
    for clean, other in zip(scenes, noisy, strict=True):
        assert np.array_equal(clean.image, other.image)
        assert np.array_equal(clean.owner, other.owner)
        for p, q in zip(clean.people, other.people, strict=True):
            for name in ("truth", "visible", "joints", "box"):
                assert np.array_equal(getattr(p, name), getattr(q, name))
            assert p.area == q.area
            labelled = p.visible > 0
            assert (p.keypoints[labelled] != q.keypoints[labelled]).all()
            assert (q.keypoints[~labelled] == 0).all()


def test_noise_is_deterministic(noisy: list[Scene]) -> None:
    data = SyntheticPeople(COUNT, seed=7, size=SIZE, noise=NOISE)
    assert np.array_equal(data[3].keypoints, noisy[3].people[0].keypoints)
    other = SyntheticPeople(COUNT, seed=7, size=SIZE, noise=replace(NOISE, scale=3.0))
    truth = other.scene(3).people[0].truth
    np.testing.assert_allclose(other.scene(3).people[0].std, 2 * data.scene(3).people[0].std)
    labelled = data[3].visible > 0
    twice = 2 * (data[3].keypoints - truth)[labelled]
    np.testing.assert_allclose((other[3].keypoints - truth)[labelled], twice)


def test_errors_follow_the_distribution(noisy: list[Scene]) -> None:
    people = [p for scene in noisy for p in scene.people]
    labelled = np.array([p.visible > 0 for p in people])
    errors = np.array([(p.keypoints - p.truth) / p.std for p in people])[labelled]
    unit = ((NOISE.dof - 2) / NOISE.dof) ** 0.5  # scale of a t variable of standard deviation 1
    for axis in range(2):
        assert stats.kstest(errors[:, axis] / unit, stats.t(NOISE.dof).cdf).pvalue > 1e-3
        # The same test gives this distribution from a Gaussian of the same standard deviation.
        assert stats.kstest(errors[:, axis], stats.norm.cdf).pvalue < 1e-3
    assert abs(np.corrcoef(errors.T)[0, 1]) < 0.05


def test_hidden_joints_are_labelled_worse(noisy: list[Scene]) -> None:
    people = [p for scene in noisy for p in scene.people]
    flags = np.array([p.visible for p in people])
    size = np.array([p.area for p in people])[:, None] ** 0.5 * np.array(COCO.sigmas)
    errors = np.abs(np.array([p.keypoints - p.truth for p in people])) / size[..., None]
    # Quantiles stand heavy tails better than moments do.
    ratio = np.median(errors[flags == 1]) / np.median(errors[flags == 2])
    assert ratio == pytest.approx(NOISE.hidden_factor, rel=0.1)
    expected = NOISE.scale * stats.t(NOISE.dof).ppf(0.75) * (3 / 5) ** 0.5
    assert np.median(errors[flags == 2]) == pytest.approx(expected, rel=0.07)


def test_std_formula() -> None:
    visible = np.array([2, 1] + [0] * 15)
    std = LabelNoise(scale=2.0, dof=4.0, hidden_factor=3.0).std(900.0, visible)
    assert std.shape == (17, 2)
    assert std[0] == pytest.approx(2 * 0.026 * 30)
    assert std[1] == pytest.approx(2 * 0.025 * 30 * 3)


@pytest.mark.parametrize("dof", [8.0, float("inf")])
def test_std_is_the_standard_deviation(dof: float) -> None:
    noise = LabelNoise(dof=dof)
    draws = noise.sample(np.random.default_rng(0), np.full((200_000,), 3.0))
    assert draws.std() == pytest.approx(3.0, rel=0.02)
    exact = stats.norm(scale=3) if np.isinf(dof) else stats.t(dof, scale=3 * 0.75**0.5)
    assert stats.kstest(draws, exact.cdf).pvalue > 1e-3


# --- COCO folders --------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_coco_folder_round_trips(tmp_path, capsys) -> None:
    data = SyntheticPeople(6, seed=2, size=SIZE, noise=NOISE)
    folder = write_coco({"train2017": data, "val2017": SyntheticPeople(2, seed=3, size=SIZE)}, tmp_path / "made" / "up")
    assert sorted(p.name for p in folder.iterdir()) == ["annotations", "train2017", "val2017"]
    assert [p.name for p in folder.parent.iterdir()] == ["up"]
    file = coco.COCO(str(folder / "annotations" / "person_keypoints_train2017.json"))
    capsys.readouterr()
    assert len(file.imgs) == 6
    category = file.cats[1]
    assert category["keypoints"] == list(COCO.joints)
    assert [(a - 1, b - 1) for a, b in category["skeleton"]] == list(COCO.bones)
    for index in range(6):
        scene = data.scene(index)
        record = file.imgs[index + 1]
        image = cv2.imread(str(folder / "train2017" / record["file_name"]))[..., ::-1]
        assert image.shape == (record["height"], record["width"], 3) == (*SIZE, 3)
        assert np.abs(image.astype(int) - scene.image).mean() < 12  # JPEG, RGB in the right order
        annotations = file.loadAnns(file.getAnnIds(imgIds=index + 1))
        assert len(annotations) == len(scene.people)
        for number, (entry, person) in enumerate(zip(annotations, scene.people, strict=True), start=1):
            triplets = np.array(entry["keypoints"]).reshape(17, 3)
            np.testing.assert_allclose(triplets[:, :2], person.keypoints, atol=6e-4)
            np.testing.assert_array_equal(triplets[:, 2], person.visible)
            assert entry["num_keypoints"] == (person.visible > 0).sum()
            assert entry["bbox"] == person.box.tolist()
            assert entry["area"] == person.area
            assert entry["iscrowd"] == 0
            np.testing.assert_allclose(entry["synthetic"]["joints"], person.joints, atol=6e-5)
            mask, truth = file.annToMask(entry) > 0, scene.owner == number
            assert (mask & truth).sum() / (mask | truth).sum() > 0.6
        assert data[index].id == annotations[0]["id"]
    assert len(file.anns) == len({*file.anns})


def test_a_full_folder_is_refused(tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="not empty"):
        write_coco({"train": SyntheticPeople(1, size=SIZE)}, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(InputError, match="not empty"):
        write_coco({"train": SyntheticPeople(1, size=SIZE)}, tmp_path / "mine.txt")


def test_an_empty_folder_is_filled(tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    folder = write_coco({"val2017": SyntheticPeople(1, size=SIZE)}, tmp_path / "empty")
    content = json.loads((folder / "annotations" / "person_keypoints_val2017.json").read_text())
    assert content["images"][0]["file_name"] == "000000000001.jpg"
    assert (folder / "val2017" / "000000000001.jpg").exists()


@pytest.mark.parametrize("split", ["../x", "", "annotations", "a/b"])
def test_split_names_cannot_escape(tmp_path, split: str) -> None:
    with pytest.raises(InputError, match="split"):
        write_coco({split: SyntheticPeople(1, size=SIZE)}, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_nothing_half_written_stays(tmp_path) -> None:
    class Breaks(SyntheticPeople):
        def scene(self, index: int) -> Scene:
            if index == 2:
                raise KeyboardInterrupt
            return super().scene(index)

    with pytest.raises(KeyboardInterrupt):
        write_coco({"train": Breaks(5, size=SIZE)}, tmp_path / "out")
    assert not list(tmp_path.iterdir())
