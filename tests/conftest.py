"""What every test has: checked shape annotations, one thread, the same examples in CI, real data if any."""

# ruff: noqa: E402 - what is imported here must find the variables and the hook in place.

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Workers share the cores; each library's own pool on top of that makes them wait for each other. Torch and
# NumPy read the variables once, when they are imported; the commands that tests start inherit them.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["MPLBACKEND"] = "Agg"

from jaxtyping import config, install_import_hook

# Shapes are checked while the tests run, in every module that annotates them; types alone are mypy's work. The
# hook changes modules as they are imported, so one that is already there would go unchecked without a word.
if early := [name for name in sys.modules if name.partition(".")[0] == "logpose"]:
    raise RuntimeError(f"imported before the type-checking hook was in place: {early}")
SOURCE = Path(__file__).resolve().parents[1] / "src"
shaped = [
    ".".join(file.relative_to(SOURCE).with_suffix("").parts)
    for file in sorted((SOURCE / "logpose").rglob("*.py"))
    if "from jaxtyping import" in file.read_text(encoding="utf-8")
]
# An int will do for a float, as mypy sees it (PEP 484); beartype has to be told.
install_import_hook(shaped, "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

import cv2
import pytest
import torch
from hypothesis import HealthCheck, settings

from logpose.core.compat import patch_torchvision

patch_torchvision()  # tests may import Lightning, and with it torchvision, before they import logpose
torch.set_num_threads(1)
cv2.setNumThreads(1)

# A loaded machine is slow now and then: time says nothing about a law. In CI the examples are the same every
# time, so a change is judged by what it changes.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture
def unchecked() -> Iterator[None]:
    """No annotations are checked: for long training and many draws, whose every call other tests check."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


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
def numbered_folder(coco_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`coco_folder` with joints that are called 1 to 17."""
    import json
    import shutil

    folder = shutil.copytree(coco_folder, tmp_path_factory.mktemp("numbered") / "data")
    for file in (folder / "annotations").iterdir():
        content = json.loads(file.read_text())
        content["categories"][0]["keypoints"] = [str(joint) for joint in range(1, 18)]
        file.write_text(json.dumps(content))
    return folder


@pytest.fixture
def photos(coco_folder: Path) -> list[Path]:
    """Two images of the validation part of `coco_folder`."""
    return sorted((coco_folder / "val").iterdir())[:2]


@pytest.fixture(scope="session")
def thin_run(coco_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `tiny_run`: its checkpoints can only be loaded where `thin_resnets` is in force."""
    from logpose.training.run import fit

    with pytest.MonkeyPatch.context() as patch:
        make_thin(patch)
        fit(tiny_recipe(coco_folder), folder := tmp_path_factory.mktemp("run"))
    return folder


@pytest.fixture
def tiny_run(thin_resnets: None, thin_run: Path) -> Path:
    """The folder of a finished run: a thin ResNet-18 on 64×48 crops of `coco_folder`, two epochs."""
    return thin_run


def tiny_recipe(data: Path, **changes: object):
    """The recipe of `tiny_run`."""
    from dataclasses import replace

    from logpose.recipes.coco import coco_resnet18_rle

    small = {"data": data, "size": (64, 48), "epochs": 2, "batch_size": 8, "workers": 0, "precision": "32-true"}
    return replace(coco_resnet18_rle(), **{**small, "flow_hidden": (8, 8), **changes})


@pytest.fixture
def crowd_file(tmp_path: Path) -> Path:
    """A file of three images: two people and a crowd; somebody without joints; nobody at all."""
    import json

    import cv2
    import numpy as np

    from logpose.core.skeletons import COCO

    triplets = np.column_stack([np.arange(17.0) + 5, np.arange(17.0) + 8, np.full(17, 2)]).ravel().tolist()
    labelled = {"category_id": 1, "iscrowd": 0, "keypoints": triplets, "num_keypoints": 17, "area": 200.0}
    example_input = {"category_id": 1, "iscrowd": 0, "keypoints": [0] * 51, "num_keypoints": 0, "area": 50.0}
    rows = [
        {**labelled, "id": 1, "image_id": 1, "bbox": [4, 6, 20, 22]},
        {**labelled, "id": 2, "image_id": 1, "bbox": [10, 6, 20, 22]},
        {**example_input, "id": 3, "image_id": 1, "iscrowd": 1, "bbox": [0, 0, 30, 10], "area": 123.0},
        {**example_input, "id": 4, "image_id": 2, "bbox": [5, 5, 10, 12]},
    ]
    for i in (1, 2, 3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((40, 48, 3), 40 * i, np.uint8))
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 48, "height": 40} for i in (1, 2, 3)],
        "annotations": rows,
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO.joints), "skeleton": []}],
    }
    (tmp_path / "people.json").write_text(json.dumps(content))
    return tmp_path / "people.json"


@pytest.fixture
def make_recipe(thin_resnets: None, coco_folder: Path):
    """`tiny_recipe` on `coco_folder`, with fields changed as its caller says; its ResNets are thin."""
    return lambda **changes: tiny_recipe(changes.pop("data", coco_folder), **changes)


@pytest.fixture
def thin_resnets(monkeypatch: pytest.MonkeyPatch) -> None:
    """ResNets an eighth as wide, where the way from files to figures is tested and not the network."""
    make_thin(monkeypatch)


@pytest.fixture(scope="module")
def thin_module() -> Iterator[None]:
    """`thin_resnets` until the module's tests are done, for models that several of them read."""
    with pytest.MonkeyPatch.context() as patch:
        make_thin(patch)
        yield


def make_thin(patch: pytest.MonkeyPatch) -> None:
    """`thin_resnets` until the patch is undone; nothing where they are thin already."""
    from logpose.models.resnet import ResNet

    whole = ResNet._stage

    def thin_stage(self, block, width, *others):
        self.stage_channels = tuple(8 * 2**stage * block.expansion for stage in range(4))
        return whole(self, block, width // 8, *others)

    if whole.__name__ != thin_stage.__name__:
        patch.setattr(ResNet, "_stage", thin_stage)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]):
    """Run `logpose WORDS`; returns exit code, stdout and stderr."""
    from logpose.cli.main import main

    def run(*words: object) -> tuple[int, str, str]:
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def refused(command):
    """Run a command that must end in one sentence on stderr, exit code 2 and nothing on stdout; returns it."""

    def refuse(*words: object) -> str:
        code, out, err = command(*words)
        assert (code, out) == (2, "")
        lines = [line for line in err.splitlines() if line.startswith("logpose: ")]
        assert len(lines) == 1
        assert "Traceback" not in err
        return lines[0]

    return refuse


@pytest.fixture(scope="session")
def law_in_space():
    """What an untrained RLE of three dimensions claims of errors."""
    from logpose.losses import RLELoss

    torch.manual_seed(0)
    return RLELoss(dim=3).error_distribution()


@pytest.fixture(scope="session")
def lifters(law_in_space, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints of untrained models that lift: HumanEva's joints, Human3.6M's, windows of 9 frames, without a law."""
    from logpose.core.skeletons import H36M_LIFTING, HUMANEVA
    from logpose.losses import RLELoss
    from logpose.models import LiftingModel
    from logpose.training.checkpoint import save

    folder = tmp_path_factory.mktemp("lifters")
    torch.manual_seed(0)
    models = {
        "humaneva": LiftingModel("fc", HUMANEVA, settings={"width": 16}),
        "h36m": LiftingModel("fc", H36M_LIFTING, settings={"width": 16}),
        "windows": LiftingModel("srnet", HUMANEVA, settings={"width": 64, "filters": (3, 3)}),
        "unsure": LiftingModel("fc", HUMANEVA, predicts_sigma=False, settings={"width": 16}),
    }
    for name, model in models.items():
        if name != "unsure":
            model.set_error_distribution(law_in_space)
        save(model, None if name == "unsure" else RLELoss(dim=3), folder / name)
    return {name: folder / name for name in models}


@pytest.fixture(scope="session")
def thin_model_in_space(law_in_space, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of `model_in_space`: it can only be loaded where `thin_resnets` is in force."""
    from logpose.core.skeletons import COCO
    from logpose.losses import RLELoss
    from logpose.models import RegressionModel, create_backbone
    from logpose.training.checkpoint import save

    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        make_thin(patch)
        model = RegressionModel(create_backbone("resnet18", (64, 48)), COCO, (64, 48), dim=3)
    model.set_error_distribution(law_in_space)
    save(model, RLELoss(dim=3), folder := tmp_path_factory.mktemp("in_space") / "model")
    return folder


@pytest.fixture
def model_in_space(thin_resnets: None, thin_model_in_space: Path) -> Path:
    """Checkpoint of an untrained thin ResNet-18 that finds COCO's joints in space in crops of 64×48."""
    return thin_model_in_space


@pytest.fixture(scope="session")
def lifting_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """data_3d_x.npz and data_2d_x_gt.npz: three sequences of two people of HumanEva's joints, seen by two cameras."""
    import numpy as np

    from logpose.core.cameras import Camera, placed_around

    rng = np.random.default_rng(0)
    world: dict[str, dict[str, np.ndarray]] = {}
    pixels: dict[str, dict[str, list[np.ndarray]]] = {}
    cameras: dict[str, list[Camera]] = {}
    for subject, action, frames in (("Train/P1", "Walk 1", 12), ("Val/P1", "Walk 1", 7), ("Val/P2", "Box 1", 5)):
        path = np.cumsum(rng.normal(0, 0.06, (frames, 1, 3)), axis=0) * [1, 1, 0.1] + [0, 0, 0.9]
        body = rng.uniform([-0.4, -0.4, -0.8], [0.4, 0.4, 0.8], (15, 3)) + rng.normal(0, 0.1, (frames, 15, 3))
        positions = path + body
        person = subject[-2:]
        if person not in cameras:
            around = placed_around(np.array([[[-1.0, -1, 0], [1, 1, 2]]]), 2, rng)
            focal, centre = np.array([700.0, 700.0]), np.array([320.0, 240.0])
            cameras[person] = [Camera(focal, centre, eye.rotation, eye.translation) for eye in around]
        world.setdefault(subject, {})[action] = positions.astype(np.float32)
        views = [eye.project(eye.to_camera(positions)).astype(np.float32) for eye in cameras[person]]
        pixels.setdefault(subject, {})[action] = views
    folder = tmp_path_factory.mktemp("lifting")
    np.savez_compressed(folder / "data_3d_x.npz", positions_3d=world)
    symmetry = [[2, 3, 4, 8, 9, 10], [5, 6, 7, 11, 12, 13]]
    metadata = {"layout_name": "x", "num_joints": 15, "keypoints_symmetry": symmetry}
    np.savez_compressed(folder / "data_2d_x_gt.npz", positions_2d=pixels, metadata=metadata)
    return folder / "data_3d_x.npz", folder / "data_2d_x_gt.npz"


@pytest.fixture
def page(command, tmp_path):
    """Run `eval … --report`; returns the page that it writes, with the figures that it prints."""
    return lambda *words: Page(command, tmp_path / "new" / "p.html", words)


class Page:
    """A report page of `logpose eval`.

    Attributes:
        figures: those that the command printed, by name.
        text: of the page.
    """

    def __init__(self, command, path: Path, words: tuple[object, ...]) -> None:
        import json

        code, out, err = command("eval", *words, "--json", "--device", "cpu", "--report", path)
        assert code == 0, err
        assert str(path) in err
        self.figures, self.text = json.loads(out), path.read_text()

    def cells(self, title: str) -> list[list[str]]:
        """The table under a heading, row by row."""
        import re

        part = re.search(rf"<h2>{re.escape(title)}</h2>(.*?)(<h2>|</body>)", self.text, re.DOTALL)
        assert part, title
        return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", part[1])]

    def images(self) -> dict:
        """Each image by its heading."""
        import base64
        import html
        import re

        import numpy as np

        found = re.findall(r'<img alt="(.*?)" src="data:image/\w+;base64,(.*?)">', self.text)
        return {
            html.unescape(name): cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), 1)
            for name, data in found
        }

    def check_figures(self, elsewhere: int = 0) -> None:
        """Every figure stands in one table or the other, with its value, but so many of them."""
        import math

        shown = {row[0]: row[1] for row in self.cells("Figures")[1:]}
        if "<h2>In detail</h2>" in self.text:
            shown |= {row[0]: row[1] for row in self.cells("In detail")[1:]}
        assert len(self.figures) == len(shown) + elsewhere
        for name, text in shown.items():
            expected = math.nan if self.figures[name] is None else self.figures[name]
            assert float(text) == pytest.approx(expected, rel=1e-3, abs=1e-6, nan_ok=True), name
