"""Covered joints and people who are cut off: what is done to images and boxes, and means worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from logpose.core.samples import Sample
from logpose.core.skeletons import Skeleton
from logpose.losses import Laplace
from logpose.models import HeatmapModel, RegressionModel, ResNet
from logpose.tasks.evaluation import Found
from logpose.tasks.pose.studies import Covered, Cut, Occlusion, Outcome, Truncation, occlusion, truncation

SKELETON = Skeleton("bird", ("left_wing", "right_wing", "beak"))
LABELS = np.array([[30.0, 50.0], [70.0, 50.0], [50.0, 20.0]])


class Birds:
    """Birds in white images of 100 × 120 pixels; the second has no label of its beak."""

    skeleton = SKELETON

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        image = np.full((120, 100, 3), 255, np.uint8)
        visible = np.array([2, 2, 0 if index else 2])
        return Sample(image, np.array([10.0, 10.0, 80.0, 100.0]), LABELS.copy(), visible, 8000.0, index, index)


@pytest.fixture(scope="module")
def model() -> RegressionModel:
    made = RegressionModel(ResNet(18), SKELETON, (64, 64))
    made.set_error_distribution(Laplace(2).error_distribution())
    return made


def test_a_square_lies_over_the_joint_alone():
    covered = Covered(Birds(), [0, 1], joint=2, square=0.2)
    image = covered[0].image
    grey = np.argwhere((image == 128).all(axis=-1))
    assert grey.min(axis=0).tolist() == [10, 40]
    assert grey.max(axis=0).tolist() == [29, 59], "a fifth of 100 pixels"
    assert len(grey) == 400
    assert (covered[1].image == 255).all(), "without a label there is nothing to cover"
    assert (Covered(Birds(), [0], joint=None, square=0.2)[0].image == 255).all()
    assert Covered(Birds(), [1], joint=0, square=0.2)[0].id == 1


@pytest.mark.parametrize(
    ("side", "shape", "box", "moved", "inside"),
    [
        ("bottom", (35, 100), [10, 10, 80, 25], (0, 0), [False, False, True]),
        ("top", (85, 100), [10, 0, 80, 75], (0, -35), [True, True, False]),
        ("right", (120, 70), [10, 10, 60, 100], (0, 0), [True, False, True]),
        ("left", (120, 70), [0, 10, 60, 100], (-30, 0), [True, True, True]),
    ],
)
def test_image_and_box_end_where_the_person_is_cut(side, shape, box, moved, inside):
    share = 0.75 if side == "bottom" else 0.25
    cut = Cut(Birds(), [0], share, side)
    sample = cut[0]
    assert sample.image.shape[:2] == shape
    assert sample.box.tolist() == box
    assert (sample.keypoints - LABELS == moved).all()
    assert cut.inside(sample).tolist() == inside


def test_a_cut_outside_the_image_leaves_a_row_and_a_box():
    class Below(Birds):
        def __getitem__(self, index: int) -> Sample:
            sample = super().__getitem__(index)
            sample.box = np.array([10.0, 119.5, 80.0, 100.0])
            return sample

    sample = Cut(Below(), [0], 0.5, "bottom")[0]
    assert sample.image.shape[0] == 119
    assert (sample.box[2:] > 0).all()
    assert Cut(Birds(), [0], 0.0)[0].image.shape == (120, 100, 3)


def found(offset: np.ndarray, std: float, visible: np.ndarray | None = None) -> Found:
    """Two birds whose joints are predicted `offset` pixels to the right of their labels."""
    samples = [Birds()[i] for i in range(2)]
    if visible is not None:
        for sample, own in zip(samples, visible, strict=True):
            sample.visible = own
    truth = np.stack([sample.keypoints for sample in samples])
    one = np.ones(truth.shape[:2])
    predicted = truth + np.stack([offset, np.zeros_like(offset)], axis=-1)
    return Found.of(samples, predicted, np.full(truth.shape, std), one, one * np.nan, one * np.nan, truth)


def test_matrices_and_figures_are_means_by_hand(model):
    sides = np.array([100.0, 200.0])
    shown = Outcome(found(np.full((2, 3), 1.0), 2.0), model, sides)
    hidden = []
    for joint in range(3):
        offset = np.full((2, 3), 2.0)
        offset[:, joint] = 10.0 * (joint + 1)
        hidden.append(Outcome(found(offset, 4.0), model, sides))
    study = Occlusion(shown, hidden)
    assert study.kinds() == {"wing": [0, 1], "beak": [2]}
    error = study.matrix("error")
    # The second bird is twice as large, and has no beak.
    assert error[0] == pytest.approx([(0.01 + 0.005) / 2, 0.01])
    assert error[1] == pytest.approx([(0.10 + 0.05 + 0.20 + 0.10) / 4, 0.02])
    assert error[2] == pytest.approx([0.02, 0.30]), "with a square over the beak only birds with one count"
    assert study.matrix("std")[:, 1] == pytest.approx([0.02, 0.04, 0.04])
    figures = study.figures()
    assert figures["error before"] == pytest.approx((0.01 + 0.005 + 0.01 + 0.005 + 0.01) / 5)
    assert figures["error covered"] == pytest.approx((0.10 + 0.05 + 0.20 + 0.10 + 0.30) / 5)
    assert figures["std of the others covered"] == pytest.approx((0.04 * 2 + 0.02 + 0.04 * 2 + 0.02 + 0.04 * 2) / 8)
    assert figures["coverage@0.9 before"] == 1
    limit = 4 * model.error_distribution.radius_at(0.9)
    assert figures["coverage@0.9 covered"] == pytest.approx(np.mean([limit > 10] * 2 + [limit > 20] * 2 + [limit > 30]))


def test_names_of_kinds_are_what_a_pair_has_in_common():
    def kinds(*joints: str) -> list[str]:
        own = RegressionModel(ResNet(18), Skeleton("x", joints, flip_pairs=((0, 1),)), (64, 64))
        outcome = Outcome(found(np.zeros((2, 3)), 1.0), own, np.ones(2))
        return list(Occlusion(outcome, []).kinds())

    assert kinds("r_ankle", "l_ankle", "neck") == ["ankle", "neck"]
    assert kinds("eye.L", "eye.R", "nose") == ["eye", "nose"]
    assert kinds("1", "2", "3") == ["1", "3"]


def test_what_lies_beyond_the_cut_is_apart(model):
    inside = np.array([[True, False, True], [True, True, False]])
    offset = np.where(inside, 1.0, 40.0)
    cut = Outcome(found(offset, 3.0), model, np.array([100.0, 100.0]))
    whole = Outcome(found(np.zeros((2, 3)), 1.0), model, np.array([100.0, 100.0]))
    first, second = Truncation([0.0, 0.5], [whole, cut], [np.ones((2, 3), bool), inside]).rows()
    assert "error beyond" not in first
    assert first["labels beyond"] == 0
    assert second["labels beyond"] == pytest.approx(1 / 5)
    assert (second["error inside"], second["error beyond"]) == pytest.approx((0.01, 0.40))
    assert (second["std beyond"], second["coverage@0.9 beyond"]) == pytest.approx((0.03, 0.0))


def test_of_a_model_without_standard_deviations_only_errors_are_known():
    model = HeatmapModel(ResNet(18), SKELETON, (64, 64)).eval()
    study = occlusion(model, Birds(), [0, 1], flip_test=False)
    assert set(study.figures()) == {
        f"error{where} {when}" for where in ("", " of the others") for when in ("before", "covered")
    }
    rows = truncation(model, Birds(), [0, 1], (0.5,), flip_test=False).rows()
    assert [row["cut off"] for row in rows] == [0, 0.5]
    assert not [name for name in rows[1] if "std" in name or "coverage" in name]


def test_the_network_sees_the_changed_images(model):
    """Its predictions are those of images that are changed by hand."""
    from logpose.tasks.pose.evaluate import evaluate

    class Changed(Birds):
        def __getitem__(self, index: int) -> Sample:
            sample = super().__getitem__(index)
            sample.image[40:60, 20:40] = 128
            return sample

    model.eval()
    by_hand = evaluate(model, Changed(), flip_test=False).arrays()
    study = occlusion(model, Birds(), [0, 1], flip_test=False)
    assert study.hidden[0].at.predicted == pytest.approx(by_hand.predicted, abs=1e-9)
    assert isinstance(study.shown.at.clips[0], str)
    assert Path(study.shown.at.clips[0]) == Path()
