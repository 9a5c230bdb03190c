"""The stage: where people stand before the camera, what is behind and before them, and the photograph of it all."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from logpose.core.samples import Image
from logpose.data.bodies import Actor
from logpose.data.rendering import Camera, Canvas, Material, Parts, Size, textures

__all__ = ["backdrop", "bounds", "clutter", "inside", "main_place", "occlude", "other_place", "photograph"]

Colour = Float[np.ndarray, "3"]
Points = Float[np.ndarray, "N 2"]


def main_place(
    rng: np.random.Generator, camera: Camera, actor: Actor, size: Size, plain: bool
) -> Float[np.ndarray, "3"]:
    """Where the main person stands: filling a good part of the image, sometimes reaching out of it."""
    frame = np.array([size[1], size[0]], dtype=np.float64)
    low, high = actor.points.min(axis=0) - 0.1, actor.points.max(axis=0) + 0.1
    close = not plain and rng.random() < 0.25
    fill = rng.uniform(1.05, 1.9) if close else rng.uniform(0.6, 0.97)
    distance = max(camera.focal * float(((high - low)[:2] / frame).max()) / fill, 0.6 + (high - low)[2])
    extent = camera.focal * (high - low)[:2] / distance
    slack = np.abs(frame - extent) / 2
    # Where a part must be left out, it is more often the legs than the head.
    offset = slack * (rng.uniform(-1, 1), rng.uniform(-0.35, 1) if extent[1] > frame[1] else rng.uniform(-1, 1))
    if not plain and rng.random() < 0.15:  # half out at a side
        offset[0] += float(rng.choice([-1, 1])) * rng.uniform(0.1, 0.4) * extent[0]
    return np.asarray(np.array([*(offset * distance / camera.focal), distance]) - (low + high) / 2)


def other_place(
    rng: np.random.Generator, camera: Camera, taken: list[Float[np.ndarray, "3"]], width: int, plain: bool
) -> Float[np.ndarray, "3"]:
    """Where another person stands on the same ground: not inside others, often behind, sometimes in front."""
    place = taken[0]
    for _ in range(4):
        closest = -0.3 if not plain else 0.15
        ahead = taken[0][2] * float(rng.triangular(closest, 0.2, 1.6))
        half = (taken[0][2] + ahead) * width / camera.focal / 2
        place = taken[0] + camera.turn @ (float(rng.uniform(-1.1, 1.1)) * half, 0.0, -ahead)
        if all(np.linalg.norm(place - other) > 0.55 for other in taken):
            break
    return place


def inside(points: Points, size: Size) -> Bool[np.ndarray, "N"]:
    """Which points (image coordinates) lie between the centres of an image's outermost pixels."""
    return np.asarray(((points >= 0) & (points <= (size[1] - 1, size[0] - 1))).all(axis=1))


