"""The error of keypoints that another program predicted, from its predictions alone: `logpose wrap`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.core.structures import KeypointLoss, LossDict, Prediction
from logpose.models.heads import prediction_of
from logpose.models.pose_model import Model

__all__ = ["KeypointWrapper"]

LEAST_SIGMA = 1e-4
"""Of the longer side of the joints' extent; the greatest is 1."""
NEAR, SURE = 1e-2, 1e-3
"""Added to distances before their logarithm, in the same unit, and how close to 0 and 1 scores come before logits."""
FARTHEST = 4.0
"""Standardised features are limited to this."""
CONTEXT, EMBEDDING = 16, 8
"""Widths of what is read from all joints together, and of what is learned of each joint."""
DROPOUT = 0.1


class KeypointWrapper(Model):
    """Keypoints and scores that a program predicted in, their errors' sigma (and perhaps a better position) out.

    Of each joint there are features that grow with the uncertainty: minus the logit of its score; with a second view
    the logarithm of the distance between both, and the second score; with standard deviations their logarithms. Beside
    them are the mean and the greatest of each over the person, and the logarithm of the person's size. log sigma is a
    linear function of these, and one number for each joint; to this a small network adds, which knows the positions
    too. There are several such members, each fitted without a part of the people: the logarithms are averaged.

    Positions are relative to the person, so that nothing depends on where in the image they are: the middle of the
    joints is 0, the longer side of their extent is 1.

    Args:
        skeleton: the joints.
        mirrored: whether a second view is given: what the program predicts in the mirrored image, mirrored back.
        deviations: whether the program's own standard deviations are given.
        refine: whether positions are corrected.
        probabilities: whether scores lie in [0, 1]; others are taken as they are.
        categories: ids of the categories of predictions that it is for; of all if none are given.
        members: how many are averaged.
        hidden: width of the network.

    Raises:
        InputError: if there is no member, or the network has no width.
    """

    kind = "wrapper"
    task = "wrapping"
    unit = "px"
    """Of its inputs."""
    statistics = ("own_mean", "own_std", "all_mean", "all_std", "usual")
    """Buffers with the statistics of the people that it was fitted on."""
    size = (1, 1)
    """(H, W) of a crop of one pixel, the extent of the person: crop coordinates are relative to it."""
    padding = 1.0
    own_mean: Tensor
    own_std: Tensor
    all_mean: Tensor
    all_std: Tensor
    usual: Tensor
    """Means of features over all that the program predicted in the images of the fit, matched or not; standardised."""
    base: Tensor

    def __init__(
        self,
        skeleton: Skeleton,
        mirrored: bool = False,
        deviations: bool = False,
        refine: bool = False,
        probabilities: bool = True,
        categories: Sequence[int] = (),
        members: int = 5,
        hidden: int = 32,
    ) -> None:
        super().__init__(skeleton, dim=2)
        if members < 1 or hidden < 1:
            raise InputError(f"a wrapper has members and a hidden layer, got {members} and {hidden}")
        self.mirrored, self.deviations, self.refine, self.probabilities = mirrored, deviations, refine, probabilities
        self.categories, self.members, self.hidden = tuple(categories), members, hidden
        joints, own = len(skeleton), len(self.own_names())
        everything = 2 * own + 1
        for name, count in (("own", own), ("all", everything)):
            self.register_buffer(f"{name}_mean", torch.zeros(count))
            self.register_buffer(f"{name}_std", torch.ones(count))
        self.register_buffer("usual", torch.zeros(everything))
        self.register_buffer("base", torch.zeros(()))
        self.linear, self.bias = _zeros(members, own + everything, 1), _zeros(members, joints, 1)
        self.shift, self.toward = _zeros(members, joints, 2), _zeros(members, 1, 1)
        self.context = _Layers(members, joints * (own + 2) + everything, CONTEXT)
        self.embedding = nn.Parameter(0.3 * torch.randn(members, joints, EMBEDDING))
        self.first = _Layers(members, own + 2 + everything + CONTEXT + EMBEDDING, hidden)
        self.second = _Layers(members, hidden, hidden)
        self.last, self.last_bias = _zeros(members, hidden, 4), _zeros(members, 4)

    def own_names(self) -> tuple[str, ...]:
        """What each joint's features are, in words."""
        names: tuple[str, ...] = ("score",)
        if self.mirrored:
            names += ("distance from the second view", "score of the second view")
        return names + (("std along x", "std along y") if self.deviations else ())

    @property
    def channels(self) -> int:
        """How many numbers of each joint are given: x, y, score; of a second view the same; std along x and y."""
        return 3 + 3 * self.mirrored + 2 * self.deviations

    def placement(self, people: Float[Tensor, "B K C"]) -> tuple[Float[Tensor, "B 2"], Float[Tensor, "B"]]:
        """The middle of each person's joints, and the longer side of their extent, at least a pixel."""
        extent = people[..., :2].amax(dim=1) - people[..., :2].amin(dim=1)
        return people[..., :2].mean(dim=1), extent.amax(dim=-1).clamp_min(1.0)

    def to_image(self, people: Float[Tensor, "B K C"]) -> Float[Tensor, "B 2 3"]:
        """The affine map from the pixel that is a person's crop to the image."""
        middle, size = self.placement(people)
        diagonal = size[:, None, None] * torch.eye(2, dtype=size.dtype, device=size.device)
        return torch.cat([diagonal, (middle - size[:, None] / 2)[..., None]], dim=-1)

    def relative(self, positions: Float[Tensor, "B K 2"], people: Float[Tensor, "B K C"]) -> Float[Tensor, "B K 2"]:
        """Positions in pixels, such as labels, in the coordinates of the prediction on these people."""
        middle, size = self.placement(people)
        return (positions - middle[:, None]) / size[:, None, None]

    def _raw_features(self, people: Float[Tensor, "B K C"]) -> tuple[Float[Tensor, "B K F"], Float[Tensor, "B A"]]:
        """Features of each joint and of each person, not standardised; NaN where a second view is missing."""
        _, size = self.placement(people)
        own = [self._score(people[..., 2])]
        if self.mirrored:
            apart = (people[..., :2] - people[..., 3:5]).square().sum(dim=-1).sqrt() / size[:, None]
            own += [(apart + NEAR).log(), self._score(people[..., 5])]
        if self.deviations:
            own += list((people[..., -2:] / size[:, None, None] + LEAST_SIGMA).log().unbind(dim=-1))
        each = torch.stack(own, dim=-1)
        # Runtimes of exported files ignore NaN in a maximum and in limits.
        missing = each.isnan()
        greatest = torch.where(missing, -torch.inf, each).amax(dim=1)
        greatest = torch.where(missing.any(dim=1), torch.nan, greatest)
        return each, torch.cat([each.mean(dim=1), greatest, size.log()[:, None]], dim=-1)

    def _score(self, score: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
        """A score as a feature, less of it for more."""
        if not self.probabilities:
            return -score
        return torch.where(score.isnan(), score, -score.clamp(SURE, 1 - SURE).logit())

    def standardised(self, people: Float[Tensor, "B K C"]) -> tuple[Float[Tensor, "B K F"], Float[Tensor, "B A"]]:
        """Features of each joint and of each person in standard deviations of the people that it was fitted on."""
        own, everything = self._raw_features(people)
        return (own - self.own_mean) / self.own_std, (everything - self.all_mean) / self.all_std

    @torch.no_grad()
    def fit_features(self, people: Float[Tensor, "B K C"], typical_error: float) -> None:
        """Take means and standard deviations of features from the people that it is fitted on.

        Args:
            people: what was predicted of them.
            typical_error: the Laplace scale of their errors, relative to their size, that sigma starts from.
        """
        own, everything = self._raw_features(people)
        for name, values in (("own", own.flatten(0, 1)), ("all", everything)):
            known = values[values.isfinite().all(dim=-1)] if self.mirrored else values
            getattr(self, f"{name}_mean").copy_(known.mean(dim=0))
            getattr(self, f"{name}_std").copy_(known.std(dim=0, correction=0) + NEAR)
        self.base.fill_(math.log(typical_error))

    @torch.no_grad()
    def fit_usual(self, people: Float[Tensor, "B K C"]) -> None:
        """Take the means of features that other people are compared with from all that a program predicted."""
        self.usual.copy_(torch.nanmean(self.standardised(people)[1], dim=0).nan_to_num())

    def each(self, people: Float[Tensor, "B K C"]) -> tuple[Float[Tensor, "M B K 2"], Float[Tensor, "M B K 2"]]:
        """Mu and log sigma of each member."""
        own, everything = (_usable(features) for features in self.standardised(people))
        relative = self.relative(people[..., :2], people)
        count, joints = own.shape[:2]
        spread = everything[:, None].expand(-1, joints, -1)
        known = torch.cat([own, spread], dim=-1)
        log_sigma = torch.einsum("bki,mio->mbko", known, self.linear) + self.bias[:, None]
        pose = torch.cat([own, relative], dim=-1)
        context = self.context(torch.cat([pose.flatten(1), everything], dim=-1).expand(self.members, -1, -1))
        inputs = torch.cat(
            [
                torch.cat([pose, spread], dim=-1).expand(self.members, -1, -1, -1),
                context[:, :, None].expand(-1, -1, joints, -1),
                self.embedding[:, None].expand(-1, count, -1, -1),
            ],
            dim=-1,
        )
        found = self.second(self.first(inputs.flatten(1, 2))) @ self.last + self.last_bias[:, None]
        added = found.unflatten(1, (count, joints))
        log_sigma = (self.base + log_sigma + added[..., :2]).clamp(math.log(LEAST_SIGMA), 0.0)
        mu = relative.expand_as(log_sigma)
        if self.refine:
            mu = mu + self.base.exp() * (self.shift[:, None] + added[..., 2:])
            if self.mirrored:
                _, size = self.placement(people)
                apart = (people[..., 3:5] - people[..., :2]) / size[:, None, None]
                mu = mu + self.toward[..., None] * _usable(apart)
        return mu, log_sigma

    def forward(self, people: Float[Tensor, "B K C"]) -> Prediction:
        """Predict the error of every joint of people in pixels; see `channels`."""
        mu, log_sigma = self.each(people.to(self.dtype))
        return prediction_of(mu.mean(dim=0), log_sigma.mean(dim=0).exp(), self.error_distribution)

    def predict(self, batch: Any, flip_test: bool | None = False) -> Prediction:
        """Prediction on a batch with `inputs`, calibrated; there is no flip test."""
        if flip_test:
            raise InputError("a wrapper has no flip test: a second view is among its inputs")
        return self.calibrated(self(batch.inputs))

    def training_losses(self, batch: Any, loss: KeypointLoss) -> LossDict:
        """The loss of a batch with `inputs`, `target` and `weight`."""
        return LossDict({"keypoints": loss.of_prediction(self(batch.inputs), batch.target, batch.weight)})

    @property
    def input_spec(self) -> str:
        """What it takes."""
        views = " in two views" if self.mirrored else ""
        return f"keypoints and scores of a program{views}" + (" and their std" if self.deviations else "")

    def example_input(self) -> Float[Tensor, "1 K C"]:
        """All joints at one place, without a score; a standard deviation of 1."""
        people = torch.zeros(1, len(self.skeleton), self.channels, device=self.base.device)
        if self.deviations:
            people[..., -2:] = 1
        return people


def _zeros(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(*shape))


def _usable(features: Tensor) -> Tensor:
    """Standardised features within limits; where one is missing the mean of those that it was fitted on, 0."""
    return torch.where(features.isnan(), 0.0, features).clamp(-FARTHEST, FARTHEST)


class _Layers(nn.Module):
    """A linear layer of each member, ReLU and dropout."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = _zeros(members, 1, outputs)
        self.dropout: Callable[[Tensor], Tensor] = nn.Dropout(DROPOUT)

    def forward(self, inputs: Float[Tensor, "M N I"]) -> Float[Tensor, "M N O"]:
        """The outputs of every member."""
        return self.dropout(functional.relu(inputs @ self.weight + self.bias))
