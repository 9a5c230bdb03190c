"""What every test has: checked shape annotations, one thread, the same examples in CI, real data if any."""

# ruff: noqa: E402 - what is imported here must find the variables and the hook in place.

from __future__ import annotations

import os
import sys
from pathlib import Path

# Workers share the cores; each library's own pool on top of that makes them wait for each other. Torch and
# NumPy read the variables once, when they are imported; the commands that tests start inherit them.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["MPLBACKEND"] = "Agg"

from jaxtyping import install_import_hook

# Shapes and types of `logpose` are checked while the tests run. The hook changes modules as they are
# imported, so one that is already there would go unchecked without a word.
if early := [name for name in sys.modules if name.partition(".")[0] == "logpose"]:
    raise RuntimeError(f"imported before the type-checking hook was in place: {early}")
# An int will do for a float, as mypy sees it (PEP 484); beartype has to be told.
install_import_hook("logpose", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

import cv2
import pytest
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
cv2.setNumThreads(1)

# A loaded machine is slow now and then: time says nothing about a law. In CI the examples are the same every
# time, so a change is judged by what it changes.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of real data: `LOGPOSE_DATA`, or `../shared/data` seen from the repository; skips without."""
    named = os.environ.get("LOGPOSE_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not a folder (set LOGPOSE_DATA)")
    return folder


@pytest.fixture(scope="session")
def coco_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small COCO keypoint folder of synthetic people: 24 images to learn from, 8 for validation."""
    from logpose.data.synthetic import SyntheticPeople, write_coco

    parts = {"train": SyntheticPeople(24, seed=5, people=(1, 2)), "val": SyntheticPeople(8, seed=6, people=(1, 2))}
    return write_coco(parts, tmp_path_factory.mktemp("coco") / "data")


@pytest.fixture(scope="session")
def tiny_run(coco_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run: a ResNet-18 on 64×48 crops of `coco_folder`, two epochs."""
    from logpose.training import fit

    fit(tiny_recipe(coco_folder), folder := tmp_path_factory.mktemp("run"))
    return folder


def tiny_recipe(data: Path, **changes: object):
    """The recipe of `tiny_run`."""
    from dataclasses import replace

    from logpose.recipes.coco import coco_resnet18_rle

    small = {"data": data, "size": (64, 48), "epochs": 2, "batch_size": 8, "workers": 0, "precision": "32-true"}
    return replace(coco_resnet18_rle(), **{**small, **changes})


@pytest.fixture
def make_recipe(coco_folder: Path):
    """`tiny_recipe` on `coco_folder`, with fields changed as its caller says."""
    return lambda **changes: tiny_recipe(changes.pop("data", coco_folder), **changes)
