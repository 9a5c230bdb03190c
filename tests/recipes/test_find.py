"""Finding a recipe: by name, in a file of one's own, and what a typo gets."""

from __future__ import annotations

import pytest

from logpose.core.errors import InputError
from logpose.recipes import available, by_task, find
from logpose.training.recipe import TrainingRecipe

MINE = """
from logpose.tasks.image_recipe import labelled_people
from logpose.tasks.pose.recipe import Recipe

def my_run() -> Recipe:
    '''Mine.'''
    return Recipe(people=labelled_people, epochs=3)
"""


def test_every_recipe_is_found_and_makes_one():
    for name, make in available().items():
        assert find(name) is make
        assert isinstance(make(), TrainingRecipe)


def test_recipes_of_a_task_stand_together():
    tasks = by_task()
    assert list(tasks) == ["pose", "detection", "lifting", "boundaries"]
    assert [name for recipes in tasks.values() for name in recipes] == list(available())


def test_names_of_version_0_1_are_found_but_not_listed():
    assert "coco_resnet50_l1" not in available()
    assert find("coco_resnet50_l1")().loss == "l1"


def test_a_typo_gets_the_nearest_name():
    with pytest.raises(InputError, match="coco_resnet50_rle"):
        find("coco_resnet5_rle")
    with pytest.raises(InputError, match=r"coco_resnet50_\w+ or coco_resnet50_\w+"):
        find("coco_resnet50")


def test_a_recipe_of_one_s_own(tmp_path):
    file = tmp_path / "my_recipes.py"
    file.write_text(MINE)
    assert find(f"{file}:my_run")().epochs == 3
    with pytest.raises(InputError, match=r"my_recipes\.py.*'my_rum'.*my_run"):
        find(f"{file}:my_rum")


def test_a_file_without_a_function():
    with pytest.raises(InputError, match=r"my_recipes\.py:FUNCTION"):
        find("my_recipes.py")


def test_a_file_that_is_missing_or_broken_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.py"):
        find(f"{tmp_path}/nowhere.py:run")
    file = tmp_path / "broken.py"
    file.write_text("def run(:\n")
    with pytest.raises(InputError, match=r"broken\.py.*SyntaxError"):
        find(f"{file}:run")
