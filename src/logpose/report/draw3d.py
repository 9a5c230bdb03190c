"""Poses in space, drawn: bones, joints, and around each joint the ellipsoid that should hold it.

The plot is upright and shows people from beside the camera: to the right is the camera's x, up is -y, and z, away from
the camera, goes into the plot.
"""

from __future__ import annotations

from textwrap import shorten
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection  # type: ignore[import-untyped]

from logpose.core.samples import Image
from logpose.core.skeletons import Skeleton
from logpose.report.draw import CENTRE, LEFT, OUTLINE, RIGHT, contact_sheet, joint_colours, mixed

__all__ = ["beside", "flat_pose"]

SIDE = 560  # pixels: height of the images
ELEVATION, AZIMUTH = 12, -62  # degrees: at -90 the view would be the camera's own, and no depth would show
NARROWEST = 0.55  # shortest side of the box around all people relative to the longest, to have space for ticks
ROUND = (10, 7)  # faces of an ellipsoid around its axis, and along it
MIDDLE = (90, 90, 90)  # ellipsoids of joints in the middle, whose own colour is nearly that of the paper
MARGIN = 0.08  # share of an axis at either end without ticks
WIDE = 3  # points that an axis's name is moved out for each digit of its numbers beyond four
THINNEST = 0.5  # least width of lines and joints relative to the usual one, where people are small in the image
WIDEST = 84  # characters in a line of the title
FLATTEST = 0.003  # least half axis of an ellipsoid, relative to the person: a root's has none along z
CUT = "some are larger than the person, and drawn as large as that"  # note about ellipsoids, below the title
BACKDROP = 34  # grey of the image on which keypoints are drawn that have none


def beside(
    image: Image,
    skeleton: Skeleton,
    joints: Float[np.ndarray, "N K 3"],
    spread: Float[np.ndarray, "N K 3"] | None = None,
    title: str = "",
) -> Image:
    """An image, and to its right the people in space: their joints, bones, and an ellipsoid around each joint.

    Args:
        image: RGB, with the poses drawn in.
        skeleton: joints and bones.
        joints: millimetres, in the camera's frame or along its axes; people who are not finite are left out.
        spread: half axes of the ellipsoids, in millimetres along the same axes; None and NaN draw none. They are drawn
            no larger than the person, and where they would be, a caption notes it.
        title: over the right one; a line or two.

    Returns:
        RGB, `SIDE` pixels high.
    """
    width = min(2 * SIDE, max(1, round(image.shape[1] * SIDE / image.shape[0])))  # 2 * SIDE: of a panorama
    left = contact_sheet([image], 1, (SIDE, width), border=0)
    return np.concatenate([left, _in_space(skeleton, joints, spread, title)], axis=1)


def flat_pose(size: tuple[int, int], side: int = SIDE) -> tuple[Image, float]:
    """An empty image for keypoints of which there is no photograph, and what their pixels are multiplied by.

    Args:
        size: (H, W) of the image that is missing.
        side: of the longer side of the one that is returned.
    """
    factor = side / max(size)
    return np.full((max(1, round(size[0] * factor)), max(1, round(size[1] * factor)), 3), BACKDROP, np.uint8), factor


def _in_space(
    skeleton: Skeleton, joints: Float[np.ndarray, "N K 3"], spread: Float[np.ndarray, "N K 3"] | None, title: str
) -> Image:
    """Axes with the people in them."""
    figure = Figure(figsize=(SIDE / 100, SIDE / 100), dpi=100)
    canvas: Any = FigureCanvasAgg(figure)  # whose methods have no types
    axes: Any = figure.add_axes((0.0, 0.055, 0.91, 0.865), projection="3d", computed_zorder=False)
    placed = [person for person in range(len(joints)) if np.isfinite(joints[person]).all()]
    people = [_upright(joints[person]) for person in placed]
    extents = [np.ptp(pose, axis=0).max() for pose in people]
    half_axes = [
        _drawable(pose, np.full_like(pose, np.nan) if spread is None else np.abs(_upright(spread[person])))
        for person, pose in zip(placed, people, strict=True)
    ]
    low, high = _box(people, half_axes)
    of_joints = joint_colours(skeleton)
    colours, dark = [_part(colour) for colour in of_joints], _part(OUTLINE)
    bones = [_part(mixed(of_joints[a], of_joints[b])) for a, b in skeleton.bones]
    for pose, half in zip(people, half_axes, strict=True):
        size = float(np.clip(1.6 * np.ptp(pose, axis=0).max() / (high - low).max(), THINNEST, 1))
        outline = [withStroke(linewidth=4.5 * size, foreground=dark)]
        if skeleton.bones:
            lines = pose[np.array(skeleton.bones)]
            floor = lines.copy()
            floor[..., 2] = low[2]
            axes.add_collection3d(Line3DCollection(floor, colors="0.82", linewidths=2.5 * size, zorder=1))
        for joint in np.flatnonzero(half.all(axis=1)):
            veil = _part(MIDDLE if of_joints[joint] == CENTRE else of_joints[joint])
            axes.add_collection3d(_ellipsoid(pose[joint], half[joint], veil))
        if skeleton.bones:
            drawn = Line3DCollection(lines, colors=bones, linewidths=3 * size, zorder=4, path_effects=outline)
            axes.add_collection3d(drawn)
        joints_at = {"c": colours, "s": 24 * size**2, "edgecolors": [dark], "linewidths": 0.8 * size}
        axes.scatter(*pose.T, **joints_at, depthshade=False, zorder=5)
    _dress(axes, low, high)
    if spread is not None and any(
        (np.abs(spread[person][np.isfinite(spread[person]).all(axis=1)]) > extent).any()
        for person, extent in zip(placed, extents, strict=True)
    ):
        title = f"{title}\n{CUT}".lstrip()
    _caption(figure, title, bool(skeleton.pairs))
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:SIDE, :SIDE, :3])


