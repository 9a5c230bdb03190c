"""The documentation's code runs as it stands, top to bottom, and what it asserts is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def blocks(page: Path) -> list[tuple[int, str]]:
    """First line and text of each Python block of a page."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [(text[: block.start(1)].count("\n") + 1, block[1]) for block in found]


def test_the_method_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # its pictures are drawn here
    page = ROOT / "docs" / "method.md"
    session: dict[str, object] = {}
    assert len(blocks(page)) > 4
    for line, code in blocks(page):
        exec(compile("\n" * (line - 1) + code, page, "exec"), session)
    assert {path.name for path in tmp_path.glob("*.png")} == {"method-density.png", "method-spread.png"}
    for picture in tmp_path.glob("*.png"):
        assert (page.parent / "images" / picture.name).is_file()
        assert f"(images/{picture.name})" in page.read_text(encoding="utf-8")


def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "tutorial.md"
    session: dict[str, object] = {"__name__": "tutorial"}
    assert len(blocks(page)) > 6
    for line, code in blocks(page):
        exec(compile("\n" * (line - 1) + code, page, "exec"), session)
    assert [path.name for path in tmp_path.glob("*.png")] == ["tutorial-boundaries.png"]
    assert (page.parent / "images" / "tutorial-boundaries.png").is_file()
    assert "(images/tutorial-boundaries.png)" in page.read_text(encoding="utf-8")
