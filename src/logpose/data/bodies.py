"""Synthetic people: an articulated body in space, its poses, its clothes and its face.

A body is a tree of rigid segments whose lengths are shares of the stature. A pose is a vector of anatomical angles,
drawn around a typical one and kept within what joints can do. What is painted are the swept ellipsoids of `rendering`
along the segments.

Frames. *Body*: x to the person's left, y up, z forward. *World*: y up, the camera looks along -z. *Camera*: x right,
y down, z away from the camera. Metres; angles in degrees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float

from logpose.data.rendering import Camera, Canvas, Material, Parts, textures, turns

__all__ = ["Actor", "Body", "Figure", "figure", "mirrored", "paint_face", "random_pose"]

Pose = Float[np.ndarray, "26"]
Places = Float[np.ndarray, "27 3"]
Frames = Float[np.ndarray, "13 3 3"]

# --- Poses. Angles in degrees: 9 of the left side, 9 of the right, 8 of the axis -----------------------------------
# side: shoulder forward, sideways, outward turn; elbow; hip forward, sideways, outward turn; knee; ankle (toes down)
# axis: trunk forward, leftward, turn; neck forward, leftward, turn; root forward, root leftward
_SIDE_LIMITS = ((-50, 175), (-5, 160), (-85, 60), (2, 145), (-25, 120), (-8, 50), (-30, 40), (0, 140), (-25, 40))
_AXIS_LIMITS = ((-20, 65), (-25, 25), (-35, 35), (-35, 40), (-25, 25), (-60, 60), (-180, 180), (-180, 180))
_LIMITS = np.array(_SIDE_LIMITS * 2 + _AXIS_LIMITS, dtype=np.float64)
_SPREAD = np.array((16, 11, 18, 18, 8, 5, 7, 9, 7) * 2 + (7, 6, 9, 10, 7, 20, 4, 3), dtype=np.float64)
_ANTISYMMETRIC = (19, 20, 22, 23, 25)  # the axis angles that change sign in a mirror

# What an arm may be doing, with how often: any of these goes with any of the stances below.
_ARMS = (
    (6.0, (0, 10, -10, 15)),  # hanging
    (1.2, (-20, 45, -65, 95)),  # hand on the hip
    (1.0, (35, 5, -65, 100)),  # across the chest
    (1.2, (45, 12, -30, 125)),  # hand at the face
    (1.2, (85, 8, -10, 20)),  # reaching forward
    (1.2, (160, 12, 0, 25)),  # overhead
    (1.2, (0, 88, 0, 15)),  # stretched to the side
    (0.8, (10, 95, 45, 95)),  # waving
    (1.0, (30, 12, -20, 75)),  # carrying
    (0.6, (-35, 12, -30, 35)),  # behind the back
)
# Stances: how often; left leg, right leg; axis.
_STANCES = (
    (5.0, (0, 4, 6, 4, 0), (0, 4, 6, 4, 0), (2, 0, 0, 3, 0, 0, 0, 0)),  # standing
    (1.5, (22, 6, 10, 35, 5), (-3, 7, 8, 3, 0), (3, 3, 6, 3, -3, 0, 0, 3)),  # weight on one leg
    (3.0, (86, 10, 8, 82, 0), (86, 10, 8, 82, 0), (8, 0, 0, 5, 0, 0, -4, 0)),  # sitting
    (1.2, (88, 2, 0, 100, 10), (98, 24, 25, 60, 10), (5, 2, 5, 5, 0, 0, -12, 0)),  # sitting, a leg out
    (1.5, (112, 18, 12, 122, -18), (112, 18, 12, 122, -18), (28, 0, 0, -12, 0, 0, 14, 0)),  # squatting
    (1.5, (68, 6, 0, 18, 15), (-6, 8, 8, 14, 0), (-4, 4, 12, 5, 0, 0, -4, 3)),  # kicking
    (1.2, (78, 5, 5, 85, 0), (-18, 5, 5, 28, -20), (6, 0, 0, 0, 0, 0, 4, 0)),  # lunging
    (1.0, (4, 30, 10, 8, 15), (4, 30, 10, 8, 15), (0, 0, 0, 0, 0, 0, 0, 0)),  # legs apart
    (1.5, (55, 6, 5, 18, 0), (52, 6, 5, 14, 0), (35, 0, 5, -12, 0, 0, 50, 0)),  # bending over
    (0.8, (5, 6, 8, 10, 25), (12, 8, 8, 25, 25), (0, 0, 0, 0, 0, 0, -86, 0)),  # on the back
    (0.5, (5, 5, 8, 10, 30), (8, 5, 8, 30, 30), (-5, 0, 0, -20, 0, 10, 84, 0)),  # on the belly
    (0.7, (30, 4, 0, 45, 20), (12, 6, 0, 25, 20), (8, 4, 0, 5, 5, 0, 0, 86)),  # on a side
    (0.3, (3, 8, 0, 6, 30), (-3, 12, 0, 12, 30), (-4, 0, 0, -25, 0, 0, 180, 0)),  # on the hands
)
_UPRIGHT = [i for i, (_, _, _, axis) in enumerate(_STANCES) if i not in (2, 3, 4) and abs(axis[6]) + abs(axis[7]) < 10]
"""Rows of the stances on one's feet, with the body upright."""

