"""Drawing: marks are where they should be, in the right colours, and nothing breaks at the edges."""

from __future__ import annotations

import numpy as np
import pytest

from logpose.core.skeletons import COCO, Skeleton
from logpose.report.draw import (
    CENTRE,
    LEFT,
    RIGHT,
    around_labels,
    contact_sheet,
    draw_boundaries,
    draw_pose,
    enlarged,
    joint_colours,
    mark_points,
    mixed,
)

PAIR = Skeleton("bar", ("left_end", "right_end", "middle"), bones=((0, 2), (2, 1)))


def canvas(height=100, width=120):
    return np.zeros((height, width, 3), np.uint8)


def test_joints_have_the_colour_of_their_side():
    image = canvas()
    draw_pose(image, PAIR, np.array([[20.0, 50], [100, 50], [60, 50]]))
    assert tuple(image[50, 20]) == LEFT
    assert tuple(image[50, 100]) == RIGHT
    assert tuple(image[50, 60]) == CENTRE
    assert image[50, 40].any()
    assert not image[20].any()


def test_colours_of_joints_and_of_what_is_between_them():
    assert joint_colours(PAIR) == [LEFT, RIGHT, CENTRE]
    assert [mixed(LEFT, LEFT), mixed(LEFT, CENTRE), mixed(CENTRE, RIGHT)] == [LEFT, LEFT, RIGHT]
    assert mixed(LEFT, RIGHT) == CENTRE


def test_sides_are_recognised_in_every_spelling():
    for names in (("right_00", "left_00"), ("RWrist", "LWrist"), ("r_hip", "l_hip"), ("ankle_r", "ankle_l")):
        image = canvas()
        draw_pose(image, Skeleton("s", names), np.array([[20.0, 50], [100, 50]]))
        assert tuple(image[50, 20]) == RIGHT
        assert tuple(image[50, 100]) == LEFT


def test_the_ellipse_has_the_given_half_axes():
    image = canvas()
    draw_pose(image, Skeleton("s", ("a",)), np.array([[60.0, 50]]), np.array([[40.0, 20]]))
    lit = np.argwhere(image.any(axis=2))
    assert lit[:, 1].min() == pytest.approx(20, abs=1.5)
    assert lit[:, 1].max() == pytest.approx(100, abs=1.5)
    assert lit[:, 0].min() == pytest.approx(30, abs=1.5)
    assert lit[:, 0].max() == pytest.approx(70, abs=1.5)


def test_only_shown_and_finite_joints_are_drawn():
    image = canvas()
    points = np.array([[20.0, 50], [100, 50], [np.nan, 50]])
    draw_pose(image, PAIR, points, shown=np.array([True, False, True]))
    assert image[50, 20].any()
    assert not image[50, 100].any()
    assert not image[50, 60].any()


def test_far_and_huge_marks_do_not_break():
    image = canvas()
    far = np.full((17, 2), 1e9)
    draw_pose(image, COCO, far, np.full((17, 2), 1e9))
    draw_pose(image, COCO, -far, np.full((17, 2), np.nan))


def test_small_images_are_enlarged_and_large_ones_copied():
    small, factor = enlarged(canvas(50, 100), 300)
    assert small.shape == (150, 300, 3)
    assert factor == 3
    large = canvas(500, 700)
    same, factor = enlarged(large, 300)
    assert factor == 1
    assert same is not large
    assert same.shape == large.shape


def test_a_contact_sheet_keeps_shapes_and_order():
    red, green = np.full((50, 100, 3), (255, 0, 0), np.uint8), np.full((100, 50, 3), (0, 255, 0), np.uint8)
    sheet = contact_sheet([red, green, red], columns=2, tile=(64, 64))
    assert sheet.shape == (128, 128, 3)
    assert tuple(sheet[32, 32]) == (255, 0, 0)
    assert tuple(sheet[32, 96]) == (0, 255, 0)
    assert tuple(sheet[96, 32]) == (255, 0, 0)
    assert tuple(sheet[96, 96]) == (255, 255, 255)
    assert (sheet[:64, :64] == (255, 0, 0)).all(axis=2).sum() == 60 * 30


