"""Old paths and names work and warn; new ones are not touched."""

from __future__ import annotations

import importlib
import inspect
import sys

import pytest

import logpose
from logpose.core import moved, structures
from logpose.core.moved import renamed_arguments
from logpose.core.skeletons import COCO
from logpose.models import RegressionModel, create_backbone


@pytest.mark.parametrize("old", sorted(set(moved.MODULES) - set(moved.PACKAGES)))
def test_every_old_path_has_all_names_of_its_new_one(old: str) -> None:
    new = importlib.import_module(f"logpose.{moved.MODULES[old]}")
    sys.modules.pop(f"logpose.{old}", None)
    module = importlib.import_module(f"logpose.{old}")
    for name in new.__all__:
        with pytest.warns(DeprecationWarning, match=moved.MODULES[old].replace(".", r"\.")):
            assert getattr(module, name) is getattr(new, name)


@pytest.mark.parametrize(("old", "name"), moved.NAMES)
def test_every_renamed_name_is_its_new_one(old: str, name: str) -> None:
    path, new = moved.NAMES[old, name]
    with pytest.warns(DeprecationWarning, match=rf"{name} .*{new}"):
        found = moved.moved_name(old, name)
    assert found is getattr(importlib.import_module(f"logpose.{path}"), new)


DOCUMENTED = """
from logpose.data.scans import ScanWindows, Variation, scan_loader
from logpose.data.synthetic_oct import ScanNoise, SyntheticScans
from logpose.drawing import draw_boundaries
from logpose.losses import FactorsRLELoss, Gaussian, HeatmapLoss, L1Loss, Laplace, LikelihoodLoss, RLELoss
from logpose.models import PointSetOptions
from logpose.models.boundary import ResidualUNet
from logpose.placement import Viewpoint
from logpose.recipe import Recipe, heatmaps, integral
from logpose.recipes.oct import OctRecipe
from logpose.recipes.point_set import PointSetRecipe, point_set, point_set_resnet18_rle
from logpose.report import save_picture
from logpose.training import fit
"""
"""Imports in the pages of version 0.1."""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_training_s_function_is_no_module() -> None:
    from logpose.training import fit
    from logpose.training.run import fit as now

    assert fit is now


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("line", DOCUMENTED.strip().splitlines())
def test_documented_imports_of_version_0_1(line: str) -> None:
    exec(line, {})


def test_the_forms_of_import() -> None:
    with pytest.warns(DeprecationWarning, match="ErrorDistribution"):
        from logpose.structures import ErrorLaw  # type: ignore[import-not-found]
    assert ErrorLaw is structures.ErrorDistribution
    with pytest.warns(DeprecationWarning, match=r"training\.run"):
        from logpose.training import Run
    assert Run.__name__ == "Run"


def test_submodules_of_a_package_that_took_a_modules_name() -> None:
    from logpose.training import checkpoint  # no warning

    assert callable(checkpoint.load_model)


def test_unknown_names_stay_unknown() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("logpose.nowhere")
    with pytest.raises(AttributeError, match="nothing"):
        moved.moved_name("structures", "nothing")


def test_it_is_installed_once() -> None:
    count = len(sys.meta_path)
    moved.install()
    assert len(sys.meta_path) == count


@renamed_arguments(colour="color")
def paint(color: str = "red") -> str:
    return color


def test_the_old_name_warns_and_the_new_one_does_not() -> None:
    assert paint(color="blue") == "blue"
    with pytest.warns(DeprecationWarning, match="colour"):
        assert paint(**{"colour": "green"}) == "green"
    assert list(inspect.signature(paint).parameters) == ["color"]


def test_an_argument_by_both_names_is_refused() -> None:
    @renamed_arguments(old="new")
    def function(new: int = 0) -> int:
        return new

    with pytest.raises(TypeError, match=r"'new'.*'old'"):
        function(new=1, old=2)


def test_old_names_of_attributes() -> None:
    loss = logpose.RLELoss().eval()
    with pytest.warns(DeprecationWarning, match="error_distribution"):
        found = loss.law()  # type: ignore[operator]
    assert found.std.equal(loss.error_distribution().std)
    model = RegressionModel(create_backbone("resnet18", (64, 64), neck=True), COCO, (64, 64))
    with pytest.warns(DeprecationWarning, match="set_error_distribution"):
        model.set_law(found)  # type: ignore[operator]
    with pytest.warns(DeprecationWarning, match="error_distribution"):
        assert model.law.std.equal(found.std)  # type: ignore[union-attr]
