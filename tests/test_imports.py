"""The shape of the package: imports flow one way, importing has no effect, no module grows without bound."""

from __future__ import annotations

import ast
import graphlib
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import logpose
from logpose import data, losses, models

TESTS = Path(__file__).resolve().parent
PACKAGE = TESTS.parent / "src" / "logpose"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The order in which packages may import each other: each only those on lines above. Packages on one line do not know
# each other, so a model never imports a loss, nor a loss a model.
PACKAGES = (
    {"core", "runtime"},
    {"flows", "data", "metrics"},
    {"losses", "models"},
    {"training"},
    {"report"},
    {"tasks"},
    {"recipes", "export"},
    {"cli"},
    {"__main__"},
)
STEP = {package: step for step, packages in enumerate(PACKAGES) for package in packages}

LONGEST = 400
IDEAS = {"flows/realnvp.py": 150, "losses/rle.py": 150}
"""The two files that a newcomer reads first, and the lines they must stay under."""


def dotted(path: Path) -> str:
    """A module's name within the package: "losses.rle"; the package itself is ""."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {dotted(path) for path in MODULES}


def imported(path: Path, tree: ast.Module) -> set[str]:
    """Modules of the package that a module imports, anywhere in it: at the top, in a function, for types only."""
    here = ["logpose", *dotted(path).split(".")]
    package = here if path.name == "__init__.py" else here[:-1]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                # `from logpose.data import coco` names a module, `from logpose.data.coco import read` does not.
                inner = f"{source}.{alias.name}"
                known = inner.removeprefix("logpose.") in NAMES
                # The version stands alone at the top of the package and brings nothing with it.
                if source != "logpose" or alias.name != "__version__":
                    found.add(inner if known else source)
    return {name.removeprefix("logpose").removeprefix(".") for name in found if name.split(".")[0] == "logpose"}


def faults(path: Path, source: str) -> list[str]:
    """Imports of a module that go the wrong way."""
    mine = dotted(path).split(".")[0]
    if mine == "":
        return []  # The package itself offers names out of every package.
    if mine not in STEP:
        return [f"the package {mine!r} has no place in PACKAGES of {Path(__file__).name}: give it one"]
    wrong = []
    for name in sorted(imported(path, ast.parse(source))):
        other = name.split(".")[0]
        if other == "":
            wrong.append("imports from `logpose` itself, which imports every package")
        elif other != mine and STEP.get(other, len(PACKAGES)) >= STEP[mine]:
            wrong.append(f"imports {name!r}, which is not an earlier package than {mine!r}")
    return wrong


EXECUTES = {
    *("eval", "exec", "compile", "__import__", "os.system", "torch.hub.load"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "yaml.load"),
}


def forbidden(source: str) -> list[str]:
    """Calls that run what a file or a string says."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in {"pickle", "torch", "numpy"}:
            # Under another name the calls below would go unseen.
            loaders = {alias.name for alias in node.names} & {"load", "loads"}
            found += [f"line {node.lineno}: from {node.module} import {name}" for name in sorted(loaders)]
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        options = {word.arg: ast.unparse(word.value) for word in node.keywords}
        # Lightning's loaders leave the choice to torch for a file, and to pickle for a URL.
        loads = called in {"torch.load", "torch.hub.load_state_dict_from_url", "load_state_dict_from_url"}
        loads |= called.endswith(".load_from_checkpoint") or "ckpt_path" in options
        if called in EXECUTES:
            found.append(f"line {node.lineno}: {called}")
        elif loads and options.get("weights_only") != "True":
            found.append(f"line {node.lineno}: {called} without weights_only=True")
        elif options.get("allow_pickle", "False") != "False":
            found.append(f"line {node.lineno}: {called} with allow_pickle")
        elif options.get("shell", "False") != "False":
            found.append(f"line {node.lineno}: {called} with shell")
    return found


def unguarded(source: str) -> list[str]:
    """Subclasses of an unpickler that do not look each name up in an allowlist."""
    classes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    return [
        f"line {node.lineno}: class {node.name}"
        for node in classes
        if any("Unpickler" in ast.unparse(base) for base in node.bases)
        and not any(isinstance(each, ast.FunctionDef) and each.name == "find_class" for each in node.body)
    ]


UNPICKLES = "data/archive.py"
"""The one module that may subclass an unpickler: its `find_class` returns objects of its own for four names."""


each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())


@each_module
def test_imports_flow_one_way(path: Path) -> None:
    assert not faults(path, path.read_text())


def test_no_two_modules_need_each_other() -> None:
    graph = {dotted(path): imported(path, ast.parse(path.read_text())) - {""} for path in MODULES}
    del graph[""]
    graph["losses.forms"].remove("losses.conventions")  # RLELoss makes objects of its subclasses, imported when needed
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, with the circle