def test_a_boundary_is_drawn_where_it_lies_with_its_band_and_its_labels() -> None:
    image = np.full((40, 30, 3), 50, dtype=np.uint8)
    rows, labels = np.array([[10.0] * 30, [25.5] * 30]), np.array([[10.0] * 30, [np.nan] * 30])
    plain = draw_boundaries(image, rows)
    assert plain.shape == (80, 60, 3)
    assert (image == 50).all()
    drawn = (plain != 50).any(axis=(1, 2))
    assert np.flatnonzero(drawn).tolist() == [20, 21, 51, 52]  # twice the row, and half a pixel
    assert (plain[20] == np.array([86, 180, 233])).all()
    banded = draw_boundaries(image, rows, np.full((2, 30), 3.0))
    assert np.flatnonzero((banded != 50).any(axis=(1, 2)))[0] == 15  # 20.5 - 2 × 3, rounded up
    marked = draw_boundaries(image, rows, None, labels)
    assert (marked[19:23] == np.array([240, 240, 240])).all(axis=2).any()
    gap = rows.copy()
    gap[0, 10:20] = np.nan
    assert not (draw_boundaries(image, gap)[20:22, 22:38] != 50).any()


def test_eight_boundaries_have_eight_colours_and_their_names_stand_below() -> None:
    image = np.full((60, 200, 3), 50, dtype=np.uint8)
    rows = np.repeat(np.arange(8)[:, None] * 6.0 + 5, 200, axis=1)
    drawn = draw_boundaries(image, rows)
    colours = [tuple(drawn[int(2 * row) + 1, 0].tolist()) for row in rows[:, 0]]
    assert len(set(colours)) == 8
    named = draw_boundaries(image, rows, names=[f"boundary {i}" for i in range(8)])
    assert (named[:120] == drawn).all()
    strip = named[120:]
    assert strip.shape[0] > 22, "so many names do not fit into one line"
    assert strip.shape[0] % 22 == 0
    for colour in colours:
        assert (strip == colour).all(axis=2).any()
    for part in np.split(strip, len(strip) // 22):
        assert (part[[0, -1]] == part[0, 0]).all(), "a name reaches into the next line"
        assert (part[:, -1] == part[0, 0]).all(), "a name is cut off"


def test_bands_that_overlap_both_show() -> None:
    image = np.full((40, 10, 3), 100, dtype=np.uint8)
    rows = np.array([[15.0] * 10, [20.0] * 10])
    both = draw_boundaries(image, rows, np.full((2, 10), 4.0))[36, 0].astype(float)
    first, second = (draw_boundaries(image, rows[[i]], np.full((1, 10), 4.0))[36, 0].astype(float) for i in (0, 1))
    second_colour, first_colour = np.array([230, 159, 0]), np.array([86, 180, 233])
    np.testing.assert_allclose(first, 65 + 0.35 * first_colour, atol=1)
    np.testing.assert_allclose(both, 0.65 * first + 0.35 * second_colour, atol=1)
    assert np.abs(both - second).max() > 10


def test_boundaries_without_a_row_are_not_drawn() -> None:
    image = np.full((20, 16, 3), 50, dtype=np.uint8)
    nothing = np.full((2, 16), np.nan)
    assert (draw_boundaries(image, nothing, nothing, nothing) == 50).all()


def test_a_label_is_a_ring_around_its_place() -> None:
    image = canvas()
    mark_points(image, np.array([[40.0, 50.0], [np.nan, 3.0], [1e6, 1e6]]))
    assert not image[50, 40].any()
    lit = np.argwhere(image.any(axis=2))
    np.testing.assert_allclose(lit.mean(axis=0), (50, 40), atol=0.1)
    away = np.hypot(*(lit - (50, 40)).T)
    assert away.min() >= 2
    assert away.max() <= 9
    assert image.max() > 150


def test_the_rows_around_labels() -> None:
    labels = np.full((2, 5), np.nan)
    labels[0, 2], labels[1, 3] = 50.6, 70.2
    assert around_labels(labels) == slice(20, 100)
    labels[0, 2] = 4.0
    assert around_labels(labels) == slice(0, 100)


def test_an_ellipse_is_turned_by_the_correlation():
    """Errors that grow together along x and y reach to the lower right and the upper left, as y points down."""

    def drawn(correlation):
        image = canvas(101, 101)
        one = Skeleton("one", ("nose",))
        draw_pose(image, one, np.array([[50.0, 50]]), np.full((1, 2), 30.0), correlation=correlation)
        return image.any(axis=-1)

    together = drawn(np.array([0.95]))
    assert together[70, 70]
    assert together[30, 30]
    assert not together[70, 30]
    assert not together[50, 75]
    assert (together[:, ::-1] == drawn(np.array([-0.95]))).mean() > 0.99
    assert (drawn(None) == drawn(np.array([0.0]))).all()
