"""Rendering: a canvas with depth, shaded and textured parts, and the camera.

Everything solid is one primitive, an ellipsoid swept along a segment while it shrinks or grows: a limb, a chest, a
head, a shoe. Seen by a camera it is a rounded cone after one linear map of the image, so coverage, normal, depth and
cloth coordinates of each pixel are closed formulas, and a depth buffer decides what hides what.

Camera frame: x right, y down, z away from the camera; metres. World: y up, the camera looks along -z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from logpose.core.samples import Image

__all__ = ["Camera", "Canvas", "Material", "Parts", "paint", "textures", "turns"]

Size = tuple[int, int]


@dataclass(frozen=True)
class Material:
    """What a surface looks like: a base colour, and a second one mixed in where the texture is bright."""

    base: tuple[float, float, float]
    """RGB, 0 … 255."""
    other: tuple[float, float, float]
    texture: int = 0
    """Row of `textures()`; 0 is plain."""
    grain: float = 120.0
    """Texture cells per metre."""


@dataclass
class Parts:
    """Swept ellipsoids in the camera frame, P of them."""

    start: Float[np.ndarray, "P 3"]
    end: Float[np.ndarray, "P 3"]
    axes: Float[np.ndarray, "P 3 3"]
    """Semi-axes at the start, as columns, metres."""
    taper: Float[np.ndarray, "P"]
    """How much larger the ellipsoid is at the end."""
    looks: Sequence[tuple[Material, Material, float]]
    """Material, the material further along, and the share of the way where it begins (beyond 1: nowhere)."""
    owner: UInt8[np.ndarray, "P"]
    """Number of the person whose part it is, from 1; 0 for things."""

    @staticmethod
    def joined(several: Sequence[Parts]) -> Parts:
        """All parts of all of them."""
        start, end, axes, taper, owner = (
            np.concatenate([getattr(parts, name) for parts in several])
            for name in ("start", "end", "axes", "taper", "owner")
        )
        return Parts(start, end, axes, taper, [look for parts in several for look in parts.looks], owner)


def turns(degrees: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3 3"]:
    """Rotation matrices Rx · Rz · Ry of angles about x, y, z: about its own length first, sideways, then forward."""
    angles = np.deg2rad(degrees).T
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    rows = (
        *(cz * cy, -sz, cz * sy),
        *(cx * sz * cy + sx * sy, cx * cz, cx * sz * sy - sx * cy),
        *(sx * sz * cy - cx * sy, sx * cz, sx * sz * sy + cx * cy),
    )
    return np.stack(rows, axis=1).reshape(-1, 3, 3)


@dataclass(frozen=True)
class Camera:
    """A pinhole with square pixels."""

    focal: float
    """Focal length in pixels."""
    centre: tuple[float, float]
    """Principal point (x, y)."""
    turn: Float[np.ndarray, "3 3"]
    """Takes world directions to camera directions."""

    def project(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 2"]:
        """Image coordinates of points in the camera frame."""
        return np.asarray(points[:, :2] / points[:, 2:] * self.focal + self.centre)

    @staticmethod
    def random(rng: np.random.Generator, size: Size) -> Camera:
        """A camera that mostly looks slightly down, hardly tilted; now and then steeply down, or held askew."""
        steep, askew = rng.random(2) < (0.12, 0.12)
        pitch = rng.normal(25 if steep else 6, 12 if steep else 7)
        roll = rng.normal(0, 25 if askew else 4)
        # World y up and -z ahead becomes camera y down and z ahead.
        axes = np.diag([1.0, -1.0, -1.0])
        focal = float(rng.uniform(1.0, 2.2)) * max(size)
        tilt, nod = turns(np.array([(0, 0, roll), (np.clip(pitch, -20, 60), 0, 0)]))
        view = tilt @ nod @ axes
        return Camera(focal, ((size[1] - 1) / 2, (size[0] - 1) / 2), view)


@dataclass
class Canvas:
    """An image under way, with what each pixel shows."""

    image: Image
    depth: Float[np.ndarray, "H W"]
    """Metres from the camera's plane; infinite where nothing but background is."""
    owner: UInt8[np.ndarray, "H W"]
    """Number of the person that is seen there, from 1; 0 for none."""


