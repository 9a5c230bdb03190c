"""Build the site: the pages of this folder, README, CONTRIBUTING and CHANGELOG, and a reference from the docstrings.

    python docs/build.py          writes build/pages and build/zensical.toml, then build/site

Nothing of the package is imported. A broken link, or a name that the reference cannot find, is an error.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "logpose"
BUILD = ROOT / "build"
FIRST = ["pose", "labels", "detection", "3d", "boundaries", "method", "tutorial", "results"]
"""The order of the pages; others follow by name."""
PACKAGES = ["core", "flows", "losses", "metrics", "models", "data", "training", "tasks", "recipes"]
PACKAGES += ["report", "export", "runtime", "cli"]
LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)#\s]+)(#[^)]*)?(?=\))")

Entry = str | tuple[str, "str | list[Entry]"]
"""A page of the navigation; with a title, a page or a section."""


def main() -> int:
    """Write the pages and run Zensical on them, strictly."""
    pages = BUILD / "pages"
    for folder in (pages, BUILD / "site", BUILD / ".cache"):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs" / "images", pages / "images")
    sources = {path.stem: path for path in sorted((ROOT / "docs").glob("*.md"))}
    order = [name for name in FIRST if name in sources] + [name for name in sources if name not in FIRST]
    where = {ROOT / f"{name.upper()}.md": f"{name}.md" for name in ("contributing", "changelog")}
    where |= {ROOT / "README.md": "index.md"} | {sources[name]: f"{name}.md" for name in order}
    for source, name in where.items():
        (pages / name).write_text(linked(source, where), encoding="utf-8")
    navigation: list[Entry] = [("Home", "index.md"), *((title(sources[name]), f"{name}.md") for name in order)]
    navigation += [("Reference", reference(pages / "api"))]
    navigation += [("Contributing", "contributing.md"), ("Changelog", "changelog.md")]
    settings = (ROOT / "docs" / "zensical.toml").read_text(encoding="utf-8")
    text = settings.replace("[project]\n", f"[project]\nnav = {as_toml(navigation)}\n", 1)
    (BUILD / "zensical.toml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(BUILD / "zensical.toml")]
    return subprocess.run(command, cwd=BUILD, check=False).returncode


def title(page: Path) -> str:
    """The first heading of a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix("# ") for line in lines if line.startswith("# "))


def linked(source: Path, where: dict[Path, str]) -> str:
    """A page's text, with its links to other pages and to images as they are in the site."""

    def moved(link: re.Match[str]) -> str:
        target = (source.parent / link[1]).resolve()
        if target.is_relative_to(ROOT / "docs" / "images"):
            return f"images/{target.name}"
        return where[target] + (link[2] or "") if target in where else link[0]

    return LINK.sub(moved, source.read_text(encoding="utf-8"))


def reference(folder: Path) -> list[Entry]:
    """Write a page for each package and for each module with public names; returns their navigation."""
    folder.mkdir()
    navigation: list[Entry] = []
    for package in PACKAGES:
        entries: list[Entry] = []
        summary = [f"# `logpose.{package}`", "", docstring(PACKAGE / package / "__init__.py"), ""]
        for path in sorted((PACKAGE / package).rglob("*.py")):
            module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
            if path.stem == "__init__" or "__all__ = " not in path.read_text(encoding="utf-8"):
                continue
            (folder / f"{module}.md").write_text(f"# `logpose.{module}`\n\n::: logpose.{module}\n", encoding="utf-8")
            short = module.removeprefix(f"{package}.")
            entries.append((short, f"api/{module}.md"))
            summary.append(f"* [`{short}`]({module}.md): {docstring(path).splitlines()[0]}")
        if entries:
            (folder / f"{package}.md").write_text("\n".join(summary) + "\n", encoding="utf-8")
            navigation.append((package, [f"api/{package}.md", *entries]))
    return navigation


def docstring(path: Path) -> str:
    """That of a module."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" if path.is_file() else ""


def as_toml(entries: list[Entry]) -> str:
    """Navigation as Zensical reads it: pages, and tables of one title each."""

    def each(entry: Entry) -> str:
        if isinstance(entry, str):
            return repr(entry)
        name, value = entry
        return f'{{ "{name}" = {as_toml(value) if isinstance(value, list) else repr(value)} }}'

    return f"[{', '.join(map(each, entries))}]"


if __name__ == "__main__":
    sys.exit(main())
