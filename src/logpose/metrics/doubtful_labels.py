"""What is wrong with labels, by likelihood ratios: another labelling of a person that the density finds likelier.

A model gives each joint of a person a density. Of every label it is known how likely it is as this joint, and how
likely as any other. The logarithm of a ratio of likelihoods is the *gain* of a correction, in nats; corrections that
gain less than `LIKELIER` are not proposed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = ["LIKELIER", "Doubt", "Kind", "Likelihoods", "doubts", "exchanged_people"]

Kind = Literal["sides", "exchanged", "other joint", "far off", "other person"]
"""What is wrong. sides: left and right of some pairs, or of the whole person, are exchanged; exchanged: two other
joints are; other joint: a label lies in the region of another joint; far off: outside its region and far away; other
person: two people of an image have each other's labels."""

LIKELIER = 5.0
"""Nats: the corrected labels are exp(5) = 148 times as likely. Chosen on errors planted into LSP-Extended (seed 0 of
`benchmarks/doubtful_labels.py`): with 10 fewer sides and joints are named, and hardly more of these are right."""
OF_PAIR = 2.0
"""Nats that a pair of sides gains to be among those that are exchanged, where not the whole person is."""
FAR = 0.25
"""Of the longer side of the person's box: how far a label that is far off is from where it is expected."""


@dataclass(frozen=True)
class Doubt:
    """Something that is probably wrong with a person's labels."""

    kind: Kind
    joints: tuple[int, ...]
    """Whose labels change; of `other joint` the joint, and the one where its label lies."""
    gain: float
    """Nats."""
    source: tuple[int, ...]
    """Of each joint of the skeleton, the number of the joint whose label it should have; -1: none of them, its label
    is wrong."""


@dataclass(frozen=True)
class Likelihoods:
    """Of one person, each joint's label (rows) as the label of each joint (columns)."""

    nll: Float[np.ndarray, "K K"]
    """Minus log-densities, nats."""
    radius: Float[np.ndarray, "K K"]
    """Distances from joints' expected positions in their standard deviations."""
    distance: Float[np.ndarray, "K K"]
    """The same in longer sides of the box."""
    labelled: Bool[np.ndarray, "K"]
    limit: Float[np.ndarray, "K"]
    """Radius of each joint's region of a high level (95 %)."""
    least: Float[np.ndarray, "K"]
    """Minus log-density at each joint's expected position."""

    def of(self, source: Int[np.ndarray, "K"]) -> Likelihoods:
        """The same, where each joint has the label of another one."""
        nll, radius, distance = (table[source] for table in (self.nll, self.radius, self.distance))
        return Likelihoods(nll, radius, distance, self.labelled[source], self.limit, self.least)

    def exchange(self, a: int, b: int) -> float:
        """Nats gained if two joints have each other's labels; where one has none, if the other's is its."""
        each = (self.nll[own, own] - self.nll[own, other] for own, other in ((a, b), (b, a)) if self.labelled[own])
        return float(sum(each))


def doubts(at: Likelihoods, pairs: Sequence[tuple[int, int]]) -> list[Doubt]:
    """What is wrong with the labels of one person.

    Sides come first; what else is wrong is looked for in the labels with these corrected, most certain first.

    Args:
        at: how likely the labels are.
        pairs: left and right joints.
    """
    source = np.arange(len(at.nll))
    found = []
    gains = {pair: at.exchange(*pair) for pair in pairs if at.labelled[[*pair]].any()}
    clear = [pair for pair, gain in gains.items() if gain > OF_PAIR]
    chosen = list(gains) if 2 * len(clear) > len(gains) and sum(gains.values()) > LIKELIER else clear
    total = sum(gains[pair] for pair in chosen)
    if total > LIKELIER:
        for a, b in chosen:
            source[[a, b]] = b, a
        joints = tuple(sorted(joint for pair in chosen for joint in pair))
        found.append(Doubt("sides", joints, total, tuple(source.tolist())))
    return found + sorted(_single(at.of(source), source), key=lambda doubt: -doubt.gain)


def _single(at: Likelihoods, source: Int[np.ndarray, "K"]) -> list[Doubt]:
    """Labels of single joints that are outside their regions."""
    found, done = [], set[int]()
    own = np.diag(at.nll)
    for joint in np.flatnonzero(at.labelled & (np.diag(at.radius) > at.limit)).tolist():
        if joint in done:
            continue
        gains = np.where(at.radius[joint] <= at.limit, own[joint] - at.nll[joint], -np.inf)
        other, changed = int(gains.argmax()), source.copy()
        both = at.exchange(joint, other) if np.isfinite(gains[other]) else -np.inf
        if at.labelled[other] and both > max(LIKELIER, gains[other]):
            changed[[joint, other]] = source[[other, joint]]
            found.append(Doubt("exchanged", (joint, other), both, tuple(changed.tolist())))
            done |= {joint, other}
            continue
        changed[joint] = -1
        far = float(own[joint] - at.least[joint])
        if gains[other] > LIKELIER:
            found.append(Doubt("other joint", (joint, other), float(gains[other]), tuple(changed.tolist())))
        elif far > LIKELIER and at.distance[joint, joint] > FAR:
            found.append(Doubt("far off", (joint,), far, tuple(changed.tolist())))
    return found


def exchanged_people(
    nll: Float[np.ndarray, "P P K"], labelled: Bool[np.ndarray, "P K"]
) -> list[tuple[int, int, float]]:
    """Pairs of the people of an image whose labels are likelier as each other's, with the nats gained.

    Args:
        nll: minus log-density of the labels of each person (first axis) as those of each person (second axis).
        labelled: which joints are labelled.
    """
    cost = np.where(labelled[:, None], nll, 0.0).sum(axis=-1)
    found = []
    for a in range(len(cost)):
        for b in range(a):
            gain = float(cost[a, a] + cost[b, b] - cost[a, b] - cost[b, a])
            if gain > LIKELIER:
                found.append((b, a, gain))
    return sorted(found, key=lambda row: -row[2])