@cache
def textures() -> UInt8[np.ndarray, "T 64 64"]:
    """Patterns of cloth, wall and floor that tile: plain, noises, stripes, checks, plaids, dots (built on demand)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64].astype(np.float32) * np.float32(2 * np.pi)
    rows: list[np.ndarray] = []
    for blur in (0.8, 1.5, 3.0, 6.0):
        noise = np.tile(rng.normal(size=(64, 64)), (3, 3))
        smooth = cv2.GaussianBlur(noise, (0, 0), blur)[64:128, 64:128]
        rows.append(0.5 + 0.22 * (smooth - smooth.mean()) / smooth.std())
    grain = rows[0] - 0.5
    for period in (8, 16, 32):
        across, down = np.sin(x / period) > 0, np.sin(y / period) > 0
        dots = np.sin(x / period) * np.sin(y / period) > 0.5
        rows += [across, down, across ^ down, (across + 0.5 * down) / 1.5, np.sin((x + y) / period) > 0.3, dots]
    worn = np.clip([np.zeros((64, 64)), *(row * 0.9 + 0.35 * grain for row in rows)], 0, 1)
    return np.asarray((255 * worn).astype(np.uint8))


def paint(canvas: Canvas, camera: Camera, parts: Parts, light: Float[np.ndarray, "3"], ambient: float) -> None:
    """Paint parts, wholly in front of the camera, onto the canvas: shaded, textured, behind what is closer.

    An ellipsoid with semi-axes S (columns) covers the image's points q around its centre with q' M^-1 q <= 1, where
    M is the upper 2×2 block of S S'. In coordinates M^-1/2 q the part is a rounded cone of radius 1 at its start.
    The formulas run over the pixels of all parts at once, since parts are many and small. `light` is the unit vector
    towards the light, camera frame; `ambient` the share of the light that comes from everywhere.
    """
    order = np.argsort(-(parts.start[:, 2] + parts.end[:, 2]))
    table, low, span = _geometry(parts, camera, light, canvas.depth.shape)
    order = order[(span[order] > 0).all(axis=1)]
    if not len(order):
        return
    table, low, span = table[:, order], low[order], span[order]
    counts = span[:, 0] * span[:, 1]
    ends = np.cumsum(counts)
    place = np.arange(ends[-1], dtype=np.int32) - np.repeat((ends - counts).astype(np.int32), counts)
    across = np.repeat(span[:, 0].astype(np.int32), counts)
    y = place // across
    columns = (place - y * across + np.repeat(low[:, 0], counts)).astype(np.float32)
    rows = (y + np.repeat(low[:, 1], counts)).astype(np.float32)
    of_part = iter(table)

    def each() -> Float[np.ndarray, "N"]:
        """The next number of the table, for each pixel's part."""
        return np.repeat(next(of_part), counts)

    run = columns * each() + rows * each() + each()
    side = columns * each() + rows * each() + each()
    extent = each()
    share = np.clip(run / extent, 0, 1)
    radius = 1 + share * each()
    run = (run - share * extent) / radius
    side /= radius
    square = run * run + side * side
    front = np.sqrt(np.maximum(1 - square, 0))
    alpha = np.clip((1 - np.sqrt(square)) * radius * each() + 0.5, 0, 1)
    depth = (run * each() + side * each() - front * each()) * radius + share * each() + each()
    lit = run * each() + side * each() - front * float(light[2])
    # Surfaces that turn away also darken, so that a limb stands out from the trunk behind it.
    shade = (ambient + (1 - ambient) * np.maximum(lit, 0)) * (0.6 + 0.4 * front)
    thick = each()
    colour = _colours([parts.looks[p] for p in order], counts, shade, share, share * each() + run * thick, side * thick)
    for p, owner in enumerate(parts.owner[order].tolist()):
        (left, top), (wide, tall) = low[p].tolist(), span[p].tolist()
        window = (slice(top, top + tall), slice(left, left + wide))
        own = slice(int(ends[p] - counts[p]), int(ends[p]))
        reach, patch = depth[own].reshape(tall, wide), canvas.image[window]
        cover = alpha[own].reshape(tall, wide) * (reach < canvas.depth[window])
        patch[...] = cv2.blendLinear(colour[own].reshape(tall, wide, 3), patch, cover, 1 - cover)
        solid = cover > 0.5
        np.copyto(canvas.depth[window], reach, where=solid)
        np.copyto(canvas.owner[window], np.uint8(owner), where=solid)


