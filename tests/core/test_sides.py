from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpose.core.sides import (
    ABBREVIATIONS,
    WORDS,
    has_side,
    in_series,
    infer_pairs,
    is_midline,
    is_numbered,
    without_side,
)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left_eye", "Right-Eye"),
        ("LEFT EYE", "right_eye"),
        ("leftear", "rightear"),
        ("left-ear", "right-ear"),
        ("earleft", "earright"),
        ("topleft", "topright"),
        ("LSHO", "RSHO"),
        ("LASI", "RASI"),
        ("LMT5", "RMT5"),
        ("Lforepaw", "Rforepaw"),
        ("lforepaw", "rforepaw"),
        ("lear", "rear"),
        ("earL", "earR"),
        ("eyel", "eyer"),
        ("LS", "RS"),
        ("FL", "FR"),
        ("lf_paw", "rf_paw"),
        ("eye.L", "eye.R"),
        ("hand.L.001", "hand.R.001"),
        ("mixamorig:LeftArm", "mixamorig:RightArm"),
        ("Bip01 L Hand", "Bip01 R Hand"),
        ("lft_eye", "rgt_eye"),
        ("lftear", "rgtear"),
        ("lt eye", "rt eye"),
        ("linkes_Auge", "rechtes_Auge"),
        ("linkeHand", "rechteHand"),
        ("linkesohr", "rechtesohr"),
        ("Ohr_li", "Ohr_re"),
        ("oeil_gauche", "oeil_droit"),
        ("oreille gauche", "oreille droite"),
        ("épaule_gauche", "Epaule-Droite"),
        ("ojo_izquierdo", "ojo_derecho"),
        ("manoIzquierda", "manoDerecha"),
        ("ojoIzq", "ojoDer"),
        ("occhio_sinistro", "occhio_destro"),
        ("mano_sx", "mano_dx"),
        ("olho_esquerdo", "olho_direito"),
        ("orelha_esq", "orelha_dir"),
        ("linkeroog", "rechteroog"),
        ("lewe_oko", "prawe_oko"),
        ("hidari_me", "migi_me"),
        ("zuo_yan", "you_yan"),
        ("左目", "右目"),
    ],
)
def test_spellings_of_sides(left: str, right: str) -> None:
    assert infer_pairs([left, right]) == ((0, 1),)
    assert infer_pairs(["nose", right, "mid_1", left]) == ((1, 3),)


@pytest.mark.parametrize(
    "joints",
    [
        ("lip", "rip"),
        ("Lip", "Rip"),
        ("LIP", "RIP"),
        ("lumbar", "rumbar"),
        ("lump", "rump"),
        ("front_left", "hind_left"),
        ("front_left", "hind_right"),
        ("left_00", "right_0"),
        ("left_eye", "rechtes_eye"),
        ("left_eye", "r_eye"),
        ("cleft", "bright"),
        ("eye_left", "right_eye"),
        ("LL", "LR", "RL", "RR"),  # each would have two counterparts
        ("left_eye", "right-eye", "RightEye"),
        ("point_a", "point_d", "point_g"),
        tuple(f"p_{letter}" for letter in "abcdefghijklmnopqr"),
        ("L1", "L2", "T1"),
    ],
)
def test_names_that_are_no_pair(joints: tuple[str, ...]) -> None:
    assert infer_pairs(joints) == ()


def test_equal_spelling_goes_first() -> None:
    joints = ["left_eye", "LeftEye", "RightEye", "right_eye", "Left-Ear", "right_ear"]
    assert infer_pairs(joints) == ((0, 3), (1, 2), (4, 5))


def test_a_few_letters_are_words_of_their_own() -> None:
    assert infer_pairs(["lip_l", "lip_r", "lip_t", "lip_b", "lip_c", "lip_m"]) == ((0, 1),)
    assert infer_pairs(["FL", "FR", "RL", "RR"]) == ((0, 1), (2, 3))


def test_single_letters_of_other_languages_need_company() -> None:
    assert infer_pairs(["oeil_g", "oeil_d"]) == ()
    assert infer_pairs(["oeil_g", "oeil_d", "bouche_d", "bouche_g"]) == ((0, 1), (2, 3))
    assert infer_pairs(["olho_e", "olho_d", "orelha_e", "orelha_d"]) == ((0, 1), (2, 3))


@given(
    st.sampled_from([*WORDS, *ABBREVIATIONS]),
    st.sampled_from(["eye", "knee", "paw", "auge", "oko", "7"]),
    st.sampled_from(["{side}_{part}", "{part} {side}", "front-{side}-{part}", "{part}.{side}.2"]),
    st.sampled_from([str.lower, str.upper, str.title]),
)
def test_every_word_in_any_place_and_case(row, part, form, case) -> None:
    left, right = (case(form.format(side=side, part=part)) for side in row)
    assert infer_pairs([left, "nose", right]) == ((0, 2),)
    assert infer_pairs([left.lower(), "nose", right.upper().replace("_", "-")]) == ((0, 2),)
    assert infer_pairs([left, "nose"]) == infer_pairs([left, f"other_{right}"]) == ()


@pytest.mark.parametrize(
    "joint", ["leftear", "L_eye", "eyeR", "Lforepaw", "RSHO", "front_left", "main_gauche", "左目", "sx"]
)
def test_names_of_one_side(joint: str) -> None:
    assert has_side(joint)


@pytest.mark.parametrize(
    "joint", ["nose", "L5", "rear", "tail", "heel", "lip", "rump", "upright", "bright", "cleft", "shoulder", "1", "der"]
)
def test_names_of_no_side(joint: str) -> None:
    assert not has_side(joint)


def test_many_names_that_differ_in_a_number() -> None:
    face, tail, few = ([f"{name}{i}" for i in range(count)] for name, count in (("face-", 6), ("Tail", 6), ("fin", 4)))
    assert in_series([*face, *tail, *few, "nose", "mid_1"]) == {*face}


def test_names_on_the_midline_and_numbers() -> None:
    assert all(map(is_midline, ["nose", "Neck", "tail_base", "head-top", "C7", "spine2", "upper_lip"]))
    assert not any(map(is_midline, ["7", "fin", "nose_ring", "", "eye"]))
    assert all(map(is_numbered, ["7", "kp_7", "Point 07", "landmark12"]))
    assert not any(map(is_numbered, ["point", "nose", "nose_7", "C7", ""]))


@pytest.mark.parametrize(
    ("left", "right", "name"),
    [
        ("left_ankle", "right_ankle", "ankle"),
        ("l_ankle", "r_ankle", "ankle"),
        ("eye.L", "eye.R", "eye"),
        ("leftear", "rightear", "ear"),
        ("LWrist", "RWrist", "Wrist"),
        ("point_1", "point_17", "point_1"),
    ],
)
def test_the_name_of_a_pair_has_no_side(left, right, name):
    assert without_side(left, right) == name
