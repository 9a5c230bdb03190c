"""Noise of labels that were made twice, by labels drawn with known noise."""

from __future__ import annotations

import numpy as np
import pytest
from tests.tasks.test_audit import labelled, labels_of

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.tasks.label_noise import label_noise, labelled_twice, measured_sigmas


def test_noise_of_labels_that_were_made_twice():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 100, (3000, 2, 2))
    std = np.array([1.0, 4.0])[:, None]
    seen = [(2, 2) if i % 3 else (2, 0) for i in range(3000)]
    twice = [
        labels_of(labelled(i, joints + std * rng.normal(size=(2, 2)), seen[i]) for i, joints in enumerate(truth))
        for _ in range(2)
    ]
    for number, sample in enumerate(twice[1].samples):  # the same images, numbered otherwise
        sample.image_id = 5000 - number
    assert label_noise(labelled_twice(*twice)) == pytest.approx([1, 4], rel=0.05)
    nobody = labels_of(labelled(i, [[0, 0], [1, 1]], (2, 0)) for i in range(3))
    assert np.isnan(label_noise(labelled_twice(nobody, nobody))[1])
    with pytest.raises(InputError, match=r"second\.json: none of its labels is of an image of labels\.json"):
        labelled_twice(nobody, labels_of([labelled(7, [[0, 0], [1, 1]])], "second.json"))
    other = labels_of([labelled(0, [[0, 0], [1, 1]])], "second.json")
    other.skeleton = Skeleton("other", ("a", "c"))
    with pytest.raises(InputError, match="has other joints"):
        labelled_twice(nobody, other)


def test_sigmas_of_oks_are_those_that_labels_were_drawn_with():
    """COCO's: sigma² = E d² / s², d the distance of a label from the truth, s² the area; sizes vary a hundredfold."""
    rng = np.random.default_rng(1)
    truth = rng.uniform(0, 100, (4000, 2, 2))
    size = np.exp(rng.uniform(np.log(10), np.log(1000), 4000))
    sigma = np.array([0.025, 0.1])
    axis = sigma[None, :, None] * size[:, None, None] / np.sqrt(2)  # along each axis
    first, second = (
        labels_of(
            labelled(i, joints, size=size[i]) for i, joints in enumerate(truth + axis * rng.normal(size=truth.shape))
        )
        for _ in range(2)
    )
    found, counts = measured_sigmas(labelled_twice(first, second))
    assert found == pytest.approx(sigma, rel=0.03)
    assert counts.tolist() == [4000, 4000]
