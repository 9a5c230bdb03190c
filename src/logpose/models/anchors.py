"""Poses as anchors of point-set anchors (Wei et al. 2020): templates, similarities and assignment, as pure functions.

An *anchor* is a whole pose: a copy of one template at a cell of a level of features.

    A  anchors        M  labelled people in an image        P  points of an anchor at which features are read

All coordinates are pixels of the network's input. A cell i of features with a stride of s pixels lies at pixel i s, the
centre of the field of view of strided convolutions with padding.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from logpose.core.skeletons import COCO, Skeleton

__all__ = [
    "Assignment",
    "anchor_poses",
    "assign",
    "bounds",
    "box_deltas",
    "default_template",
    "greedy",
    "inside",
    "mean_pose",
    "moved_boxes",
    "read_joints",
    "similarity",
]

Poses = Float[Tensor, "A K 2"]
Boxes = Float[Tensor, "A 4"]

POINTS = 9  # points at which features are read: as many as a 3×3 convolution has taps
# Features are read at both joints of each of these, and at the first of the head's that there is.
READ = ("elbow", "wrist", "knee", "ankle")
HEADS = ("nose", "head", "neck")
LARGEST_GROWTH = math.log(1000 / 16)
"""Largest logarithm of a box's size relative to its anchor's (Girshick 2015's code)."""
LEAST_SIDE = 1.0  # least side of an anchor's box, pixels

_BODY = {
    **{"nose": (0.0, -0.39), "eye": (0.02, -0.41), "ear": (0.04, -0.41), "shoulder": (0.10, -0.27)},
    **{"elbow": (0.15, -0.16), "wrist": (0.14, -0.11), "hip": (0.05, 0.0), "knee": (0.08, 0.22), "ankle": (0.09, 0.41)},
}
"""Mean pose of people who stand, walk or run (252 of `data.synthetic`'s easy kind, each also mirrored): the right-hand
side of the image, relative to the middle of the hips and to the diagonal of the joints' bounding box."""


def default_template(skeleton: Skeleton) -> Float[Tensor, "K 2"]:
    """The anchor's pose before training, as of `mean_pose`: upright for COCO's joints, else a circle of diameter 1."""
    if skeleton.joints != COCO.joints:
        turn = torch.arange(len(skeleton)) * (2 * math.pi / len(skeleton))
        return torch.stack([turn.sin(), -turn.cos()], dim=-1) / 2
    sides = {"left": 1.0, "right": -1.0}  # in an image of a person who faces the camera
    parts = [joint.rpartition("_") for joint in skeleton.joints]
    return torch.tensor([(_BODY[part][0] * sides.get(side, 0.0), _BODY[part][1]) for side, _, part in parts])


def mean_pose(
    keypoints: Float[Tensor, "M K 2"], weight: Float[Tensor, "M K"], skeleton: Skeleton
) -> Float[Tensor, "K 2"]:
    """The mean of labelled poses and, where left and right joints are known, of their mirror images: anchors' template.

    Each is taken relative to its centre (the middle of the hips; of all joints where a skeleton has no hips) and to the
    diagonal of its joints' bounding box. People with all joints count, or else all who have a centre; a joint that none
    of them has is the default's.
    """
    labelled = (weight > 0) & keypoints.isfinite().all(dim=-1)
    hips = [joint for side in ("left", "right") for joint in skeleton.joints_of(side, ["hip"])]
    centred = hips if len(hips) == 2 else list(range(len(skeleton)))
    usable = labelled[:, centred].all(dim=1) & (labelled.sum(dim=1) > 1)
    complete = usable & labelled.all(dim=1)
    usable = complete if complete.any() else usable
    keypoints, labelled = keypoints[usable].double(), labelled[usable]
    if not len(keypoints):
        return default_template(skeleton)
    diagonal = _diagonal_squared(bounds(keypoints, labelled)).sqrt()
    sized = diagonal > 0
    centre = keypoints[:, centred].mean(dim=1, keepdim=True)
    poses, labelled = ((keypoints - centre) / diagonal[:, None, None])[sized], labelled[sized]
    if skeleton.mirrors:
        flip = list(skeleton.flip_index)
        poses = torch.cat([poses, poses[:, flip] * poses.new_tensor([-1, 1])])
        labelled = torch.cat([labelled, labelled[:, flip]])
    total = torch.where(labelled[..., None], poses, 0).sum(dim=0)
    count = labelled.sum(dim=0)[:, None]
    return torch.where(count > 0, total / count.clamp_min(1), default_template(skeleton).to(total)).float()


def read_joints(skeleton: Skeleton, template: Float[Tensor, "K 2"]) -> tuple[int, ...]:
    """The nine joints at which an anchor's features are read.

    Elbows, wrists, knees, ankles and the nose, as in Wei et al. (2020); of skeletons without a nose something else of
    the head. Of any other skeleton nine joints that lie far apart in the template (some repeatedly, if it has fewer):
    the one most distant from its mean, then always the one most distant from those before.
    """
    heads = [i for part in HEADS for i, joint in enumerate(skeleton.joints) if part in joint.lower()]
    limbs = [joint for part in READ for side in ("left", "right") for joint in skeleton.joints_of(side, [part])]
    if heads and len(limbs) == POINTS - 1 == len(set(limbs)):
        return (heads[0], *limbs)
    chosen: list[int] = []
    away = (template - template.mean(dim=0)).square().sum(dim=1)
    for _ in range(min(POINTS, len(skeleton))):
        away[chosen] = -1
        chosen.append(int(away.argmax()))
        from_last = (template - template[chosen[-1]]).square().sum(dim=1)
        away = from_last if len(chosen) == 1 else torch.minimum(away, from_last)
    return tuple(chosen[i % len(chosen)] for i in range(POINTS))


def anchor_poses(template: Float[Tensor, "K 2"], size: tuple[int, int], stride: int, scale: float) -> Poses:
    """A copy of the template at every cell of a level of (h, w), row by row; stride and scale in pixels."""
    rows, columns = (torch.arange(count, device=template.device, dtype=template.dtype) * stride for count in size)
    cells = torch.cartesian_prod(rows, columns).flip(-1)  # x, y
    return cells[:, None] + template * scale


def bounds(keypoints: Float[Tensor, "*N K 2"], labelled: Bool[Tensor, "*N K"] | None = None) -> Float[Tensor, "*N 4"]:
    """Left, top, right and bottom of poses; of those without a labelled joint all 0."""
    if labelled is None:
        return torch.cat([keypoints.amin(dim=-2), keypoints.amax(dim=-2)], dim=-1)
    low = torch.where(labelled[..., None], keypoints, math.inf).amin(dim=-2)
    high = torch.where(labelled[..., None], keypoints, -math.inf).amax(dim=-2)
    return torch.where(labelled.any(dim=-1, keepdim=True), torch.cat([low, high], dim=-1), 0)


def _diagonal_squared(boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N"]:
    return (boxes[:, 2:] - boxes[:, :2]).square().sum(dim=1)


def similarity(
    anchors: Poses, keypoints: Float[Tensor, "M K 2"], weight: Float[Tensor, "M K"], sigmas: Float[Tensor, "K"]
) -> Float[Tensor, "A M"]:
    """Object keypoint similarity of every anchor with every labelled pose, over the joints that are labelled.

    The area is that of Wei et al.'s code: width² + height² of the joints' bounding box, the mean of both poses'. The
    similarity with a person without labels is 0.
    """
    labelled = (weight > 0) & keypoints.isfinite().all(dim=-1)
    keypoints = torch.where(labelled[..., None], keypoints, 0)
    of_anchor, of_person = _diagonal_squared(bounds(anchors)), _diagonal_squared(bounds(keypoints, labelled))
    area = (of_anchor[:, None] + of_person) / 2
    area = area.clamp_min(torch.finfo(area.dtype).eps)  # poses of a single point divide nothing
    total = torch.zeros_like(area)
    for joint, sigma in enumerate(sigmas.tolist()):  # one at a time: all at once take K times the memory
        squared = (anchors[:, None, joint] - keypoints[:, joint]).square().sum(dim=-1)
        total += torch.exp(-squared / (2 * area * (2 * sigma) ** 2)) * labelled[:, joint]
    return total / labelled.sum(dim=1).clamp_min(1)


def greedy(
    poses: Float[Tensor, "N K 2"],
    scores: Float[Tensor, "N"],
    sigmas: Float[Tensor, "K"],
    threshold: float,
    most: int,
) -> tuple[Int64[Tensor, "M"], Float[Tensor, "M"]]:
    """Non-maximum suppression by OKS as of `metrics.oks.oks_nms`, without a shape or a branch that depends on values.

    Args:
        poses: positions in pixels.
        scores: 0 of poses that do not count.
        sigmas: of OKS, of each joint.
        threshold: poses more alike than this to a better one are left out.
        most: M.

    Returns:
        rows and scores, best first; once none is left the scores are 0.
    """
    corners = bounds(poses)
    area = (corners[:, 2:] - corners[:, :2]).prod(dim=1)
    rows, values = [], []
    for _ in range(most):
        score, best = scores.max(dim=0, keepdim=True)
        rows.append(best)
        values.append(score)
        squared = (poses - poses[best]).square().sum(dim=-1)
        variance = (2 * sigmas) ** 2 * ((area + area[best]) / 2 + torch.finfo(area.dtype).tiny)[:, None]
        alike = torch.exp(-squared / (2 * variance)).mean(dim=1)
        scores = torch.where(alike > threshold, 0.0, scores)
        scores = scores.index_fill(0, best, 0.0)
    return torch.cat(rows), torch.cat(values)


class Assignment(NamedTuple):
    """The target of each anchor of an image: a person, background, or none."""

    person: Int64[Tensor, "A"]
    """Row of the person of each positive anchor; of other anchors it means nothing."""
    positive: Bool[Tensor, "A"]
    """Those of a person."""
    negative: Bool[Tensor, "A"]
    """Background; anchors that are neither take no part in the loss."""


def assign(
    alike: Float[Tensor, "A M"],
    positive: float = 0.5,
    negative: float = 0.4,
    forced: int = 9,
    ignored: Bool[Tensor, "A"] | None = None,
) -> Assignment:
    """Assign anchors to people, by their similarity.

    An anchor belongs to the most similar person, if at least `positive`; it is negative if below `negative` to everyone
    and not ignored. The `forced` anchors that are most similar to a person belong to that person in any case; one that
    several people ask for, to the most similar of them.
    """
    anchors, people = alike.shape
    free = alike.new_zeros(anchors, dtype=torch.bool) if ignored is None else ignored
    if not (anchors and people):
        return Assignment(free.long() * 0, torch.zeros_like(free), ~free)
    best, person = alike.max(dim=1)
    asked = torch.zeros_like(alike, dtype=torch.bool)
    asked.scatter_(0, alike.topk(min(forced, anchors), dim=0).indices, True)
    is_asked = asked.any(dim=1)
    person = torch.where(is_asked, torch.where(asked, alike, -1).argmax(dim=1), person)
    is_positive = is_asked | (best >= positive)
    return Assignment(person, is_positive, (best < negative) & ~is_positive & ~free)


def inside(points: Float[Tensor, "A 2"], boxes: Float[Tensor, "I 4"]) -> Bool[Tensor, "A I"]:
    """Whether each point lies in each box or on its edge."""
    return ((points[:, None] >= boxes[:, :2]) & (points[:, None] <= boxes[:, 2:])).all(dim=-1)


def box_deltas(anchors: Boxes, boxes: Boxes) -> Boxes:
    """Regression targets: shift of the centre in units of the anchor's size, and logarithm of the relative size."""
    middle, size = _middle_and_size(anchors)
    wanted, wanted_size = _middle_and_size(boxes)
    return torch.cat([(wanted - middle) / size, (wanted_size / size).log()], dim=-1)


def moved_boxes(anchors: Boxes, deltas: Boxes) -> Boxes:
    """The inverse of `box_deltas`, for boxes of a pixel or more a side."""
    middle, size = _middle_and_size(anchors)
    middle = middle + deltas[:, :2] * size
    half = size * deltas[:, 2:].clamp(-LARGEST_GROWTH, LARGEST_GROWTH).exp() / 2
    return torch.cat([middle - half, middle + half], dim=-1)


def _middle_and_size(boxes: Boxes) -> tuple[Tensor, Tensor]:
    return (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).clamp_min(LEAST_SIDE)