@each_module
def test_nothing_from_outside_is_executed(path: Path) -> None:
    source = path.read_text()
    assert not forbidden(source)
    assert not unguarded(source)
    assert "Unpickler" not in source or path.relative_to(PACKAGE).as_posix() == UNPICKLES


@each_module
def test_modules_stay_readable(path: Path) -> None:
    name = path.relative_to(PACKAGE).as_posix()
    lines = len(path.read_text().splitlines())
    assert lines < IDEAS.get(name, LONGEST + 1)
    parts = path.relative_to(PACKAGE).parts
    assert len(parts) <= (3 if parts[0] == "tasks" else 2), "folders are one level deep, two in tasks"
    assert len(parts) > 1 or name in {"__init__.py", "__main__.py"}, "the root holds nothing else"
    assert "utils" not in path.stem, "a module is named for what it knows"


@pytest.mark.parametrize("name", IDEAS)
def test_the_idea_files_are_where_newcomers_are_sent(name: str) -> None:
    assert (PACKAGE / name).is_file()


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path.stem not in {"__init__", "__main__"}],
    ids=lambda path: path.relative_to(PACKAGE).as_posix(),
)
def test_tests_mirror_the_source(path: Path) -> None:
    mirror = TESTS / path.relative_to(PACKAGE).with_name(f"test_{path.stem}.py")
    assert mirror.is_file(), f"{mirror.relative_to(TESTS.parent)} is missing"


# The checks themselves: each must be able to fail.


@pytest.mark.parametrize(
    ("module", "source", "bad"),
    [
        ("losses/rle.py", "from logpose.flows.realnvp import RealNVP", False),
        ("losses/rle.py", "from logpose.losses.fixed import L1", False),
        ("losses/rle.py", "from .fixed import L1", False),
        ("losses/rle.py", "from ..flows.realnvp import RealNVP", False),
        ("losses/rle.py", "from ..models import resnet", True),
        ("losses/rle.py", "from ..training import fit", True),
        ("losses/rle.py", "from logpose import __version__", False),
        ("losses/rle.py", "from logpose import RealNVP", True),
        ("losses/rle.py", "import logpose", True),
        ("losses/rle.py", "import torch", False),
        ("models/regression.py", "from logpose.losses.rle import RLELoss", True),
        ("models/regression.py", "def build():\n    from logpose.losses import rle", True),
        ("models/regression.py", "if TYPE_CHECKING:\n    import logpose.losses.rle", True),
        ("models/regression.py", "import logpose.core.structures as s", False),
        ("data/__init__.py", "from .coco import read", False),
        ("data/__init__.py", "from ..core.structures import Sample", False),
        ("data/coco.py", "from logpose.metrics.oks import oks", True),
        ("core/structures.py", "from logpose.data.coco import read", True),
        ("cli/main.py", "from logpose.tasks.pose.predict import Predictor", False),
        ("cli/main.py", "from logpose.nowhere import thing", True),
        ("nowhere/thing.py", "", True),
        ("__init__.py", "from logpose.cli.main import main", False),
    ],
)
def test_the_check_of_directions_works(module: str, source: str, bad: bool) -> None:
    assert bool(faults(PACKAGE / module, source)) is bad


@pytest.mark.parametrize(
    ("source", "bad"),
    [
        ("eval('1')", True),
        ("exec(text)", True),
        ("model.eval()", False),
        ("pickle.load(file)", True),
        ("from pickle import loads", True),
        ("from torch import load", True),
        ("class Plain(pickle.Unpickler): ...", False),
        ("pickle.Unpickler(file).load()", True),
        ("torch.load(path)", True),
        ("torch.load(path, weights_only=False)", True),
        ("torch.load(path, weights_only=safe)", True),
        ("torch.load(path, map_location='cpu', weights_only=True)", False),
        ("torch.hub.load_state_dict_from_url(url)", True),
        ("Model.load_from_checkpoint(path)", True),
        ("trainer.fit(module, ckpt_path=path)", True),
        ("trainer.fit(module, ckpt_path=path, weights_only=True)", False),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path, allow_pickle=False)", False),
        ("subprocess.run(command, shell=True)", True),
        ("json.load(file)", False),
    ],
)
def test_the_check_of_calls_works(source: str, bad: bool) -> None:
    assert bool(forbidden(source)) is bad


@pytest.mark.parametrize(
    ("source", "bad"),
    [
        ("class Any(pickle.Unpickler): ...", True),
        ("class Any(pickle._Unpickler):\n    def persistent_load(self, pid): ...", True),
        ("class Some(pickle.Unpickler):\n    def find_class(self, module, name): ...", False),
    ],
)
def test_the_check_of_unpicklers_works(source: str, bad: bool) -> None:
    assert bool(unguarded(source)) is bad


# Importing