def bounds(mask: Bool[np.ndarray, "H W"] | UInt8[np.ndarray, "H W"]) -> Float[np.ndarray, "4"]:
    """x, y, width, height of the pixels of a mask; zeros if it has none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.zeros(4)
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return np.array([left, top, right - left, bottom - top], dtype=np.float64)


def _colours(rng: np.random.Generator, count: int) -> Float[np.ndarray, "{count} 3"]:
    """Any colours, greyish ones more often than bright ones."""
    return np.minimum(np.maximum(rng.uniform(20, 230, (count, 1)) + rng.normal(0, 28, (count, 3)), 0), 255)


@cache
def _carpets() -> UInt8[np.ndarray, "T 384 384"]:
    """The textures, tiled: reading beyond the border costs OpenCV several times as much as reading within."""
    return np.tile(textures(), (1, 6, 6))


def _pattern(rng: np.random.Generator, size: Size) -> UInt8[np.ndarray, "H W"]:
    """A texture at any scale, slant and offset that fills the image."""
    carpet = _carpets()[int(rng.integers(len(_carpets())))]
    angle, scale, stretch = rng.uniform(0, np.pi), float(np.exp(rng.uniform(-0.7, 1.1))), rng.uniform(0.4, 1.0)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cos, -sin], [stretch * sin, stretch * cos]])
    # The middle of the image shows a place near the middle of the carpet.
    shift = rng.uniform(160, 224, 2) - linear @ np.array([size[1] / 2, size[0] / 2])
    filled: np.ndarray = cv2.warpAffine(
        carpet,
        np.column_stack([linear, shift]),
        size[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_WRAP,
    )
    return filled


def _painted(pattern: UInt8[np.ndarray, "H W"], dark: Colour, bright: Colour) -> Image:
    """A texture in two colours."""
    mix = np.stack([(bright - dark) / 255, dark], axis=1).astype(np.float32)
    return cv2.transform(pattern[..., None], mix)


def _quads(rng: np.random.Generator, size: Size, thin: Bool[np.ndarray, "N"]) -> Float[np.ndarray, "N 4 2"]:
    """Corners of bars (thin) and boxes somewhere in the image, rarely far from upright."""
    count = len(thin)
    low, high = np.where(thin, 0.02, 0.08), np.where(thin, 0.1, 0.5)
    long = np.where(thin, 1.5, 0.5) * rng.uniform(0.2, 1.0, count)
    extent = np.stack([rng.uniform(low, high), long], axis=1) * max(size) / 2
    angle = rng.normal(0, 0.12, count) + np.where(rng.random(count) < 0.4, np.pi / 2, 0.0)
    cos, sin = np.cos(angle), np.sin(angle)
    spin = np.array([[cos, sin], [-sin, cos]]).transpose(2, 0, 1)
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * extent[:, None] * rng.uniform(0.85, 1.15, (count, 4, 1))
    return np.asarray(corners @ spin + (rng.random((count, 2)) * size[::-1])[:, None])


def _fixed(points: Float[np.ndarray, "*N 2"]) -> np.ndarray:
    """OpenCV's fixed-point coordinates, 4 bits after the comma."""
    return np.asarray(np.rint(points * 16).astype(np.int32, order="C"))


