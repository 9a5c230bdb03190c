"""Poses in space, drawn: upright, in the right colours, whatever the numbers."""

from __future__ import annotations

import numpy as np
import pytest

from logpose.core.skeletons import COCO, Skeleton
from logpose.report import draw3d as drawing_3d
from logpose.report.draw import LEFT, RIGHT
from logpose.report.draw3d import CUT, SIDE, beside, flat_pose

PHOTO = np.full((240, 180, 3), 90, np.uint8)
STICK = Skeleton("stick", ("left_end", "right_end"), bones=((0, 1),))


def in_space(drawn) -> np.ndarray:
    """The part with the axes, without title and legend."""
    return drawn[60:, -SIDE:].astype(int)


def places(drawn, colour) -> np.ndarray:
    """Rows and columns of the pixels of a colour."""
    return np.argwhere(np.abs(in_space(drawn) - colour).max(axis=2) < 12)


@pytest.fixture
def person() -> np.ndarray:
    return np.random.default_rng(0).normal([0, 0, 4000], [200, 500, 200], (1, 17, 3))


def test_the_photograph_is_on_the_left_and_keeps_its_shape(person):
    drawn = beside(PHOTO, COCO, person)
    assert drawn.dtype == np.uint8
    assert drawn.shape == (SIDE, round(180 * SIDE / 240) + SIDE, 3)
    assert (drawn[:, : round(180 * SIDE / 240)] == 90).all()
    assert in_space(drawn).std() > 5
    wide = beside(np.full((100, 2000, 3), 90, np.uint8), COCO, person)
    assert wide.shape == (SIDE, 3 * SIDE, 3)


def test_up_is_up_and_right_is_right():
    """y points down and x to the right; what is further away is drawn further up and to the right."""
    for a, b, axis, sign in (
        ((0, -500, 4000), (0, 500, 4000), 0, -1),
        ((-500, 0, 4000), (500, 0, 4000), 1, -1),
        ((0, 0, 3500), (0, 0, 4500), 1, -1),
    ):
        drawn = beside(PHOTO, STICK, np.array([[a, b]], float))
        left, right = (np.median(places(drawn, colour), axis=0) for colour in (LEFT, RIGHT))
        assert np.sign(left[axis] - right[axis]) == sign


def test_ellipsoids_are_drawn_where_they_are_known(person):
    without = in_space(beside(PHOTO, COCO, person))
    spread = np.full(person.shape, np.nan)
    assert (in_space(beside(PHOTO, COCO, person, spread)) == without).all()
    spread[0, 3] = 60
    assert (in_space(beside(PHOTO, COCO, person, spread)) != without).any()


def test_ellipsoids_of_joints_in_the_middle_are_seen(person):
    nose = COCO.joints.index("nose")
    person[0, nose] = person[0].mean(axis=0)  # the ellipsoid makes the box no larger
    without = in_space(beside(PHOTO, COCO, person))
    spread = np.full(person.shape, np.nan)
    spread[0, nose] = 100
    darker = without - in_space(beside(PHOTO, COCO, person, spread))
    assert (darker[without.min(axis=2) > 235].min(axis=1) > 20).sum() > 300


def test_ellipsoids_that_are_cut_have_a_note(person, monkeypatch):
    titles = []
    monkeypatch.setattr("logpose.report.draw3d._caption", lambda _, title, *__: titles.append(title))
    extent = float(np.ptp(person[0], axis=0).max())
    spread = np.full(person.shape, np.nan)
    for largest, title in ((0.9, "of 50 %"), (1.1, f"of 50 %\n{CUT}")):
        spread[0, 3] = [10, largest * extent, 20]
        beside(PHOTO, COCO, person, spread, "of 50 %")
        assert titles.pop() == title
    beside(PHOTO, COCO, person, spread)
    assert titles.pop() == CUT
    spread[0, 3] = [np.nan, 9000, 3]  # is not drawn, and so not cut
    beside(PHOTO, COCO, person, spread)
    assert titles.pop() == ""
    beside(PHOTO, COCO, np.concatenate([person, np.full_like(person, np.nan)]), np.concatenate([0 * spread, spread]))
    assert titles.pop() == ""


def test_an_ellipsoid_that_is_flat_is_drawn(person):
    """As a root's is, of which the depth is known."""
    without = in_space(beside(PHOTO, COCO, person))
    spread = np.full(person.shape, np.nan)
    spread[0, 3] = [200, 200, 0]
    assert (in_space(beside(PHOTO, COCO, person, spread)) != without).sum() > 300


