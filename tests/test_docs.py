"""The code of the documentation runs, its links lead somewhere, and public names have docstrings."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "logpose"
MODULES = sorted(PACKAGE.rglob("*.py"))


def blocks(page: Path) -> list[tuple[int, str]]:
    """First line and text of each Python block of a page."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [(text[: block.start(1)].count("\n") + 1, block[1]) for block in found]


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_the_method_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where the page saves its images
    page = ROOT / "docs" / "method.md"
    session: dict[str, object] = {}
    assert len(blocks(page)) > 4
    for line, code in blocks(page):
        exec(compile("\n" * (line - 1) + code, page, "exec"), session)
    assert {path.name for path in tmp_path.glob("*.png")} == {"method-density.png", "method-spread.png"}
    for image in tmp_path.glob("*.png"):
        assert (page.parent / "images" / image.name).is_file()
        assert f"(images/{image.name})" in page.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
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


PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """What a page's headings are linked by: lower case, hyphens for spaces, no punctuation, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path, text: str) -> list[str]:
    """Links of a page to files, or to headings, that do not exist."""
    wrong = []
    for target in LINK.findall(re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)):
        if re.match(r"https?:|mailto:", target):
            continue
        name, _, heading = target.partition("#")
        file = (page.parent / name).resolve()
        exists = not name or file.exists()
        if not exists or (heading and heading not in anchors(file.read_text("utf-8") if name else text)):
            wrong.append(target)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page, page.read_text(encoding="utf-8")) == []


def test_broken_links_are_detected() -> None:
    text = "# A heading: of *this* page\n[a](README.md) [b](no.md) [c](#a-heading-of-this-page) [d](#other)"
    assert broken(ROOT / "page.md", text) == ["no.md", "#other"]


def undocumented(source: str) -> list[str]:
    """Names of a module's `__all__` that it defines without a docstring, and public methods of its classes likewise."""
    tree = ast.parse(source)
    public: set[str] = set()
    wrong = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            public = set(ast.literal_eval(node.value))
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in public:
            wrong += [] if ast.get_docstring(node) else [node.name]
            methods = [inner for inner in getattr(node, "body", ()) if isinstance(inner, ast.FunctionDef)]
            for method in methods if isinstance(node, ast.ClassDef) else ():
                decorators = {ast.unparse(each).split(".")[-1] for each in method.decorator_list}
                documented = ast.get_docstring(method) or decorators & {"override", "setter", "overload"}
                wrong += [] if documented or method.name.startswith("_") else [f"{node.name}.{method.name}"]
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            wrong += [ast.unparse(target)] if ast.unparse(target) in public and not documented else []
    return wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_public_names_are_documented(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source)), "the module has no docstring"
    assert undocumented(source) == []


def test_undocumented_names_are_detected() -> None:
    source = (
        '__all__ = ["A", "B", "f", "g"]\nA = 1\nB = 2\n"""Two."""\ndef f(): ...\nclass g:\n  "x"\n  def h(self): ...\n'
    )
    assert undocumented(source) == ["A", "f", "g.h"]


def test_the_map_is_that_of_the_package() -> None:
    spec = importlib.util.spec_from_file_location("map", ROOT / "docs" / "map.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert page == module.rewritten(page), "the map is out of date: python docs/map.py"
