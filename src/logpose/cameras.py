"""Cameras: from the world to the camera's frame, to pixels, and back.

The camera's frame has x to the right, y down and z away from the camera, in the unit of the points that it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Float

from logpose.structures import InputError

__all__ = ["FARTHEST_MEDIAN", "PICTURE", "Camera", "check_upright", "placed_around", "recovered", "reprojection_errors"]

Points = Float[np.ndarray, "*N 3"]
Pixels = Float[np.ndarray, "*N 2"]

FARTHEST_MEDIAN = 2.0
"""Pixels: points and pixels that are this far apart in the median do not belong together."""
FEWEST = 30
"""Points that a camera is recovered from; each gives two numbers, and 15 are sought."""
FLATTEST = 1e-3
"""Thickness of the cloud of points relative to its length; points in a plane do not determine a camera."""
TRIALS, SUBSET, FITTED = 100, 1000, 400
"""Starts from eight points, points that each start is judged by, points that the lens is fitted to."""
CELLS = 12
"""A picture's side in cells over which the points that a lens is fitted to are spread."""
GOOD = 5.0
"""Standard deviations of a Gaussian with the same median (1.48 medians each) beyond which a row is taken as wrong."""

PICTURE = (1000, 1000)
"""(H, W) of the pictures of `placed_around`; Human3.6M's are 1000×1000 and 1002×1000."""
FOCAL, CENTRE = (1143.0, 1150.0), (501.0, 520.0)
"""Pixels: ranges of the focal lengths and principal points of Human3.6M's four cameras."""
DISTANCE, HEIGHT, NEAREST = (4.0, 6.0), (1.3, 1.7), 2.0
"""Metres: of Human3.6M's cameras from the middle of the room and above its floor; the least depth of a joint."""
UPRIGHT = 0.25
"""How far the head must be above the ankles in the median over frames, relative to the body's extent."""
FARTHEST = 1e6
"""Metres from the origin of the world that nobody is at."""


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole camera with the lens distortion of Brown and Conrady, as OpenCV and VideoPose3D write it.

    A point X of the world is R X + t in the camera's frame, and (fx x / z + cx, fy y / z + cy) in the picture, x / z
    and y / z moved by the distortion before.

    Attributes:
        focal: fx, fy in pixels.
        centre: principal point cx, cy in pixels.
        rotation: R.
        translation: t, in the unit of the points.
        distortion: k1, k2, p1, p2, k3.
    """

    focal: Float[np.ndarray, "2"]
    centre: Float[np.ndarray, "2"]
    rotation: Float[np.ndarray, "3 3"] = field(default_factory=lambda: np.eye(3))
    translation: Float[np.ndarray, "3"] = field(default_factory=lambda: np.zeros(3))
    distortion: Float[np.ndarray, "5"] = field(default_factory=lambda: np.zeros(5))

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        """The intrinsic matrix."""
        return np.array([[self.focal[0], 0, self.centre[0]], [0, self.focal[1], self.centre[1]], [0, 0, 1.0]])

    def to_camera(self, world: Points) -> Points:
        """Points of the world in the camera's frame."""
        placed: Points = np.asarray(world, dtype=np.float64) @ self.rotation.T + self.translation
        return placed

    def project(self, points: Points) -> Pixels:
        """Pixels of points in the camera's frame; those that are not in front of it (z <= 0) have none, so NaN."""
        points = np.asarray(points, dtype=np.float64)
        flat = points.reshape(-1, 3)
        ahead = flat[:, 2] > 0
        safe = np.where(ahead[:, None], flat, [0.0, 0.0, 1.0])
        pixels = cv2.projectPoints(safe[:, None], np.zeros(3), np.zeros(3), self.matrix, self.distortion)[0][:, 0]
        return np.where(ahead[:, None], pixels, np.nan).reshape(*points.shape[:-1], 2)

    def back_project(self, pixels: Pixels, depth: Float[np.ndarray, "*N"]) -> Points:
        """Points in the camera's frame that are seen at `pixels` and lie at the depths z (back-projection)."""
        pixels = np.asarray(pixels, dtype=np.float64)
        flat = pixels.reshape(-1, 1, 2)
        slopes = cv2.undistortPoints(flat, self.matrix, self.distortion)[:, 0] if len(flat) else flat[:, 0]
        rays = np.concatenate([slopes, np.ones((len(slopes), 1))], axis=1).reshape(*pixels.shape[:-1], 3)
        points: Points = rays * np.asarray(depth, dtype=np.float64)[..., None]
        return points