_ARM_CHANCES, _STANCE_CHANCES, _UPRIGHT_CHANCES = (
    np.cumsum([row[0] for row in rows]) / sum(row[0] for row in rows)
    for rows in (_ARMS, _STANCES, [_STANCES[i] for i in _UPRIGHT])
)
"""Sums of the first shares, for `searchsorted` to draw by."""
_GAITS = (0.16, 0.28)  # shares of poses: up to the first walking, up to the second running
_ARMS_SWING = 0.75  # share of walkers and runners whose arms swing with the legs


def random_pose(rng: np.random.Generator, upright: bool = False) -> Pose:
    """A pose from the families above, mirror-symmetric in distribution; `upright` ones stand, walk or run."""
    gait = rng.random()
    left, right = (_ARMS[i][1] for i in np.searchsorted(_ARM_CHANCES, rng.random(2), side="right"))
    if gait < _GAITS[1]:
        running = gait >= _GAITS[0]
        stride, fold, rest = (40, 85, 22) if running else (24, 42, 6)
        phase = rng.uniform(0, 2 * np.pi)
        swing, lift = np.sin(phase), np.cos(phase)
        # The knee folds while its thigh comes forward; each arm swings against its leg.
        legs = [(stride * s + 6, 3, 5, rest + fold * max(0.0, c), 8) for s, c in ((swing, lift), (-swing, -lift))]
        axis = (12 if running else 3, 0, -6 * swing, 0, 0, 0, 4 if running else 0, 0)
        if rng.random() < _ARMS_SWING:
            left, right = ((-stride * s, 9, -12, 88 if running else 22) for s in (swing, -swing))
    else:
        drawn = int(np.searchsorted(_UPRIGHT_CHANCES if upright else _STANCE_CHANCES, rng.random(), side="right"))
        _, one, other, axis = _STANCES[_UPRIGHT[drawn] if upright else drawn]
        legs = [one, other]
        if abs(axis[6]) > 90:  # standing on the hands
            left = right = (172, 8, 0, 6)
    pose = np.array([*left, *legs[0], *right, *legs[1], *axis], dtype=np.float64)
    pose += rng.normal(size=pose.shape) * _SPREAD * rng.uniform(0.5, 1.5)
    if rng.random() < 0.5:
        pose = mirrored(pose)
    return np.clip(pose, _LIMITS[:, 0], _LIMITS[:, 1])


