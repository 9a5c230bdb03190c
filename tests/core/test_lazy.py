"""Names of a package that are imported on first use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = """
from logpose.core.lazy import lazy
__getattr__, __dir__ = lazy(__name__, {"first": ("One", "Two"), "second": ("Three",)}, packages=("inner",))
__all__ = ["One", "Two", "Three"]
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "lazy_package"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text(PACKAGE)
    (folder / "first.py").write_text("class One: ...\nclass Two: ...\n")
    (folder / "second.py").write_text("class Three: ...\n")
    (folder / "inner" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder.name
    for name in [name for name in sys.modules if name.partition(".")[0] == folder.name]:
        del sys.modules[name]


def test_a_name_is_imported_once_it_is_used_and_no_other(package: str) -> None:
    import lazy_package

    assert {"One", "Two", "Three", "inner"} < set(dir(lazy_package))
    assert not {name for name in sys.modules if name.startswith("lazy_package.")}
    from lazy_package import Three

    assert Three.__module__ == "lazy_package.second"
    assert lazy_package.Three is Three
    assert "lazy_package.first" not in sys.modules


def test_modules_are_attributes_and_other_names_are_refused(package: str) -> None:
    import lazy_package

    assert lazy_package.first.__name__ == "lazy_package.first"
    assert lazy_package.inner.__name__ == "lazy_package.inner"
    with pytest.raises(AttributeError, match=r"lazy_package.*Four"):
        lazy_package.Four  # noqa: B018
    with pytest.raises(ImportError, match="Four"):
        from lazy_package import Four  # noqa: F401


def test_everything_can_be_imported_at_once(package: str) -> None:
    from logpose.core.lazy import import_all

    import_all(package)
    assert {"lazy_package.first", "lazy_package.second"} < set(sys.modules)


def test_a_loss_is_made_by_its_kind_though_no_other_loss_was_imported() -> None:
    make = "from logpose.losses.base import PoseLoss; print(type(PoseLoss.from_config({'kind': 'L1Loss'})).__name__)"
    made = subprocess.run([sys.executable, "-c", make], capture_output=True, text=True, timeout=120, check=True)
    assert made.stdout.split() == ["L1Loss"]