def reprojection_errors(camera: Camera, world: Points, pixels: Pixels) -> Float[np.ndarray, "*N"]:
    """Pixels between where a camera shows points of the world and where they are seen; infinite for those behind it."""
    distances: Float[np.ndarray, "*N"] = np.linalg.norm(camera.project(camera.to_camera(world)) - pixels, axis=-1)
    return np.where(np.isnan(distances), np.inf, distances)


def recovered(world: Float[np.ndarray, "N 3"], pixels: Float[np.ndarray, "N 2"], size: tuple[int, int]) -> Camera:
    """The camera that shows points of the world at these pixels (resection).

    The direct linear transform of eight points at a time (Hartley and Zisserman, Multiple View Geometry, 2nd ed.,
    §7.1) gives starts. The one with the least median error (least median of squares, Rousseeuw 1984) tells wrong rows
    from the others, of which there may be a fifth. It is taken apart into R, t and the intrinsic matrix (§6.2.4), and
    OpenCV's calibration fits these and a lens to some of the good points, spread over the picture.

    Args:
        world: points in the world, in any unit; rows that are not finite are left out.
        pixels: where they are seen.
        size: (H, W) of the picture.

    Returns:
        The camera, its translation in the unit of `world`.

    Raises:
        InputError: if there are too few points, they lie in a plane, or no camera shows them to within
            `FARTHEST_MEDIAN` pixels in the median.
    """
    world, pixels = np.asarray(world, dtype=np.float64), np.asarray(pixels, dtype=np.float64)
    finite = np.isfinite(world).all(axis=1) & np.isfinite(pixels).all(axis=1)
    world, pixels = world[finite], pixels[finite]
    if len(world) < FEWEST:
        raise InputError(f"a camera is recovered from at least {FEWEST} points, not from {len(world)}")
    extent = np.linalg.svd(np.cov(world.T), compute_uv=False)
    if not extent[2] > (FLATTEST**2) * extent[0] or not np.ptp(pixels, axis=0).all():
        raise InputError("points in a plane, on a line or in one place do not determine a camera")
    rng = np.random.default_rng(0)
    some = rng.permutation(len(world))[:SUBSET]
    camera = _start(world[some], pixels[some], rng)
    for _ in range(2):  # the fitted lens tells good rows from wrong ones more sharply than the start could
        errors = reprojection_errors(camera, world, pixels)
        good = np.flatnonzero(errors <= max(GOOD * 1.4826 * float(np.median(errors)), 1e-3))
        chosen = good[_spread(pixels[good], size, rng)]
        camera = _calibrated(camera, world[chosen], pixels[chosen], size)
    median = float(np.median(reprojection_errors(camera, world, pixels)))
    if not median <= FARTHEST_MEDIAN:
        raise InputError(f"no camera shows these points at these pixels: the best is {median:.1f} px off in the median")
    return camera