def mirrored(pose: Pose) -> Pose:
    """The pose seen in a mirror: sides change places, leanings and turns change sign."""
    pose = np.concatenate([pose[9:18], pose[:9], pose[18:]])
    pose[list(_ANTISYMMETRIC)] *= -1
    return pose


# --- Bodies --------------------------------------------------------------------------------------------------------
# Points beyond COCO's 17: middle of the hips, waist, base of the neck, middle of the head, then per side the knuckles,
# the toes, and the heel.
_PELVIS, _WAIST, _NECK, _HEAD, _HAND, _TOES, _HEEL = 17, 18, 19, 20, 21, 23, 25
_FACE = np.array([(0, -0.015, 0.062), (0.02, 0.004, 0.046), (-0.02, 0.004, 0.046), (0.041, 0, 0), (-0.041, 0, 0)])
# Frames: pelvis, chest, head, then per side upper arm, forearm, thigh, shin, foot.
_FRAMES = 13


@dataclass(frozen=True)
class Body:
    """The proportions of a person: factors of lengths, which are shares of the stature (Drillis and Contini, 1966)."""

    stature: float = 1.7
    """Metres."""
    girth: float = 1.0
    """Of the thickness of trunk and limbs."""
    arm: float = 1.0
    leg: float = 1.0
    shoulders: float = 1.0
    hips: float = 1.0
    head: float = 1.0

    @staticmethod
    def random(rng: np.random.Generator) -> Body:
        """A grown-up, or now and then a child (whose head is large for its size)."""
        factors = np.exp(rng.normal(0, (0.05, 0.14, 0.04, 0.04, 0.07, 0.07, 0.04)))
        child = rng.random() < 0.12
        stature = 1.71 * factors[0] * (rng.uniform(0.6, 0.85) if child else 1.0)
        arm, leg, shoulders, hips, head = factors[2:].tolist()
        return Body(float(stature), float(factors[1]), arm, leg, shoulders, hips, head * (1.25 if child else 1.0))

    def place(self, pose: Pose, heading: float) -> tuple[Places, Frames]:
        """The points (world frame, lowest one on the ground y = 0) and segment frames of this body in a pose.

        `heading` is the turn about the vertical in degrees; 0 looks into the camera.
        """
        points, frames = np.zeros((27, 3)), np.zeros((_FRAMES, 3, 3))
        tall, wide = self.stature, self.head * self.stature
        bend, lean, twist, nod, tilt, look, fall, topple = pose[18:].tolist()
        angles = [(0, heading, 0), (fall, 0, -topple), (bend / 2, twist / 2, -lean / 2), (nod, look, -tilt)]
        for sign, side in ((1, pose[:9].tolist()), (-1, pose[9:18].tolist())):
            up, out, spin, elbow, lift, spread, roll, knee, ankle = side
            angles += [(-up, sign * spin, sign * out), (-elbow, 0, 0)]
            angles += [(-lift, sign * roll, sign * spread), (knee, 0, 0), (ankle, 0, 0)]
        local = turns(np.array(angles))
        frames[0] = local[0] @ local[1]
        frames[1] = frames[0] @ local[2] @ local[2]
        frames[2] = frames[1] @ local[3]
        # Upper arms hang from the chest and thighs from the hips; the rest follows what it is attached to.
        for parent, child in ((1, 3), (3, 4), (0, 5), (5, 6), (6, 7)):
            above = frames[parent] if parent < 3 else frames[parent::5]
            frames[child::5] = above @ local[child + 1 :: 5]  # left and right are 5 apart
        points[_WAIST] = frames[0] @ (0, 0.11 * tall, 0)
        points[_NECK] = points[_WAIST] + frames[1] @ (0, 0.178 * tall, 0)
        points[_HEAD] = points[_NECK] + frames[1] @ (0, 0.04 * tall, 0) + frames[2] @ (0, 0.072 * wide, 0.014 * wide)
        points[:5] = points[_HEAD] + wide * _FACE @ frames[2].T
        down, ahead = -frames[:, :, 1] * tall, frames[:, :, 2] * tall
        outward = np.array([[1.0], [-1.0]]) * tall
        points[11:13] = outward * (0.055 * self.hips) * frames[0, :, 0]
        # A raised arm lifts its shoulder.
        raised = np.deg2rad(np.maximum(pose[[0, 9]], pose[[1, 10]]) - 90)
        lift = 0.03 * np.maximum(np.sin(raised), 0) - 0.023
        points[5:7] = points[_NECK] + outward * (0.112 * self.shoulders) * frames[1, :, 0] - lift[:, None] * down[1]
        for frame, start, end, length in (
            (3, 5, 7, 0.172 * self.arm),
            (4, 7, 9, 0.150 * self.arm),
            (4, 9, _HAND, 0.045 * self.arm),
            (5, 11, 13, 0.243 * self.leg),
            (6, 13, 15, 0.240 * self.leg),
        ):
            points[end : end + 2] = points[start : start + 2] + down[frame::5] * length
        points[_TOES : _TOES + 2] = points[15:17] + 0.028 * down[7::5] + 0.085 * ahead[7::5]
        points[_HEEL : _HEEL + 2] = points[15:17] + 0.022 * down[7::5] - 0.012 * ahead[7::5]
        points[:, 1] -= points[:, 1].min() - 0.02 * tall
        return points, frames


