"""Left and right in the names of joints: which joints mirror each other, and which have a side but no counterpart.

Case and separators do not matter, and names of a pair are equal but for the side: left_eye and Right-Eye, LWrist and
RWrist, eye.L and eye.R, leftear and rightear, LSHO and RSHO, oeil_gauche and oeil_droit.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["has_side", "in_series", "infer_pairs", "is_midline", "is_numbered", "without_side"]

WORDS = (
    ("left", "right"), ("port", "starboard"),  # English
    ("links", "rechts"), ("linke", "rechte"), ("linker", "rechter"), ("linkes", "rechtes"),  # German, Dutch
    ("linken", "rechten"), ("linkem", "rechtem"), ("linkse", "rechtse"),
    ("gauche", "droite"), ("gauche", "droit"), ("gauches", "droites"), ("gauches", "droits"),  # French
    ("izquierdo", "derecho"), ("izquierda", "derecha"), ("izquierdos", "derechos"), ("izquierdas", "derechas"),
    ("sinistro", "destro"), ("sinistra", "destra"), ("sinistri", "destri"), ("sinistre", "destre"),  # Italian
    ("esquerdo", "direito"), ("esquerda", "direita"), ("esquerdos", "direitos"), ("esquerdas", "direitas"),
    ("lewy", "prawy"), ("lewa", "prawa"), ("lewe", "prawe"), ("lewej", "prawej"),  # Polish
    ("hidari", "migi"), ("左", "右"),  # Japanese, Chinese
)  # fmt: skip
"""Words for left and right, also where they are joined to another: leftear, linkesauge."""

ABBREVIATIONS = (
    ("l", "r"), ("lft", "rgt"), ("lft", "rght"), ("lft", "rt"), ("lt", "rt"),  # English
    ("li", "re"), ("lks", "rts"), ("lk", "rg"),  # German
    ("gau", "dro"), ("gch", "dte"),  # French
    ("izq", "der"), ("izq", "dcha"), ("izq", "dcho"), ("izq", "dch"), ("izda", "dcha"), ("izdo", "dcho"),  # Spanish
    ("sx", "dx"), ("sin", "des"), ("sin", "dx"), ("esq", "dir"),  # Italian, Portuguese
    ("zuo", "you"),  # Chinese
)  # fmt: skip
"""Abbreviations, which are words of their own: l_eye, eye.L, EyeL, ojo_izq."""

LETTERS = (("g", "d"), ("i", "d"), ("e", "d"), ("s", "d"))
"""Letters for left and right in French, Spanish, Portuguese and Italian. They often mean something else, so they count
where at least two pairs have them, and no other letter stands in their place."""

SIDES = (*WORDS, *ABBREVIATIONS, *LETTERS)

CERTAIN = {"l", "r", "lt", "rt", "lft", "rgt", "rght", "izq", "izda", "izdo", "dcha", "dcho", "sx", "dx", "esq"}
"""Abbreviations that mean a side also where no joint is the counterpart: `der` may be an article."""

PARTS = (
    "ankle|antenna|antler|arm|beak|bicep|breast|brow|buttock|calf|canthus|cheek|chest|claw|clavicle|collar|ear|elbow|elytron|"
    "eye|eyebrow|eyelid|face|feeler|feet|fin|finger|flank|flipper|fluke|foot|gill|haltere|hand|head|heel|hip|hock|hoof|"
    "horn|index|jaw|knee|knuckle|leg|lid|lip|mandible|mouth|neck|nipple|nostril|palm|pastern|paw|pectoral|pinkie|pinky|"
    "pupil|rib|ring|scapula|shin|shoulder|side|stifle|tail|temple|thigh|thumb|toe|tusk|waist|whisker|wing|wrist|"
    # Abbreviations, among them those of markers on the body (Plug-in Gait).
    "ank|asi|asis|bhd|elb|fhd|frm|hee|kne|mtp|psi|psis|shld|sho|shou|thi|tib|mt|toe|upa|wra|wrb|wri|wrst|"
    # What distinguishes several.
    "anterior|back|base|big|bottom|centre|center|corner|distal|end|fore|front|hind|inner|inside|lower|medial|mid|middle|"
    "outer|outside|posterior|proximal|rear|small|tip|top|upper"
)
KNOWN = re.compile(rf"(?:{PARTS})+\d*")
"""What a letter may be joined to: lear and Rforepaw are of the ear and the paw, lip and rumbar are not of a side."""

MIDLINE = re.compile(
    "(?:abdomen|back|beak|belly|body|chest|chin|collar|crown|face|forehead|groin|head|hips|mid|middle|mouth|muzzle|navel|"
    "neck|nose|pelvis|philtrum|root|rump|sacrum|skull|snout|spine|sternum|tail|thorax|throat|tongue|torso|trunk|"
    "vertebra|withers|upper|lower|lip|lips|top|bottom|base|tip|end|start|centre|center|of|the)+|[ctls]"
)  # fmt: skip
"""Words of joints on the midline; one letter and a number is a vertebra: C7, L5."""

_OUTLINE = re.compile("face|head|mouth|lip|skull")
"""Of words of the midline those of which many joints lie around something, not along it."""

COUNTED = {
    "",
    "joint",
    "j",
    "k",
    "key",
    "keypoint",
    "kp",
    "kpt",
    "landmark",
    "lm",
    "marker",
    "node",
    "p",
    "point",
    "pt",
}
"""Words of joints that are numbered rather than named."""

_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^A-Za-z\d]+")
SERIES = 5
"""Letters beside l and r, more than top, bottom, middle and centre have, with which these only count: p_a … p_z; and
names that differ in a number."""
_CODE = 4  # characters of a marker's code (LSHO), whose last three may be anything

Rest = tuple[int, str]
"""The row of `SIDES` that a name has a word of, and the rest of the name, with a star in place of that word."""


def infer_pairs(joints: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """The pairs of joints whose names are equal but for the side, by index, in the order of the first of each.

    Names that are also equal in spelling are paired before those that differ in case or separators. A joint that would
    have two counterparts has none.
    """
    partner: dict[int, int] = {}
    letters = _letters(joints)
    for exact in (True, False):
        there: dict[Rest, tuple[set[int], set[int]]] = defaultdict(lambda: (set(), set()))
        for joint, name in enumerate(joints):
            if joint not in partner:
                for side, rest in _readings(name, exact, letters):
                    there[rest][side].add(joint)
        often = Counter(row for (row, _), (left, right) in there.items() if left and right)
        counterparts: dict[int, set[int]] = defaultdict(set)
        for (row, _), (left, right) in there.items():
            if SIDES[row] in LETTERS and often[row] < 2:
                continue
            for a in left:
                counterparts[a] |= right
            for b in right:
                counterparts[b] |= left
        for joint, others in counterparts.items():
            other = next(iter(others), joint)
            if len(others) == 1 and counterparts[other] == {joint}:
                partner[joint] = other
    return tuple((a, b) for a, b in sorted(partner.items()) if a < b)


def without_side(first: str, second: str) -> str:
    """What a pair is of: ankle, of left_ankle and right_ankle; the first one's name if that is not known."""
    for exact in (True, False):
        ours, theirs = ({rest: side for side, rest in _readings(name, exact, {})} for name in (first, second))
        if both := [rest for rest, side in ours.items() if theirs.get(rest, side) != side]:
            return re.sub(r"\*(?:(?:upper|title|lower)\*)?", "", both[0][1]).strip(" _-.") or first
    return first