def _spread(pixels: Float[np.ndarray, "N 2"], size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Up to `FITTED` rows: one of each cell of the picture, then another of each, and so on."""
    rows = rng.permutation(len(pixels))
    column, row = np.clip(pixels[rows] * CELLS / [size[1], size[0]], 0, CELLS - 1).astype(int).T
    cell = row * CELLS + column
    order = np.argsort(cell, kind="stable")
    first = np.searchsorted(cell[order], cell[order])  # of each cell's rows, where the first is
    turn = np.arange(len(rows)) - first
    return rows[order[np.argsort(turn, kind="stable")]][:FITTED]


def _start(world: Float[np.ndarray, "N 3"], pixels: Float[np.ndarray, "N 2"], rng: np.random.Generator) -> Camera:
    """A camera without a lens's distortion that most rows agree with."""
    best, least = np.zeros(0), np.inf
    for _ in range(TRIALS):
        rows = rng.choice(len(world), 8, replace=False)
        seen = _homogeneous(world) @ _linear(world[rows], pixels[rows]).T
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            errors = np.linalg.norm(seen[:, :2] / seen[:, 2:] - pixels, axis=1)
        if (median := float(np.median(np.nan_to_num(errors, nan=np.inf)))) < least:
            best, least = errors, median
    agreeing = best <= max(GOOD / 2 * 1.4826 * least, 1e-6)
    return _decomposed(_linear(world[agreeing], pixels[agreeing]), world[agreeing])


def _linear(world: Float[np.ndarray, "N 3"], pixels: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "3 4"]:
    """The projection matrix by the direct linear transform, its points moved and scaled to mean 0 and length 1."""
    units = [_to_unit(points) for points in (world, pixels)]
    space, plane = (_homogeneous(points) @ unit.T for points, unit in zip((world, pixels), units, strict=True))
    nothing = np.zeros_like(space)
    rows = [[space, nothing, -plane[:, :1] * space], [nothing, space, -plane[:, 1:2] * space]]
    smallest = np.linalg.svd(np.block(rows), full_matrices=False)[2][-1]
    matrix: Float[np.ndarray, "3 4"] = np.linalg.solve(units[1], smallest.reshape(3, 4)) @ units[0]
    return matrix


def _homogeneous(points: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D+1"]:
    return np.concatenate([points, np.ones((len(points), 1))], axis=1)


def _to_unit(points: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "D+1 D+1"]:
    """The map that takes the points' mean to 0 and their mean distance from it to 1."""
    mean = points.mean(axis=0)
    scale = 1 / np.linalg.norm(points - mean, axis=1).mean().clip(min=1e-12)
    unit = np.diag([*np.full(len(mean), scale), 1.0])
    unit[:-1, -1] = -scale * mean
    return unit


def _decomposed(matrix: Float[np.ndarray, "3 4"], world: Float[np.ndarray, "N 3"]) -> Camera:
    """The camera of a projection matrix, which is K [R | t] up to a factor; K's skew is left out.

    Raises:
        InputError: if the points would lie behind the camera unless the picture were mirrored.
    """
    from scipy.linalg import rq  # type: ignore[import-untyped]

    matrix = matrix * np.sign(np.median(_homogeneous(world) @ matrix[2]))
    if not np.linalg.det(matrix[:, :3]) > 0:
        raise InputError("no camera shows these points at these pixels, unless one of both is mirrored")
    upper, rotation = rq(matrix[:, :3])
    signs = np.sign(np.diag(upper))
    upper, rotation = upper * signs, signs[:, None] * rotation
    translation = np.linalg.solve(upper, matrix[:, 3])
    scaled = upper / upper[2, 2]
    return Camera(np.diag(scaled)[:2].copy(), scaled[:2, 2].copy(), rotation, translation)


def _calibrated(
    start: Camera, world: Float[np.ndarray, "N 3"], pixels: Float[np.ndarray, "N 2"], size: tuple[int, int]
) -> Camera:
    """The camera with a lens that fits best, from a start.

    Raises:
        InputError: if OpenCV finds none.
    """
    guess = start.matrix
    guess[:2, 2] = np.clip(guess[:2, 2], 1, [size[1] - 2, size[0] - 2])  # OpenCV takes no others
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-10)
    try:
        _, matrix, lens, turns, moves = cv2.calibrateCamera(
            [world.astype(np.float32)], [pixels.astype(np.float32)], (size[1], size[0]), guess,
            start.distortion.copy(), flags=cv2.CALIB_USE_INTRINSIC_GUESS, criteria=stop,
        )  # fmt: skip
    except cv2.error as error:
        raise InputError(f"no camera shows these points at these pixels (OpenCV: {error.err})") from error
    rotation = cv2.Rodrigues(turns[0])[0]
    return Camera(np.diag(matrix)[:2].copy(), matrix[:2, 2].copy(), rotation, moves[0].reshape(3), lens.reshape(-1)[:5])


def placed_around(points: Float[np.ndarray, "T K 3"], count: int, rng: np.random.Generator) -> list[Camera]:
    """Cameras around a person, as Human3.6M's stand around its room, that see pictures of `PICTURE` pixels.

    They stand at even angles, each moved a little, above the height of the lowest joint, and look at the middle of
    where the person goes. Where the person walks far they stand farther off, so that every joint is at least `NEAREST`
    in front of each and within its picture.

    Args:
        points: the person's joints over T frames in the world, whose z axis points up; metres.
        count: of cameras.
        rng: draws angles, distances, heights and lenses; the same state places the same cameras.

    Raises:
        InputError: if there are no points, or some are not finite or `FARTHEST` off.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    if not len(points) or not np.abs(points).max() < FARTHEST:
        raise InputError(f"cameras are placed around points, at least one, and none {FARTHEST:g} m off or more")
    low, high = points.min(axis=0), points.max(axis=0)
    middle = (low + high) / 2
    angles = rng.uniform(0, 2 * np.pi) + 2 * np.pi * (np.arange(count) + rng.uniform(-0.1, 0.1, count)) / count
    cameras = []
    for angle in angles:
        focal, centre = rng.uniform(*FOCAL, 2), rng.uniform(*CENTRE, 2)
        distance, height = rng.uniform(*DISTANCE), rng.uniform(*HEIGHT)
        while True:
            place = middle + distance * np.array([np.cos(angle), np.sin(angle), 0])
            place[2] = low[2] + height
            camera = _looking(place, middle, focal, centre)
            seen = camera.to_camera(points)
            pixels = camera.project(seen)
            if seen[:, 2].min() >= NEAREST and ((pixels >= 0) & (pixels < [PICTURE[1], PICTURE[0]])).all():
                break
            distance *= 1.05
        cameras.append(camera)
    return cameras


def check_upright(where: str, bodies: Sequence[Float[np.ndarray, "_ K 3"]], head: int, ankles: Sequence[int]) -> None:
    """The z axis must point up; somebody may lie in some frames, so the median over all of them tells.

    Args:
        where: the bodies are from, for the message.
        bodies: each sequence's joints in the world.
        head: which joint.
        ankles: which joints.

    Raises:
        InputError: if the head is not above the ankles, naming the axis along which it is.
    """
    if not bodies:
        return
    rise = np.concatenate([body[:, head] - body[:, list(ankles)].mean(axis=1) for body in bodies])
    extent = np.concatenate([np.linalg.norm(np.ptp(body, axis=1), axis=-1) for body in bodies])
    up = np.median(rise / np.maximum(extent, 1e-9)[:, None], axis=0)
    axis = int(np.abs(up).argmax())
    if up[2] < UPRIGHT and (axis != 2 or up[2] < 0):
        told = f"{'-' if up[axis] < 0 else ''}{'xyz'[axis]}"
        raise InputError(f"{where}: the head is above the ankles along {told} in most frames, where z must point up")


def _looking(
    place: Float[np.ndarray, "3"],
    at: Float[np.ndarray, "3"],
    focal: Float[np.ndarray, "2"],
    centre: Float[np.ndarray, "2"],
) -> Camera:
    """An upright camera at a place of the world that looks at another, which is not straight above or below it."""
    ahead = (at - place) / np.linalg.norm(at - place)
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(ahead, right), ahead])
    return Camera(focal, centre, rotation, -rotation @ place)