def _caption(figure: Figure, title: str, has_sides: bool) -> None:
    """The title, and below it which colour is which side."""
    lines = [shorten(line, WIDEST, placeholder="…") for line in title.splitlines()]
    top = 0.985
    figure.text(0.5, top, "\n".join(lines), fontsize=8, ha="center", va="top", parse_math=False)
    if has_sides:
        sides = {"their left": LEFT, "their right": RIGHT}
        handles = [Line2D([], [], color=_part(colour), linewidth=3, label=name) for name, colour in sides.items()]
        below = (0.5, top - 0.03 * len(lines))
        figure.legend(handles=handles, loc="upper center", bbox_to_anchor=below, fontsize=8, frameon=False, ncols=2)


def _part(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    """A colour as matplotlib takes it."""
    return colour[0] / 255, colour[1] / 255, colour[2] / 255


def _upright(points: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "K 3"]:
    """From the camera's axes to the drawing's: x, depth, height."""
    return np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1)


def _drawable(pose: Float[np.ndarray, "K 3"], half: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "K 3"]:
    """Half axes as they are drawn, none longer than the person, none nothing; 0 of joints of which one is not known."""
    extent = np.ptp(pose, axis=0).max()
    return np.where(np.isfinite(half).all(axis=1, keepdims=True), half.clip(FLATTEST * extent, extent), 0)


def _box(
    people: list[Float[np.ndarray, "K 3"]], half: list[Float[np.ndarray, "K 3"]]
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Corners of a box around all people, of no side much shorter than the longest."""
    if not people:
        return np.full(3, -1000.0), np.full(3, 1000.0)
    low = np.min([(p - h).min(axis=0) for p, h in zip(people, half, strict=True)], axis=0)
    high = np.max([(p + h).max(axis=0) for p, h in zip(people, half, strict=True)], axis=0)
    extent = np.maximum(high - low, max(NARROWEST * float((high - low).max()), 1.0)) * 1.06
    middle = (low + high) / 2
    return middle - extent / 2, middle + extent / 2


def _ellipsoid(
    centre: Float[np.ndarray, "3"], half: Float[np.ndarray, "3"], colour: tuple[float, float, float]
) -> Poly3DCollection:
    """A translucent ellipsoid along the axes."""
    around, along = np.ix_(np.linspace(0, 2 * np.pi, ROUND[0] + 1), np.linspace(0, np.pi, ROUND[1] + 1))
    x, y = np.cos(around) * np.sin(along), np.sin(around) * np.sin(along)
    net = centre + half * np.stack([x, y, np.broadcast_to(np.cos(along), x.shape)], axis=-1)
    faces = np.stack([net[:-1, :-1], net[1:, :-1], net[1:, 1:], net[:-1, 1:]], axis=2).reshape(-1, 4, 3)
    return Poly3DCollection(faces, facecolors=[(*colour, 0.16)], edgecolors="none", zorder=3)


def _dress(axes: Any, low: Float[np.ndarray, "3"], high: Float[np.ndarray, "3"]) -> None:
    """Limits, names and ticks: millimetres of the camera's axes, the same length along all."""
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    axes.set_box_aspect(high - low, zoom=0.92)
    axes.view_init(elev=ELEVATION, azim=AZIMUTH)
    for i, (axis, name, sign, pad, wide) in enumerate(
        ((axes.xaxis, "x", 1, 0, 0), (axes.yaxis, "z, depth", 1, 0, WIDE), (axes.zaxis, "y, down", -1, 6, WIDE))
    ):
        places = _ticks(float(low[i]), float(high[i]))
        places = places if i == 2 else [places[0], places[-1]]  # the others are short in the image
        texts = [f"{sign * round(place, 6) + 0.0:.6g}" for place in places]
        axis.set_ticks(places, texts)
        axis.set_label_text(f"{name} (mm)", fontsize=9)
        longer = max(0, *(len(text) - 4 for text in texts))
        axis.set_tick_params(labelsize=8, pad=pad + wide * longer / 2)
        axis.labelpad = 4 + pad + wide * longer


def _ticks(start: float, end: float) -> list[float]:
    """Two or more round places, away from the ends, where the labels of two axes would lie on each other."""
    margin = MARGIN * (end - start)
    for count in range(2, 9):
        places = MaxNLocator(count, steps=[1, 2, 5, 10]).tick_values(start, end)
        inside = [float(place) for place in places if start + margin <= place <= end - margin]
        if len(inside) > 1:
            break
    return inside
