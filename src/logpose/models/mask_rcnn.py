"""Keypoint R-CNN: torchvision's parts, and its heatmap head or the paper's regression head (Table 2c)."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, Skeleton
from logpose.core.structures import KeypointLoss, LossDict, Prediction
from logpose.data.scenes import SceneBatch
from logpose.models.backbones import load_backbone_weights
from logpose.models.detector import Detections, Detector, box_maps, in_boxes, scaled
from logpose.models.options import MaskRCNNOptions
from logpose.models.pose_model import JointOutputs
from logpose.models.regions import HeatmapHead, RegressionHead, peaks_in_boxes, roi_align
from logpose.models.resnet import ResNet
from logpose.models.version_0_1 import upgraded
from logpose.models.weight_files import fetched, read_state_dict, read_weights

__all__ = ["MaskRCNN", "MaskRCNNOptions", "learns_normalisation", "load_mask_rcnn_weights"]

log = logging.getLogger("logpose")

CELLS = 14  # along a side, of what joints are read from
BACKBONES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
COCO_WEIGHTS = "https://download.pytorch.org/models/keypointrcnn_resnet50_fpn_coco-fc266e95.pth"
"""torchvision's keypoint R-CNN, trained on COCO."""
PREDICTOR = "roi_heads.keypoint_predictor."
NAME_RULES = (
    (r"^model\.", ""),  # in checkpoints of logpose
    # As torchvision called them before its version 0.13.
    (r"((?:inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2"),
    (r"^rpn\.head\.conv\.(weight|bias)$", r"rpn.head.conv.0.0.\1"),
)
"""From names in files to names in this model: patterns and what replaces them, one after another."""
OF_TORCHVISION = {"skeleton": COCO.config(), "options": {"roi_scale": 1.0, "norm_eps": 0.0}}
"""The part that matters here of a `config` of torchvision's network."""