# Each part: from point, to point, frame, semi-axes (side, along, front) as shares of the stature, taper.
_PAIRED = (
    (5, 7, 3, (0.031, 0.031, 0.031), 0.76),  # upper arm
    (7, 9, 4, (0.024, 0.024, 0.024), 0.68),  # forearm
    (9, _HAND, 4, (0.014, 0.017, 0.020), 1.0),  # hand
    (11, 13, 5, (0.051, 0.051, 0.053), 0.64),  # thigh
    (13, 15, 6, (0.034, 0.034, 0.036), 0.62),  # shin
    (_HEEL, _TOES, 7, (0.023, 0.020, 0.022), 0.85),  # shoe
)
_AXIAL = (
    (_PELVIS, _WAIST, 0, (0.092, 0.055, 0.064), 0.84),  # hips
    (_WAIST, _NECK, 1, (0.080, 0.034, 0.058), 1.16),  # chest
    (5, 6, 1, (0.026, 0.026, 0.030), 1.0),  # shoulders
    (_NECK, _HEAD, 2, (0.029, 0.029, 0.031), 1.0),  # neck
    (_HEAD, _HEAD, 2, (0.044, 0.066, 0.054), 1.0),  # skull and face
    (_HEAD, _HEAD, 2, (0.047, 0.052, 0.052), 1.0),  # hair
    (0, 0, 2, (0.008, 0.013, 0.011), 1.0),  # nose
)
_TABLE = _AXIAL + tuple(
    (a + side, b + side, frame + 5 * side, axes, taper) for side in (0, 1) for a, b, frame, axes, taper in _PAIRED
)
_START, _END, _FRAME, _AXES, _TAPER = (np.array(column) for column in zip(*_TABLE, strict=True))
_SKULL, _HAIR, _NOSE = 4, 5, 6
_HAIR_SHIFT = (0.0, 0.024, -0.017)  # of the hair from the middle of the head: upwards and backwards


@dataclass(frozen=True)
class Actor:
    """A posed body in the directions of a camera, its middle of the hips above the origin."""

    body: Body
    points: Places
    frames: Frames

    @staticmethod
    def random(rng: np.random.Generator, camera: Camera, upright: bool = False) -> Actor:
        """Somebody in some pose, turned any way; `upright`, who stands, walks or runs and roughly faces the camera."""
        faces_us = upright or rng.random() < 0.35
        heading = rng.normal(0, 30 if upright else 45) if faces_us else rng.uniform(-180, 180)
        body = Body.random(rng)
        points, frames = body.place(random_pose(rng, upright), float(heading))
        return Actor(body, points @ camera.turn.T, camera.turn @ frames)


