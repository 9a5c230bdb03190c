"""Parts of a data set, training, validation and test, by the words in the name of a file."""

from __future__ import annotations

import re

__all__ = ["parts_of"]

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
"""A word of a name: numbers, separators and capitals after small letters end it."""
PARTS = {
    "train": ("train", "training", "trainset"),
    "val": ("val", "valid", "validation", "valset", "eval", "evaluation"),
    "test": ("test", "testing", "testset"),
}


def parts_of(name: str) -> set[str]:
    """The parts ("train", "val", "test") that the words of a file's name name: `person_keypoints_val2017` has "val".

    `latest`, `contest` and `validated` name none, and `trainval` (MPII's file of both) neither.
    """
    words = {word.lower() for word in WORD.findall(name)}
    return {part for part, names in PARTS.items() if not words.isdisjoint(names)}