class MaskRCNN(Detector):
    """Keypoint R-CNN on a ResNet with a feature pyramid; needs torchvision.

    Args:
        skeleton: the joints that are predicted.
        backbone: "resnet18", 34, 50, 101 or 152.
        head: "regression", the paper's; or "heatmap", the baseline, which has no sigma.
        predicts_sigma: whether the regression head predicts it; where not (L1 and the like), it is 1 everywhere.
        short, longest: see `Detector`.
        options: everything else of the network.

    Raises:
        InputError: if torchvision is not installed, or there is no such network.
    """

    kind = "mask_rcnn"
    backbone_path = "backbone.body"
    nested = {"skeleton": Skeleton.from_config, "options": MaskRCNNOptions.from_config}  # noqa: RUF012

    def __init__(
        self,
        skeleton: Skeleton,
        backbone: str = "resnet50",
        head: Literal["regression", "heatmap"] = "regression",
        predicts_sigma: bool = True,
        short: int = 800,
        longest: int = 1333,
        options: MaskRCNNOptions | None = None,
    ) -> None:
        super().__init__(skeleton, short, longest)
        options = options or MaskRCNNOptions()
        if backbone not in BACKBONES:
            raise InputError(f"Mask R-CNN's backbones are {', '.join(BACKBONES)}, not {backbone!r}")
        if head not in ("regression", "heatmap"):
            raise InputError(f"head is regression or heatmap, not {head!r}")
        if options.with_logits and head == "heatmap":
            raise InputError("with_logits is an option of the regression head")
        try:
            from logpose.models import rcnn
        except ImportError as error:
            raise InputError("Mask R-CNN needs torchvision: pip install 'logpose-keypoints[detect]'") from error
        self.head, self.predicts_sigma = head, predicts_sigma and head == "regression"
        self.options = replace(options, frozen=options.frozen is not False)
        if head == "heatmap":
            self.output_type = "heatmap logits"
        elif options.with_logits:
            self.output_type = "coordinates and heatmap logits"
        self.backbone = rcnn.pyramid(backbone, options.channels, options.frozen is not False)
        self.backbone.body.name, self.backbone.body.stage_parameters = backbone, ResNet.stage_parameters
        self.rpn = rcnn.proposals(
            options.channels, options.anchor_sizes, options.samples_per_image[0], options.rpn_pre_nms_top_n,
            options.rpn_post_nms_top_n, options.aspect_ratios, options.rpn_iou_thresholds,
        )  # fmt: skip
        self.roi_heads = rcnn.box_heads(
            options.channels, options.box_head_width, options.samples_per_image[1], options.detections_per_image
        )
        layers = options.keypoint_head_channels
        self.roi_heads.keypoint_head = rcnn.KeypointRCNNHeads(options.channels, layers)
        self.roi_heads.keypoint_predictor = (
            HeatmapHead(layers[-1], len(skeleton))
            if head == "heatmap"
            else RegressionHead(layers[-1], len(skeleton), self.predicts_sigma, options.coordinates, options.sharpness)
        )
        self.set_eps(options.norm_eps)

    def argument(self, name: str) -> Any:
        """The value of a constructor argument: of `backbone` its name."""
        return self.backbone.body.name if name == "backbone" else super().argument(name)

    def joint_outputs(self) -> dict[str, JointOutputs]:
        """Of each joint mu, or the map that it is read from, and the logits of sigma."""
        of_mu = self.options.coordinates
        return {
            f"{PREDICTOR}fc_mu": JointOutputs((2,) if of_mu == "average" else (), settings=of_mu),
            f"{PREDICTOR}fc_sigma": JointOutputs((2,)),
            f"{PREDICTOR}kps_score_lowres": JointOutputs(axis=1),
        }

    def set_eps(self, eps: float) -> None:
        """Set the frozen normalisation's eps: torchvision's COCO weights were made with 0."""
        from logpose.models.rcnn import FrozenBatchNorm2d

        self.options = replace(self.options, norm_eps=eps)
        for module in self.modules():
            if isinstance(module, FrozenBatchNorm2d):
                module.eps = eps

    def _levels(self, pixels: Tensor) -> dict[str, Tensor]:
        """The pyramid, in full precision also under autocast, for torchvision's anchors."""
        return {name: level.float() for name, level in self.backbone(pixels).items()}

    def posed(self, levels: Sequence[Tensor], boxes: Sequence[Float[Tensor, "_ 4"]]) -> Prediction:
        """Predictions of the keypoint head for each region, image after image."""
        features = self.roi_heads.keypoint_head(roi_align(levels, boxes, CELLS))
        prediction: Prediction = self.roi_heads.keypoint_predictor(features, self.error_distribution)
        return prediction

    def training_losses(self, batch: SceneBatch, loss: KeypointLoss) -> LossDict:
        """Losses of proposals, boxes and, by the loss that is given, joints, weighted as in detectron2."""
        from logpose.models.rcnn import image_list

        pixels = self.inputs(batch.images, batch.sizes)
        features = self._levels(pixels)
        targets = [{"boxes": people.boxes, "ignored": people.ignored} for people in batch.people]
        proposals, losses = self.rpn(image_list(pixels, batch.sizes), features, targets)
        levels = list(features.values())[:4]
        boxes, matched, labels = self.roi_heads.sampled(proposals, batch.people)
        named = {"objectness": losses["loss_objectness"], "proposals": losses["loss_rpn_box_reg"]}
        named |= self.roi_heads.box_losses(levels, boxes, batch.people, matched, labels)
        boxes, target, weight = self._keypoint_targets(boxes, matched, labels, batch)
        named["keypoints"] = loss.of_prediction(self.posed(levels, boxes), target, weight)
        return LossDict(named)

    def _keypoint_targets(
        self, boxes: Sequence[Tensor], matched: Sequence[Tensor], labels: Sequence[Tensor], batch: SceneBatch
    ) -> tuple[list[Tensor], Float[Tensor, "N K 2"], Float[Tensor, "N K"]]:
        """Regions with a labelled joint of their person in them, and the labels in the regions' coordinates."""
        chosen, targets, weights = [], [], []
        for own, rows, label, people in zip(boxes, matched, labels, batch.people, strict=True):
            positive = label > 0
            regions, rows = scaled(own[positive], self.options.roi_scale), rows[positive]
            target, weight = in_boxes(people.keypoints[rows], regions), people.weight[rows]
            inside = (weight > 0) & (target.abs() <= 0.5).all(dim=-1)
            shows = inside.any(dim=1)
            chosen.append(regions[shows])
            targets.append(target[shows])
            weights.append((weight * inside if self.options.outside == "mask" else weight)[shows])
        if not sum(map(len, chosen)):
            # There are no labels, but every parameter takes part: other processes wait for its gradient.
            height, width = batch.sizes[0].tolist()
            chosen[0] = batch.to_image.new_tensor([[0, 0, width, height]])
            targets[0] = chosen[0].new_zeros(1, len(self.skeleton), 2)
            weights[0] = chosen[0].new_zeros(1, len(self.skeleton))
        return chosen, torch.cat(targets), torch.cat(weights)

    def detect(self, images: UInt8[Tensor, "B 3 H W"], sizes: Int64[Tensor, "B 2"]) -> list[Detections]:
        """The people in each image, best first.

        Raises:
            RuntimeError: while the model is in training mode.
        """
        from logpose.models.rcnn import image_list

        if self.training:
            raise RuntimeError("a model in training mode does not detect: call eval() first")
        pixels = self.inputs(images, sizes)
        features = self._levels(pixels)
        proposals, _ = self.rpn(image_list(pixels, sizes), features)
        levels = list(features.values())[:4]
        found = self.roi_heads.found(levels, proposals, [(int(height), int(width)) for height, width in sizes])
        boxes = torch.cat([own for own, _ in found])
        regions = [scaled(own, self.options.roi_scale) for own, _ in found]
        prediction, region = self.posed(levels, regions), torch.cat(regions)
        if prediction.maps is not None:
            if self.output_type == "heatmap logits":
                prediction.mu, prediction.confidence = peaks_in_boxes(
                    prediction.maps, region, self.options.min_map_size
                )
            prediction.maps = None  # those of a thousand people are large
        people = Detections(boxes, torch.cat([scores for _, scores in found]), prediction, box_maps(region))
        whose = torch.repeat_interleave(torch.tensor([len(own) for own, _ in found], device=boxes.device))
        return [people.chosen(whose == image) for image in range(len(found))]

    @property
    def most(self) -> int:
        """Most people that it finds in an image."""
        return self.options.detections_per_image

    def check_best(self) -> None:
        """Refuse a heatmap head."""
        if self.head == "heatmap":
            raise InputError("a heatmap head's maps are as large as the boxes that it finds: it has no fixed shapes")

    def best(self, images: UInt8[Tensor, "1 3 H W"], sizes: Int64[Tensor, "1 2"], most: int) -> Detections:
        """The `most` best people in an image, with a score of 0 those that are not there."""
        self.check_best()
        pixels, shape = self.inputs(images, sizes), sizes[0].to(self.pixel_mean.dtype)
        features = self._levels(pixels)
        proposals, scores = self.rpn.best(pixels, shape, features)
        levels = list(features.values())[:4]
        boxes, scores = self.roi_heads.best(levels, proposals, scores >= 0, shape, most)
        region = scaled(boxes, self.options.roi_scale)
        return Detections(boxes, scores, replace(self.posed(levels, [region]), maps=None), box_maps(region))

    def run_layers(self, images: UInt8[Tensor, "1 3 H W"]) -> None:
        """The pyramid, the box head on as many proposals as are kept of an image, the keypoint head on one region."""
        from logpose.models import rcnn

        features = self._levels(self.normalised(images))
        self.rpn.head(list(features.values()))
        channels, proposals = features["0"].shape[1], self.options.rpn_post_nms_top_n[1]
        regions = features["0"].new_zeros(()).expand(proposals, channels, rcnn.BOX_CELLS, rcnn.BOX_CELLS)
        self.roi_heads.box_predictor(self.roi_heads.box_head(regions))
        region = self.roi_heads.keypoint_head(features["0"].new_zeros(1, channels, CELLS, CELLS))
        self.roi_heads.keypoint_predictor(region, self.error_distribution)


