"""Fine-tuning of a checkpoint: a new run starts from its backbone, head and flow, as far as they mean the same.

Outputs of a joint are taken from the joint of the same name, the other joints keep their initial values. What was taken
and what was not is reported in one line.
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from logpose.core.compat import patch_torchvision
from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton, short_names
from logpose.losses import LikelihoodLoss, PoseLoss
from logpose.models import Model, PoseModel
from logpose.models.backbone import FeatureExtractor
from logpose.models.pose_model import JointOutputs
from logpose.models.weight_files import own_checkpoint
from logpose.training.checkpoint import load_as_trained
from logpose.training.recipe import TrainingRecipe

patch_torchvision()
from lightning.pytorch.utilities.seed import isolate_rng  # noqa: E402

__all__ = ["same_joints", "warm_start"]

log = logging.getLogger("logpose")

OF_TRAINING = ("gradient_reweighting",)
"""Arguments of losses that do not change the density."""
UNREPORTED = re.compile(r"^(error_\w+|pixel_\w+|template|read)$|num_batches_tracked$")
"""Buffers that go along with others."""
TAKEN, MISSING, OTHER = "", "not in the checkpoint", "of another kind or shape"
UNUSED, UNKNOWN = "this run has none", "its outputs of joints are not described"
NO_JOINT = "no joint in common"
"""What becomes of a tensor."""
MOST_NAMED = 12  # of joints, in the report


def warm_start(model: Model, loss: PoseLoss | None, recipe: TrainingRecipe) -> None:
    """Take from the checkpoint of logpose that a recipe names in `weights` what fits a model and its loss, in place.

    Nothing is taken where `weights` names none, or `weights_of` is "backbone": the recipe's network has its backbone
    already. Random numbers are as without.

    Args:
        model: as the recipe makes it, prepared for the data.
        loss: None if that of the checkpoint is not to be taken.
        recipe: its `weights` and `weights_of`, where the task has them.

    Raises:
        InputError: if the checkpoint cannot be read, or is of another backbone.
    """
    source = str(getattr(recipe, "weights", "random"))
    if getattr(recipe, "weights_of", "") != "all" or (path := own_checkpoint(source)) is None:
        return
    with isolate_rng():
        before, loss_before = load_as_trained(path, _own_backbone(model), [type(model)])
    if before.task != model.task:
        log.info("--weights %s: taken: backbone; not taken: the rest, of a model for %s", source, before.task)
        return
    pairs = same_joints(model.skeleton, before.skeleton)
    taken, left = _take_model(model, before, pairs, source)
    if loss is not None:
        _take_densities(loss, loss_before, taken, left)
    words = [f"taken: {', '.join(taken)}", *([f"not taken: {', '.join(left)}"] if left else [])]
    if _crops(model) != _crops(before):
        words.append("its crops are of another shape or padding")
    log.info("--weights %s: %s", source, "; ".join(words))


def same_joints(skeleton: Skeleton, before: Skeleton) -> list[tuple[int, int]]:
    """The joints of a skeleton that another one has by the same name, and their numbers there.

    "left_hip", "L_hip" and "l_hip" are the same.
    """
    names, names_before = (short_names(each, {}) for each in (skeleton, before))
    if len({*names}) < len(names) or len({*names_before}) < len(names_before):  # by case only
        names, names_before = skeleton.joints, before.joints
    there = {name: joint for joint, name in enumerate(names_before)}
    return [(joint, there[name]) for joint, name in enumerate(names) if name in there]


def _own_backbone(model: Model) -> Any:
    """The backbone of a model, if it is of a user's own: a checkpoint does not describe it."""
    if "backbone" not in model.arguments() or model.argument("backbone") is not None:
        return None
    return copy.deepcopy(dict(model.named_modules())[model.backbone_path])


@torch.no_grad()
def _take_model(
    model: Model, before: Model, pairs: Sequence[tuple[int, int]], source: str
) -> tuple[list[str], list[str]]:
    """Copy the tensors of a model that fit another one; the parts that were taken, and those that were not.

    Raises:
        InputError: if the backbone is another.
    """
    theirs, outputs, outputs_before = before.state_dict(), model.joint_outputs(), before.joint_outputs()
    whole = [*pairs] == [(joint, joint) for joint in range(max(len(model.skeleton), len(before.skeleton)))]
    parts: dict[str, list[str]] = {}
    others: list[str] = []
    for name, tensor in model.state_dict().items():
        if name.startswith("error_"):  # follows from the loss
            continue
        in_backbone = name.startswith(f"{model.backbone_path}.")
        name_before = name.replace(model.backbone_path, before.backbone_path, 1) if in_backbone else name
        if (given := theirs.get(name_before)) is None:
            outcome = MISSING
        elif not (whole or in_backbone) and (outputs is None or outputs_before is None):
            outcome = UNKNOWN
        else:
            mine, their = _outputs_of(name, outputs or {}), _outputs_of(name_before, outputs_before or {})
            outcome = TAKEN if _copied(tensor, given, mine, their, pairs) else OTHER if pairs else NO_JOINT
        if in_backbone and outcome != TAKEN:
            others.append(name)
        if not UNREPORTED.search(name):
            parts.setdefault(_part_of(name, model), []).append(outcome)
    _check_backbone(model, others, source)
    model.weights_replaced()
    for name in theirs:
        if not (UNREPORTED.search(name) or (part := _part_of(name, before)) in parts):
            parts[part] = [UNUSED]
    taken, left = list[str](), list[str]()
    for part, outcomes in parts.items():
        count = outcomes.count(TAKEN)
        some = "" if count == len(outcomes) else f" ({count} of {len(outcomes)} tensors)"
        if count:
            taken.append(f"{part}{some}")
        else:
            left.append(f"{part} ({next((why for why in (OTHER, NO_JOINT, UNKNOWN) if why in outcomes), outcomes[0])})")
    if pairs and not whole:
        new = [joint for number, joint in enumerate(model.skeleton.joints) if number not in dict(pairs)]
        taken.append(f"outputs of {len(pairs)} of {len(model.skeleton)} joints")
        more = f" and {len(new) - MOST_NAMED} more" if len(new) > MOST_NAMED else ""
        left += [f"joints that the checkpoint does not have: {' '.join(new[:MOST_NAMED])}{more}"] if new else []
    return taken, left


