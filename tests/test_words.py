"""The text of the project uses the field's words: no word of the list below is left in code, help, messages or docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

WORDS = {
    r"told|tells?(?! apart)": "reported, given, printed, detected, inferred",
    r"says|said": "reports, states, is",
    r"nearer|farther|nearness": "lower (higher) error; closer, further",
    r"by heart": "overfit; memorised",
    r"charged?|charges|charging": "loss term, penalty, negative log-likelihood",
    r"claim(s|ed|ing)?": "predictive distribution; nominal",
    r"laws?": "error distribution, residual distribution",
    r"surpris(e|es|ed|ing)": "standardised NLL; unexpected",
    r"lessons?": "dict of losses",
    r"measuring": "evaluating; evaluator",
    r"settled": "masked; decided",
    r"widened": "upcast; enlarged",
    r"least_sure": "score threshold",
    r"sees": "takes; input specification",
    r"blank": "example input; empty",
    r"idle": "inapplicable; not in use",
    r"rooms?": "package, module",
    r"anew": "again",
    r"whoever": "each person (instance)",
    r"whereby|thereof": "(rephrase)",
    r"mend(s|ed|ing)?": "fix",
    r"drawn people": "synthetic people",
    r"pictures?|pictured": "image, photograph",
    r"heatmaps[ _-]first": "heatmap pre-training",
    r"expected and had": "predicted and actual",
    r"there is no use for it": "unrecognized argument",
    r"finds nobody by itself": "is a top-down model: needs boxes or a detector",
}
"""Patterns of whole words, in any case, and what to write instead: the project's glossary, less the words that are too
common to search for ("kept", "exact", "places", "sure")."""

EXCEPTIONS = {
    ("src/logpose/core/moved.py", "*"): "names of version 0.1",
    ("src/logpose/recipes/renamed.py", "*"): "names of version 0.1",
    ("src/logpose/models/version_0_1.py", "*"): "names of version 0.1",
    ("src/logpose/tasks/pose/recipe.py", "picture"): "a name of version 0.1",
    ("src/logpose/tasks/detection/recipe.py", "picture"): "the value of --scale-of, as runs of version 0.1 recorded it",
    **{
        (path, "picture"): "the option --picture, as runs of version 0.1 recorded it"
        for path in (
            "docs/3d.md",
            "src/logpose/data/keypoint_files.py",
            "src/logpose/tasks/options.py",
            *(f"src/logpose/tasks/lifting/{name}.py" for name in ("recipe", "report", "task")),
        )
    },
    ("src/logpose/training/search.py", "tell"): "a method of Optuna's",
    ("benchmarks/lsp_losses.py", "heatmaps first"): "a key of the committed figures",
}
"""(file, word or *): the reason. Words are in lower case."""

SEARCHED = ("src/**/*.py", "docs/**/*.md", "docs/**/*.py", "benchmarks/*.py", "examples/*.py", "*.md", "pyproject.toml")
FILES = sorted({path for pattern in (*SEARCHED, "Makefile") for path in ROOT.glob(pattern)})
# Whole words; also those within names, which an underscore or a capital letter separates.
PATTERN = re.compile(
    "|".join(f"(?P<w{i}>(?<![a-z])(?:{word})(?![a-z]))" for i, word in enumerate(WORDS)), re.IGNORECASE
)
INSTEAD = list(WORDS.values())
ADDRESS = re.compile(r"https?://\S+")
CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def unwanted(text: str) -> list[tuple[int, str, str]]:
    """Line, word and replacement of each unwanted word."""
    return [
        (number, match[0], INSTEAD[int((match.lastgroup or "w0")[1:])])
        for number, line in enumerate(text.splitlines(), 1)
        for match in PATTERN.finditer(CAPITAL.sub("_", ADDRESS.sub("", line)))
    ]


def excepted(path: str, word: str) -> bool:
    """Whether a word may stand in a file."""
    return (path, "*") in EXCEPTIONS or (path, word.lower()) in EXCEPTIONS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_words_are_those_of_the_field(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    found = [
        f"{name}:{line}: {word} (instead: {instead})"
        for line, word, instead in unwanted(path.read_text(encoding="utf-8"))
        if not excepted(name, word)
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("what it is told", ["told"]),
        ("a said_so, ErrorLaw and law_mean", ["said", "Law", "law"]),
        ("Claims that the law\nis learned by heart", ["Claims", "law", "by heart"]),
        ("the lawn of a mushroom, pictureless; claimant; tell apart; idleness; seesaw", []),
        ("https://x.org/picture/law", []),
        ("drawn people", ["drawn people"]),
    ],
)
def test_the_search_works(text: str, words: list[str]) -> None:
    assert [word for _, word, _ in unwanted(text)] == words


def test_exceptions_are_needed() -> None:
    """An exception for a word that is no longer in its file is an error."""
    for path, word in EXCEPTIONS:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert any(word in ("*", each.lower()) for _, each, _ in unwanted(text)), (path, word)
