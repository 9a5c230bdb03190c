"""Faster R-CNN from torchvision's parts, for one class: a pyramid, region proposals, boxes.

Other than in torchvision's own code, detections in a crowd count neither as right nor as wrong, and no compiled
operators are needed. torchvision is an extra: models import this module when they are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from logpose.core.compat import patch_torchvision
from logpose.data.scenes import ScenePeople
from logpose.models.detector import best_of_levels, box_intersections
from logpose.models.heads import exactly
from logpose.models.regions import roi_align

patch_torchvision()
from torchvision.models import resnet  # noqa: E402
from torchvision.models.detection.anchor_utils import AnchorGenerator  # noqa: E402
from torchvision.models.detection.backbone_utils import BackboneWithFPN  # noqa: E402
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead  # noqa: E402
from torchvision.models.detection.image_list import ImageList  # noqa: E402
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads  # noqa: E402
from torchvision.models.detection.roi_heads import RoIHeads  # noqa: E402
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead  # noqa: E402
from torchvision.ops import FrozenBatchNorm2d  # noqa: E402

__all__ = ["BoxHeads", "FrozenBatchNorm2d", "KeypointRCNNHeads", "Proposals", "box_heads", "proposals", "pyramid"]

CROWDED = 0.5  # share of a box's area in a crowd above which it is no negative example
BOX_CELLS = 7  # along a side, of the features that the box head takes
BOX_BETA = 0.5  # of boxes' smooth L1, as in detectron2's keypoint R-CNN
LEAST_SIDE = 1e-2  # of a box, pixels


def nms(
    boxes: Float[Tensor, "N 4"], scores: Float[Tensor, "N"], threshold: float, groups: Int64[Tensor, "N"] | None = None
) -> Int64[Tensor, "M"]:
    """Greedy non-maximum suppression within groups: rows of the boxes (x0, y0, x1, y1) that are kept, best first."""
    if groups is not None and len(boxes):
        # Far apart, so that they cannot overlap.
        boxes = boxes + (groups.to(boxes) * (boxes.max() - boxes.min() + 1))[:, None]
    return torch.ops.torchvision.nms(boxes, scores, threshold)  # type: ignore[no-any-return]


def in_crowd(boxes: Float[Tensor, "N 4"], ignored: Float[Tensor, "M 4"]) -> Tensor:
    """Which boxes lie mostly in one of the areas to be ignored (N,)."""
    area = (boxes[:, 2:] - boxes[:, :2]).clamp_min(0).prod(dim=1)
    return (box_intersections(boxes, ignored) > CROWDED * area[:, None]).any(dim=1)


def pyramid(name: str, channels: int, frozen: bool) -> BackboneWithFPN:
    """A ResNet with a feature pyramid of five levels, strides 4 to 64, with random weights.

    If frozen, normalisation, the stem and the first stage do not learn.
    """
    body = getattr(resnet, name)(weights=None, norm_layer=FrozenBatchNorm2d if frozen else nn.BatchNorm2d)
    if frozen:
        for part in (body.conv1, body.layer1):
            part.requires_grad_(False)
    widths = [body.inplanes // 2 ** (3 - level) for level in range(4)]
    return BackboneWithFPN(body, {f"layer{i + 1}": str(i) for i in range(4)}, widths, channels)


class Proposals(RegionProposalNetwork):  # type: ignore[misc]  # torchvision has no type annotations
    """torchvision's network of region proposals; see the module for what differs."""

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Labels of anchors, positive (1), negative (0) or ignored (-1), and the boxes of their people."""
        labels, boxes = super().assign_targets_to_anchors(anchors, targets)
        for label, own, target in zip(labels, anchors, targets, strict=True):
            label[(label == 0) & in_crowd(own, target["ignored"])] = -1
        return labels, boxes

    def compute_loss(
        self, objectness: Tensor, pred_bbox_deltas: Tensor, labels: list[Tensor], regression_targets: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Losses of objectness and of boxes; 0 where all anchors lie in crowds."""
        if not any((label >= 0).any() for label in labels):
            return 0 * objectness.sum(), 0 * pred_bbox_deltas.sum()
        losses: tuple[Tensor, Tensor] = super().compute_loss(objectness, pred_bbox_deltas, labels, regression_targets)
        return losses

    def filter_proposals(
        self,
        proposals: Tensor,
        objectness: Tensor,
        image_shapes: list[tuple[int, int]],
        num_anchors_per_level: list[int],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The best of every level, suppressed level by level; then the best of all."""
        found: tuple[list[Tensor], list[Tensor]] = ([], [])
        logits_of_all = objectness.detach().reshape(len(proposals), -1)
        for boxes, logits, shape in zip(proposals, logits_of_all, image_shapes, strict=True):
            boxes, scores = self._kept(boxes, logits, num_anchors_per_level, boxes.new_tensor(shape))
            found[0].append(boxes[scores >= 0])
            found[1].append(scores[scores >= 0])
        return found

    def best(self, pixels: Tensor, shape: Tensor, features: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Boxes and scores of as many proposals of one image as there may be; -1 of those that are not there."""
        objectness, deltas = self.head(list(features.values()))
        (anchors,) = self.anchor_generator(ImageList(pixels, [(0, 0)]), [*features.values()])
        logits = [level.permute(0, 2, 3, 1).flatten() for level in objectness]
        moves = [level.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).reshape(-1, 4) for level in deltas]
        boxes = self.box_coder.decode_single(torch.cat(moves), anchors)
        return self._kept(boxes, torch.cat(logits), [level.shape[0] for level in logits], shape)

    def _kept(self, boxes: Tensor, logits: Tensor, counts: Sequence[int], shape: Tensor) -> tuple[Tensor, Tensor]:
        """Of one image's boxes those of `filter_proposals`; a score of -1 have those that are not there."""
        rows, there = best_of_levels(logits, counts, self.pre_nms_top_n())
        boxes, scores = _within(boxes[rows], shape), logits[rows].sigmoid()
        there = there & ((boxes[:, 2:] - boxes[:, :2]) >= self.min_size).all(dim=1) & scores.isfinite()
        groups = torch.arange(len(counts), device=boxes.device).repeat_interleave(self.pre_nms_top_n())
        scores = _survive(boxes, torch.where(there, scores, -1.0), self.nms_thresh, groups)
        best = scores.topk(min(self.post_nms_top_n(), len(scores)))
        return boxes[best.indices], best.values


