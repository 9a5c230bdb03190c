"""Files of pretrained weights: downloaded if necessary, and read without running code in them."""

from __future__ import annotations

import hashlib
import json
import logging
import pickletools
import re
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor

from logpose.core.errors import InputError
from logpose.models.tfjs_files import read_tfjs
from logpose.runtime import NETWORKS

__all__ = [
    "PERSON",
    "built_in",
    "checkpoint_path",
    "fetched",
    "held_object",
    "own_checkpoint",
    "read_state_dict",
    "read_weights",
]

log = logging.getLogger("logpose")

HUB = "hf://"
NAME_ON_HUB = re.compile(r"(hf:/{1,2})?([\w.-]+/[\w.-]+)")  # a path has one slash of two
FILES = (
    ".ckpt",
    ".pth",
    ".pt",
    ".tar",
    ".bin",
    ".safetensors",
    ".json",
    *NETWORKS,
)  # suffixes that no repository has
NO_HUB = "the Hub needs huggingface_hub: pip install 'logpose-keypoints[hub]'"
BEST = "best.ckpt"  # in the folder of a run
TENSORS, CONFIG = "model.safetensors", "config.json"
"""Files of a folder of `logpose convert`, by the Hub's usual names."""
CARD = "README.md"
"""Of a model, beside them: what it was trained on, what was measured, where it fails."""
BUILT_IN = Path(__file__).with_name("built_in")
"""A folder for each model that comes with logpose: what `logpose convert` writes, and its card."""
PERSON = "person"
"""The built-in model that predicts where no checkpoint is given."""
MOST_NAMES = 50  # of classes and functions in a file
OF_MODEL = re.compile(r"model\.[a-z]+_radius")  # the error distribution's, also in files of version 0.1
OF_TENSORS = re.compile(r"torch\.(_utils\.)?\w+|collections\.OrderedDict|_codecs\.encode")
"""Names that a file of tensors alone has."""


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weights file, by name: see `read_weights`."""
    return read_weights(path)[0]


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a weights file, by name, and of a checkpoint of logpose its `logpose` entry.

    The file is of torch, of safetensors or of TensorFlow.js (its JSON), or a folder of `logpose convert`. Other objects
    in it, such as the settings and the history that mmpose's runner writes, are not made.

    Raises:
        InputError: if the file is missing or is not a dictionary of tensors.
    """
    path = Path(path)
    if path.is_dir() and (path / TENSORS).is_file():
        path = path / TENSORS
    elif (path / BEST).is_file():
        path = path / BEST
    if not path.is_file():
        raise InputError(f"{path}: no such weights file (give a file, an address, 'imagenet' or 'random')")
    if path.suffix == ".json":
        return read_tfjs(path), {}
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path), _entry_beside(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        names = named_objects(path)
        if names and (found := _without_objects(path, names)) is not None:
            return found, {}
        failed = isinstance(error, IndexError | KeyError | EOFError)
        why = held_object(path) or ("it was not written by torch.save" if failed else f"{error!s:.120}")
        raise InputError(f"{path}: not a weights file that can be read safely ({why})") from error
    tensors = _tensors(state)
    if tensors is None:
        raise InputError(f"{path}: holds no dictionary of tensors")
    entry = state.get("logpose")
    return tensors, entry if isinstance(entry, dict) else {}


def own_checkpoint(source: str) -> Path | None:
    """The checkpoint of logpose, a file or a folder of `logpose convert`, that a source of weights names; None if none.

    Args:
        source: see `load_backbone_weights` and `load_mask_rcnn_weights`.

    Raises:
        InputError: if it cannot be had or read.
    """
    if source in ("random", "imagenet", "coco"):
        return None
    path = fetched(source)
    tensors, entry = read_weights(path)
    if not isinstance(entry.get("model"), dict):
        if any(OF_MODEL.fullmatch(name) for name in tensors):
            log.warning("%s: has no description of its model, so only tensors of a backbone can be taken", source)
        return None
    return path.parent if path.name == TENSORS else path


def _entry_beside(tensors: Path) -> dict[str, Any]:
    """The entry beside the tensors of a folder that `logpose convert` wrote; empty beside others."""
    try:
        entry = json.loads((tensors.parent / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _tensors(content: Any) -> dict[str, Tensor] | None:
    """The dictionary of tensors that a file holds, or has under the name `state_dict`; None if there is none."""
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    plain = isinstance(content, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())
    return content if plain else None


class Inert:
    """Replaces any object in a file besides tensors: takes any arguments, and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __call__(self, *_: Any, **__: Any) -> Inert:
        return Inert()

    def __setstate__(self, _: Any) -> None: ...


def _without_objects(path: Path, names: list[str]) -> dict[str, Tensor] | None:
    """The tensors of a file of torch that holds other objects too, read as `Inert`; None if they cannot be read."""
    if len(names) > MOST_NAMES:
        return None
    try:
        with torch.serialization.safe_globals([(Inert, name) for name in names]):
            return _tensors(torch.load(path, map_location="cpu", weights_only=True))
    except Exception:  # of a damaged or a hostile file; the first reading raised too
        return None


def named_objects(path: str | Path) -> list[str]:
    """The classes and functions that a file of torch names, in order; its pickle is disassembled, not run."""
    named: dict[str, None] = {}
    try:
        with ExitStack() as stack:
            if zipfile.is_zipfile(path):
                archive = stack.enter_context(zipfile.ZipFile(path))
                inner = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
                streams, stream = 1, stack.enter_context(archive.open(inner))
            else:  # torch before 1.6: a magic number, the version and the system's sizes come first
                streams, stream = 4, stack.enter_context(Path(path).open("rb"))
            for _ in range(streams):
                for opcode, argument, _ in pickletools.genops(stream):
                    if opcode.name == "GLOBAL":
                        module, name = str(argument).split(" ", maxsplit=1)
                        module, name = NAME_MAPPING.get((module, name), (module, name))  # Python 2's, as protocol 2 has
                        named[f"{IMPORT_MAPPING.get(module, module)}.{name}"] = None
    except Exception:  # not a pickle, or one that breaks off
        pass
    return list(named)


def held_object(path: str | Path) -> str:
    """Why torch refuses to read a file: an object that it holds besides tensors; empty if there is none."""
    held = [name for name in named_objects(path) if not OF_TENSORS.fullmatch(name)]
    return f"it holds an object of {held[0]}, and only tensors are read; save its state_dict alone" if held else ""


def built_in() -> dict[str, Path]:
    """The folders of the models that come with logpose, by name."""
    return {file.parent.name: file.parent for file in sorted(BUILT_IN.glob(f"*/{CONFIG}"))}


def fetched(source: str) -> Path:
    """The file that a source of weights names: itself, a built-in model's, or a copy in torch's or the Hub's cache."""
    if source in built_in() and not Path(source).exists():
        return built_in()[source] / TENSORS
    if source.endswith(".json") and source.startswith((HUB, "https://", "http://")):
        raise InputError(f"{source}: its binary files must lie beside it; download all of them, and give the JSON file")
    try:
        if source.startswith(HUB):
            owner, name, *inner = source.removeprefix(HUB).split("/", maxsplit=2)
            from huggingface_hub import hf_hub_download

            wanted = inner[0] if inner else TENSORS
            file = Path(hf_hub_download(f"{owner}/{name}", wanted))
            if wanted.endswith(TENSORS):  # the description of a model of logpose stands beside it
                with suppress(OSError, ValueError):  # other models may have none
                    hf_hub_download(f"{owner}/{name}", wanted.removesuffix(TENSORS) + CONFIG)
            return file
        if source.startswith(("https://", "http://")):
            # The same file name may stand at several addresses.
            folder = Path(torch.hub.get_dir()) / "checkpoints" / hashlib.sha256(source.encode()).hexdigest()[:12]
            file = folder / (Path(urlsplit(source).path).name or "weights")
            if not file.is_file():
                folder.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(source, str(file), progress=False)
            return file
    except ImportError as error:
        raise InputError(f"{source}: {NO_HUB}") from error
    except ValueError as error:
        raise InputError(f"{source}: not of the form {HUB}OWNER/NAME/FILE ({error!s:.120})") from error
    except OSError as error:  # no network, no such address, no such repository or file
        raise InputError(f"{source}: cannot be downloaded ({error!s:.120}); give a file instead") from error
    return Path(source)


def checkpoint_path(source: str | Path) -> Path:
    """The file or folder of the checkpoint that a source names.

    Args:
        source: a file; a folder of `logpose convert`; the folder of a run, for its best.ckpt; the name of a built-in
            model, where there is no such path; hf://OWNER/NAME, a repository on the Hugging Face Hub, which is
            downloaded once and then kept; or OWNER/NAME alone, where there is no such path and no folder OWNER.

    Raises:
        InputError: if it is on the Hub and cannot be had.
    """
    path, name = Path(source), NAME_ON_HUB.fullmatch(str(source))
    if str(source) in built_in() and not path.exists():
        return built_in()[str(source)]
    if path.is_dir() and (path / BEST).is_file() and not (path / TENSORS).is_file():
        return path / BEST
    local = path.exists() or path.suffix in FILES or path.parent.is_dir()
    if name is None or (local and not name[1]):
        return path
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name[2], allow_patterns=[TENSORS, CONFIG]))
    except ImportError as error:
        raise InputError(f"{source}: {'' if name[1] else 'no such file or folder; '}{NO_HUB}") from error
    except Exception as error:  # no network, no such repository, no permission: whatever its client raises
        raise InputError(f"{source}: no such folder, and not to be had from the Hub ({error!s:.120})") from error