@dataclass
class Figure:
    """A dressed person in front of the camera."""

    joints: Float[np.ndarray, "17 3"]
    """COCO's joints, camera frame, metres."""
    reach: Float[np.ndarray, "17"]
    """How far in front of each joint its own surface may lie, metres; anything closer to the camera hides it."""
    parts: Parts
    skin: Material
    head: float
    """Size of the head, metres: the stature it would belong to."""
    mouth: Float[np.ndarray, "2 3"]
    up: Float[np.ndarray, "3"]
    """Unit vector from the chin to the crown."""


# Nose, eyes, ears; shoulders, elbows, wrists; hips, knees, ankles: shares of the stature at girth 1.
_REACH = np.array(
    [0.016] + [0.012] * 2 + [0.02] * 2 + [0.045] * 2 + [0.038] * 2 + [0.03] * 2 + [0.072] * 2 + [0.045] * 4
)
_SKINS = ((255, 219, 190), (238, 192, 156), (212, 158, 118), (170, 116, 80), (122, 80, 54), (84, 54, 40))
_HAIRS = ((24, 20, 18), (52, 36, 26), (92, 62, 38), (150, 108, 62), (196, 164, 108), (128, 126, 124), (122, 58, 30))


def _cloth(rng: np.random.Generator) -> Material:
    """A garment: any colour, plain or with any pattern."""
    level = rng.uniform(25, 225)
    base = level + rng.normal(0, 32, 3)
    other = rng.uniform(10, 245, 3) if rng.random() < 0.35 else base * rng.uniform(0.55, 0.9) + rng.normal(0, 12, 3)
    pattern = int(rng.integers(len(textures()))) if rng.random() < 0.75 else 0
    (r, g, b), (r2, g2, b2) = np.minimum(np.maximum((base, other), 8), 245).tolist()
    return Material((r, g, b), (r2, g2, b2), pattern, rng.uniform(70, 260))


def figure(rng: np.random.Generator, actor: Actor, place: Float[np.ndarray, "3"], owner: int) -> Figure:
    """Dress a person who stands at a place (camera frame, metres) and goes by the number `owner` on the canvas."""
    body, points, frames = actor.body, actor.points + place, actor.frames
    skin_base = np.array(_SKINS[int(rng.integers(len(_SKINS)))]) * rng.uniform(0.9, 1.0)
    skin = Material(tuple(skin_base.tolist()), tuple((skin_base * 0.88).tolist()))
    tint = np.clip(np.array(_HAIRS[int(rng.integers(len(_HAIRS)))]) + rng.normal(0, 6, 3), 5, 250)
    hair = Material(tuple((tint * 0.75).tolist()), tuple((tint * 1.2).tolist()), 2, 260.0)
    if rng.random() < 0.15:  # a hat
        hair = _cloth(rng)
    elif rng.random() < 0.06:  # bald
        hair = skin
    shirt, trousers, shoe = _cloth(rng), _cloth(rng), replace(_cloth(rng), texture=0)
    if rng.random() < 0.12:  # overall, dress, suit
        trousers = shirt
    # Where sleeves and trouser legs end, as a share of the limb: sleeveless to wrist, shorts to ankle.
    sleeve = (-0.3, 0.55, 0.7, 2.5, 2.5)[int(rng.integers(5))]
    leg = (0.35, 0.8, 1.4, 2.5, 2.5, 2.5)[int(rng.integers(6))]
    arm = [(shirt, skin, sleeve), (shirt, skin, sleeve - 1), (skin, skin, 2.0)]
    side = [*arm, (trousers, skin, leg), (trousers, skin, leg - 1), (shoe, shoe, 2.0)]
    hem = float(rng.uniform(0.2, 1.0))
    axial = [(trousers, shirt, hem), *[(shirt, shirt, 2.0)] * 2, *[(skin, skin, 2.0)] * 2, (hair, hair, 2.0)]
    sizes = _AXES * body.stature * body.girth**0.75
    of_head = [_SKULL, _HAIR, _NOSE]
    sizes[of_head] = _AXES[of_head] * body.stature * body.head
    # Shoulders and hips are as wide as the skeleton is.
    sizes[[0, 1], 0] *= (body.hips * body.shoulders) ** 0.5
    a, b, frame_of = points[_START], points[_END], frames[_FRAME]
    head = body.stature * body.head
    a[_HAIR] = b[_HAIR] = a[_HAIR] + frame_of[_HAIR] @ np.array(_HAIR_SHIFT) * head
    b[1] -= frame_of[1] @ (0.0, 0.05 * body.stature, 0.0)  # the chest ends below the neck
    if rng.random() < 0.3 and hair is not skin:  # long hair falls down the back
        b[_HAIR] = b[_HAIR] - frame_of[_HAIR] @ (0.0, rng.uniform(0.03, 0.11) * head, 0.02 * head)
    owners = np.full(len(_TAPER), owner, dtype=np.uint8)
    parts = Parts(a, b, frame_of * sizes[:, None, :], _TAPER, [*axial, (skin, skin, 2.0), *side, *side], owners)
    mouth = points[_HEAD] + np.array([(0.012, -0.034, 0.045), (-0.012, -0.034, 0.045)]) @ frames[2].T * head
    reach = _REACH * body.stature * body.girth**0.75 + 0.015
    return Figure(points[:17], reach, parts, skin, head, mouth, frames[2][:, 1])


