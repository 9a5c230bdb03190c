"""Mask R-CNN that poses people: torchvision's parts, and its heatmap head or the paper's regression head (Table 2c).

The keypoint head of a region is a stack of convolutions, and one of `keypoint_heads`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, Skeleton
from logpose.core.structures import KeypointLoss, LossDict, Prediction
from logpose.data.scenes import SceneBatch, ScenePeople
from logpose.models.backbones import load_backbone_weights
from logpose.models.detector import Detections, Detector, box_maps, in_boxes, widened
from logpose.models.keypoint_heads import HeatmapHead, Places, RegressionHead, peaks_in_boxes
from logpose.models.regions import roi_align
from logpose.models.weight_files import fetched, read_state_dict, read_weights

__all__ = ["MaskRCNN", "learns_normalisation", "load_mask_rcnn_weights"]

log = logging.getLogger("logpose")

CELLS = 14  # along a side, of what joints are read from
BACKBONES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
COCO_WEIGHTS = "https://download.pytorch.org/models/keypointrcnn_resnet50_fpn_coco-fc266e95.pth"
"""torchvision's keypoint R-CNN, trained on COCO: 65.0 keypoint AP as its page says."""
PREDICTOR = "roi_heads.keypoint_predictor."


class MaskRCNN(Detector):
    """Keypoint R-CNN on a ResNet with a feature pyramid; needs torchvision.

    Args:
        skeleton: the joints that are predicted.
        backbone: "resnet18", 34, 50, 101 or 152.
        head: "regression", the paper's; or "heatmap", the baseline, which has no sigma.
        predicts_sigma: whether the regression head predicts it; where not (L1 and the like), it is 1 everywhere.
        short: to how many pixels the short side of a picture is brought in evaluation, …
        longest: … unless its long side would become longer than this.
        outside: what becomes of labelled joints outside a proposal's region. "supervise" keeps them: the head learns to
            extrapolate; "mask" leaves them out. Maps cannot hold them.
        frozen: whether the backbone's normalisation, stem and first stage stay as pretrained weights have them.
        eps: of the frozen normalisation.
        channels: of the pyramid.
        anchors: sides of the anchors of its five levels, pixels of the input.
        ratios: height over width of anchors.
        overlaps: intersection over union with somebody from which on an anchor is theirs, and below which nobody's.
        width: of the hidden layers that judge boxes.
        stack: channels of the convolutions of the keypoint head.
        samples: anchors, and proposals, of each picture that are learned from.
        before: of each level, proposals that are looked at in training and in evaluation, …
        kept: … and those of a picture that are left without the ones that overlap a better one.
        most: people that are found in a picture.
        places: what the regression head reads places from: see `RegressionHead`.
        sharpness: of the mean of cells: see `RegressionHead`.
        charged: whether the cells that places are read from are charged too: for a loss `WithHeatmaps(cells=True)`.
        frame: side of the region in which joints are looked for and told, beside that of the box. 1 is published: the
            box, whose rim eyes and wrists may lie on or beyond, where maps have no cell, and a mean of cells never is.
        finest: cells that maps are enlarged to at least before their maxima are taken; 0, published, takes one for each
            pixel of the region, and so makes the maps of people below 56 pixels coarser.
        keypoint_weight: of the joints' loss beside those of boxes, which all count 1.
        keypoint_mean: over what that is a mean: labelled "joints", as in detectron2; "people", so that those of whom
            few joints are labelled count as much; or "instances", joints summed, people averaged.

    Raises:
        InputError: if torchvision is not installed, or there is no such network.
    """

    backbone_path = "backbone.body"

    def __init__(
        self,
        skeleton: Skeleton,
        backbone: str = "resnet50",
        head: Literal["regression", "heatmap"] = "regression",
        predicts_sigma: bool = True,
        short: int = 800,
        longest: int = 1333,
        outside: Literal["supervise", "mask"] = "supervise",
        frozen: bool = True,
        eps: float = 1e-5,
        channels: int = 256,
        anchors: Sequence[int] = (32, 64, 128, 256, 512),
        width: int = 1024,
        stack: Sequence[int] = (512,) * 8,
        samples: tuple[int, int] = (256, 512),
        before: tuple[int, int] = (2000, 1000),
        kept: tuple[int, int] = (1500, 1000),
        most: int = 100,
        places: Places = "average",
        keypoint_weight: float = 1.0,
        keypoint_mean: Literal["joints", "people", "instances"] = "joints",
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        overlaps: tuple[float, float] = (0.7, 0.3),
        frame: float = 1.0,
        finest: int = 0,
        charged: bool = False,
        sharpness: float = 1.0,
    ) -> None:
        super().__init__(skeleton, short, longest)
        if backbone not in BACKBONES:
            raise InputError(f"Mask R-CNN's backbones are {', '.join(BACKBONES)}, not {backbone!r}")
        if head not in ("regression", "heatmap") or outside not in ("supervise", "mask"):
            raise InputError(f"head is regression or heatmap, outside supervise or mask; got {head!r} and {outside!r}")
        if places not in get_args(Places):
            raise InputError(f"Mask R-CNN reads places from the average, cells or maps, not from {places!r}")
        if (
            len(anchors) != 5
            or min((*anchors, *stack, *samples, *before, *kept, channels, width, most)) < 1
            or not stack
        ):
            raise InputError("Mask R-CNN needs five sides of anchors, a convolution or more, and no number below 1")
        means = ("joints", "people", "instances")
        if not keypoint_weight >= 0 or keypoint_mean not in means:
            told = f"{', '.join(means)}; got {keypoint_weight:g} and {keypoint_mean!r}"
            raise InputError(f"Mask R-CNN's keypoint_weight is 0 or more, its keypoint_mean one of {told}")
        least = min((*ratios, frame, sharpness))
        if not (ratios and least > 0 and 0 <= overlaps[1] <= overlaps[0] <= 1 and finest >= 0):
            told = f"got {tuple(ratios)}, {frame:g}, {sharpness:g}, {tuple(overlaps)} and {finest}"
            raise InputError(f"ratios, frame, sharpness are above 0, overlaps in [0, 1], finest is 0 or more; {told}")
        try:
            from logpose.models import rcnn
        except ImportError as error:
            raise InputError("Mask R-CNN needs torchvision: pip install 'logpose-keypoints[detect]'") from error
        if charged and (head == "heatmap" or places == "average"):
            raise InputError("Mask R-CNN has cells to charge beside places where it reads places from these only")
        self.output_type = (
            "heatmap logits" if head == "heatmap" else "coordinates and heatmap logits" if charged else "coordinates"
        )
        self.outside = outside
        self.settings: dict[str, Any] = {
            "backbone": backbone,
            "head": head,
            "places": places,
            "predicts_sigma": predicts_sigma and head == "regression",
            "outside": outside,
            "frozen": frozen,
            "eps": eps,
            "channels": channels,
            "anchors": list(anchors),
            "width": width,
            "stack": list(stack),
            "samples": list(samples),
            "before": list(before),
            "kept": list(kept),
            "most": most,
            "keypoint_weight": keypoint_weight,
            "keypoint_mean": keypoint_mean,
            "ratios": list(ratios),
            "overlaps": list(overlaps),
            "frame": frame,
            "finest": finest,
            "charged": charged,
            "sharpness": sharpness,
        }
        self.backbone = rcnn.pyramid(backbone, channels, frozen)
        self.backbone.body.name = backbone
        self.rpn = rcnn.proposals(channels, anchors, samples[0], before, kept, ratios, overlaps)
        self.roi_heads = rcnn.box_heads(channels, width, samples[1], most)
        self.roi_heads.keypoint_head = rcnn.KeypointRCNNHeads(channels, tuple(stack))
        joints = len(skeleton)
        self.roi_heads.keypoint_predictor = (
            HeatmapHead(stack[-1], joints)
            if head == "heatmap"
            else RegressionHead(stack[-1], joints, self.settings["predicts_sigma"], places, sharpness)
        )
        self.set_eps(eps)

    def set_eps(self, eps: float) -> None:
        """Set the frozen normalisation's eps: torchvision's COCO weights were made with 0."""
        from logpose.models.rcnn import FrozenBatchNorm2d

        self.settings["eps"] = eps
        for module in self.modules():
            if isinstance(module, FrozenBatchNorm2d):
                module.eps = eps

    def _levels(self, pixels: Tensor) -> dict[str, Tensor]:
        """The pyramid in full precision also under autocast: torchvision's anchors have that of what they lie on."""
        return {name: level.float() for name, level in self.backbone(pixels).items()}

    def posed(self, levels: Sequence[Tensor], boxes: Sequence[Float[Tensor, "_ 4"]]) -> Prediction:
        """What the keypoint head says of each region, picture after picture."""
        features = self.roi_heads.keypoint_head(roi_align(levels, boxes, CELLS))
        prediction: Prediction = self.roi_heads.keypoint_predictor(features, self.error_distribution)
        return prediction

    def learn(self, batch: SceneBatch, loss: KeypointLoss) -> LossDict:
        """Losses of proposals, boxes and, by the loss that is given, joints; as detectron2 weighs them."""
        from logpose.models.rcnn import images

        pixels = self.inputs(batch.images, batch.sizes)
        features = self._levels(pixels)
        targets = [{"boxes": people.boxes, "ignored": people.ignored} for people in batch.people]
        proposals, losses = self.rpn(images(pixels, batch.sizes), features, targets)
        levels = list(features.values())[:4]
        boxes, matched, labels = self.roi_heads.sampled(proposals, batch.people)
        named = {"objectness": losses["loss_objectness"], "proposals": losses["loss_rpn_box_reg"]}
        named |= self.roi_heads.box_losses(levels, boxes, batch.people, matched, labels)
        boxes, target, weight = self._taught(boxes, matched, labels, batch)
        mean, factor = self.settings["keypoint_mean"], self.settings["keypoint_weight"]
        if mean == "people":
            weight = weight / weight.sum(dim=1, keepdim=True).clamp_min(1)
        elif mean == "instances":
            factor = factor * (weight > 0).sum() / max(1, len(weight))
        named["keypoints"] = factor * loss.of_prediction(self.posed(levels, boxes), target, weight)
        return LossDict(named)

    def _taught(
        self, boxes: Sequence[Tensor], matched: Sequence[Tensor], labels: Sequence[Tensor], batch: SceneBatch
    ) -> tuple[list[Tensor], Float[Tensor, "N K 2"], Float[Tensor, "N K"]]:
        """Regions that joints are learned in, and the labels there: of those that show somebody's labelled joint."""
        chosen, targets, weights = [], [], []
        for own, rows, label, people in zip(boxes, matched, labels, batch.people, strict=True):
            somebody = label > 0
            regions = widened(own[somebody], self.settings["frame"])
            target, weight, inside = _in_frames(regions, people, rows[somebody])
            shows = inside.any(dim=1)
            chosen.append(regions[shows])
            targets.append(target[shows])
            weights.append((weight * inside if self.outside == "mask" else weight)[shows])
        if not sum(map(len, chosen)):
            # Nothing is to be learned, but every parameter takes part: other processes wait for its gradient.
            height, width = batch.sizes[0].tolist()
            chosen[0] = batch.to_image.new_tensor([[0, 0, width, height]])
            targets[0] = chosen[0].new_zeros(1, len(self.skeleton), 2)
            weights[0] = chosen[0].new_zeros(1, len(self.skeleton))
        return chosen, torch.cat(targets), torch.cat(weights)

    def detect(self, images: UInt8[Tensor, "B 3 H W"], sizes: Int64[Tensor, "B 2"]) -> list[Detections]:
        """The people in each picture, best first.

        Raises:
            RuntimeError: while the model is in training mode.
        """
        from logpose.models.rcnn import images as listed

        if self.training:
            raise RuntimeError("a model in training mode finds nobody: call eval() first")
        pixels = self.inputs(images, sizes)
        features = self._levels(pixels)
        pictures = listed(pixels, sizes)
        proposals, _ = self.rpn(pictures, features)
        levels = list(features.values())[:4]
        found = self.roi_heads.found(levels, proposals, pictures.image_sizes)
        boxes = torch.cat([own for own, _ in found])
        regions = [widened(own, self.settings["frame"]) for own, _ in found]
        said, region = self.posed(levels, regions), torch.cat(regions)
        if said.maps is not None:
            if self.output_type == "heatmap logits":
                said.mu, said.confidence = peaks_in_boxes(said.maps, region, self.settings["finest"])
            said.maps = None  # nothing more is read from them, and those of a thousand people are large
        everybody = Detections(boxes, torch.cat([scores for _, scores in found]), said, box_maps(region))
        whose = torch.repeat_interleave(torch.tensor([len(own) for own, _ in found], device=boxes.device))
        return [everybody.chosen(whose == picture) for picture in range(len(found))]

    def run_layers(self, images: UInt8[Tensor, "1 3 H W"]) -> None:
        """The pyramid, the box head on as many proposals as are kept of an image, the keypoint head on one region."""
        from logpose.models import rcnn

        features = self._levels(self.normalised(images))
        self.rpn.head(list(features.values()))
        channels, proposals = features["0"].shape[1], self.settings["kept"][1]
        regions = features["0"].new_zeros(()).expand(proposals, channels, rcnn.BOX_CELLS, rcnn.BOX_CELLS)
        self.roi_heads.box_predictor(self.roi_heads.box_head(regions))
        region = self.roi_heads.keypoint_head(features["0"].new_zeros(1, channels, CELLS, CELLS))
        self.roi_heads.keypoint_predictor(region, self.error_distribution)

    def config(self) -> dict[str, Any]:
        """Plain values from which `checkpoint.build_model` makes the model again."""
        return {**self.common_config(), "kind": "mask_rcnn", **self.settings}


