"""Fine-tuning of a backbone: stages that do not learn, and a lower learning rate for those near the input."""

from __future__ import annotations

from typing import Any

from torch import nn

from logpose.core.errors import InputError
from logpose.models import Model
from logpose.models.pose_model import is_weight
from logpose.training.recipe import RANDOM, TrainingRecipe

__all__ = ["freeze", "parameter_groups"]

BACKBONE_LR = "--backbone-lr"
BatchNorm = nn.modules.batchnorm._BatchNorm


def freeze(model: Model, recipe: TrainingRecipe) -> list[nn.Module]:
    """Freeze the first stages of a model's backbone, as many as the recipe has in `freeze`: they get no gradient.

    Returns:
        the layers of batch normalisation that keep their statistics, and have to stay in evaluation mode: those of
        frozen stages, or with `freeze_norm` those of all.

    Raises:
        InputError: if the model has no backbone with that many stages, or its weights are random.
    """
    slower = _slower(recipe)
    if not (recipe.freeze or recipe.freeze_norm or slower):
        return []
    flag = "--freeze" if recipe.freeze else "--freeze-norm" if recipe.freeze_norm else slower
    stages = _Stages(model, flag)
    if recipe.freeze > stages.count:
        raise InputError(f"--freeze {recipe.freeze}: the backbone has {stages.count} stages")
    if flag != slower and getattr(recipe, "weights", "") == "random":
        raise InputError(f"{flag}: {RANDOM}")
    learning = {stages.of(name) for name, parameter in model.named_parameters() if parameter.requires_grad}
    already = next((stage for stage in range(stages.count) if stage in learning), stages.count)
    if 0 < recipe.freeze < already:
        raise InputError(f"--freeze {recipe.freeze}: this model's first {already} stages are frozen in any case")
    for name, parameter in model.named_parameters():
        if stages.of(name) < recipe.freeze:
            parameter.requires_grad_(False)
    end = stages.count if recipe.freeze_norm else recipe.freeze
    kept: list[nn.Module] = [
        layer
        for name, layer in model.named_modules()
        if isinstance(layer, BatchNorm) and layer.track_running_stats and stages.of(f"{name}.weight") < end
    ]
    if recipe.freeze_norm and not kept:
        raise InputError("--freeze-norm: the backbone has no batch normalisation that learns statistics")
    for layer in kept:
        layer.eval()
    return kept


def parameter_groups(model: Model, loss: nn.Module, recipe: TrainingRecipe) -> list[dict[str, Any]]:
    """The optimiser's groups of parameters: weights, which decay, and the others, each at its learning rate.

    With `layer_decay` d the last of S stages of the backbone learns at d times the rate, the one before it at d²
    times, and the first at d^S, all of them times `backbone_lr`; all else has the full rate (as in BEiT: Bao et al.
    2022, A.2).
    """
    parameters = list(model.named_parameters())
    slower = _slower(recipe)
    if not (recipe.freeze or slower):
        weights = [p for name, p in parameters if is_weight(name, p)]
        others = [p for name, p in parameters if not is_weight(name, p)] + list(loss.parameters())
        return [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    stages = _Stages(model, slower or "--freeze")
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in parameters:
        if parameter.requires_grad:
            stage = stages.of(name) if slower else stages.count
            groups.setdefault((stage, not is_weight(name, parameter)), []).append(parameter)
    groups.setdefault((stages.count, True), []).extend(loss.parameters())
    return [
        {
            "params": groups[stage, plain],
            "weight_decay": 0.0 if plain else recipe.weight_decay,
            "lr": recipe.lr * recipe.layer_decay**above * (recipe.backbone_lr if above else 1),
        }
        for stage, plain in sorted(groups)
        if groups[stage, plain]
        for above in (stages.count - stage,)
    ]


def _slower(recipe: TrainingRecipe) -> str:
    """The flag that gives the backbone a rate of its own; empty if there is none."""
    return "--layer-decay" if recipe.layer_decay != 1 else BACKBONE_LR if recipe.backbone_lr != 1 else ""


class _Stages:
    """Stages of a model's backbone, numbered from its input on; all else of the model comes after the last.

    Raises:
        InputError: naming the flag, if they are not known.
    """

    def __init__(self, model: Model, flag: str) -> None:
        path = f"{model.backbone_path}."
        modules = dict(model.named_modules())
        backbone = modules.get(model.backbone_path)
        if backbone is None:
            raise InputError(f"{flag}: models for {model.task} have no backbone")
        known: tuple[tuple[str, ...], ...] = getattr(backbone, "stage_parameters", ())
        if flag == BACKBONE_LR:
            known = (("",),)  # all of it is one
        if not known:
            name = getattr(backbone, "name", type(backbone).__name__)
            raise InputError(f"{flag}: the stages of the backbone {name} are not known")
        self.count = len(known)
        self._prefixes = [tuple(path + prefix for prefix in stage) for stage in known]
        for name, _ in backbone.named_parameters():
            if self.of(path + name) == self.count:
                raise InputError(f"{flag}: {name} of the backbone {type(backbone).__name__} is in none of its stages")

    def of(self, name: str) -> int:
        """Number of the stage of a parameter; the number of stages where it is not the backbone's."""
        return next((i for i, prefixes in enumerate(self._prefixes) if name.startswith(prefixes)), self.count)
