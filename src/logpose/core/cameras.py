"""Cameras: from the world to the camera's frame, to pixels, and back.

The camera's frame has x to the right, y down and z away from the camera, in the unit of the points that it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Float

from logpose.core.errors import InputError

__all__ = ["IMAGE_SIZE", "Camera", "check_upright", "placed_around", "reprojection_errors"]

Points = Float[np.ndarray, "*N 3"]
Pixels = Float[np.ndarray, "*N 2"]

IMAGE_SIZE = (1000, 1000)
"""(H, W) of the images of `placed_around`; Human3.6M's are 1000×1000 and 1002×1000."""
FOCAL, CENTRE = (1143.0, 1150.0), (501.0, 520.0)
"""Pixels: ranges of the focal lengths and principal points of Human3.6M's four cameras."""
DISTANCE, HEIGHT, NEAREST = (4.0, 6.0), (1.3, 1.7), 2.0
"""Metres: of Human3.6M's cameras from the middle of the scene and above its floor; the least depth of a joint."""
UPRIGHT = 0.25
"""How far the head must be above the ankles in the median over frames, relative to the body's extent."""
FARTHEST = 1e6
"""Metres from the origin of the world within which everything lies."""


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole camera with the lens distortion of Brown and Conrady, as OpenCV and VideoPose3D write it.

    A point X of the world is R X + t in the camera's frame, and (fx x / z + cx, fy y / z + cy) in the image, x / z
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
        return np.asarray(np.asarray(world, dtype=np.float64) @ self.rotation.T + self.translation)

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
        return np.asarray(rays * np.asarray(depth, dtype=np.float64)[..., None])


def reprojection_errors(camera: Camera, world: Points, pixels: Pixels) -> Float[np.ndarray, "*N"]:
    """Pixels between where a camera shows points of the world and where they are seen; infinite for those behind it."""
    distances: Float[np.ndarray, "*N"] = np.linalg.norm(camera.project(camera.to_camera(world)) - pixels, axis=-1)
    return np.where(np.isnan(distances), np.inf, distances)


def placed_around(points: Float[np.ndarray, "T K 3"], count: int, rng: np.random.Generator) -> list[Camera]:
    """Cameras around a person, as in Human3.6M's capture space, with images of `IMAGE_SIZE` pixels.

    They stand at even angles, each moved a little, above the height of the lowest joint, and look at the middle of
    where the person goes, at a distance from which every joint is at least `NEAREST` in front of each and in its image.

    Args:
        points: the person's joints over T frames in the world, whose z axis points up; metres.
        count: of cameras.
        rng: draws angles, distances, heights and lenses.

    Raises:
        InputError: if there are no points, or some are not finite or `FARTHEST` off.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    if not len(points) or not np.abs(points).max() < FARTHEST:
        raise InputError(f"expected at least one point, all within {FARTHEST:g} m, to place cameras around")
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
            ahead = (middle - place) / np.linalg.norm(middle - place)
            right = np.cross(ahead, [0.0, 0.0, 1.0])
            right /= np.linalg.norm(right)
            rotation = np.stack([right, np.cross(ahead, right), ahead])  # upright
            camera = Camera(focal, centre, rotation, -rotation @ place)
            seen = camera.to_camera(points)
            pixels = camera.project(seen)
            if seen[:, 2].min() >= NEAREST and ((pixels >= 0) & (pixels < [IMAGE_SIZE[1], IMAGE_SIZE[0]])).all():
                break
            distance *= 1.05
        cameras.append(camera)
    return cameras


def check_upright(where: str, bodies: Sequence[Float[np.ndarray, "_ K 3"]], head: int, ankles: Sequence[int]) -> None:
    """Check that the z axis points up: by the median over all frames of all sequences, as a person may lie in some.

    Raises:
        InputError: naming `where` the bodies are from, and the axis along which the head is above the ankles, if any.
    """
    if not bodies:
        return
    rise = np.concatenate([body[:, head] - body[:, list(ankles)].mean(axis=1) for body in bodies])
    extent = np.concatenate([np.linalg.norm(np.ptp(body, axis=1), axis=-1) for body in bodies])
    up = np.median(rise / np.maximum(extent, 1e-9)[:, None], axis=0)
    axis = int(np.abs(up).argmax())
    if up[2] >= UPRIGHT or (axis == 2 and up[2] >= 0):  # the latter of people who lie about in all directions
        return
    along = "no axis" if np.abs(up[axis]) < UPRIGHT else f"{'-' if up[axis] < 0 else ''}{'xyz'[axis]}"
    raise InputError(f"{where}: the head is above the ankles along {along} in most frames, expected z")
