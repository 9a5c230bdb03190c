"""Point-set anchors (Wei et al. 2020), by L1 or by RLE (the paper, Table 2d): people detected as poses, not in boxes.

Every cell of three levels has one anchor, the mean pose of the training data. Three towers of convolutions predict
whether a person is there, the distances of its joints from the anchor's, and its box; before the last layer features
are read at nine of the anchor's points (*shape-indexed*). A second stage repeats this from the poses of the first. At
inference the regressed joints are snapped to the peaks of maps predicted beside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.structures import KeypointLoss, LossDict, Prediction
from logpose.data.scenes import SceneBatch
from logpose.metrics.oks import oks_nms
from logpose.models import anchors
from logpose.models.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone
from logpose.models.detector import Detections, Detector, best_of_levels, nobody
from logpose.models.heads import prediction_of, sigma_of
from logpose.models.options import PointSetOptions
from logpose.models.peaks import PEAKS, PeakBranch, peak_losses, snapped
from logpose.models.pose_model import COARSEST, JointOutputs
from logpose.models.towers import Stage, StageOutput, focal_loss, pyramid_on

__all__ = ["PointSetAnchors", "PointSetOptions"]

L1_WEIGHT = 10.0  # of the joints' loss, when that is L1 (Wei et al.'s code)
BOX_BETA = 0.11  # of the boxes' smooth L1: errors above it count by their absolute value (Wei et al.'s code)


class Grid(NamedTuple):
    """The anchors of all levels, one after another."""

    poses: Float[Tensor, "A K 2"]
    cells: Float[Tensor, "A 2"]
    scale: Float[Tensor, "A"]
    """Pixels to the anchor's unit."""
    sizes: list[tuple[int, int]]
    """(h, w) of the levels."""

    def counts(self) -> list[int]:
        """Of the anchors of each level."""
        return [height * width for height, width in self.sizes]

    def split(self, of_anchors: Shaped[Tensor, "B A *rest"]) -> Iterator[tuple[int, Tensor]]:
        """The number of each level, and the part of its anchors."""
        yield from enumerate(torch.split(of_anchors, self.counts(), dim=1))


