"""Checkpoints of version 0.1: a model's `config`, and names of tensors, as this version writes them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

__all__ = ["rename_buffers", "upgraded"]

MASK_RCNN_OPTIONS = {
    "anchors": "anchor_sizes",
    "ratios": "aspect_ratios",
    "overlaps": "rpn_iou_thresholds",
    "before": "rpn_pre_nms_top_n",
    "kept": "rpn_post_nms_top_n",
    "samples": "samples_per_image",
    "most": "detections_per_image",
    "width": "box_head_width",
    "stack": "keypoint_head_channels",
    "places": "coordinates",
    "charged": "with_logits",
    "frame": "roi_scale",
    "finest": "min_map_size",
    "eps": "norm_eps",
    **{name: name for name in ("channels", "sharpness", "outside", "frozen")},
}
"""Options of Mask R-CNN, which were arguments of its own, and their names today."""
REMOVED = {"keypoint_weight", "keypoint_mean"}  # of its training


def rename_buffers(tensors: dict[str, Any], prefix: str = "") -> None:
    """Give the error distribution's buffers, once `law_*`, their names of today."""
    for name in ("mean", "std", "radius", "bands"):
        if f"{prefix}law_{name}" in tensors:
            tensors[f"{prefix}error_{name}"] = tensors.pop(f"{prefix}law_{name}")


def upgraded(format: Any, config: dict[str, Any], tensors: dict[str, Any]) -> dict[str, Any]:
    """A model's `config` in today's form, from the format, config and tensors of a checkpoint; format 1 is 0.1's."""
    if format != 1:
        return config
    if config.get("kind") == "mask_rcnn":
        options = {new: config[old] for old, new in MASK_RCNN_OPTIONS.items() if old in config}
        gone = MASK_RCNN_OPTIONS.keys() | REMOVED
        return {name: value for name, value in config.items() if name not in gone} | {"options": options}
    # Channel statistics stood among the tensors alone.
    found = {name: tensors.get(f"model.{name}") for name in ("pixel_mean", "pixel_std")}
    config = config | {name: value.flatten().tolist() for name, value in found.items() if isinstance(value, Tensor)}
    if isinstance(config.get("backbone"), str):
        config["backbone"] = _backbone(config)
    if any(name.startswith("model.auxiliary_head.") for name in tensors):
        config["auxiliary"] = True
    return config


def _backbone(config: dict[str, Any]) -> dict[str, Any]:
    """The `config` of a backbone, of which the name alone was kept."""
    from logpose.models.backbone import Needs
    from logpose.models.backbones import backbone_config

    pyramid = config["kind"] == "point_set"
    height, width = (config["short"],) * 2 if pyramid else config["size"]
    neck = config["kind"] == "regression" or bool(config.get("predicts_sigma"))
    return backbone_config(config["backbone"], Needs((int(height), int(width)), neck and not pyramid, pyramid))
