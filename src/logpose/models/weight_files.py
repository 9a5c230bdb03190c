"""Files of pretrained weights: fetched where they are elsewhere, and read without running anything in them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor

from logpose.core.errors import InputError

__all__ = ["fetched", "held_object", "read_state_dict", "read_weights"]

HUB = "hf://"
MOST_NAMES = 50  # of objects that a file may hold besides tensors


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file, by name: see `read_weights`."""
    return read_weights(path)[0]


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a weights file, by name, and of a checkpoint of ours its model's `config`. No code in it is run.

    What else it holds, as mmpose's runner writes its settings and history beside them, is not made. (Lists and
    dictionaries of kinds of their own cannot be passed over: a file with such is refused.)

    Raises:
        InputError: if the file is missing or is not a dictionary of tensors.
    """
    if path.is_dir() and (path / "model.safetensors").is_file():
        path = path / "model.safetensors"  # a model as `logpose convert` writes it
    if not path.is_file():
        raise InputError(f"{path}: no such weights file (give a file, an address, 'imagenet' or 'random')")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path), _config_beside(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if held_object(error) and (tensors := _among_others(path)):
            return tensors, {}
        # Of a text file torch's reader says where it stumbled, which tells nobody anything.
        stumbled = isinstance(error, IndexError | KeyError | EOFError)
        why = held_object(error) or ("it was not written by torch.save" if stumbled else f"{error!s:.120}")
        raise InputError(f"{path}: not a weights file that can be read safely ({why})") from error
    found = _tensors(state)
    if found is None:
        raise InputError(f"{path}: holds no dictionary of tensors")
    return found, _told_of_model(state.get("logpose"))


def _config_beside(tensors: Path) -> dict[str, Any]:
    """What the folder of a model that `logpose convert` wrote says of it; nothing beside tensors of others."""
    try:
        return _told_of_model(json.loads((tensors.parent / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _told_of_model(entry: Any) -> dict[str, Any]:
    """The model's `config` in the `logpose` entry of a checkpoint; nothing of what is no such entry."""
    told = entry.get("model") if isinstance(entry, dict) else None
    return told if isinstance(told, dict) else {}


def _tensors(content: Any) -> dict[str, Tensor] | None:
    """The dictionary of tensors that a file holds, or has under the name `state_dict`; None if there is none."""
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    plain = isinstance(content, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())
    return content if plain else None


class Inert:
    """Stands for whatever a file holds besides tensors: takes anything, and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        """One of them, whatever it is to be made of."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __call__(self, *_: Any, **__: Any) -> Inert:
        """Another of them: a file may call what it has made."""
        return Inert()

    def __setstate__(self, _: Any) -> None: ...


def _among_others(path: Path) -> dict[str, Tensor] | None:
    """The tensors of a file in torch's format that holds other objects too; None if they are not to be had.

    torch's own safe reader says which name it does not know; it is read again with `Inert` under that name. Names that
    reach for the system it refuses whatever they stand for.
    """
    named: list[str] = []
    while len(named) < MOST_NAMES:
        try:
            with torch.serialization.safe_globals([(Inert, name) for name in named]):
                return _tensors(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # whatever else a damaged or a hostile file leads to was told at the first reading
            unknown = re.search(r"GLOBAL (\S+)", str(error))
            name = "" if unknown is None else unknown[1] if "." in unknown[1] else f"builtins.{unknown[1]}"
            if not name or name in named:
                return None
            named.append(name)
    return None


def held_object(error: Exception) -> str:
    """Of torch's refusal to read a file: which object it holds besides tensors; empty if that is not the reason."""
    held = re.search(r"GLOBAL (\S+)", str(error))
    return f"it holds an object of {held[1]}, and only tensors are read; save its state_dict alone" if held else ""


def fetched(source: str) -> Path:
    """The file that a source of weights names: itself, or its copy in torch's or the Hub's cache."""
    try:
        if source.startswith(HUB):
            owner, name, inner = source.removeprefix(HUB).split("/", maxsplit=2)
            from huggingface_hub import hf_hub_download

            return Path(hf_hub_download(f"{owner}/{name}", inner))
        if source.startswith(("https://", "http://")):
            # The same file name may stand at several addresses.
            folder = Path(torch.hub.get_dir()) / "checkpoints" / hashlib.sha256(source.encode()).hexdigest()[:12]
            file = folder / (Path(urlsplit(source).path).name or "weights")
            if not file.is_file():
                folder.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(source, str(file), progress=False)
            return file
    except ImportError as error:
        raise InputError(f"{source}: the Hub needs huggingface_hub: pip install 'logpose-keypoints[hub]'") from error
    except ValueError as error:
        raise InputError(f"{source}: not of the form {HUB}OWNER/NAME/FILE ({error!s:.120})") from error
    except OSError as error:  # no network, no such address, no such repository or file
        raise InputError(f"{source}: cannot be downloaded ({error!s:.120}); give a file instead") from error
    return Path(source)