class PointSetAnchors(Detector):
    """Point-set anchors on a pyramid.

    Args:
        backbone: a ResNet, or an HRNet with all branches.
        skeleton: the joints that are predicted.
        predicts_sigma: whether sigma is predicted (4 K numbers of each anchor, else 2 K).
        options: everything else of the network.
        short, longest, pixel_mean, pixel_std: see `Detector`.
    """

    kind = "point_set"
    nested = {**Detector.nested, "options": PointSetOptions.from_config}  # noqa: RUF012
    score_threshold = 0.3  # of focal losses, scores are lower than those of a softmax
    backbone_path = "trunk.backbone"
    template: Tensor
    read: Tensor
    oks_sigmas: Tensor

    def __init__(
        self,
        backbone: Backbone,
        skeleton: Skeleton,
        predicts_sigma: bool = True,
        options: PointSetOptions | None = None,
        short: int = 800,
        longest: int = 1333,
        pixel_mean: tuple[float, float, float] = IMAGENET_MEAN,
        pixel_std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        super().__init__(skeleton, short, longest, pixel_mean, pixel_std)
        options = PointSetOptions() if options is None else options
        self.options, self.predicts_sigma = options, predicts_sigma
        self.trunk = pyramid_on(backbone, options.channels)
        joints, each = len(skeleton), 4 if predicts_sigma else 2
        self.stages = nn.ModuleList(Stage(options.channels, options.depth, joints, each) for _ in options.thresholds)
        finest = self.trunk.strides[0]
        self.peaks = PeakBranch(options.channels, joints, finest) if options.maps_weight else None
        template = anchors.default_template(skeleton)
        self.register_buffer("template", template)
        self.register_buffer("read", torch.tensor(anchors.read_joints(skeleton, template)))
        self.register_buffer("oks_sigmas", torch.tensor(skeleton.sigmas), persistent=False)

    def prepare(self, data: Any) -> None:
        """Take the mean pose of the training data for the anchors' template."""
        people = (person for row in range(len(data)) for person in data[row].people)
        poses = [(person.keypoints[:, :2], person.visible) for person in people]
        if poses:
            keypoints, visible = (torch.stack([torch.as_tensor(p) for p in part]) for part in zip(*poses, strict=True))
            self.set_template(anchors.mean_pose(keypoints.float(), visible.float(), self.skeleton))

    @torch.no_grad()
    def set_template(self, template: Float[Tensor, "K 2"]) -> None:
        """Replace the anchors' pose by another one, as of `anchors.mean_pose`."""
        self.template.copy_(template)
        self.read.copy_(torch.tensor(anchors.read_joints(self.skeleton, template.cpu())))

    def joint_outputs(self) -> dict[str, JointOutputs]:
        """Distances of each joint and the logits of sigma, its maps, and its position in the template.

        The layers before read features at joints, and stand for something else if they read them at others.
        """
        each, last = (4 if self.predicts_sigma else 2,), 6  # of a `PeakBranch`'s layers
        read = tuple(self.skeleton.joints[joint] for joint in self.read.tolist())
        found = {
            "template": JointOutputs(),
            f"peaks.maps.{last}": JointOutputs(),
            f"peaks.offsets.{last}": JointOutputs((2,)),
        }
        for stage in range(len(self.stages)):
            found[f"stages.{stage}.indexed"] = JointOutputs(None, settings=read)
            found[f"stages.{stage}.last.pose"] = JointOutputs(each, settings=self.options.scale)
        return found

    def weights_replaced(self) -> None:
        """Choose the joints at which features are read by the template at hand."""
        self.set_template(self.template.clone())

    def grid(self, levels: Sequence[Tensor]) -> Grid:
        """The first stage's anchors for levels of features."""
        sizes = [(level.shape[2], level.shape[3]) for level in levels]
        poses, cells, scales = [], [], []
        point = torch.zeros_like(self.template[:1])
        for size, stride in zip(sizes, self.trunk.strides, strict=True):
            scale = self.options.scale * stride
            poses.append(anchors.anchor_poses(self.template, size, stride, scale))
            cells.append(anchors.anchor_poses(point, size, stride, scale)[:, 0])
            scales.append(self.template.new_full((cells[-1].shape[0],), scale))
        return Grid(torch.cat(poses), torch.cat(cells), torch.cat(scales), sizes)

    def run_stages(self, levels: Sequence[Tensor]) -> Iterator[tuple[Grid, Float[Tensor, "B A K 2"], StageOutput]]:
        """The grid, the anchors' poses and the output of each stage."""
        grid = self.grid(levels)
        poses = grid.poses.expand(len(levels[0]), -1, -1, -1)
        for stage in self.stages:
            read = poses[:, :, self.read]
            points = [where / self.trunk.strides[level] for level, where in grid.split(read)]
            output: StageOutput = stage(levels, points)
            yield grid, poses, output
            poses = (poses + output.poses[..., :2] * grid.scale[:, None, None]).detach()

    def training_losses(self, batch: SceneBatch, loss: KeypointLoss) -> LossDict:
        """Losses of every stage: classification, joints (by the loss that is given) and boxes; and of the maps.

        Coordinates are in units of an anchor's scale, relative to the anchor's own joints.
        """
        options = self.options
        levels = self.trunk(self.inputs(batch.images, batch.sizes))
        losses, figures = dict[str, Tensor](), dict[str, Tensor]()
        for number, (grid, poses, output) in enumerate(self.run_stages(levels)):
            targets = self._targets(batch, grid, poses, options.thresholds[number])
            after = f"_{number + 1}" if number else ""
            losses |= {f"{name}{after}": value for name, value in self._stage_losses(output, targets, loss).items()}
            apart = (output.poses[targets.row][..., :2].detach() - targets.joints).square().sum(dim=-1).sqrt()
            apart = apart * grid.scale[targets.row[1], None] * (targets.weight > 0)
            figures["error_px"] = apart.sum() / (targets.weight > 0).sum().clamp_min(1)
        if self.peaks is not None:
            labels = [(who.keypoints, who.weight) for who in batch.people]
            predicted, within = self.peaks(levels[0])
            maps, offsets = peak_losses(predicted, within, labels, self.peaks.stride, options.background)
            losses["maps"] = options.maps_weight * maps
            losses["offsets"] = options.maps_weight * options.offsets_weight * offsets
        return LossDict(losses, figures)

    @torch.no_grad()
    def _targets(self, batch: SceneBatch, grid: Grid, poses: Tensor, thresholds: tuple[float, float]) -> Targets:
        """Targets of a stage's anchors for a batch."""
        state = poses.new_zeros(poses.shape[:2])  # 1: positive, -1: negative, 0: neither
        parts: list[tuple[Tensor, ...]] = []
        for image, who in enumerate(batch.people):
            # Where a batch's larger image has no smaller one, anchors are neither positive nor negative.
            within = ((grid.cells >= 0) & (grid.cells < batch.sizes[image].flip(0))).all(dim=1).nonzero()[:, 0]
            edge = batch.sizes[image].flip(0) - 1
            seen = ((who.keypoints >= 0) & (who.keypoints <= edge)).all(dim=-1)
            known = ((who.weight > 0) & seen).any(dim=1)  # people without a joint in the input have no pose
            ignored = anchors.inside(grid.cells[within], torch.cat([who.ignored, who.boxes[~known]])).any(dim=1)
            alike = anchors.similarity(poses[image, within], who.keypoints[known], who.weight[known], self.oks_sigmas)
            assigned = anchors.assign(alike, *thresholds, self.options.forced, ignored)
            state[image, within] = assigned.positive.to(state) - assigned.negative.to(state)
            row, person = within[assigned.positive], assigned.person[assigned.positive]
            anchor, scale = poses[image, row], grid.scale[row, None, None]
            joints, weight = who.keypoints[known][person], who.weight[known][person]
            joints = torch.where(weight[..., None] > 0, (joints - anchor) / scale, 0)
            boxes = anchors.box_deltas(anchors.bounds(anchor), who.boxes[known][person])
            parts.append((torch.full_like(row, image), row, joints, weight, boxes))
        columns = [torch.cat(column) for column in zip(*parts, strict=True)]
        return Targets(state, (columns[0], columns[1]), *columns[2:])

    def _stage_losses(self, output: StageOutput, targets: Targets, loss: KeypointLoss) -> dict[str, Tensor]:
        count = max(len(targets.weight), 1)
        prediction, given = self._prediction(output.poses[targets.row]), self.options.pose_weight
        weight = L1_WEIGHT * typical(prediction.sigma.detach(), targets.weight) if given is None else given
        # The loss is a mean over labelled joints; published are sums over joints, averaged over positive anchors.
        joints = (targets.weight > 0).sum() / count
        boxes = F.smooth_l1_loss(output.boxes[targets.row], targets.boxes, reduction="sum", beta=BOX_BETA)
        return {
            "classification": focal_loss(output.logits, targets.state) / count,
            "keypoints": weight * joints * loss.of_prediction(prediction, targets.joints, targets.weight),
            "boxes": boxes / count,
        }

    def _prediction(self, output: Float[Tensor, "N K E"]) -> Prediction:
        """Distances from the anchor and their scales, both in units of the anchor's."""
        sigma = sigma_of(output[..., 2:]) if self.predicts_sigma else None
        return prediction_of(output[..., :2], sigma, self.error_distribution)

    @torch.no_grad()
    def detect(self, images: UInt8[Tensor, "B 3 H W"], sizes: Int64[Tensor, "B 2"]) -> list[Detections]:
        """The people in each image, best first."""
        pixels = self.inputs(images, sizes)
        at_scales = [self._candidates(pixels, sizes, factor) for factor in self.options.scales]
        return [self._best(found) for found in zip(*at_scales, strict=True)]

    def _candidates(self, pixels: Tensor, sizes: Tensor, factor: float) -> list[Detections]:
        """Candidates at one scale, of each image, in pixels of the input as it was given."""
        extent = [max(1, round(side * factor)) for side in pixels.shape[2:]]
        factors = sizes.new_tensor(extent) / sizes.new_tensor(pixels.shape[2:])
        if factor != 1:
            pixels = F.interpolate(pixels, size=extent, mode="bilinear", antialias=factor < 1)
            pixels = F.pad(pixels, (0, -extent[1] % COARSEST, 0, -extent[0] % COARSEST))
        levels = self.trunk(pixels)
        *_, (grid, poses, output) = self.run_stages(levels)
        maps = self.peaks(levels[0]) if self.peaks is not None and self.options.snap else None
        found = []
        for image, size in enumerate(sizes * factors):
            rows, scores = self._likely(grid, output.logits[image].sigmoid(), size)
            rows = rows[scores > 0]
            of_image = StageOutput(*(part[image, rows] for part in output))
            people = self._snapped(
                self._people(grid, rows, poses[image, rows], of_image), maps, image, grid.scale[rows]
            )
            found.append(_within(_resized(people, 1 / factors.flip(0)), sizes[image]))
        return found

    def _people(
        self, grid: Grid, rows: Int64[Tensor, "N"], anchor: Float[Tensor, "N K 2"], output: StageOutput
    ) -> Detections:
        """People by the last stage's output for some anchors, at their poses."""
        scale, cells = grid.scale[rows], grid.cells[rows]
        prediction = self._prediction(output.poses)
        prediction.mu = prediction.mu + (anchor - cells[:, None]) / scale[:, None, None]
        corner = cells - scale[:, None] / 2  # crop coordinates begin at -1/2
        to_input = torch.cat([scale[:, None, None] * torch.eye(2, device=scale.device), corner[..., None]], dim=-1)
        boxes = anchors.moved_boxes(anchors.bounds(anchor), output.boxes)
        return Detections(boxes, output.logits.sigmoid(), prediction, to_input)

    def _snapped(
        self, people: Detections, maps: tuple[Tensor, Tensor] | None, image: int, scale: Float[Tensor, "N"]
    ) -> Detections:
        """People whose joints are put at the peaks of an image's maps, if there are maps."""
        if maps is None or self.peaks is None:
            return people
        reach = None if self.options.farthest is None else self.options.farthest * scale
        heights, offsets = maps[0][image], maps[1][image]
        places = snapped(people.keypoints(), heights, offsets, self.peaks.stride, PEAKS, self.options.least_peak, reach)
        return replace(people, positions=places)

    @property
    def most(self) -> int:
        """Most people that it finds in an image."""
        return self.options.most

    def check_best(self) -> None:
        """Refuse several scales."""
        if self.options.scales != (1.0,):
            raise InputError("images at several scales have no fixed shapes")

    @torch.no_grad()
    def best(self, images: UInt8[Tensor, "1 3 H W"], sizes: Int64[Tensor, "1 2"], most: int) -> Detections:
        """The `most` best people in an image, with a score of 0 those that are not there."""
        self.check_best()
        levels = self.trunk(self.inputs(images, sizes))
        *_, (grid, poses, output) = self.run_stages(levels)
        chosen, score = self._likely(grid, output.logits[0].sigmoid(), sizes[0])
        people = self._people(grid, chosen, poses[0, chosen], StageOutput(*(part[0, chosen] for part in output)))
        kept, score = anchors.greedy(people.keypoints(), score, self.oks_sigmas, self.options.nms, most)
        people = replace(people.chosen(kept), box_scores=score)
        maps = self.peaks(levels[0]) if self.peaks is not None and self.options.snap else None
        return _within(self._snapped(people, maps, 0, grid.scale[chosen[kept]]), sizes[0])

    def _likely(
        self, grid: Grid, scores: Float[Tensor, "A"], size: Shaped[Tensor, "2"]
    ) -> tuple[Int64[Tensor, "N"], Float[Tensor, "N"]]:
        """Rows and scores of the candidates of all levels in an image; 0 of those that are none."""
        scores = scores * (grid.cells < size.flip(0)).all(dim=1)
        rows, there = best_of_levels(scores, grid.counts(), self.options.candidates)
        return rows, torch.where(there & (scores[rows] > self.options.least_score), scores[rows], 0.0)

    def _best(self, found: Sequence[Detections]) -> Detections:
        """Non-maximum suppression of the candidates at all scales by OKS."""
        people = _joined(found)
        if not len(people):
            return nobody(self)
        # Regressed joints: those of neighbours may be snapped to the same peaks.
        keypoints = replace(people, positions=None).keypoints()
        corners = anchors.bounds(keypoints)
        area = (corners[:, 2:] - corners[:, :2]).prod(dim=1)
        places, scores, areas = (part.double().cpu().numpy() for part in (keypoints, people.box_scores, area))
        kept = oks_nms(places, scores, areas, self.skeleton.sigmas, self.options.nms, self.options.most)
        return people.chosen(torch.tensor(kept, device=keypoints.device))

    def argument(self, name: str) -> Any:
        """The value of a constructor argument: of `backbone` the trunk's."""
        return self.trunk.backbone if name == "backbone" else super().argument(name)

    def run_layers(self, images: UInt8[Tensor, "1 3 H W"]) -> None:
        """All layers, once: they do not depend on the number of people."""
        levels = self.trunk(self.normalised(images))
        list(self.run_stages(levels))
        if self.peaks is not None and self.options.snap:
            self.peaks(levels[0])


@dataclass(frozen=True)
class Targets:
    """Targets of the anchors of a stage for a batch."""

    state: Float[Tensor, "B A"]
    """1: positive, -1: negative, 0: neither."""
    row: tuple[Int64[Tensor, "N"], Int64[Tensor, "N"]]
    """Image and number of each positive anchor."""
    joints: Float[Tensor, "N K 2"]
    """Distances of their person's joints from theirs, in units of the anchor; 0 where not labelled."""
    weight: Float[Tensor, "N K"]
    """Of each label."""
    boxes: Float[Tensor, "N 4"]
    """`anchors.box_deltas` of their person's box."""


def typical(sigma: Float[Tensor, "N K 2"], weight: Float[Tensor, "N K"]) -> Float[Tensor, ""]:
    """Geometric mean over labelled joints; 1 where there are none."""
    labelled = (weight > 0).to(sigma.dtype)[..., None]
    return ((sigma.log() * labelled).sum() / (2 * labelled.sum()).clamp_min(1)).exp()


def _joined(found: Sequence[Detections]) -> Detections:
    """Detections of one image at several scales, joined."""

    def joined(parts: Sequence[Any], *names: str) -> dict[str, Any]:
        return {name: torch.cat([getattr(part, name) for part in parts]) for name in names}

    prediction = replace(
        found[0].prediction, **joined([people.prediction for people in found], "mu", "sigma", "confidence")
    )
    positions = [] if found[0].positions is None else ["positions"]
    return replace(found[0], prediction=prediction, **joined(found, "boxes", "box_scores", "to_input", *positions))


def _within(people: Detections, size: Int64[Tensor, "2"]) -> Detections:
    """The same with boxes clipped to an input of (H, W)."""
    edge = size.flip(0).repeat(2).to(people.boxes)
    return replace(people, boxes=torch.minimum(people.boxes.clamp_min(0), edge))


def _resized(people: Detections, factors: Float[Tensor, "2"]) -> Detections:
    """The same in pixels of an input enlarged by factors along x and y; pixels' corners stay corners."""
    shift = (factors - 1) / 2
    to_input = people.to_input * factors[:, None]
    to_input[:, :, 2] += shift
    boxes = people.boxes * factors.repeat(2)  # in corners of pixels
    positions = None if people.positions is None else people.positions * factors + shift
    return replace(people, boxes=boxes, to_input=to_input, positions=positions)
