"""A folder that predicts by itself: a model, one file of Python, one page for browsers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from logpose.core.errors import InputError
from logpose.core.skeletons import Skeleton
from logpose.models import Model
from logpose.report.draw import joint_colours, mixed
from logpose.runtime import predict

__all__ = ["FILES", "ONNX_RUNTIME_WEB", "check_bundle", "write_bundle"]

FACTS = "model.json"
FILES = ("model.onnx", FACTS, "predict.py", "index.html", "package.json", "README.md")
"""Of a bundle."""
ONNX_RUNTIME_WEB = "1.30.0"
"""Version of npm's onnxruntime-web that the page was tested with."""
PAGE = Path(__file__).with_name("page.html")
SIGMA = """, their standard deviations `sigma`, and `radius`, by probability the half axes
of the ellipse that holds a joint"""
README = """# {title}

{about}People in photographs: where each joint is and how uncertain that is, in pixels. Nothing is sent anywhere.

In Python, with NumPy, OpenCV and ONNX Runtime (`pip install numpy opencv-python-headless onnxruntime`):

    python predict.py photo.jpg

prints one row of JSON for each person: `keypoints`{sigma}.
`predict.py` can also be imported: `Predictor("model.onnx")("photo.jpg")`.

In a browser, photographs or the camera:

    npm install
    python3 -m http.server --bind 127.0.0.1

and open http://localhost:8000. On a server of your own these files are enough: `index.html`, `model.json`,
`model.onnx`, and of `node_modules/onnxruntime-web/dist` `ort.wasm.bundle.min.mjs` and `ort-wasm-simd-threaded.wasm`.

`predict.py` and `index.html` are parts of logpose, under the Apache License 2.0
(https://www.apache.org/licenses/LICENSE-2.0). {licence}
"""


def check_bundle(model: Model, to: Sequence[str], folder: str | Path) -> None:
    """Refuse what has no bundle, and a folder that is something else.

    Args:
        model: to be exported.
        to: names of the kinds of files that it is exported to.
        folder: of the bundle; may be an older bundle.

    Raises:
        InputError: if it is not a model of one kind of object in images, or ONNX is not among the files;
            if there are files in the folder and it is no bundle.
    """
    if model.task != "pose" or model.skeleton.categories:
        raise InputError("--bundle is for models of the joints of one kind of object in images")
    if "onnx" not in to:
        raise InputError("--bundle needs an ONNX file: add onnx to --to")
    folder = Path(folder)
    taken = folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / FACTS).is_file()))
    if taken or any((folder / name).is_dir() for name in FILES):
        raise InputError(f"{folder}: is no bundle of an earlier export, and nothing is written over it")


def write_bundle(model: str | Path, folder: str | Path) -> None:
    """Write a bundle.

    Args:
        model: an .onnx file of `logpose export`, of a pose model.
        folder: that is made; files of these names in it are replaced.

    Raises:
        ValueError: if it is another file, or of another model than `check_bundle` lets pass.
    """
    facts, folder = predict.Predictor(model).network.facts, Path(folder)  # of another file or model a ValueError
    export, calibration, licence = facts["export"], facts.get("calibration"), facts.get("licence")
    skeleton = Skeleton.from_config(facts["model"]["skeleton"])
    colours = joint_colours(skeleton)
    shown = {
        "title": facts.get("description") or f"{len(skeleton)} joints of one {skeleton.name}",
        "licence": licence,
        **{name: export[name] for name in ("version", "size", "padding", "dim", "joints")},
        "levels": calibration["levels"] if calibration else export["levels"],
        "calibration": calibration,
        "colours": [_css(colour) for colour in colours],
        "bones": [[a, b, _css(mixed(colours[a], colours[b]))] for a, b in skeleton.bones],
    }
    figures = facts.get("figures") or {}
    measured = ("error_px", "pck@0.2", "coverage@0.9") if "people" in figures else ()
    known = [f"{name} {figures[name]:.3g}" for name in measured if figures.get(name)]
    about = f"The checkpoint, on {figures['people']} held-out people: {', '.join(known)}.\n\n" if known else ""
    readme = README.format(
        title=shown["title"],
        about=about,
        sigma=SIGMA if "std" in export["outputs"] else "",
        licence=f"The model: {licence}." if licence else "The model's licence was not given.",
    )
    package = {"private": True, "dependencies": {"onnxruntime-web": ONNX_RUNTIME_WEB}}
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model, folder / "model.onnx")
    shutil.copyfile(predict.__file__, folder / "predict.py")
    shutil.copyfile(PAGE, folder / "index.html")
    for name, text in (
        (FACTS, json.dumps(shown)),
        ("package.json", json.dumps(package, indent=2) + "\n"),
        ("README.md", readme),
    ):
        (folder / name).write_text(text, encoding="utf-8")


def _css(colour: tuple[int, int, int]) -> str:
    """A colour as CSS writes it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