def has_side(joint: str) -> bool:
    """Whether a name has a word for a side, or a letter for one before or after a part of the body."""
    pieces = [piece.casefold() for piece in _pieces(joint)]
    letters = [piece for piece in pieces if piece.isalpha()]
    words = {word for row in WORDS for word in row}
    if letters in (["l"], ["r"]) and len(pieces) > 1:
        return False  # L5 is a vertebra
    return any(
        piece in words | CERTAIN
        or any(len(word) > 4 and piece.startswith(word) for word in words)
        or (not KNOWN.fullmatch(piece) and any(KNOWN.fullmatch(rest) for rest in _without_side(piece, words)))
        for piece in letters
    ) or any(side in joint for side in "左右")


def is_midline(joint: str) -> bool:
    """Whether a name is that of something in the middle: nose, neck, tail_base, C7."""
    letters = [piece.casefold() for piece in _pieces(joint) if piece.isalpha()]
    return bool(letters) and all(MIDLINE.fullmatch(piece) for piece in letters)


def is_numbered(joint: str) -> bool:
    """Whether a joint has a number in place of a name: 7, kp_7, point07."""
    pieces = [piece.casefold() for piece in _pieces(joint) if piece.isalnum()]
    return any(piece.isdigit() for piece in pieces) and all(piece in COUNTED or piece.isdigit() for piece in pieces)