def backdrop(rng: np.random.Generator, camera: Camera, size: Size) -> Image:
    """A wall and a floor that meet at the horizon, or just blurs of colour, with texture and things."""
    height, width = size
    cells = (*rng.integers(2, 9, 2).tolist(), 3)
    # Light varies more than colour does.
    blurs = _colours(rng, 1) + rng.uniform(5, 45) * (rng.normal(0, 1, (*cells[:2], 1)) + rng.normal(0, 0.35, cells))
    # Twice: smooth where it matters, then cheap.
    coarse = cv2.resize(blurs.astype(np.float32), (width // 4, height // 4), interpolation=cv2.INTER_CUBIC)
    wall = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    texture = (_pattern(rng, size) - np.float32(128)) * np.float32(rng.uniform(0, 0.3))
    image = cv2.add(wall, cv2.merge([texture] * 3), dtype=cv2.CV_8U)
    count = int(rng.integers(0, 7))
    quads, colours = _quads(rng, size, rng.random(count) < 0.4), _colours(rng, count)
    # A second face in another light makes a box of each.
    sides = quads[:, [1, 2, 2, 1]]
    sides[:, 2:] += rng.normal(0, 0.06, (count, 1, 2)) * height
    for quad, side, colour in zip(_fixed(quads), _fixed(sides), colours, strict=True):
        cv2.fillConvexPoly(image, quad, colour.tolist(), cv2.LINE_AA, 4)
        cv2.fillConvexPoly(image, side, (colour * 0.7).tolist(), cv2.LINE_AA, 4)
    if rng.random() < 0.7:
        # Directions to the far left and right of the level ground give the horizon.
        ends = camera.project((camera.turn @ np.array([(-1.0, 1.0), (-0.05, -0.05), (-1.0, -1.0)])).T)
        below = np.array([ends[0], ends[1], ends[1] + (0, 4 * height), ends[0] + (0, 4 * height)])
        mask = np.zeros(size, np.uint8)
        cv2.fillConvexPoly(mask, _fixed(below), 255, cv2.LINE_AA, 4)
        dark = _colours(rng, 1)[0]
        floor = _painted(_pattern(rng, size), dark, dark + rng.normal(0, 25) + rng.normal(0, 8, 3))
        cv2.copyTo(floor, mask, image)
    count = int(rng.integers(0, 6))
    ends = _fixed(rng.uniform(-0.2, 1.2, (count, 2, 2)) * size[::-1])
    for (a, b), colour in zip(ends.tolist(), _colours(rng, count).tolist(), strict=True):
        cv2.line(image, a, b, colour, int(rng.integers(1, 4)), cv2.LINE_AA, 4)
    return image


def clutter(rng: np.random.Generator, camera: Camera, size: Size, distance: float) -> Parts:
    """Things that are shaped and shaded like limbs and heads, but are none, `distance` metres away."""
    count = int(rng.integers(0, 6))
    view = np.array([size[1], size[0], 0.0]) * distance / camera.focal
    middle = rng.uniform(-0.6, 0.6, (count, 3)) * view + (0, 0, distance)
    arm = rng.normal(0, 0.1, (count, 3)) * rng.choice([0.2, 1.0, 2.0], (count, 1)) * (1, 1, 0.2) * distance / 4
    axes = np.eye(3) * rng.uniform(0.005, 0.035, (count, 1, 3)) * distance
    things = []
    for _ in range(count):
        (r, g, b), (r2, g2, b2) = _colours(rng, 2).tolist()
        thing = Material((r, g, b), (r2, g2, b2), int(rng.integers(len(textures()))))
        things.append((thing, thing, 2.0))
    nobody = np.zeros(count, dtype=np.uint8)
    return Parts(middle - arm, middle + arm, axes, rng.uniform(0.5, 1.3, count), things, nobody)


def occlude(rng: np.random.Generator, canvas: Canvas, box: Float[np.ndarray, "4"]) -> None:
    """Now and then put bars, boxes or blobs in front of the people, most of them near the main person."""
    for _ in range(int(np.searchsorted((0.55, 0.85), rng.random()))):
        size = canvas.depth.shape
        mask = np.zeros(size, np.uint8)
        kind, spot = rng.random(), box[:2] + box[2:] * rng.uniform(-0.1, 1.1, 2)
        if kind < 0.75:
            quad = _quads(rng, size, np.array([kind < 0.4]))[0]
            cv2.fillConvexPoly(mask, _fixed(quad - quad.mean(axis=0) + spot), 255, cv2.LINE_AA, 4)
        else:
            radii = _fixed(rng.uniform(0.04, 0.2, 2) * max(size))
            cv2.ellipse(
                mask, _fixed(spot).tolist(), radii.tolist(), rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA, 4
            )
        x, y, wide, tall = (int(v) for v in bounds(mask))
        if not wide:
            continue
        window = (slice(y, y + tall), slice(x, x + wide))
        base, other = _colours(rng, 2)
        surface = _painted(_pattern(rng, (tall, wide)), base, base + (other - base) * rng.uniform(0, 0.6))
        alpha = mask[window] / np.float32(255)
        canvas.image[window] = cv2.blendLinear(surface, canvas.image[window], alpha, 1 - alpha)
        solid = alpha > 0.5
        canvas.depth[window][solid] = 0.0
        canvas.owner[window][solid] = 0


@cache
def _grain() -> Float[np.ndarray, "512 512 3"]:
    """Standard normal noise to cut sensor noise from: drawing it afresh would cost more than the people do."""
    return np.random.default_rng(1).standard_normal((512, 512, 3), dtype=np.float32)


def photograph(rng: np.random.Generator, image: Image) -> Image:
    """What a camera makes of it: blur, sensor noise, exposure, white balance, contrast."""
    height, width = image.shape[:2]
    if (blur := float(rng.uniform(-0.4, 1.0))) > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), blur * max(height, width) / 128)
    if (strength := float(rng.uniform(-3, 9))) > 0:
        top, left = rng.integers(0, 256, 2).tolist()
        noise = _grain()[top : top + height, left : left + width]
        if noise.shape[:2] != (height, width):  # an image larger than the stock of noise
            rows, columns = np.arange(top, top + height) % 512, np.arange(left, left + width) % 512
            noise = _grain()[np.ix_(rows, columns)]
        image = cv2.add(image, noise * strength, dtype=cv2.CV_8U)
    gains = np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.06, 3))
    levels = np.linspace(0, 1, 256)[:, None] * gains
    curve = np.minimum(255 * levels ** np.exp(rng.normal(0, 0.2)), 255).astype(np.uint8)
    return cv2.LUT(image, curve[None])
