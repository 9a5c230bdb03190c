"""Two-stage 3-D pose: from keypoints in the image to joints in space (the paper's Tables 9 and 10).

Keypoints are screen-normalised, of a window of T frames; joints are in metres relative to the root joint, in the
camera's frame, of the middle frame. For losses that learn sigma the last layer has twice as many outputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from logpose.core.config import Configurable
from logpose.core.errors import InputError
from logpose.core.geometry import MM
from logpose.core.skeletons import Skeleton
from logpose.core.structures import Prediction
from logpose.models.heads import SIGMA_FLOOR, exactly, prediction_of
from logpose.models.pose_model import KeypointModel

__all__ = ["FCBaseline", "LiftingModel", "Martinez", "SRNet", "body_parts"]

SLOPE = 0.01  # of LeakyReLU, as in SRNet's code
OF_MODEL = ("kind", "joints", "parts", "outputs")  # of a network's `config`: what follows from its model's arguments
MOMENTUM = (0.1, 0.001)  # of batch normalisation, in the first and towards the last epoch (SRNet's code)


class LiftingNetwork(nn.Module, Configurable):
    """Base of the networks: windows of keypoints (B, T, K, 2) in, all outputs (B, O) out."""

    frames: int = 1

    def argument(self, name: str) -> Any:
        """The value of a constructor argument: of blocks their number."""
        return len(self.blocks) if name == "blocks" else super().argument(name)  # type: ignore[arg-type]


class _Residual(nn.Sequential):
    """Layers beside a shortcut."""

    def forward(self, features: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        return features + super().forward(features)  # type: ignore[no-any-return, no-untyped-call]


class FCBaseline(LiftingNetwork):
    """The fully connected baseline as SRNet's code has it: 4,291,635 parameters for 17 joints without sigma.

    Args:
        joints: K.
        outputs: numbers for each of a joint's dimensions: 1, or 2 with sigma.
        width, blocks, dropout: channels of hidden layers, residual blocks of two layers each, and their dropout.
    """

    kind = "fc"

    def __init__(self, joints: int, outputs: int = 1, width: int = 1024, blocks: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        self.joints, self.outputs, self.width, self.dropout = joints, outputs, width, dropout

        def layer(inputs: int) -> nn.Sequential:
            linear = nn.Linear(inputs, width, bias=False)
            return nn.Sequential(linear, nn.BatchNorm1d(width), nn.LeakyReLU(SLOPE), nn.Dropout(dropout))

        self.expand = layer(2 * joints)
        self.blocks = nn.Sequential(*(_Residual(layer(width), layer(width)) for _ in range(blocks)))
        self.last = nn.Linear(width, 3 * joints * outputs)

    def forward(self, keypoints: Float[Tensor, "B T K 2"]) -> Float[Tensor, "B O"]:
        """All outputs of each window."""
        outputs: Tensor = exactly(self.last, self.blocks(exactly(self.expand, keypoints.flatten(1))))
        return outputs


class _MaxNorm(nn.Linear):
    """A linear layer whose weight has a norm of 1 at most (TensorFlow's clip_by_norm)."""

    def forward(self, inputs: Float[Tensor, "B C"]) -> Float[Tensor, "B O"]:
        length = self.weight.square().sum().sqrt()
        return F.linear(inputs, self.weight / length.clamp_min(1), self.bias)


class Martinez(LiftingNetwork):
    """The baseline as Martinez et al. 2017 published it: ReLU, dropout, weights of bounded norm, biases.

    Inputs and outputs are standardised by their mean and standard deviation over the training data (`standardise`). The
    root joint is not predicted, it is 0. Without Human3.6M's nose it has 4,291,632 parameters without sigma.

    Args:
        joints, outputs, width, blocks, dropout: see `FCBaseline`.
        root: the joint that is not predicted.
        unseen: joints whose keypoints are not used.
    """

    kind = "martinez"
    inputs_mean: Tensor
    inputs_std: Tensor
    targets_mean: Tensor
    targets_std: Tensor

    def __init__(
        self,
        joints: int,
        outputs: int = 1,
        width: int = 1024,
        blocks: int = 2,
        dropout: float = 0.5,
        root: int = 0,
        unseen: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.joints, self.outputs, self.width, self.dropout = joints, outputs, width, dropout
        self.root, self.unseen = root, tuple(unseen)
        self.seen = [joint for joint in range(joints) if joint not in unseen]
        for name, dim in (("inputs", 2), ("targets", 3)):
            self.register_buffer(f"{name}_mean", torch.zeros(joints, dim))
            self.register_buffer(f"{name}_std", torch.ones(joints, dim))

        def layer(inputs: int) -> nn.Sequential:
            return nn.Sequential(_MaxNorm(inputs, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout))

        self.expand = layer(2 * len(self.seen))
        self.blocks = nn.Sequential(*(_Residual(layer(width), layer(width)) for _ in range(blocks)))
        self.last = _MaxNorm(width, 3 * (joints - 1) * outputs)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    @torch.no_grad()
    def standardise(self, inputs: Float[Tensor, "N K 2"], targets: Float[Tensor, "N K 3"]) -> None:
        """Take means and standard deviations of the training data; 1 for constants."""
        for name, values in (("inputs", inputs), ("targets", targets)):
            std = values.std(dim=0)
            getattr(self, f"{name}_mean").copy_(values.mean(dim=0))
            getattr(self, f"{name}_std").copy_(std.where(std > 1e-6, torch.ones_like(std)))

    def forward(self, keypoints: Float[Tensor, "B T K 2"]) -> Float[Tensor, "B O"]:
        """All outputs of each window: positions of all joints, then their logits of sigma."""
        standardised = (keypoints[:, 0] - self.inputs_mean) / self.inputs_std
        features = self.blocks(exactly(self.expand, standardised[:, self.seen].flatten(1)))
        found = exactly(self.last, features).unflatten(1, (self.outputs, -1, 3))
        root = torch.zeros_like(found[:, :, :1])
        found = torch.cat([found[:, :, : self.root], root, found[:, :, self.root :]], dim=2)
        placed = found[:, :1] * self.targets_std + self.targets_mean
        return torch.cat([placed, found[:, 1:]], dim=1).flatten(1)


def body_parts(skeleton: Skeleton) -> tuple[tuple[int, ...], ...]:
    """SRNet's groups: right leg, left leg, trunk and head, left arm, right arm; the root joint is first in each.

    Raises:
        InputError: if they cannot be inferred from the joints' names.
    """
    if len(skeleton.root) != 1:
        raise InputError(f"skeleton {skeleton.name!r} has no pelvis, which is part of every group of SRNet")
    leg, arm = ("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")
    sides = (("right", leg), ("left", leg), ("left", arm), ("right", arm))
    limbs = [skeleton.joints_of(side, names) for side, names in sides]
    if not all(limbs):
        raise InputError(f"skeleton {skeleton.name!r} lacks an arm or a leg, by its joints' names")
    elsewhere = {*skeleton.root, *(joint for limb in limbs for joint in limb)}
    trunk = tuple(joint for joint in range(len(skeleton)) if joint not in elsewhere)
    return tuple((skeleton.root[0], *part) for part in (*limbs[:2], trunk, *limbs[2:]))


def _shares(total: int, sizes: Sequence[int]) -> list[int]:
    """`total` split in proportion to sizes, rounded down; the last takes the rest."""
    shares = [total * size // sum(sizes) for size in sizes[:-1]]
    return [*shares, total - sum(shares)]


class _Split(nn.Module):
    """A convolution over `taps` frames, split into groups; each takes of the others one number for each frame."""

    def __init__(self, inputs: Sequence[int], outputs: Sequence[int], taps: int) -> None:
        super().__init__()
        self.inputs, self.outputs, self.taps = list(inputs), list(outputs), taps
        total = sum(inputs)
        self.own = nn.ModuleList(nn.Conv1d(i, o, taps, taps, bias=False) for i, o in zip(inputs, outputs, strict=True))
        self.others = nn.ModuleList(nn.Conv1d(total - i, taps, taps, taps) for i in inputs)
        self.norms = nn.ModuleList(nn.BatchNorm1d(taps) for _ in inputs)
        for conv in self.others:
            nn.init.zeros_(conv.weight)  # type: ignore[arg-type]

    def forward(self, features: Float[Tensor, "B C T"]) -> Float[Tensor, "B O S"]:
        groups, found = torch.split(features, self.inputs, dim=1), []
        for i, group in enumerate(groups):
            others = torch.cat([*groups[:i], *groups[i + 1 :]], dim=1)
            gate = self.norms[i](self.others[i](others)).sigmoid()  # (B, taps, S): one number for each frame
            found.append(self.own[i](group * gate.transpose(1, 2).flatten(1)[:, None]))
        return torch.cat(found, dim=1)


class _Block(nn.Module):
    """A residual block of two split layers, the first of which joins frames."""

    def __init__(self, hidden: Sequence[int], taps: int, dropout: float) -> None:
        super().__init__()
        self.taps = taps
        self.first, self.second = (_with_norm(_Split(hidden, hidden, each), dropout) for each in (taps, 1))

    def forward(self, features: Float[Tensor, "B C T"]) -> Float[Tensor, "B C S"]:
        joined: Tensor = features[:, :, self.taps // 2 :: self.taps] + self.second(self.first(features))
        return joined


def _with_norm(layer: _Split, dropout: float) -> nn.Sequential:
    """A split layer, batch normalisation, LeakyReLU, dropout."""
    channels = sum(layer.outputs)
    return nn.Sequential(layer, nn.BatchNorm1d(channels), nn.LeakyReLU(SLOPE), nn.Dropout(dropout))


class SRNet(LiftingNetwork):
    """Split-and-recombine network (Zeng et al. 2020): 899,029 parameters for a frame, 3,612,067 for 243, without sigma.

    Every layer is split by parts of the body; into each part's features goes a product with one number for each frame
    that is computed from all other parts.

    Args:
        parts: joints of each group, as of `body_parts`; the first of each is the root.
        filters: frames that become one, layer by layer: (1, 1, 1) takes one frame, (3, 3, 3, 3, 3) takes 243.
        outputs, width, dropout: see `FCBaseline`.

    Raises:
        InputError: if the layers are too narrow to be split.
    """

    kind = "srnet"

    def __init__(
        self,
        parts: Sequence[Sequence[int]],
        outputs: int = 1,
        filters: Sequence[int] = (1, 1, 1),
        width: int = 1024,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.filters, self.width, self.dropout = tuple(filters), width, dropout
        self.frames, self.outputs, self.parts = math.prod(filters), outputs, [list(part) for part in parts]
        self.joints = max(joint for part in self.parts for joint in part) + 1
        inputs = [2 * len(part) for part in self.parts]
        hidden = _shares(width, inputs)
        if min(hidden) < 1:
            raise InputError(f"a width of {width} leaves some of SRNet's groups without a channel")
        # One more than is used, as in the published network: 64 numbers for 21 joints.
        last = _shares(3 * outputs * sum(map(len, self.parts)) + 1, inputs)
        self.expand = _with_norm(_Split(inputs, hidden, filters[0]), dropout)
        self.blocks = nn.Sequential(*(_Block(hidden, taps, dropout) for taps in filters[1:]))
        self.last, self.sizes = _Split(hidden, last, 1), last

    def forward(self, keypoints: Float[Tensor, "B T K 2"]) -> Float[Tensor, "B O"]:
        """All outputs of each window, as of `Martinez`."""
        split = torch.cat([keypoints[:, :, part].flatten(2) for part in self.parts], dim=-1)
        features = self.blocks(exactly(self.expand, split.transpose(1, 2)))
        found = torch.split(exactly(self.last, features)[:, :, 0], self.sizes, dim=1)
        placed = keypoints.new_zeros(keypoints.shape[0], self.outputs, self.joints, 3)
        for i, (part, numbers) in enumerate(zip(self.parts, found, strict=True)):
            own = numbers[:, : 3 * len(part) * self.outputs].unflatten(1, (self.outputs, len(part), 3))  # type: ignore[no-untyped-call]
            first_joint = 0 if i == 0 else 1  # the root is taken of the first group only
            placed[:, :, part[first_joint:]] = own[:, :, first_joint:]
        return placed.flatten(1)


NETWORKS: dict[str, type[LiftingNetwork]] = {network.kind: network for network in (FCBaseline, Martinez, SRNet)}


class LiftingModel(KeypointModel):
    """Keypoints of one frame or several in, joints in space out: metres from the root, in the camera's frame.

    Args:
        network: "fc" (`FCBaseline`), "martinez" or "srnet".
        skeleton: the joints, of keypoints and positions alike.
        predicts_sigma: whether sigma is predicted; where not (L1 and L2 regression), it is 1 everywhere.
        settings: further arguments of the network.
        learned_from: fingerprints of the subjects that it was trained on, so that it can be evaluated on others.

    Raises:
        InputError: if the network is another, or the skeleton's joints cannot be split for it.
    """

    unit = "mm"
    kind = "lifting"
    task = "lifting"
    at_root: Tensor

    def __init__(
        self,
        network: str,
        skeleton: Skeleton,
        predicts_sigma: bool = True,
        settings: Mapping[str, Any] | None = None,
        learned_from: Sequence[str] = (),
    ) -> None:
        super().__init__(skeleton, dim=3)
        self.predicts_sigma, self.learned_from = predicts_sigma, tuple(learned_from)
        if network not in NETWORKS:
            raise InputError(f"networks that lift are {', '.join(NETWORKS)}, not {network!r}")
        joints = {"parts": body_parts(skeleton)} if network == SRNet.kind else {"joints": len(skeleton)}
        outputs = {"outputs": 2 if predicts_sigma else 1}
        self.network = NETWORKS[network].from_config(joints | outputs | dict(settings or {}))
        self.frames = self.network.frames
        at_root = torch.zeros(len(skeleton), 1, dtype=torch.bool)
        at_root[list(skeleton.root)] = True
        self.register_buffer("at_root", at_root, persistent=False)

    def forward(self, keypoints: Float[Tensor, "B T K 2"]) -> Prediction:
        """Predict each joint of the middle frame; the root is at 0, with the least sigma."""
        found = self.network(keypoints.to(self.dtype)).unflatten(1, (-1, len(self.skeleton), 3))
        mu = found[:, 0].masked_fill(self.at_root, 0)
        if self.predicts_sigma:
            sigma = SIGMA_FLOOR + (1 - SIGMA_FLOOR) * found[:, 1].sigmoid().masked_fill(self.at_root, 0)
            return prediction_of(mu, sigma, self.error_distribution)
        prediction = prediction_of(mu, None, self.error_distribution)
        return replace(prediction, sigma=prediction.sigma.masked_fill(self.at_root, SIGMA_FLOOR))

    @property
    def input_spec(self) -> str:
        """The number of its frames."""
        return "keypoints of a frame" if self.frames == 1 else f"keypoints of {self.frames} frames"

    def example_input(self) -> Float[Tensor, "1 T K 2"]:
        """All keypoints in the middle of the image."""
        return torch.zeros(1, self.frames, len(self.skeleton), 2, device=self.at_root.device)

    def mirrored(self, inputs: Float[Tensor, "B T K 2"]) -> Float[Tensor, "B T K 2"]:
        """Keypoints mirrored left to right; the screen's middle is 0."""
        return mirror(inputs, self.skeleton)

    def flip_average(self, prediction: Prediction, mirrored: Prediction) -> Prediction:
        """The mean of a prediction and of that on mirrored keypoints, mirrored back."""
        order = list(self.skeleton.flip_index)
        return prediction.about(
            (prediction.mean + mirror(mirrored.mean, self.skeleton)) / 2,
            (prediction.sigma + mirrored.sigma[:, order]) / 2,
            (prediction.confidence + mirrored.confidence[:, order]) / 2,
        )

    def distance(self, mu: Float[Tensor, "B K D"], target: Float[Tensor, "B K D"]) -> Float[Tensor, "B K"]:
        """Distance of predicted joints from their labels, in millimetres."""
        return (mu - target).square().sum(dim=-1).sqrt() * MM

    def prepare(self, data: Any) -> None:
        """Keep the subjects of the data, and their means and standard deviations, where the network has any."""
        self.learned_from = tuple(getattr(data, "fingerprints", {}).values())
        if isinstance(self.network, Martinez):
            self.network.standardise(torch.from_numpy(data.inputs), torch.from_numpy(data.targets))

    def begin_epoch(self, share: float) -> None:
        """Lower the momentum of batch normalisation, as SRNet's training does for the first and the last network."""
        first, last = MOMENTUM
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d) and not isinstance(self.network, Martinez):
                module.momentum = first * (last / first) ** share

    def argument(self, name: str) -> Any:
        """The value of a constructor argument: of `network` its name."""
        return self.network.kind if name == "network" else super().argument(name)

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the network but those that follow from the model's own."""
        return {name: v for name, v in self.network.config().items() if name not in OF_MODEL}


def mirror(points: Float[Tensor, "*B K D"], skeleton: Skeleton) -> Float[Tensor, "*B K D"]:
    """Points mirrored about x = 0, left and right joints changing places."""
    swapped = points[..., list(skeleton.flip_index), :]
    return torch.cat([-swapped[..., :1], swapped[..., 1:]], dim=-1)
