"""Resection: the camera that projects known points to known pixels, and the uncertainty of its axes.

A label of pose in space is a position relative to the root, along the camera's axes, so of a camera only the rotation
is part of the labels; a person who hardly moves determines it badly.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float

from logpose.core.cameras import Camera, reprojection_errors
from logpose.core.errors import InputError
from logpose.core.space import relative

__all__ = ["FARTHEST_MEDIAN", "axis_error", "recovered"]

FARTHEST_MEDIAN = 2.0
"""Pixels: points and pixels that are this far apart in the median do not belong together."""
FEWEST = 30  # points that a camera is recovered from; each gives two numbers, and `SOUGHT` are sought
SOUGHT = 15  # numbers of a camera: a turn and a shift of 3 each, focal lengths and principal point of 2, a lens of 5
FLATTEST = 1e-3  # thickness of the cloud of points relative to its length; points in a plane determine no camera
TRIALS, SUBSET, FITTED = 100, 1000, 400  # starts from eight points; points that judge a start, that fit the lens
CELLS = 12  # along an image's side, over which the points that a lens is fitted to are distributed
GOOD = 5.0  # standard deviations of a Gaussian of the same median (1.48 medians each) beyond which a row is wrong
STEPS = 2  # of Gauss and Newton, over all good points; the camera that they start from is close already
STRETCHES, SHORTEST = (10, 40), 10  # fewest and most stretches of frames with independent errors; their fewest frames


def recovered(world: Float[np.ndarray, "N 3"], pixels: Float[np.ndarray, "N 2"], size: tuple[int, int]) -> Camera:
    """The camera that shows points of the world, in any unit, at these pixels of an image of (H, W) (resection).

    The direct linear transform of eight points at a time (Hartley and Zisserman, Multiple View Geometry, 2nd ed.,
    §7.1) gives starts. The one with the least median error (least median of squares, Rousseeuw 1984) separates wrong
    rows from the others, of which there may be a fifth. It is decomposed into R, t and the intrinsic matrix (§6.2.4);
    OpenCV's calibration fits these and a lens to some of the good points from all over the image; steps of Gauss and
    Newton fit them to all of these, so that noise in the pixels is averaged. Rows that are not finite are left out.

    Raises:
        InputError: if there are too few points, they lie in a plane, or the median reprojection error is above
            `FARTHEST_MEDIAN` pixels.
    """
    world, pixels = np.asarray(world, dtype=np.float64), np.asarray(pixels, dtype=np.float64)
    finite = np.isfinite(world).all(axis=1) & np.isfinite(pixels).all(axis=1)
    world, pixels = world[finite], pixels[finite]
    if len(world) < FEWEST:
        raise InputError(f"{len(world)} points, expected at least {FEWEST} to recover a camera")
    extent = np.linalg.svd(np.cov(world.T), compute_uv=False)
    if not extent[2] > (FLATTEST**2) * extent[0] or not np.ptp(pixels, axis=0).all():
        raise InputError("points in a plane or on a line do not determine a camera")
    rng = np.random.default_rng(0)
    some = rng.permutation(len(world))[:SUBSET]
    camera = _start(world[some], pixels[some], rng)
    for _ in range(2):  # the fitted lens separates good rows from wrong ones better than the start could
        good = np.flatnonzero(_agreeing(camera, world, pixels))
        chosen = good[_spread(pixels[good], size, rng)]
        camera = _calibrated(camera, world[chosen], pixels[chosen], size)
    good = np.flatnonzero(_agreeing(camera, world, pixels))
    camera = _refined(camera, world[good], pixels[good])
    median = float(np.median(reprojection_errors(camera, world, pixels)))
    if not median <= FARTHEST_MEDIAN:
        raise InputError(f"no camera fits: median reprojection error {median:.1f} px")
    return camera


def axis_error(
    camera: Camera, world: Float[np.ndarray, "T K 3"], pixels: Float[np.ndarray, "T K 2"], root: int = 0
) -> float:
    """The error of positions relative to the root that a recovered camera's uncertain axes cause.

    To first order the axes turn by P e for errors e of the pixels, P being the rows of the turn in the pseudoinverse of
    the fit's Jacobian. The covariances of two kinds of errors are added up:

    * errors of a joint that are alike in neighbouring frames, and independent between stretches of them: each stretch
      turns the axes by what its residuals do (the sandwich estimator of Liang and Zeger 1986);
    * errors of a joint that are the same in all frames, as of a detector whose hip is not where the markers
      have it. Their variance is that of the joints' mean residuals, with `SOUGHT` degrees of freedom lost. For a person
      who hardly moves no number of frames averages them away.

    Returns:
        Root mean square over frames, which follow each other, and joints, in the unit of `world`; infinite if too few
        points are left.
    """
    good = _agreeing(camera, world, pixels)
    if 2 * (seen := int(good.sum())) <= SOUGHT:
        return np.inf
    residuals = np.zeros(pixels.shape)
    residuals[good] = pixels[good] - camera.project(camera.to_camera(world[good]))
    turn = np.zeros((3, *pixels.shape))  # by how much the axes turn for a pixel's error of 1
    jacobian = _jacobian(camera, world[good])
    if not np.isfinite(jacobian).all():
        return np.inf
    lengths = np.linalg.norm(jacobian, axis=0).clip(min=1e-300)  # to bring columns to one length
    turn[:, good] = (np.linalg.pinv(jacobian / lengths)[:3] / lengths[:3, None]).reshape(3, -1, 2)
    frames, joints = pixels.shape[:2]
    stretches = min(max(frames // SHORTEST, STRETCHES[0]), STRETCHES[1], frames)
    turns = np.einsum("atkd,tkd->tka", turn, residuals)
    turned = np.add.reduceat(turns, np.arange(stretches) * frames // stretches, axis=0)
    covariance = np.einsum("ska,skb->ab", turned, turned) * 2 * seen / (2 * seen - SOUGHT)
    means = residuals.sum(axis=0) / good.sum(axis=0).clip(min=1)[:, None]
    variance = (means**2).sum() / max(2 * joints - SOUGHT, 1)
    of_all = turn.sum(axis=1)
    covariance += variance * np.einsum("akd,bkd->ab", of_all, of_all)
    # A turn w moves a position v by w × v, whose square is |v|² |w|² - (v w)².
    places = relative(camera.to_camera(world), [root]).reshape(-1, 3)
    lever = (places**2).sum() * np.eye(3) - places.T @ places
    return float(np.sqrt((covariance * lever).sum() / len(places)))


def _agreeing(
    camera: Camera, world: Float[np.ndarray, "*N 3"], pixels: Float[np.ndarray, "*N 2"]
) -> Bool[np.ndarray, "*N"]:
    """Which points have a small reprojection error."""
    errors = reprojection_errors(camera, world, pixels)
    good: Bool[np.ndarray, "*N"] = errors <= max(GOOD * 1.4826 * float(np.median(errors)), 1e-3)
    good &= np.isfinite(errors)
    return good


def _jacobian(camera: Camera, world: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "M 15"]:
    """How points' pixels, x and y in turn, change with a turn and a shift in the camera's frame, and with the lens."""
    points = camera.to_camera(world)[:, None]
    found = cv2.projectPoints(points, np.zeros(3), np.zeros(3), camera.matrix, camera.distortion)
    return np.asarray(found[1][:, :SOUGHT])


def _refined(camera: Camera, world: Float[np.ndarray, "N 3"], pixels: Float[np.ndarray, "N 2"]) -> Camera:
    """The camera after some steps of Gauss and Newton, each taken only if it lowers the reprojection error."""
    if not len(world):
        return camera
    least = float((reprojection_errors(camera, world, pixels) ** 2).sum())
    for _ in range(STEPS):
        jacobian = _jacobian(camera, world)
        if not np.isfinite(jacobian).all():  # of a degenerate camera, refused by its reprojection error
            break
        lengths = np.linalg.norm(jacobian, axis=0).clip(min=1e-300)
        residuals = (pixels - camera.project(camera.to_camera(world))).reshape(-1)
        step = np.linalg.lstsq(jacobian / lengths, residuals, rcond=None)[0] / lengths
        turn = cv2.Rodrigues(step[:3])[0]
        rotation, translation = turn @ camera.rotation, turn @ camera.translation + step[3:6]
        focal, centre, lens = camera.focal + step[6:8], camera.centre + step[8:10], camera.distortion + step[10:]
        stepped = Camera(focal, centre, rotation, translation, lens)
        error = float((reprojection_errors(stepped, world, pixels) ** 2).sum())
        if not error < least:
            break
        camera, least = stepped, error
    return camera


def _spread(pixels: Float[np.ndarray, "N 2"], size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Up to `FITTED` rows: one of each cell of the image, then another of each, and so on."""
    rows = rng.permutation(len(pixels))
    column, row = np.clip(pixels[rows] * CELLS / [size[1], size[0]], 0, CELLS - 1).astype(int).T
    cell = row * CELLS + column
    order = np.argsort(cell, kind="stable")
    first = np.searchsorted(cell[order], cell[order])  # of each cell's rows, where the first is
    turn = np.arange(len(rows)) - first
    return rows[order[np.argsort(turn, kind="stable")]][:FITTED]


