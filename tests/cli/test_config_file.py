"""`--config`: what is no table of fields is refused quickly, and in little memory."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from logpose.cli.config_file import check_config, named_recipe
from logpose.core.errors import InputError

BILLION = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "token"),
    [
        (b"", "table of fields"),
        (b"null", "table of fields"),
        (b"- lr\n", "table of fields"),
        (b"lr: 1\n---\nlr: 2\n", "table of fields"),
        (b"lr: 1\ncategory: caf\xe9\n", "line 2 is not UTF-8"),
        (b"lr: 1\nmilestones: [1\n", "line 3"),
        (b"lr: \x00", "not YAML"),
        (b"milestones: " + b"[" * 5000 + b"]" * 5000, "line 1.*nested"),
        (BILLION.encode(), r"line 2.*\*a"),
        (b"lr: 1 #" + b" " * (1 << 20), "bytes"),
    ],
    ids=["empty", "null", "list", "two", "latin-1", "open", "zero", "deep", "aliases", "large"],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, token: str) -> None:
    (tmp_path / "x.yaml").write_bytes(content)
    start = time.process_time()
    with pytest.raises(InputError, match=rf"x\.yaml.*{token}"):
        check_config(tmp_path / "x.yaml")
    assert time.process_time() - start < 2


def test_a_table_passes(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("lr: 0.1\naugmentation:\n  scale: 0.2\nmilestones: [1, 2]\n")
    check_config(str(tmp_path / "x.yaml"))


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        check_config(tmp_path / name)


@pytest.mark.parametrize(("content", "name"), [("recipe: a\nlr: 1\n", "a"), ("lr: 1\n", None), ("recipe: 3\n", None)])
def test_the_recipe_that_a_file_names(tmp_path: Path, content: str, name: str | None) -> None:
    (tmp_path / "config.yaml").write_text(content)
    assert named_recipe(tmp_path / "config.yaml") == name