WATCHER = """
import sys, time
import torch  # what torch does on its way in is torch's

seen = []

class Watched(list):
    def __getitem__(self, key): seen.append("argv"); return super().__getitem__(key)
    def __iter__(self): seen.append("argv"); return super().__iter__()
    def __len__(self): seen.append("argv"); return super().__len__()

def watch(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        writes = set(mode or "") & set("wax+") or (flags or 0) & 3
        if writes and path not in ("/dev/null", "nul"):
            seen.append(f"writes {path}")
    elif event.split(".")[0] in ("socket", "subprocess", "shutil", "tempfile", "urllib"):
        seen.append(event)
    elif event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir"):
        seen.append(event)
    elif event in ("os.system", "os.fork", "os.exec", "os.posix_spawn"):
        seen.append(event)

sys.argv = Watched(sys.argv)
sys.addaudithook(watch)
before, clock, processor = set(sys.modules), time.perf_counter(), time.process_time()
STATEMENT
clock, processor = time.perf_counter() - clock, time.process_time() - processor
brought = sorted({name.split(".")[0] for name in set(sys.modules) - before})
acts = sorted(set(seen))

import json
print(json.dumps({"acts": acts, "clock": clock, "processor": processor, "brought": brought}))
"""


def watched(statement: str, folder: Path) -> dict[str, object]:
    """What a statement does, needs and brings in, in a fresh interpreter that has torch already."""
    # -B: Python's own cache of compiled files is no doing of the package.
    command = [sys.executable, "-B", "-W", "error", "-c", WATCHER.replace("STATEMENT", statement)]
    environment = {"PYTHONPATH": str(PACKAGE.parent), "PATH": "", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def importing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("home")
    report = watched("from logpose import *", folder)  # names of `logpose` are imported on first use
    report["left"] = sorted(path.name for path in folder.iterdir())
    return report


def test_importing_touches_no_disk_no_network_no_argv(importing: dict[str, object]) -> None:
    assert importing["acts"] == []
    assert importing["left"] == []


def test_importing_is_quick(importing: dict[str, object]) -> None:
    # Processor time: a busy machine is no fault of the package. What a person waits is close to it on an idle one.
    assert importing["processor"] < 2, f"{importing['clock']:.2f} s by the clock, torch not counted"


def test_importing_leaves_heavy_libraries_alone(importing: dict[str, object]) -> None:
    training = {"lightning", "pytorch_lightning", "torchmetrics", "tensorboardX", "jsonargparse"}
    pictures = {"matplotlib", "rich", "tkinter", "PyQt5", "PyQt6", "PySide6"}
    extras = {"timm", "torchvision", "huggingface_hub", "onnx", "onnxruntime", "openvino", "optuna", "zuko"}
    assert not (training | pictures | extras | {"faster_coco_eval", "pycocotools"}) & set(importing["brought"])


def modules_after(statement: str) -> set[str]:
    """Packages that a fresh interpreter has imported after a statement."""
    command = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}}, file=sys.stderr)"
    environment = {"PYTHONPATH": str(PACKAGE.parent), "PATH": "", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", command], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "statement",
    [
        "import logpose; dir(logpose)",
        "from logpose.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from logpose.cli.main import main\ntry: main(['--version'])\nexcept SystemExit: pass",
    ],
    ids=["import", "help", "version"],
)
def test_torch_is_imported_on_first_use(statement: str) -> None:
    """`logpose --help` takes half a second of processor time at most (`benchmarks/help_speed.py`); torch alone 1.5."""
    assert not {"torch", "numpy", "lightning", "cv2", "scipy", "matplotlib"} & modules_after(statement)


def test_the_check_of_imported_packages_works() -> None:
    assert {"wave", "logpose"} <= modules_after("import wave, logpose.core.errors")


@pytest.mark.parametrize("package", [logpose, data, losses, models], ids=lambda package: package.__name__)
def test_public_names_are_those_that_type_checkers_know(package: ModuleType) -> None:
    tree = ast.parse(Path(str(package.__file__)).read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    known = {
        alias.name: node.module for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert set(known) == set(package.__all__)
    for name, module in known.items():
        assert getattr(package, name) is getattr(importlib.import_module(module), name)
    assert set(package.__all__) < set(dir(package))
    with pytest.raises(AttributeError, match="nothing_such"):
        package.nothing_such  # noqa: B018


def test_the_watcher_detects_each(tmp_path: Path) -> None:
    statements = (
        "import argparse, os, socket, wave; argparse.ArgumentParser().parse_args(); socket.socket().close()",
        "os.mkdir('folder'); open('left', 'w').close(); os.close(os.open('low', os.O_CREAT | os.O_WRONLY))",
        "open('left').close()",  # reading is how modules come in
    )
    report = watched("; ".join(statements), tmp_path)
    assert report["acts"] == ["argv", "os.mkdir", "socket.__new__", "writes left", "writes low"]
    assert report["brought"] == ["wave"]