def proposals(
    channels: int,
    sizes: Sequence[int],
    samples: int,
    pre_nms_top_n: tuple[int, int],
    post_nms_top_n: tuple[int, int],
    ratios: Sequence[float],
    iou_thresholds: tuple[float, float],
) -> Proposals:
    """Region proposals from the pyramid's levels; for the arguments see `mask_rcnn.MaskRCNNOptions`."""
    anchors = AnchorGenerator(tuple((side,) for side in sizes), (tuple(ratios),) * len(sizes))
    before, after = ({"training": n[0], "testing": n[1]} for n in (pre_nms_top_n, post_nms_top_n))
    return Proposals(anchors, RPNHead(channels, len(ratios)), *iou_thresholds, samples, 0.5, before, after, 0.7)


class BoxHeads(RoIHeads):  # type: ignore[misc]
    """torchvision's heads of regions, for one class; the keypoint head is the model's to call."""

    def sampled(
        self, proposals: Sequence[Tensor], people: Sequence[ScenePeople]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """A sample of the proposals and labelled boxes of each image.

        Returns:
            of each image: boxes (n, 4); rows of its people (n,), of no meaning where the label is 0; labels (n,).
        """
        boxes = [person.boxes for person in people]
        with_labelled = self.add_gt_proposals(list(proposals), boxes)
        ones = [torch.ones(len(own), dtype=torch.int64, device=own.device) for own in boxes]
        matched, labels = self.assign_targets_to_proposals(with_labelled, boxes, ones)
        for label, own, person in zip(labels, with_labelled, people, strict=True):
            label[(label == 0) & in_crowd(own, person.ignored)] = -1
        rows = self.subsample(labels)
        chosen = [[column[i][row] for i, row in enumerate(rows)] for column in (with_labelled, matched, labels)]
        return chosen[0], chosen[1], chosen[2]

    def judged(self, levels: Sequence[Tensor], boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits of background and person of each box, and the deltas of the person's box (N, 4)."""
        logits, moves = exactly(self.box_predictor, self.box_head(roi_align(levels, boxes, BOX_CELLS)))
        return logits, moves[:, 4:]

    def box_losses(
        self,
        levels: Sequence[Tensor],
        boxes: Sequence[Tensor],
        people: Sequence[ScenePeople],
        matched: Sequence[Tensor],
        labels: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Cross-entropy of the classes and smooth L1 of positive boxes, both summed, over the number of all boxes."""
        logits, moves = self.judged(levels, boxes)
        label = torch.cat(list(labels))
        positive, rows = label > 0, zip(people, matched, boxes, strict=True)
        truth = torch.cat([person.boxes[row] if len(person.boxes) else own for person, row, own in rows])
        target = self.box_coder.encode_single(truth[positive], torch.cat(list(boxes))[positive])
        apart = F.smooth_l1_loss(moves[positive], target, beta=BOX_BETA, reduction="sum")
        count = max(1, len(label))  # all proposals of a batch may lie in crowds
        return {"classes": F.cross_entropy(logits, label, reduction="sum") / count, "boxes": apart / count}

    def found(
        self, levels: Sequence[Tensor], proposals: Sequence[Tensor], shapes: Sequence[tuple[int, int]]
    ) -> list[tuple[Tensor, Tensor]]:
        """Boxes of people and their scores, of each image, best first."""
        logits, moves = self.judged(levels, proposals)
        scores = logits.softmax(dim=1)[:, 1]
        moved = self.box_coder.decode(moves, list(proposals)).reshape(-1, 4)
        counts = [len(own) for own in proposals]
        people = []
        for boxes, score, shape in zip(torch.split(moved, counts), torch.split(scores, counts), shapes, strict=True):
            boxes = _within(boxes, boxes.new_tensor(shape))
            there = (score > self.score_thresh) & ((boxes[:, 2:] - boxes[:, :2]) >= LEAST_SIDE).all(dim=1)
            boxes, score = boxes[there], score[there]
            kept = nms(boxes, score, self.nms_thresh)[: self.detections_per_img]
            people.append((boxes[kept], score[kept]))
        return people

    def best(
        self, levels: Sequence[Tensor], proposals: Tensor, there: Tensor, shape: Tensor, most: int
    ) -> tuple[Tensor, Tensor]:
        """Boxes and scores of the `most` best people of one image; 0 of those that are not there."""
        logits, moves = self.judged(levels, [proposals])
        boxes = _within(self.box_coder.decode_single(moves, proposals), shape)
        score = torch.where(there, logits.softmax(dim=1)[:, 1], -1.0)
        fine = (score > self.score_thresh) & ((boxes[:, 2:] - boxes[:, :2]) >= LEAST_SIDE).all(dim=1)
        score = _survive(boxes, torch.where(fine, score, -1.0), self.nms_thresh)
        best = score.topk(min(most, self.detections_per_img, len(score)))
        return boxes[best.indices], best.values.clamp_min(0)


def box_heads(channels: int, width: int, samples: int, most: int) -> BoxHeads:
    """Heads of regions with torchvision's thresholds; `samples` proposals of an image in the loss, `most` people."""
    head = TwoMLPHead(channels * BOX_CELLS**2, width)
    return BoxHeads(None, head, FastRCNNPredictor(width, 2), 0.5, 0.5, samples, 0.25, None, 0.05, 0.5, most)


def _within(boxes: Tensor, shape: Tensor) -> Tensor:
    """Boxes clipped to an image of (H, W)."""
    return boxes.view(-1, 2, 2).clamp_min(0).minimum(shape.flip(0)).view(-1, 4)


def _survive(boxes: Tensor, scores: Tensor, threshold: float, groups: Tensor | None = None) -> Tensor:
    """The scores of the boxes that `nms` keeps, and -1 of others; those below 0 suppress none, whatever they are."""
    boxes = torch.where(scores[:, None] < 0, 0.0, boxes)
    kept = torch.zeros_like(scores).index_fill(0, nms(boxes, scores, threshold, groups), 1)
    return torch.where(kept > 0, scores, -1.0)


def image_list(pixels: Tensor, sizes: Tensor) -> Any:
    """Images as torchvision's proposals take them."""
    return ImageList(pixels, [(int(height), int(width)) for height, width in sizes.tolist()])
