"""Several categories in one skeleton."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.core.categories import united, with_pairs
from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, Category, Skeleton


def category(number: int, name: str, *joints: str, **more: Any) -> Category:
    return Category(number, Skeleton(name, joints, **more))


CAT = category(3, "cat", "nose", "l_ear", "r_ear", "tail", bones=((0, 1), (1, 2)), oks_sigmas=(0.1, 0.2, 0.3, 0.4))
DOG = category(7, "dog", "r_ear", "nose", "l_ear", "l_paw", "r_paw", bones=((2, 0), (3, 1)))


def test_joints_of_one_name_are_one():
    skeleton = united([CAT, DOG])
    assert skeleton.name == "cat, dog"
    assert skeleton.joints == ("nose", "l_ear", "r_ear", "tail", "l_paw", "r_paw")
    assert set(map(frozenset, skeleton.bones)) == {frozenset(p) for p in ((0, 1), (1, 2), (4, 0))}
    assert len(skeleton.bones) == 3, "a bone of both is drawn once"
    assert set(skeleton.pairs) == {(1, 2), (4, 5)}
    assert skeleton.mirrors
    assert skeleton.flip_index == (0, 2, 1, 3, 5, 4)


def test_each_category_has_its_own_joints_in_its_order_with_its_sigmas():
    skeleton = united([CAT, DOG])
    own, numbers = skeleton.of(7)
    assert own is DOG.skeleton
    assert [skeleton.joints[number] for number in numbers] == list(DOG.skeleton.joints)
    assert skeleton.owned([7, 3]).tolist() == [[True, True, True, False, True, True], [True] * 4 + [False] * 2]
    sigmas = skeleton.sigmas_of([3, 7])
    assert sigmas[0, :4].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert sigmas[1, [0, 1, 2, 4, 5]].tolist() == [0.05] * 5, "the dog's, although the cat has sigmas of its own"
    with pytest.raises(InputError, match=r"category 4 .*cat \(3\), dog \(7\)"):
        skeleton.of(4)


def test_a_skeleton_without_categories_is_everybody_s():
    assert COCO.of(99) == (COCO, list(range(17)))
    assert COCO.owned([1, 2]).all()
    assert COCO.sigmas_of([5]).tolist() == [list(COCO.sigmas)]


def test_it_is_found_again_in_a_checkpoint():
    skeleton = united([CAT, DOG])
    plain = json.loads(json.dumps(skeleton.config()))
    again = Skeleton.from_config(plain)
    assert again.config() == plain
    assert again.categories[1].skeleton.joints == DOG.skeleton.joints
    assert again.sigmas_of([3, 7]).tolist() == skeleton.sigmas_of([3, 7]).tolist()
    assert "categories" not in COCO.config(), "checkpoints of one category are what they were"


@pytest.mark.parametrize(
    "wrong",
    [
        [{"id": 1}],
        [7],
        "dog",
        [{"id": 1, "skeleton": {**COCO.config(), "limbs": []}}],
        [{"id": 1, "skeleton": CAT.skeleton.config(), "colour": "red"}],
    ],
)
def test_malformed_categories_are_refused(wrong):
    with pytest.raises(InputError):
        Skeleton.from_config({**united([CAT, DOG]).config(), "categories": wrong})


def test_categories_differ_in_id_and_name_and_have_joints_of_the_union():
    for other, fault in ((category(3, "cow", "nose"), "same id"), (category(4, "cat", "nose"), "same name")):
        with pytest.raises(InputError, match=fault):
            united([CAT, other])
    with pytest.raises(InputError, match=r"lacks .*tail"):
        Skeleton("x", ("nose", "l_ear", "r_ear"), categories=(CAT,))


@pytest.mark.parametrize(
    "other",
    [
        category(7, "dog", "l_ear", "r_ear", "tail", flip_pairs=((0, 2),)),
        category(7, "dog", "l_ear", "r_ear", flip_pairs=()),
        category(7, "dog", "l_ear", "tail", flip_pairs=()),
        category(7, "dog", "tail", "fin", flip_pairs=((0, 1),)),
    ],
)
def test_categories_agree_about_which_joints_mirror_each_other(other):
    for categories in ([CAT, other], [other, CAT]):
        with pytest.raises(InputError, match="mirrors") as caught:
            united(categories)
        assert "'cat'" in str(caught.value)
        assert "'dog'" in str(caught.value)


def test_it_mirrors_only_if_every_category_does():
    unknown = category(9, "chair", "1", "2", "nose")
    skeleton = united([CAT, unknown])
    assert not skeleton.mirrors
    assert set(skeleton.unpaired) == {"1", "2"}
    assert skeleton.pairs == ((1, 2),)
    again = Skeleton.from_config(json.loads(json.dumps(skeleton.config())))
    assert (again.mirrors, again.pairs) == (False, ((1, 2),))
    known = with_pairs(skeleton, ["1-2"])
    assert known.mirrors
    assert set(known.pairs) == {(1, 2), (4, 5)}
    assert known.of(9)[0].pairs == ((0, 1),)
    assert known.of(3)[0].pairs == ((1, 2),)
    turned = replace(skeleton, categories=skeleton.categories[::-1])  # of a file in another order
    assert with_pairs(turned, ["1-2"]).joints == skeleton.joints


def test_pairs_by_hand_fit_all_categories():
    with pytest.raises(InputError, match="'a-b'"):
        with_pairs(united([CAT, DOG]), ["a-b"])
    with pytest.raises(InputError, match=r"'cat' has 'tail' and not 'l_paw'"):
        with_pairs(united([CAT, DOG]), ["tail-l_paw"])
    assert with_pairs(Skeleton("x", ("1", "2")), ["1-2"]).pairs == ((0, 1),)


@given(st.lists(st.lists(st.sampled_from("abcdefg"), min_size=1, unique=True), min_size=1, max_size=5))
def test_every_joint_of_every_category_has_its_place(kinds):
    skeleton = united([category(i, f"kind {i}", *joints) for i, joints in enumerate(kinds)])
    assert set(skeleton.joints) == {joint for joints in kinds for joint in joints}
    for i, joints in enumerate(kinds):
        assert [skeleton.joints[number] for number in skeleton.of(i)[1]] == joints
        assert skeleton.owned([i]).sum() == len(joints)
