"""Every model of the package can be in a checkpoint, under a kind of its own."""

from __future__ import annotations

import inspect

from logpose import models


def test_all_public_models_are_known() -> None:
    public = [getattr(models, name) for name in models.__all__]
    made = {each for each in public if inspect.isclass(each) and issubclass(each, models.Model)}
    assert {each for each in made if not inspect.isabstract(each)} == {*models.MODELS}


def test_kinds_are_those_of_one_class_each() -> None:
    assert len({kind.kind for kind in models.MODELS}) == len(models.MODELS)
    assert {kind.task for kind in models.MODELS} == {"pose", "detection", "lifting", "boundaries", "wrapping"}
