"""Recipes of version 0.1 that are a preset and flags today: their names keep working for one version."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from logpose.training.recipe import TrainingRecipe

__all__ = ["OLD", "Renamed", "command", "old_presets", "old_recipe", "renamed"]


class Renamed(NamedTuple):
    """What a recipe of version 0.1 is today: the preset of a name, with some other plain fields."""

    preset: str
    fields: dict[str, Any]


R50, LARGE = "coco_resnet50_rle", {"size": (384, 288)}
R152: dict[str, Any] = {"backbone": "resnet152"}
MMPOSE, PRETRAIN = "coco_resnet50_rle_mmpose", {"pretrain": "heatmap"}
L1, MAPS, L1_INTEGRAL = {"loss": "l1"}, {"head": "heatmap"}, {"head": "integral", "loss": "l1"}
HRNET_EPOCHS = {"epochs": 210, "milestones": (170, 200)}
STEPS = {"steps": 180_000, "milestones": (120_000, 160_000)}
SIMPLE = {**MAPS, "epochs": 140, "milestones": (90, 120)}
FULL = {"head": "full", "size": (224, 768)}
SRNET, SRNET_243 = {"network": "srnet"}, {"network": "srnet", "filters": (3, 3, 3, 3, 3)}

OLD: dict[str, tuple[str, dict[str, Any]]] = {
    "coco_resnet50_rle_paper": (R50, {"convention": "paper"}),
    "coco_resnet50_rle_gaussian": (R50, {"base": "gaussian"}),
    "coco_resnet50_dle": (R50, {"loss": "dle"}),
    "coco_resnet50_l1": (R50, L1),
    "coco_resnet50_l2": (R50, {"loss": "l2"}),
    "coco_resnet50_gaussian": (R50, {"loss": "gaussian"}),
    "coco_resnet50_laplace": (R50, {"loss": "laplace"}),
    "coco_resnet101_rle": (R50, {"backbone": "resnet101"}),
    "coco_resnet152_rle": (R50, R152),
    "coco_resnet50_384_rle": (R50, LARGE),
    "coco_resnet101_384_rle": (R50, {"backbone": "resnet101", **LARGE}),
    "coco_resnet152_384_rle": (R50, R152 | LARGE),
    "coco_resnet50_rle_heatmaps_first": (R50, PRETRAIN),
    "coco_resnet152_384_rle_heatmaps_first": (R50, R152 | LARGE | PRETRAIN),
    "coco_resnet152_384_heatmap": ("coco_resnet50_heatmap", R152 | LARGE),
    "coco_resnet50_integral": (R50, L1_INTEGRAL),
    "coco_resnet50_integral_sigmoid": (R50, {**L1_INTEGRAL, "normalisation": "sigmoid"}),
    "coco_hrnet_w32_heatmap": ("coco_resnet50_heatmap", {"backbone": "hrnet_w32", **HRNET_EPOCHS}),
    "coco_hrnet_w32_rle": (R50, {"backbone": "hrnet_w32", "head": "integral"}),
    "coco_hrnet_w48_384_rle": (R50, {"backbone": "hrnet_w48", "head": "integral", **LARGE}),
    "coco_resnet50_l1_auxiliary": (R50, {**L1, "auxiliary": 1.0}),
    "coco_resnet50_rle_auxiliary": (R50, {"auxiliary": 1.0}),
    "coco_resnet101_rle_mmpose": (MMPOSE, {"backbone": "resnet101"}),
    "coco_resnet152_rle_mmpose": (MMPOSE, R152),
    "coco_resnet152_384_rle_mmpose": (MMPOSE, {**R152, **LARGE, "lr": 5e-4}),
    "mpii_resnet50_l1": ("mpii_resnet50_rle", L1),
    "mpii_resnet50_dle": ("mpii_resnet50_rle", {"loss": "dle"}),
    "mpii_resnet50_heatmap": ("mpii_resnet50_rle", SIMPLE),
    "mpii_resnet50_rle_heatmaps_first": ("mpii_resnet50_rle", PRETRAIN),
    "lsp_resnet18_l1": ("lsp_resnet18_rle", L1),
    "lsp_resnet18_heatmap": ("lsp_resnet18_rle", MAPS),
    "lsp_resnet18_integral": ("lsp_resnet18_rle", L1_INTEGRAL),
    "lsp_resnet18_rle_heatmaps_first": ("lsp_resnet18_rle", PRETRAIN),
    "mask_rcnn_resnet50_heatmap": ("mask_rcnn_resnet50_rle", MAPS),
    "mask_rcnn_resnet50_rle_heatmaps_first": ("mask_rcnn_resnet50_rle", {**PRETRAIN, **STEPS}),
    "mask_rcnn_resnet18_heatmap": ("mask_rcnn_resnet18_rle", MAPS),
    "mask_rcnn_synthetic_heatmap": ("mask_rcnn_synthetic_rle", MAPS),
    "mask_rcnn_synthetic_rle_heatmaps_first": ("mask_rcnn_synthetic_rle", {**PRETRAIN, "epochs": 4}),
    "point_set_hrnet_w32_l1": ("point_set_hrnet_w32_rle", L1),
    "point_set_resnet18_l1": ("point_set_resnet18_rle", L1),
    "point_set_synthetic_l1": ("point_set_synthetic_rle", L1),
    "h36m_resnet50_l1": ("h36m_resnet50_rle", L1),
    "h36m_resnet50_integral": ("h36m_resnet50_rle", L1_INTEGRAL),
    "h36m_resnet50_dle": ("h36m_resnet50_rle", {"loss": "dle"}),
    "lifting_fc_l1": ("lifting_fc_rle", L1),
    "lifting_fc_rle_paper": ("lifting_fc_rle", {"convention": "paper"}),
    "lifting_srnet_rle": ("lifting_fc_rle", SRNET),
    "lifting_srnet_l1": ("lifting_fc_rle", SRNET | L1),
    "lifting_srnet243_rle": ("lifting_fc_rle", SRNET_243),
    "lifting_srnet243_l1": ("lifting_fc_rle", SRNET_243 | L1),
    "lifting_martinez_l1": ("lifting_martinez_l2", L1),
    "lifting_martinez_rle": ("lifting_martinez_l2", {"loss": "rle"}),
    "oct_column_rle_factors": ("oct_column_rle", {"factors": True}),
    "oct_column_l1": ("oct_column_rle", L1),
    "oct_full_rle": ("oct_column_rle", FULL),
    "oct_full_l1": ("oct_column_rle", {**FULL, **L1}),
    "oct_softargmax": ("oct_column_rle", {"head": "rows", **L1}),
    "oct_softargmax_rle": ("oct_column_rle", {"head": "rows"}),
    "oct_synthetic_l1": ("oct_synthetic_rle", L1),
    "synthetic_resnet18_l1": ("synthetic_resnet18_rle", L1),
    "synthetic_3d_l1": ("synthetic_3d_rle", L1),
}
"""By their names, the recipes of version 0.1 that are no presets any more."""


def renamed(name: str) -> Renamed | None:
    """What a recipe of version 0.1 is today; None if it is a preset still, or never was one."""
    return Renamed(*OLD[name]) if name in OLD else None


def command(preset: str, fields: dict[str, Any]) -> str:
    """The words after `logpose train` that give a preset with these plain fields."""
    words = [preset]
    for name, value in fields.items():
        values = value if isinstance(value, tuple) else (value,)
        words += [
            f"--{name.replace('_', '-')}",
            *(f"{each:g}" if isinstance(each, float) else str(each) for each in values),
        ]
    return " ".join(words).replace("True", "true")


def old_presets(module: Mapping[str, Any]) -> Callable[[str], Callable[[], TrainingRecipe]]:
    """The `__getattr__` of a module of presets: its functions of version 0.1, with a DeprecationWarning."""

    def function(name: str) -> Callable[[], TrainingRecipe]:
        if name not in OLD:
            raise AttributeError(f"logpose.recipes has no recipe {name!r}")
        message = f"{name} will be removed: it is `logpose train {command(*OLD[name])}`"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return old_recipe(name, module)

    return function


def old_recipe(name: str, presets: Mapping[str, Any]) -> Callable[[], TrainingRecipe]:
    """The function that makes the recipe of a name in `OLD`, from the functions that make presets."""
    preset, fields = OLD[name]

    def make() -> TrainingRecipe:
        recipe: TrainingRecipe = presets[preset]()
        return replace(recipe, **fields)

    make.__name__ = name
    make.__doc__ = f"Now `logpose train {command(preset, fields)}`."
    return make