def _in_frames(
    boxes: Float[Tensor, "N 4"], people: ScenePeople, rows: Int64[Tensor, "N"]
) -> tuple[Float[Tensor, "N K 2"], Float[Tensor, "N K"], Tensor]:
    """Labels of the people that boxes show, in the boxes' own coordinates, their weight, and which lie inside."""
    target = in_boxes(people.keypoints[rows], boxes)
    weight = people.weight[rows]
    return target, weight, (weight > 0) & (target.abs() <= 0.5).all(dim=-1)


def load_mask_rcnn_weights(model: MaskRCNN, source: str) -> None:
    """Fill a network with pretrained weights, in place.

    Args:
        model: the network.
        source: "random" (leave it as it is); "imagenet" (of the backbone); "coco" (torchvision's keypoint R-CNN, for a
            ResNet-50); or a file, an address or "hf://OWNER/NAME/FILE": weights of torchvision's keypoint R-CNN, or a
            checkpoint of this network. The joints' last layer begins with random weights where it is of another shape
            or of other joints, and sigma where there is none. Or weights of a backbone, as `load_backbone_weights`
            takes them.

    Raises:
        InputError: if the weights cannot be had, or do not fit.
    """
    if source in ("random", "imagenet"):
        load_backbone_weights(model.backbone.body, source)
        return
    if source == "coco" and model.settings["backbone"] != "resnet50":
        raise InputError(f"weights of coco are of a resnet50, and the backbone is {model.settings['backbone']}")
    path = _file(source)
    state, told = read_weights(path)
    ours = "model.backbone.body.conv1.weight" in state
    if not ours and "backbone.body.conv1.weight" not in state:
        load_backbone_weights(model.backbone.body, str(path))
        return
    state = {_as_now(key.removeprefix("model.") if ours else key): tensor for key, tensor in state.items()}
    wanted = model.state_dict()
    taken = {key: state[key] for key in wanted if key in state and state[key].shape == wanted[key].shape}
    # What is not in the file, or of another shape, may be the joints' last layer only, and what is learned of errors.
    own = ("law_", "pixel_")
    missing = [key for key in wanted if key not in taken and not key.startswith((PREDICTOR, *own))]
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing:
        raise InputError(
            f"{source}: not weights of this Mask R-CNN; {len(missing)} tensors are missing or of another shape, "
            f"the first is {missing[0]}"
        )
    if not ours:
        told = {"skeleton": COCO.to_dict(), "frame": 1.0, "eps": 0.0}
    new = {key for key in wanted if key.startswith(PREDICTOR) and key not in taken}
    of_sigma = {key for key in new if key.startswith(f"{PREDICTOR}fc_sigma.")}
    joints = list(model.skeleton.joints)
    others = told.get("skeleton", {"joints": joints}).get("joints") != joints
    if others or new != of_sigma:
        taken = {key: tensor for key, tensor in taken.items() if not key.startswith(PREDICTOR)}
        what = "is of other joints" if others else "has another last layer of joints than this model's"
        log.warning("%s: %s; that layer begins with random weights", source, what)
    elif new:
        log.warning("%s: has no sigma, which begins with random weights", source)
    now, before = model.settings, model.settings | told
    if before["frame"] != now["frame"]:
        what = "%s: looked for joints in regions %g times as large as boxes, and this model does in %g times"
        log.warning(what, source, before["frame"], now["frame"])
    if before["head"] == now["head"] == "regression" and before["sharpness"] != now["sharpness"]:
        what = "%s: read places by means of sharpness %g, and this model does by %g"
        log.warning(what, source, before["sharpness"], now["sharpness"])
    taken = {key: tensor for key, tensor in taken.items() if not key.startswith("law_")}
    model.load_state_dict(taken, strict=False)
    model.set_eps(before["eps"])


def learns_normalisation(source: str) -> bool:
    """Whether a network that begins with these weights has a normalisation that learns: it had one, or none to keep.

    Args:
        source: as of `load_mask_rcnn_weights`.

    Raises:
        InputError: if the weights cannot be had.
    """
    if source in ("random", "imagenet", "coco"):
        return source == "random"
    # What counts the batches is there in our own networks whose normalisation was not frozen.
    return "model.backbone.body.bn1.num_batches_tracked" in read_state_dict(_file(source))


def _file(source: str) -> Path:
    """The file of a source of weights that is neither random ones nor ImageNet's."""
    path = fetched(COCO_WEIGHTS if source == "coco" else source)
    if not path.exists():
        raise InputError(f"{source}: no such weights file (give a file, an address, 'coco', 'imagenet' or 'random')")
    return path


def _as_now(key: str) -> str:
    """A parameter's name as torchvision has it now, from one of before its version 0.13."""
    key = re.sub(r"((?:inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2", key)
    return re.sub(r"^rpn\.head\.conv\.(weight|bias)$", r"rpn.head.conv.0.0.\1", key)