def paint_face(canvas: Canvas, camera: Camera, person: Figure, owner: int) -> None:
    """Draw ears, eyes, brows, nostrils and mouth where the painted head shows them."""
    height, width = canvas.depth.shape
    joints, tall = person.joints, person.head
    up = person.up * tall
    spots = np.concatenate([joints[3:5], joints[1:3], joints[1:3] + 0.013 * up, joints[:1] - 0.009 * up, person.mouth])
    pixels = camera.project(spots)
    columns, rows = np.rint(pixels).astype(int).T
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    columns, rows = columns * inside, rows * inside
    seen = inside & (canvas.owner[rows, columns] == owner)
    seen &= spots[:, 2] <= canvas.depth[rows, columns] + 0.012 * tall
    skin = np.array(person.skin.base)
    size = camera.focal * tall / spots[:, 2]
    fixed = np.rint(pixels * 16).astype(int).tolist()  # OpenCV's fixed point, 4 bits after the comma

    def dot(spot: int, radius: float, colour: Float[np.ndarray, "3"]) -> None:
        cv2.circle(canvas.image, fixed[spot], max(round(16 * radius), 8), colour.tolist(), -1, cv2.LINE_AA, 4)

    for spot in np.flatnonzero(seen[:7]).tolist():
        # As bright as the skin around it is lit.
        lit = min(1.1, float(canvas.image[rows[spot], columns[spot]].sum() / skin.sum()))
        radius = float(size[spot])
        if spot < 2:  # ears
            dot(spot, 0.012 * radius, skin * 0.86 * lit)
            dot(spot, 0.005 * radius, skin * 0.5 * lit)
        elif spot < 4:  # eyes
            if 0.009 * radius > 1:
                dot(spot, 0.009 * radius, np.full(3, 235.0) * max(lit, 0.4))
            dot(spot, 0.0055 * radius, np.array((38.0, 26.0, 22.0)))
        elif spot < 6:  # brows
            dot(spot, 0.005 * radius, skin * 0.42 * lit)
        else:  # nostrils
            dot(spot, 0.005 * radius, skin * 0.48 * lit)
    if seen[7:].all():
        thick = max(1, round(0.007 * float(size[7])))
        cv2.line(canvas.image, fixed[7], fixed[8], (skin * (0.62, 0.36, 0.36)).tolist(), thick, cv2.LINE_AA, 4)