def _part_of(name: str, model: Model) -> str:
    """The part of a model that has a tensor, for the report."""
    if name.startswith(f"{model.backbone_path}."):
        return "backbone"
    return "sigma head" if "fc_sigma." in name else "auxiliary head" if name.startswith("auxiliary_") else "head"


def _outputs_of(name: str, outputs: Mapping[str, JointOutputs]) -> JointOutputs | None:
    """The outputs that a tensor makes, if they are described."""
    return next((made for of, made in outputs.items() if name == of or name.startswith(f"{of}.")), None)


def _copied(
    tensor: Tensor,
    given: Tensor,
    outputs: JointOutputs | None,
    before: JointOutputs | None,
    pairs: Sequence[tuple[int, int]],
) -> bool:
    """Copy another tensor, or its part of the same joints, if it has the same meaning; whether it was copied."""
    if outputs is None or before is None or outputs.each is None or before.each is None:
        alike = given.shape == tensor.shape and outputs == before
        if alike:
            tensor.copy_(given)
        return alike
    if outputs.settings != before.settings or len(outputs.each) != len(before.each) or tensor.ndim != given.ndim:
        return False
    axis = outputs.axis if tensor.ndim > 1 else 0
    to, of = tensor.movedim(axis, 0), given.movedim(axis, 0)
    if to.shape[1:] != of.shape[1:] or not pairs:
        return False
    to, of = to.unflatten(0, (-1, *outputs.each)), of.unflatten(0, (-1, *before.each))  # type: ignore[no-untyped-call]
    mine, theirs = zip(*pairs, strict=True)
    both = tuple(slice(min(sizes)) for sizes in zip(outputs.each, before.each, strict=True))  # x, y of x, y, z
    to[(list(mine), *both)] = of[(list(theirs), *both)].to(to)
    return True


def _check_backbone(model: Model, others: Sequence[str], source: str) -> None:
    """Refuse a checkpoint that lacks tensors of a backbone, but for a neck and counters of batches."""
    backbone = dict(model.named_modules()).get(model.backbone_path)
    neck = backbone.neck_parameters if isinstance(backbone, FeatureExtractor) else ()
    neck = tuple(f"{model.backbone_path}.{prefix}" for prefix in neck)
    wrong = [name for name in others if not (name.startswith(neck) or name.endswith("num_batches_tracked"))]
    if wrong:
        name = getattr(backbone, "name", type(backbone).__name__)
        raise InputError(f"{source}: not weights of {name}; {len(wrong)} tensors do not fit, the first is {wrong[0]}")


def _take_densities(loss: PoseLoss, before: PoseLoss | None, taken: list[str], left: list[str]) -> None:
    """Take the parameters of densities, of a flow above all, from those of the same arguments; report them."""
    there = {} if before is None else _densities(before)
    mine = _densities(loss)
    for name, density in mine.items():
        word = "flow" if [*density.parameters()] else "scale of errors"
        same = [each for each in there.values() if _arguments(each) == _arguments(density)]
        match = there[name] if there.get(name) in same else next(iter(same), None)
        if match is None:
            left.append(
                f"{word}{f' of {density.dim} dimensions' if len(mine) > 1 else ''} ({OTHER if there else MISSING})"
            )
        else:
            density.load_state_dict(match.state_dict())
            taken.append(f"{word} of {density.dim} dimensions" if len(mine) > 1 else word)
    if not mine and any([*density.parameters()] for density in there.values()):
        left.append(f"flow ({UNUSED})")


def _densities(loss: nn.Module) -> dict[str, LikelihoodLoss]:
    """The densities that a loss consists of and that have learned something, by their names in it."""
    found = {name: part for name, part in loss.named_modules() if isinstance(part, LikelihoodLoss)}
    inner = [
        name for name in found if any(other.startswith(f"{name}.") or not name for other in found if other != name)
    ]
    return {name: part for name, part in found.items() if name not in inner and part.state_dict()}


def _arguments(density: LikelihoodLoss) -> dict[str, Any]:
    """What decides a density but for its parameters."""
    shapes = {name: tensor.shape for name, tensor in density.state_dict().items()}
    return {name: value for name, value in density.config().items() if name not in OF_TRAINING} | shapes


def _crops(model: Model) -> tuple[float, ...]:
    """Shape and padding of a model's crops."""
    if not isinstance(model, PoseModel):
        return ()
    return (model.size[0] / model.size[1], model.padding)