def test_nothing_breaks(person):
    """Nobody, one point, no bones, far off, wider than the box, not finite, letters that mean something to others."""
    face = Skeleton("face", ("a", "b"))
    for skeleton, joints, spread in (
        (COCO, person[:0], person[:0]),
        (COCO, np.zeros((1, 17, 3)), np.zeros((1, 17, 3))),
        (COCO, 1e7 * person, None),
        (COCO, person, np.full(person.shape, 1e12)),
        (COCO, np.full(person.shape, np.nan), person),
        (COCO, np.concatenate([person, person + 3000]), None),
        (face, np.array([[[0.0, 1, 2], [3, 4, 5]]]), None),
    ):
        drawn = beside(PHOTO, skeleton, joints, spread, "S1, $\\frac{ walk {} \n" + "long " * 60)
        assert drawn.shape[0] == SIDE
    beside(PHOTO, COCO, person, title="")


def written(monkeypatch, skeleton, joints) -> dict[str, np.ndarray]:
    """Every number and name along the axes, and the corners of the box that it fills, turned as it is."""
    figures = []

    class Kept(drawing_3d.FigureCanvasAgg):
        def __init__(self, figure):
            super().__init__(figure)
            figures.append(figure)

    monkeypatch.setattr(drawing_3d, "FigureCanvasAgg", Kept)
    beside(PHOTO, skeleton, joints, title="a title\nof two lines")
    (axes,) = figures[-1].axes
    found = {}
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        for text in (axis.label, *(tick.label1 for tick in axis.get_major_ticks())):
            box, angle = text.get_window_extent(), np.radians(text.get_rotation())
            middle = [(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2]
            text.set_rotation(0)
            half = np.array([text.get_window_extent().width, text.get_window_extent().height]) / 2
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
            found[f"{axis.axis_name} {text.get_text()}"] = corners @ turn + middle
    return found


def overlap(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two rectangles do: unless a line along a side of one of them lies between them."""
    for side in (one[1] - one[0], one[2] - one[1], other[1] - other[0], other[2] - other[1]):
        first, second = one @ side, other @ side
        if first.max() <= second.min() or second.max() <= first.min():
            return False
    return True


STANDING = np.array(
    [[0, -800, 0], [0, -500, 0], [400, -500, 30], [-400, -500, -30], [150, 900, 100], [-150, 900, -90.0]]
)
FIVE = Skeleton("five", ("head", "neck", "left_hand", "right_hand", "left_foot", "right_foot"))


@pytest.mark.parametrize(
    "joints",
    [
        STANDING[None],
        STANDING[None] + [-12000, 300, 98000],
        STANDING[None] / 1000,
        STANDING[None] / 9,
        STANDING[None][..., [1, 0, 2]],
        STANDING[None][..., [0, 2, 1]],
        np.stack(
            [STANDING + np.array(to) for to in ((-4000, 0, 9000), (300, 0, 6500), (2500, 0, 8000), (4200, 0, 12000))]
        ),
        np.zeros((0, 6, 3)),
    ],
    ids=["a person", "far off", "tiny", "a hand", "lying", "deep", "a group", "nobody"],
)
def test_what_is_written_along_the_axes_can_be_read(monkeypatch, joints):
    found = written(monkeypatch, FIVE, joints)
    for axis, name in zip("xyz", ("x", "z, depth", "y, down"), strict=True):
        assert f"{axis} {name} (mm)" in found
        ticks = [text for text in found if text.startswith(f"{axis} ") and "(mm)" not in text]
        assert 2 <= len(ticks) <= 8
        assert len({float(text[2:]) for text in ticks}) == len(ticks), "each place has a number of its own"
    texts = list(found)
    for i, text in enumerate(texts):
        assert (found[text].min(axis=0) >= 0).all(), f"{text!r} is cut off"
        assert (found[text].max(axis=0) <= [SIDE, SIDE - 60]).all(), f"{text!r} is cut off, or in the title"
        assert not [other for other in texts[:i] if overlap(found[text], found[other])], f"{text!r} lies on another"


def test_people_who_are_small_in_the_image_are_drawn_with_thinner_lines(monkeypatch):
    def inked(joints):
        drawn = in_space(beside(PHOTO, STICK, joints))
        return sum((np.abs(drawn - colour).max(axis=2) < 12).sum() for colour in (LEFT, RIGHT))

    one = np.array([[[0.0, -500, 4000], [0, 500, 4000]]])
    group = np.concatenate([one, one + np.array([9000, 0, 0])])
    # Ten times as small in the image: so would the joints be if they had not a least size.
    assert inked(group) < inked(one)


def test_an_empty_image_has_the_shape_of_the_one_that_is_missing():
    flat, factor = flat_pose((480, 640), side=320)
    assert flat.shape == (240, 320, 3)
    assert factor == 0.5
    assert flat_pose((1, 900_000), side=320)[0].shape == (1, 320, 3)