def _geometry(
    parts: Parts, camera: Camera, light: Float[np.ndarray, "3"], size: Size
) -> tuple[Float[np.ndarray, "18 P"], Int[np.ndarray, "P 2"], Int[np.ndarray, "P 2"]]:
    """What `paint` needs of each part, in its order of use; first pixel (x, y) and (width, height) of its window."""
    scale = camera.focal / parts.start[:, 2]
    cover = np.einsum("pij,pkj->pik", parts.axes, parts.axes)
    flat = cover[:, :2, :2] * (scale**2)[:, None, None] + 0.09 * np.eye(2)  # never thinner than 0.3 pixels
    # The square root of a 2×2 matrix M is (M + sqrt(det M) I) / sqrt(trace M + 2 sqrt(det M)).
    root = np.sqrt(flat[:, 0, 0] * flat[:, 1, 1] - flat[:, 0, 1] ** 2)
    trace = np.sqrt(flat[:, 0, 0] + flat[:, 1, 1] + 2 * root)
    colour = (flat + root[:, None, None] * np.eye(2)) / trace[:, None, None]
    white = np.linalg.inv(colour)
    at, to = camera.project(parts.start), camera.project(parts.end)
    taper = parts.taper * parts.start[:, 2] / parts.end[:, 2]
    along = np.einsum("pij,pj->pi", white, to - at)
    length = np.linalg.norm(along, axis=1)
    axis = np.where(length[:, None] > 1e-6, along / np.maximum(length, 1e-6)[:, None], (0.0, 1.0))
    axes = np.stack([axis, axis[:, ::-1] * (-1, 1)], axis=1)  # along the part, and to its side
    (run_x, run_y), (side_x, side_y) = (axes @ white).transpose(1, 2, 0)
    # Depth of the front surface: a slope over the image, and a bulge towards the camera.
    slope = np.einsum("pij,pj->pi", np.linalg.inv(cover[:, :2, :2]), cover[:, :2, 2])
    bulge = np.sqrt(np.maximum(cover[:, 2, 2] - (slope * cover[:, :2, 2]).sum(axis=1), 0.0))
    tilts = np.einsum("pqi,pij,pj->qp", axes, colour, slope / scale[:, None])
    table = (
        *(run_x, run_y, -run_x * at[:, 0] - run_y * at[:, 1]),
        *(side_x, side_y, -side_x * at[:, 0] - side_y * at[:, 1]),
        *(np.maximum(length, 1e-6), taper - 1, np.sqrt(root)),
        *(*tilts, bulge, parts.end[:, 2] - parts.start[:, 2], parts.start[:, 2]),
        *(axes @ light[:2]).T,
        *(np.linalg.norm(parts.axes[:, :, 0], axis=1), np.linalg.norm(parts.end - parts.start, axis=1)),
    )
    reach = np.sqrt(flat[:, (0, 1), (0, 1)]) + 1.0
    low = np.floor(np.minimum(at - reach, to - reach * taper[:, None]))
    high = np.ceil(np.maximum(at + reach, to + reach * taper[:, None])) + 1
    frame = np.array(size[::-1])
    low, high = np.clip(low, 0, frame).astype(int), np.clip(high, 0, frame).astype(int)
    return np.array(table, dtype=np.float32), low, high - low


def _colours(
    looks: Sequence[tuple[Material, Material, float]],
    counts: Int[np.ndarray, "P"],
    shade: Float[np.ndarray, "N"],
    share: Float[np.ndarray, "N"],
    down: Float[np.ndarray, "N"],
    across: Float[np.ndarray, "N"],
) -> UInt8[np.ndarray, "N 3"]:
    """Colours of pixels: how many each part has, how lit they are, and where on it (share of its length; metres)."""
    materials = {id(material): material for look in looks for material in look[:2]}
    rows = {key: row for row, key in enumerate(materials)}
    first, second = (np.repeat([rows[id(look[i])] for look in looks], counts) for i in (0, 1))
    border = np.repeat(np.array([begins for *_, begins in looks], dtype=np.float32), counts)
    of = np.where(share < border, first, second)
    base = np.array([m.base for m in materials.values()], dtype=np.float32).T.copy()
    change = np.array([m.other for m in materials.values()], dtype=np.float32).T - base
    grain = np.array([m.grain for m in materials.values()], dtype=np.float32)[of]
    cells = np.array([m.texture << 12 for m in materials.values()], dtype=np.int32)[of]
    cells += ((down * grain).astype(np.int32) & 63) << 6
    cells += (across * grain).astype(np.int32) & 63
    mix = textures().take(cells) * np.float32(1 / 255)
    planes = [np.minimum(shade * (base[c][of] + mix * change[c][of]), 255) for c in range(3)]
    return np.stack(planes, axis=1).astype(np.uint8)