def _start(world: Float[np.ndarray, "N 3"], pixels: Float[np.ndarray, "N 2"], rng: np.random.Generator) -> Camera:
    """A camera without a lens's distortion that most rows agree with."""
    rows = np.stack([rng.choice(len(world), 8, replace=False) for _ in range(TRIALS)])
    seen = _homogeneous(world) @ np.swapaxes(_linear(world[rows], pixels[rows]), 1, 2)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        errors = np.linalg.norm(seen[..., :2] / seen[..., 2:] - pixels, axis=-1)
    medians = np.median(np.nan_to_num(errors, nan=np.inf), axis=1)
    best, least = errors[medians.argmin()], float(medians.min())
    agreeing = best <= max(GOOD / 2 * 1.4826 * least, 1e-6)
    return _decomposed(_linear(world[agreeing], pixels[agreeing]), world[agreeing])


def _linear(world: Float[np.ndarray, "*B N 3"], pixels: Float[np.ndarray, "*B N 2"]) -> Float[np.ndarray, "*B 3 4"]:
    """The projection matrix by the direct linear transform, its points moved and scaled to mean 0 and length 1."""
    units = [_to_unit(points) for points in (world, pixels)]
    space, plane = (
        _homogeneous(points) @ np.swapaxes(unit, -1, -2) for points, unit in zip((world, pixels), units, strict=True)
    )
    nothing = np.zeros_like(space)
    rows = [[space, nothing, -plane[..., :1] * space], [nothing, space, -plane[..., 1:2] * space]]
    system = np.concatenate([np.concatenate(row, axis=-1) for row in rows], axis=-2)
    smallest = np.linalg.svd(system, full_matrices=False)[2][..., -1, :].reshape(*system.shape[:-2], 3, 4)
    return np.asarray(np.linalg.solve(units[1], smallest) @ units[0])


