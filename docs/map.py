"""Write the map of the package in CONTRIBUTING.md from the first lines of the docstrings.

python docs/map.py            rewrites the lines between the two markers; tests/test_docs.py compares them
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "logpose"
PAGE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- The map: written by docs/map.py -->", "<!-- End of the map -->"
ORDER = [
    "core",
    "flows",
    "losses",
    "metrics",
    "models",
    "data",
    "training",
    "report",
    "tasks",
    "recipes",
    "cli",
]


def the_map() -> str:
    """A line for each package and each module: its path, and the first line of its docstring."""
    folders = {path.parent for path in PACKAGE.rglob("__init__.py")} - {PACKAGE}
    names = sorted((folder.relative_to(PACKAGE).as_posix() for folder in folders), key=place)
    lines = []
    for name in names:
        lines.append(f"\n**`{name}/`** {opening(PACKAGE / name / '__init__.py')}\n")
        lines += [
            f"* `{path.name}`: {opening(path)}"
            for path in sorted((PACKAGE / name).glob("*.py"))
            if path.name != "__init__.py"
        ]
    return "\n".join(lines).strip("\n")


def place(name: str) -> tuple[int, str]:
    """Where a folder stands in the order of reading."""
    package = name.split("/")[0]
    return (ORDER.index(package) if package in ORDER else len(ORDER), name)


def opening(path: Path) -> str:
    """The first sentence of a module's docstring, at most its first paragraph."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "(no docstring)"
    return " ".join(text.split("\n\n")[0].split())


def rewritten(page: str) -> str:
    """The page with the map as it should be."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{the_map()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