def load_mask_rcnn_weights(
    model: MaskRCNN, source: str, of: Literal["all", "backbone"] = "all", warn: bool = True
) -> None:
    """Fill a network with pretrained weights, in place.

    Args:
        model: the network.
        source: "random" (leave it as it is); "imagenet" (of the backbone); "coco" (torchvision's keypoint R-CNN, for a
            ResNet-50); or a file, an address or "hf://OWNER/NAME/FILE": weights of torchvision's keypoint R-CNN, or a
            checkpoint of this network (a last layer of other joints or shape, or without sigma, keeps its random
            weights), or weights of a backbone, see `load_backbone_weights`.
        of: whether of the weights of a whole network all or those of the backbone are taken.
        warn: whether to log which layers keep their random weights.

    Raises:
        InputError: if the weights cannot be had, or do not fit.
    """
    if source in ("random", "imagenet"):
        load_backbone_weights(model.backbone.body, source)
        return
    if source == "coco" and model.argument("backbone") != "resnet50":
        raise InputError(f"weights of coco are of a resnet50, and the backbone is {model.argument('backbone')}")
    path = _file(source)
    state, entry = read_weights(path)
    ours = "model.backbone.body.conv1.weight" in state
    if not ours and "backbone.body.conv1.weight" not in state:
        load_backbone_weights(model.backbone.body, str(path))
        return
    config = upgraded(entry.get("format"), entry.get("model", {}), state) if ours else OF_TORCHVISION
    state = {reduce(lambda now, rule: re.sub(rule[0], rule[1], now), NAME_RULES, name): t for name, t in state.items()}
    prefix = "backbone.body." if of == "backbone" else ""
    wanted = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(prefix)}
    wanted = {name: tensor for name, tensor in wanted.items() if not name.startswith("error_")}
    taken = {
        name: state[name] for name, tensor in wanted.items() if name in state and state[name].shape == tensor.shape
    }
    new = [name for name in wanted if name not in taken and name.startswith(PREDICTOR)]
    others = [name for name in wanted if name not in taken and not name.startswith(PREDICTOR)]
    missing = [name for name in others if not re.search("^pixel_|num_batches_tracked$", name)]
    if missing:
        raise InputError(
            f"{source}: not weights of this Mask R-CNN; {len(missing)} tensors are missing or of another shape, "
            f"the first is {missing[0]}"
        )
    joints = list(model.skeleton.joints)
    foreign = config.get("skeleton", {"joints": joints}).get("joints") != joints
    if foreign or any(not name.startswith(f"{PREDICTOR}fc_sigma.") for name in new):
        taken = {name: tensor for name, tensor in taken.items() if not name.startswith(PREDICTOR)}
        what = "is of other joints" if foreign else "has another last layer of joints than this model's"
        what += "; that layer keeps its random weights"
    else:
        what = "has no sigma, which keeps its random weights" if new else ""
    if what and warn and of == "all":
        log.warning("%s: %s", source, what)
    model.load_state_dict(taken, strict=False)
    model.set_eps(config.get("options", {}).get("norm_eps", model.options.norm_eps))


def learns_normalisation(source: str) -> bool:
    """Whether a network that starts from these weights trains its normalisation: it did before, or has none to keep.

    Raises:
        InputError: if the weights cannot be had.
    """
    if source in ("random", "imagenet", "coco"):
        return source == "random"
    # A counter of batches is in our own networks whose normalisation was not frozen.
    return "model.backbone.body.bn1.num_batches_tracked" in read_state_dict(_file(source))


def _file(source: str) -> Path:
    """The file of a source of weights that is neither random ones nor ImageNet's."""
    path = fetched(COCO_WEIGHTS if source == "coco" else source)
    if not path.exists():
        raise InputError(f"{source}: no such weights file (give a file, an address, 'coco', 'imagenet' or 'random')")
    return path