def in_series(joints: Sequence[str]) -> set[str]:
    """Names that differ in a number alone, if they are many and of nothing along the midline: face-0 … face-67."""
    series: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for joint in joints:
        pieces = [piece.casefold() for piece in _pieces(joint)]
        if any(piece.isdigit() for piece in pieces):
            series[tuple("#" if piece.isdigit() else piece for piece in pieces)].append(joint)
    many = (names for names in series.values() if len(names) >= SERIES)
    return {name for names in many for name in names if not (is_midline(name) and not _OUTLINE.search(name.casefold()))}


def _pieces(joint: str) -> list[str]:
    """The words, numbers and separators that a name consists of; without accents."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", joint) if not unicodedata.combining(c))
    return _PIECE.findall(plain)


def _letters(joints: Sequence[str]) -> dict[tuple[str, str], set[str]]:
    """The single letters between each beginning and end of names: a, b and c of point_a, point_b, point_c."""
    letters: dict[tuple[str, str], set[str]] = defaultdict(set)
    for joint in joints:
        for before, piece, after in _around(joint):
            if len(piece) == 1 and piece.isalpha():
                letters[before, after].add(piece.casefold())
    return letters


def _around(joint: str) -> Iterator[tuple[str, str, str]]:
    """What stands before a piece of a name, the piece, and what stands after it."""
    pieces = _pieces(joint)
    for at, piece in enumerate(pieces):
        yield "".join(pieces[:at]), piece, "".join(pieces[at + 1 :])


def _readings(joint: str, exact: bool, letters: Mapping[tuple[str, str], set[str]]) -> Iterator[tuple[int, Rest]]:
    """The sides, 0 for left and 1 for right, that a name may mean; if `exact`, with the rest as it is spelled."""
    for before, piece, after in _around(joint):
        others = letters.get((before, after), set())
        for row, side, start, rest in _sides(piece, exact):
            names = set(SIDES[row])
            if len(piece) == 1 and len(others - names) >= (1 if SIDES[row] in LETTERS else SERIES):
                continue
            if exact:
                case = "upper" if piece.isupper() else "title" if piece[0].isupper() else "lower"
                yield side, (row, f"{before}*{case}*{after}")
            else:
                yield side, (row, "*".join(map(_plain, (before + rest[:start], rest[start:] + after))))


def _plain(text: str) -> str:
    """A text without case and separators."""
    return "".join(character for character in text.casefold() if character.isalnum())


def _sides(piece: str, exact: bool) -> Iterator[tuple[int, int, int, str]]:
    """Of a word: the row of the tables and the side that it may mean, and where in the rest of the word that stands."""
    word = piece.casefold()
    for row, names in enumerate(SIDES):
        for side, name in enumerate(names):
            if word == name:
                yield row, side, 0, ""
            elif not exact:
                yield from ((row, side, at, rest) for at, rest in _joined(piece, name, row < len(WORDS)))


def _joined(piece: str, name: str, whole: bool) -> Iterator[tuple[int, str]]:
    """Where in a longer word a name of a side stands, and the word without it."""
    word = piece.casefold()
    for found in re.finditer(f"(?={name})", word):
        at, rest = found.start(), word[: found.start()] + word[found.start() + len(name) :]
        at_edge = at in (0, len(rest))
        # FL and LSHO, in capitals or by themselves, are codes.
        code = name in ("l", "r") and (len(word) == 2 or (len(word) == _CODE and piece.isupper() and at == 0))
        if whole or (at_edge and (code or (name not in "gdies" and KNOWN.fullmatch(rest)))):
            yield at, rest


def _without_side(piece: str, words: set[str]) -> Iterator[str]:
    """What is left of a word without a name of a side at its beginning or end."""
    for name in (*words, "l", "r", "lft", "rgt"):
        if piece.startswith(name):
            yield piece[len(name) :]
        if piece.endswith(name):
            yield piece[: -len(name)]
