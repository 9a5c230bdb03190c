"""Fitting a wrapper to labelled people: cross-fitted, so that its calibration is of people that it does not know."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from logpose.core.errors import InputError
from logpose.core.geometry import in_images
from logpose.core.progress import track
from logpose.flows import RealNVP
from logpose.losses import RLELoss
from logpose.metrics.calibration import rank_correlation
from logpose.models.heads import prediction_of
from logpose.models.wrapper import KeypointWrapper
from logpose.tasks.calibrate import Errors

__all__ = ["Fitted", "fit"]

FEWEST = 20
"""Groups of labelled people without which there is nothing to fit."""
FLOW = {"layers": 4, "hidden": (32, 32)}
"""The density is that of one error in two dimensions: a smaller flow than that of images is enough."""
MEDIAN = math.log(2)
"""Of a Laplace distribution of scale 1, the median of the error's size."""
STEPS, WARM_BATCH, LINEAR_LR, FLOW_LR, LINEAR_DECAY = 300, 512, 2e-2, 3e-3, 0.3
EPOCHS, PATIENCE, BATCH, NETWORK_LR, FINE_FLOW_LR, DECAY = 100, 12, 256, 3e-3, 5e-4, 0.05
LEAST_GAIN = 1e-3
"""Nats by which the likelihood of people left out has to grow."""


@dataclass(frozen=True)
class Fitted:
    """A wrapper, and its output of each person, by the member that was not fitted to them."""

    model: KeypointWrapper
    loss: RLELoss
    errors: Errors
    """To calibrate on."""
    sigma_rank: float
    """Spearman's correlation of the std of joints with their error, both relative to the person."""
    std: Float[np.ndarray, "N K 2"]
    """Standard deviations in pixels …"""
    keypoints: Float[np.ndarray, "N K 2"]
    """… and positions."""


def fit(
    model: KeypointWrapper,
    inputs: Float[np.ndarray, "N K C"],
    truth: Float[np.ndarray, "N K 2"],
    visible: Int[np.ndarray, "N K"],
    groups: Int[np.ndarray, "N"],
    seed: int = 0,
) -> Fitted:
    """Fit a wrapper to labelled people.

    Each member is fitted without a part of the groups, by `RLELoss` with one flow for all: first its linear part, then
    the network as long as the likelihood of the people left out grows.

    Args:
        model: a wrapper; its weights are drawn again, and fitted in place.
        inputs: what the program predicted, see `KeypointWrapper.channels`; pixels.
        truth: labels, pixels.
        visible: COCO's flag; 0 where there is no label.
        groups: number of the image (clip, …) that each person is of.
        seed: of weights, parts and batches; the random state of the process stays as it was.

    Raises:
        InputError: if there are too few groups or for a level.
    """
    numbers, place = np.unique(groups, return_inverse=True)
    labelled = (visible > 0) & np.isfinite(truth).all(axis=-1)
    count = len(np.unique(place[labelled.any(axis=1)]))
    if count < max(FEWEST, model.members):
        raise InputError(
            f"a wrapper is fitted to {FEWEST} or more groups of labelled people (images, clips), got {count}"
        )
    generator = np.random.default_rng(seed)
    part = torch.from_numpy(generator.permutation(len(numbers))[place] % model.members)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.load_state_dict(KeypointWrapper.from_config(model.config()).state_dict())
        people = torch.from_numpy(np.asarray(inputs, dtype=np.float32))
        target = model.relative(torch.from_numpy(np.nan_to_num(truth)).float(), people)
        weight = torch.from_numpy(labelled.astype(np.float32))
        fitting = _Fitting(model, people, target, weight, part)
        fitting.run()
        mu, sigma = fitting.left_out()
    model.set_error_distribution(fitting.loss.error_distribution())
    prediction = prediction_of(mu, sigma, model.error_distribution)
    keypoints, in_pixels, *_ = in_images(prediction, model.to_image(people), model.size)
    error = ((target - prediction.mean) / prediction.std).numpy()
    standardised = np.where(labelled[..., None], error, np.nan).astype(np.float64)
    errors = Errors(standardised, in_pixels.mean(axis=-1), "px", place, visible=visible)
    apart = (target - prediction.mean).norm(dim=-1)[weight > 0].numpy()
    rank = rank_correlation(prediction.std.norm(dim=-1)[weight > 0].numpy(), apart)
    return Fitted(model.eval(), fitting.loss.eval(), errors, rank, in_pixels, keypoints)


