"""The task of wrappers: whether labels are those that one was fitted to, where images are not known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tests.support.predicting_program import JOINTS, world, write

from logpose.core.skeletons import Skeleton
from logpose.models import KeypointWrapper
from logpose.tasks.wrapping.task import WrappingTask
from logpose.training.checkpoint import save


@pytest.mark.parametrize(("learned", "by_name", "known"), [(None, True, True), (None, False, False), (3, False, True)])
def test_labels_that_it_was_fitted_to(tmp_path, learned, by_name, known):
    _, labels, _ = write(tmp_path, world(3))
    named = str(labels if by_name else tmp_path / "other.json")
    save(KeypointWrapper(Skeleton("person", JOINTS)), None, tmp_path / "wrapper", recipe={"data": named})
    evaluator = SimpleNamespace(images_learned=learned, people=SimpleNamespace(file=labels))
    assert WrappingTask().has_learned(evaluator, SimpleNamespace(checkpoint=tmp_path / "wrapper")) is known


def test_labels_are_the_data_of_pose_models(tmp_path):
    assert not WrappingTask().opens(write(tmp_path, world(3))[1])
