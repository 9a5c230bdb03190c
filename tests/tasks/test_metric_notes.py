from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from logpose.core.samples import Sample
from logpose.core.skeletons import COCO, Skeleton
from logpose.data.image_sets import ImageList, LabelledImage
from logpose.tasks.metric_notes import metric_notes, metric_sigmas

BAR, GIVEN = Skeleton("bar", ("a", "b")), Skeleton("bar", ("a", "b"), oks_sigmas=(0.1, 0.2))
OF_MODEL = Skeleton("bar", ("a", "b"), oks_sigmas=(0.05, 0.05))  # as a checkpoint has those that nobody gave


@pytest.mark.parametrize(
    ("model", "data", "sigmas", "tokens"),
    [
        (COCO, COCO, COCO.sigmas, None),
        (BAR, BAR, (0.05, 0.05), "take 0.05 as the sigma of every joint"),
        (OF_MODEL, BAR, (0.05, 0.05), "take 0.05 as the sigma of every joint"),
        (OF_MODEL, GIVEN, (0.1, 0.2), r"of the data measured, 0\.1, 0\.2; .* 0\.05"),
        (GIVEN, BAR, (0.1, 0.2), r"take the model's sigmas, 0\.1, 0\.2: .*`sigmas`"),
        (GIVEN, GIVEN, (0.1, 0.2), None),
        (OF_MODEL, OF_MODEL, (0.05, 0.05), None),
    ],
)
def test_sigmas_are_those_of_the_data_measured(
    model: Skeleton, data: Skeleton, sigmas: tuple[float, ...], tokens: str | None
) -> None:
    assert metric_sigmas(model, data) == sigmas
    notes = metric_notes(model, SimpleNamespace(skeleton=data))
    assert len(notes) == (tokens is not None)
    assert tokens is None or re.search(tokens, notes[0])


def test_more_people_in_an_image_than_coco_counts_are_noted() -> None:
    def person(image: int, labelled: bool = True) -> Sample:
        return Sample(Path("x"), np.ones(4), np.zeros((17, 2)), np.full(17, 2 * labelled), 1.0, image, 0)

    twenty = [*(person(1) for _ in range(20)), *(person(1, labelled=False) for _ in range(9)), person(2)]
    for many, number in ((twenty, None), ([*twenty, person(1)], "up to 21 people")):
        images = [
            LabelledImage(Path("x"), number, tuple(who for who in many if who.image_id == number)) for number in (1, 2)
        ]
        for data in (SimpleNamespace(samples=many, skeleton=COCO), ImageList(COCO, images)):
            notes = metric_notes(COCO, data)
            assert len(notes) == (number is not None)
            assert number is None or number in notes[0]