def _homogeneous(points: Float[np.ndarray, "*B N D"]) -> Float[np.ndarray, "*B N D+1"]:
    return np.concatenate([points, np.ones_like(points[..., :1])], axis=-1)


def _to_unit(points: Float[np.ndarray, "*B N D"]) -> Float[np.ndarray, "*B D+1 D+1"]:
    """The map that takes the points' mean to 0 and their mean distance from it to 1."""
    mean = points.mean(axis=-2)
    scale = 1 / np.linalg.norm(points - mean[..., None, :], axis=-1).mean(axis=-1).clip(min=1e-12)
    unit = np.zeros((*mean.shape[:-1], mean.shape[-1] + 1, mean.shape[-1] + 1))
    unit[..., range(mean.shape[-1]), range(mean.shape[-1])] = scale[..., None]
    unit[..., :-1, -1] = -scale[..., None] * mean
    unit[..., -1, -1] = 1
    return unit


def _decomposed(matrix: Float[np.ndarray, "3 4"], world: Float[np.ndarray, "N 3"]) -> Camera:
    """The camera of a projection matrix, which is K [R | t] up to a factor; K's skew is left out."""
    from scipy.linalg import rq  # type: ignore[import-untyped]

    matrix = matrix * np.sign(np.median(_homogeneous(world) @ matrix[2]))
    if not np.linalg.det(matrix[:, :3]) > 0:
        raise InputError("no camera fits: points or pixels are mirrored")
    upper, rotation = rq(matrix[:, :3])
    signs = np.sign(np.diag(upper))
    upper, rotation = upper * signs, signs[:, None] * rotation
    translation = np.linalg.solve(upper, matrix[:, 3])
    scaled = upper / upper[2, 2]
    return Camera(np.diag(scaled)[:2].copy(), scaled[:2, 2].copy(), rotation, translation)


def _calibrated(
    start: Camera, world: Float[np.ndarray, "N 3"], pixels: Float[np.ndarray, "N 2"], size: tuple[int, int]
) -> Camera:
    """The camera with a lens that fits best, from a start."""
    guess = start.matrix
    guess[:2, 2] = np.clip(guess[:2, 2], 1, [size[1] - 2, size[0] - 2])  # OpenCV takes no others
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-10)
    try:
        _, matrix, lens, turns, moves = cv2.calibrateCamera(
            [world.astype(np.float32)], [pixels.astype(np.float32)], (size[1], size[0]), guess,
            start.distortion.copy(), flags=cv2.CALIB_USE_INTRINSIC_GUESS, criteria=stop,
        )  # fmt: skip
    except cv2.error as error:
        raise InputError(f"no camera fits (OpenCV: {error.err})") from error
    rotation = cv2.Rodrigues(turns[0])[0]
    return Camera(np.diag(matrix)[:2].copy(), matrix[:2, 2].copy(), rotation, moves[0].reshape(3), lens.reshape(-1)[:5])
