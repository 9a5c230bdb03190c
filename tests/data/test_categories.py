"""Which categories of a file are learned from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.core.errors import InputError
from logpose.data.categories import chosen_categories, chosen_names, may_be_several, skeleton_of

FILE = Path("x.json")
CAT, DOG, COW = (
    {"id": i, "name": n, "keypoints": k} for i, n, k in ((1, "cat", ["a"]), (2, "dog", ["a"]), (3, "cow", ["b"]))
)
PIG = {"id": 40, "name": "pig, wild", "keypoints": ["b", "l_ear", "r_ear", "a"], "sigmas": [0.1, 0.2, 0.3, 0.4]}


def test_those_with_joints():
    assert chosen_categories(FILE, [CAT, {"id": 9, "name": "tree"}, None]) == ([CAT], False)
    assert chosen_categories(FILE, [CAT, DOG]) == ([CAT, DOG], False), "of one class"
    assert chosen_categories(FILE, [CAT, DOG, COW], "cow") == ([COW], False)
    assert chosen_categories(FILE, [CAT, DOG, COW], "cat") == ([CAT], False)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("cat,cow", [1, 3]), ("cow,cat", [1, 3]), (" Cow , CAT", [1, 3]), ("all", [1, 2, 3, 40]),
        ("ALL ", [1, 2, 3, 40]),
        ("pig, wild", [40]), ("PIG, wild", [40]), ("cat,pig, wild", [1, 40]), ("pig, wild,cat,cow", [1, 3, 40]),
        ("cat,cat,dog", [1, 2]), ("cat,cat", [1]),
    ],
)  # fmt: skip
def test_several_by_name(wanted, names):
    rows, each = chosen_categories(FILE, [CAT, DOG, COW, PIG], wanted)
    assert [row["id"] for row in rows] == names, "in the file's order"
    assert each is (len(names) > 1)


def test_all_of_one_is_that_one_and_a_name_comes_before_the_word():
    assert chosen_categories(FILE, [COW], "all") == ([COW], False)
    everything = {"id": 5, "name": "all", "keypoints": ["b"]}
    assert chosen_categories(FILE, [CAT, everything], "all") == ([everything], False)
    assert chosen_categories(FILE, [CAT, everything], "cat,all") == ([CAT, everything], True)


def test_what_may_ask_for_several():
    assert [may_be_several(text) for text in ("cat,dog", " ALL", "cat", "", None)] == [True, True, False, False, False]


def test_case_decides_where_names_differ_in_it():
    small = {**COW, "id": 6, "name": "Cow"}
    assert chosen_categories(FILE, [COW, small], "Cow") == ([small], False)
    with pytest.raises(InputError, match="'COW'"):
        chosen_categories(FILE, [COW, small], "COW")


@pytest.mark.parametrize(
    ("categories", "wanted", "report"),
    [
        ([], None, "category"),
        ([{"id": 1, "keypoints": []}], None, "category"),
        ([CAT, COW], None, r"different keypoints \(cat, cow\).*--category NAME.*--category A,B"),
        ([CAT, COW], "horse", "'horse' .*cat, cow"),
        ([CAT, COW], "cat,horse", "'horse' .*cat, cow"),
        ([CAT, COW], "cat,", "'' .*cat, cow"),
        ([CAT, {**COW, "name": "cat"}], "all", "called 'cat'"),
        ([CAT, {**DOG, "name": "cat"}], "all", "called 'cat'"),
        ([CAT, COW, {**DOG, "name": "cat"}], "cat,cow", "called 'cat'"),
        ([CAT, {**COW, "name": "cat"}], "cat", "different keypoints"),
    ],
)
def test_what_cannot_be_chosen_is_reported(categories, wanted, report):
    with pytest.raises(InputError, match=rf"x\.json: .*{report}"):
        chosen_categories(FILE, categories, wanted)


def test_two_of_one_name_and_the_same_joints_are_one_class():
    again = {**DOG, "name": "cat"}
    assert chosen_categories(FILE, [CAT, again, COW], "cat") == ([CAT, again], False)


@given(st.lists(st.text("ab ,", min_size=1, max_size=4).map(str.strip).filter(bool), min_size=1, unique=True))
def test_every_name_can_be_asked_for(names):
    for name in names:
        assert chosen_names(name, names, "{}") == [name]
    if all("," not in name for name in names):
        assert chosen_names(",".join(names), names, "{}") == names


# Their skeleton


def test_the_union_has_each_category_with_its_id():
    skeleton, ids = skeleton_of(FILE, [CAT, DOG, COW, PIG], "all")
    assert ids == (1, 2, 3, 40)
    assert skeleton.joints == ("a", "b", "l_ear", "r_ear")
    assert [category.name for category in skeleton.categories] == ["cat", "dog", "cow", "pig, wild"]
    assert skeleton.of(40)[1] == [1, 2, 3, 0]
    one, ids = skeleton_of(FILE, [CAT, DOG])
    assert (one.categories, ids) == ((), (1, 2))


@pytest.mark.parametrize("number", [None, "4", True])
def test_ids_are_integers(number):
    with pytest.raises(InputError, match=r"x\.json: category id"):
        skeleton_of(FILE, [CAT, {**COW, "id": number}], "all")


MODEL, _ = skeleton_of(FILE, [COW, PIG], "all")


def test_a_model_s_categories_are_found_by_name_in_another_file():
    pig = {**PIG, "id": 1, "keypoints": PIG["keypoints"][::-1], "sigmas": PIG["sigmas"][::-1]}
    for categories, wanted in (([CAT, pig], None), ([CAT, pig], "pig, wild"), ([pig], None), ([pig], "all")):
        skeleton, ids = skeleton_of(FILE, categories, wanted, MODEL)
        assert ids == (1,)
        assert skeleton.joints == MODEL.joints, "the union's, which the model predicts"
        assert [(category.id, category.name) for category in skeleton.categories] == [(1, "pig, wild")]
        assert [skeleton.joints[number] for number in skeleton.of(1)[1]] == pig["keypoints"]
    both, ids = skeleton_of(FILE, [pig, {**COW, "id": 2}], None, MODEL)
    assert (ids, both.joints) == ((1, 2), MODEL.joints), "whatever their order in the file"


@pytest.mark.parametrize(
    ("categories", "wanted", "report"),
    [
        ([CAT, DOG], None, r"cow, pig, wild\).* cat, dog"),
        ([CAT, COW], "cat", "'cat' .*cow, pig"),
        ([CAT, COW], "sow", "'sow' .*cat, cow"),
        ([{**COW, "keypoints": ["b", "c"]}], None, "'cow' has other joints .*c"),
    ],
)
def test_categories_that_a_model_does_not_have(categories, wanted, report):
    with pytest.raises(InputError, match=rf"x\.json: .*{report}"):
        skeleton_of(FILE, categories, wanted, MODEL)


def test_of_a_model_of_one_class_the_category_with_its_joints_is_meant():
    cow, _ = skeleton_of(FILE, [COW])
    assert skeleton_of(FILE, [CAT, COW, PIG], None, cow)[1] == (3,)
    assert skeleton_of(FILE, [CAT, COW, PIG], "cat", cow)[1] == (1,), "what is asked for; refused later"
    with pytest.raises(InputError, match="different keypoints"):
        skeleton_of(FILE, [CAT, PIG], None, cow)
    cat, _ = skeleton_of(FILE, [CAT, DOG])
    assert skeleton_of(FILE, [CAT, DOG], None, cat)[1] == (1, 2)
    each, ids = skeleton_of(FILE, [CAT, DOG], "all", replace(cat, name="animal"))
    assert (ids, each.name, len(each.categories)) == ((1, 2), "animal", 2)