class _Fitting:
    """The state of a fit: of wrapper and loss the best so far, by the likelihood of people left out."""

    def __init__(
        self,
        model: KeypointWrapper,
        people: Float[Tensor, "N K C"],
        target: Float[Tensor, "N K 2"],
        weight: Float[Tensor, "N K"],
        part: Int[Tensor, "N"],
    ) -> None:
        self.model, self.people, self.target, self.weight, self.part = model, people, target, weight, part
        error = (target - model.relative(people[..., :2], people))[weight > 0].abs()
        model.fit_features(people, float(error.median()) / MEDIAN + 1e-4)
        self.loss = RLELoss(RealNVP(2, **FLOW))  # type: ignore[arg-type]
        self.learns = (part != torch.arange(model.members)[:, None]).float()
        """Of each member (M, N): whether it learns from a person."""
        self.best, self.states = math.inf, self._states()

    def _states(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        model, loss = (copy.deepcopy(module.state_dict()) for module in (self.model, self.loss))
        return model, loss

    def run(self) -> None:
        """Both stages; model and loss are then the best."""
        model = self.model
        linear = [model.linear, model.bias, *([model.shift, model.toward] if model.refine else [])]
        optimiser = self._optimiser(linear, LINEAR_LR, FLOW_LR, LINEAR_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [LINEAR_LR, FLOW_LR], total_steps=STEPS)
        for step in track(range(STEPS), "fitting", unit="steps"):
            self._step(torch.randperm(len(self.people))[:WARM_BATCH], optimiser, linear)
            schedule.step()
            if step % 10 == 9:
                self._keep_if_better()
        self._take_best()
        network = list(model.parameters())
        optimiser, waited = self._optimiser(network, NETWORK_LR, FINE_FLOW_LR, DECAY), 0
        for _ in track(range(EPOCHS), "fitting the network", unit="epochs"):
            for rows in torch.split(torch.randperm(len(self.people)), BATCH):
                self._step(rows, optimiser, network)
            waited = 0 if self._keep_if_better() else waited + 1
            if waited > PATIENCE:
                break
        self._take_best()

    def _optimiser(self, parameters: list[nn.Parameter], lr: float, flow_lr: float, decay: float) -> torch.optim.AdamW:
        of_flow = {"params": list(self.loss.parameters()), "lr": flow_lr, "weight_decay": 0.0}
        return torch.optim.AdamW([{"params": parameters, "lr": lr, "weight_decay": decay}, of_flow])

    def _step(self, rows: Int[Tensor, "B"], optimiser: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> None:
        """A step of all members on some people, each without those that it leaves out."""
        self.model.train()
        self.loss.train()
        mu, log_sigma = self.model.each(self.people[rows])
        weight = self.weight[rows] * self.learns[:, rows, None]
        used = weight.sum(dim=-1) > 0
        if not used.any():
            return
        target = self.target[rows].expand_as(mu)
        value = self.loss(mu[used], log_sigma[used].exp(), target[used], weight[used])
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()

    @torch.no_grad()
    def left_out(self) -> tuple[Float[Tensor, "N K 2"], Float[Tensor, "N K 2"]]:
        """Mu and sigma of each person by the member that does not know them."""
        self.model.eval()
        found = []
        for rows in torch.split(torch.arange(len(self.people)), 4 * WARM_BATCH):
            mu, log_sigma = self.model.each(self.people[rows])
            own = self.part[rows], torch.arange(len(rows))
            found.append((mu[own], log_sigma[own].exp()))
        return torch.cat([mu for mu, _ in found]), torch.cat([sigma for _, sigma in found])

    @torch.no_grad()
    def _keep_if_better(self) -> bool:
        mu, sigma = self.left_out()
        known = self.weight > 0
        self.loss.eval()
        nll = -self.loss.log_prob(mu, sigma, torch.where(known[..., None], self.target, mu))[known].double().mean()
        if not float(nll) < self.best - LEAST_GAIN:
            return False
        self.best, self.states = float(nll), self._states()
        return True

    def _take_best(self) -> None:
        for module, state in zip((self.model, self.loss), self.states, strict=True):
            module.load_state_dict(state)
