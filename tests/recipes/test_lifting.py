"""Recipes of two-stage 3-D pose: the published schedules."""

from __future__ import annotations

from logpose.recipes import lifting


def test_the_schedule_is_srnets() -> None:
    recipe = lifting.lifting_fc_rle()
    assert (recipe.optimizer, recipe.schedule, recipe.decay, recipe.epochs) == ("amsgrad", "exponential", 0.95, 60)
    assert (recipe.batch_size, recipe.dropout, recipe.lr) == (1024, None, 1e-3)


def test_martinez_has_his_own() -> None:
    recipe = lifting.lifting_martinez_l2()
    assert (recipe.network, recipe.loss, recipe.optimizer, recipe.epochs) == ("martinez", "l2", "adam", 200)
    assert (recipe.batch_size, recipe.decay) == (64, 0.99)
