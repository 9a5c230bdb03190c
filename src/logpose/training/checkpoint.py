"""Checkpoints: a trained model in one file that can be read safely, without the code that trained it.

The file is one of Lightning's (so that training can resume from it) with one entry more, `logpose`: plain values from
which model and loss are built again. It is read with `weights_only=True`; nothing in it is executed. For passing on
there is a folder with the same: `model.safetensors` holds the tensors and `config.json` the entry.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from logpose.core.calibration import Calibration
from logpose.core.errors import DamagedFileError, InputError
from logpose.core.files import check_archive, refuse_taken, whole_file, whole_folder
from logpose.core.messages import first_line
from logpose.data.fingerprints import Fingerprints, decoded, encoded
from logpose.losses import LikelihoodLoss, PoseLoss, loss_from_config
from logpose.models import MODELS, Model, PoseModel
from logpose.models.backbone import Backbone
from logpose.models.exported import Exported, NoBackbone, exported_model, is_exported, opened
from logpose.models.pose_model import PixelStatistics, is_weight
from logpose.models.version_0_1 import upgraded
from logpose.models.weight_files import BEST, CONFIG, TENSORS, checkpoint_path, held_object
from logpose.training.run_folder import LAST, PREVIOUS, last_checkpoint

__all__ = [
    "calibration_place",
    "describe",
    "keep_calibration",
    "learned_images",
    "load",
    "load_as_trained",
    "load_model",
    "load_of_crops",
    "read",
    "save",
]

FORMAT = 2
"""Version of the `logpose` entry; raised when an older reader could not make sense of a newer file. 1 is version 0.1's,
and is read too (`models.version_0_1`)."""

log = logging.getLogger("logpose")

CHECKSUM = "sha256"
"""Entry of the folder form: of the file of tensors. The other form has a checksum for each record of its archive."""

LEARNED = "learned_images"
"""Entry: fingerprints of the images that the weights have learned from; missing where these are not known."""
NETWORK = "network"
"""What stands in the place of tensors in the content of a file of `logpose export`."""
CALIBRATION = "calibration"
"""Entry: the model's calibration on held-out data, where there was one."""


def describe(model: Model, loss: PoseLoss | None) -> dict[str, Any]:
    """The `logpose` entry of a checkpoint."""
    entry = {"format": FORMAT, "model": model.config(), "loss": {"kind": None}}
    if loss is not None:
        entry["loss"] = {"kind": type(loss).__name__, **loss.config()}
    if len(model.learned_images):
        entry[LEARNED] = encoded(model.learned_images)
    if model.calibration is not None:
        entry[CALIBRATION] = model.calibration.config()
    return entry


def build_model(config: dict[str, Any], backbone: Backbone | None = None, models: Sequence[type[Model]] = ()) -> Model:
    """The model that its `config` described, with random weights; for the arguments and errors see `load`."""
    for model in (*models, *MODELS):
        if model.kind == config["kind"]:
            return model.from_config(config, backbone)
    raise InputError(f"models of kind {config['kind']!r} are not known to this version of logpose")


def read(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint, with its `logpose` entry checked and nothing built from it.

    Args:
        path: a file that training wrote, the folder of its run, a folder that `save` wrote, or hf://OWNER/NAME: see
            `weight_files.checkpoint_path`.

    Raises:
        InputError: if the file is missing, or is not such a checkpoint.
    """
    path = checkpoint_path(path)
    if is_exported(path):
        network = opened(path)
        _check_format(path, network.facts)
        return {"logpose": network.facts, "state_dict": {}, NETWORK: network}
    folder = path if path.is_dir() else None
    missing = [file for file in ([path / CONFIG, path / TENSORS] if folder else [path]) if not file.is_file()]
    if missing and (last := last_checkpoint(path)) is not None:
        raise InputError(f"{path}: is the folder of a run without a {BEST} yet; its last state is {last}")
    if missing:
        raise InputError(f"{missing[0]}: no such checkpoint")
    try:
        if folder:
            entry = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            _check_digest(folder, entry)
            content = {"logpose": entry, "state_dict": load_file(folder / TENSORS)}
        else:
            check_archive(path)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except DamagedFileError as error:
        why = held_object(path) or str(error).removeprefix(f"{path}: ")
        raise DamagedFileError(f"{path}: not a checkpoint, or damaged ({why}){_one_before(path)}") from error
    except Exception as error:
        why = "" if folder else held_object(path)
        raise InputError(f"{path}: not a checkpoint, or damaged{f' ({why})' if why else ''}") from error
    entry = content.get("logpose") if isinstance(content, dict) else None
    if not isinstance(entry, dict) or "state_dict" not in content:
        raise InputError(f"{path}: not a checkpoint of logpose (`logpose convert` reads other codes')")
    version = _check_format(path, entry)
    with _damaged(path):
        content["logpose"] = {**entry, "model": upgraded(version, entry["model"], content["state_dict"])}
    return content


def _check_format(path: Path, entry: Mapping[str, Any]) -> int:
    """The format of an entry, if it is one that is read here."""
    version = entry.get("format")
    if version not in (1, FORMAT):
        raise InputError(f"{path}: checkpoint format {version}, this logpose reads formats 1 and {FORMAT}")
    return int(version)


def _digest(path: Path) -> str:
    """The SHA-256 of a file, as the Hub shows it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_digest(folder: Path, entry: Any) -> None:
    """Refuse tensors that do not have the checksum of their folder's entry, if that has one."""
    wanted = entry.get(CHECKSUM) if isinstance(entry, dict) else None
    if wanted is not None and wanted != _digest(folder / TENSORS):
        raise DamagedFileError(f"{folder}: {TENSORS} does not have the checksum in {CONFIG}")


def _one_before(path: Path) -> str:
    """The end of a message about a damaged checkpoint: the one before it, if that can be resumed from."""
    previous = path.with_name(PREVIOUS)
    return f"; the one before it is there: --resume {previous}" if path.name == LAST and previous.is_file() else ""


@contextmanager
def _damaged(path: str | Path) -> Iterator[None]:
    """Errors that damaged content leads to, as one that names the file."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (LookupError, ArithmeticError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise InputError(f"{path}: damaged checkpoint ({first_line(error):.160})") from error


def notes(path: str | Path) -> dict[str, Any]:
    """Notes in a checkpoint beside model and loss: figures, the recipe, its origin; empty for files of other codes.

    Args:
        path: as of `load`, or a file of another code.
    """
    try:
        entry = read(path)["logpose"]
    except InputError:
        return {}
    left_out = ("format", "model", "loss", "pixels", "measured_on", "export", LEARNED, CALIBRATION, CHECKSUM)
    found = {name: value for name, value in entry.items() if name not in left_out}
    if isinstance(recipe := found.get("recipe"), dict):
        found["recipe"] = {name: _without_folder(value) for name, value in recipe.items()}
    return found


def _without_folder(value: Any) -> Any:
    """A recipe's value; of a path its name alone, as paths of a machine are private."""
    if not isinstance(value, str) or "://" in value:
        return value
    is_path = Path(value).is_absolute() or value.startswith(("~", "..")) or "\\" in value
    return Path(value.replace("\\", "/")).name if is_path else value


def load(
    path: str | Path, backbone: Backbone | None = None, models: Sequence[type[Model]] = ()
) -> tuple[Model, LikelihoodLoss | None]:
    """Model of a checkpoint and the density of errors that its loss learned (None if none), on the CPU, in eval mode.

    Args:
        path: a `.ckpt` file that `logpose train` wrote, the folder of its run, a folder that `save` or
            `logpose convert` wrote, hf://OWNER/NAME, or a file of `logpose export`, which has no density.
        backbone: for a model whose backbone `create_backbone` does not know.
        models: classes of models of your own, looked up by their `kind` before those of `logpose.models`.

    Raises:
        InputError: if the file is missing, is not such a checkpoint, has a key that its model does not know, or is
            damaged.
    """
    content = read(path)
    model, loss = _model(path, content, backbone, models), _loss(path, content)
    model.drop_training_parts()
    return model, None if loss is None else loss.density


def load_as_trained(
    path: str | Path, backbone: Backbone | None = None, models: Sequence[type[Model]] = ()
) -> tuple[Model, PoseLoss | None]:
    """The same with the parts of the model that serve training alone, and the whole loss.

    A backbone is used only if the checkpoint does not describe its own.
    """
    content = read(path)
    described = content["logpose"]["model"].get("backbone") is not None
    return _model(path, content, None if described else backbone, models), _loss(path, content)


def load_of_crops(path: str | Path, backbone: Backbone | None = None) -> tuple[PoseModel, LikelihoodLoss | None]:
    """The same of a model of crops of images.

    Raises:
        InputError: as `load`, and if the model's inputs are others.
    """
    model, density = load(path, backbone)
    if not isinstance(model, PoseModel):
        raise InputError(f"{path}: is a model for {model.task}, and a model of crops of people is needed")
    return model, density


def load_model(path: str | Path, backbone: Backbone | None = None, models: Sequence[type[Model]] = ()) -> Model:
    """The model of a checkpoint alone, on the CPU, in evaluation mode; see `load` for arguments and errors."""
    model = _model(path, read(path), backbone, models)
    model.drop_training_parts()
    return model


def _model(
    path: str | Path, content: dict[str, Any], backbone: Backbone | None, models: Sequence[type[Model]]
) -> Model:
    """The model of a checkpoint's content."""
    with _damaged(path):
        config, network = content["logpose"]["model"], content.get(NETWORK)
        if network is not None and config.get("backbone", "") is None:
            backbone = NoBackbone()
        model = build_model(config, backbone, models)
        if network is not None:
            model = exported_model(model, network)
        else:
            _fill(model, "model.", content["state_dict"])
        if (calibration := content["logpose"].get(CALIBRATION)) is not None:
            model.calibration = Calibration.from_config(calibration)
            if len(model.calibration.factor) != len(model.skeleton):
                raise InputError(f"a calibration of {len(model.calibration.factor)} joints")
    model.learned_images = learned_images(path, content)
    return model.eval()


def learned_images(path: str | Path, content: dict[str, Any]) -> Fingerprints:
    """The fingerprints in a checkpoint's content; none in those of earlier versions, and where there are no files.

    Raises:
        InputError: if they are damaged.
    """
    with _damaged(path):
        return decoded(content["logpose"].get(LEARNED, ""))


def _loss(path: str | Path, content: dict[str, Any]) -> PoseLoss | None:
    """The loss of a checkpoint's content."""
    with _damaged(path):
        loss = loss_from_config(content["logpose"]["loss"])
        if loss is not None:
            _fill(loss, "loss.", content["state_dict"])
        return None if loss is None else loss.eval()


def save(model: Model, loss: PoseLoss | None, folder: str | Path, half: bool = False, **notes: Any) -> None:
    """Write model and loss as a folder of `model.safetensors` and `config.json`, which `load` reads.

    Args:
        model: the model.
        loss: what it was trained with; without it the model predicts all the same, but has no likelihood to measure.
        folder: made if it is not there; the two files are replaced.
        half: the network's weights in half precision, half as large a file; biases, statistics and the loss are kept.
        notes: plain values to keep beside (figures, where it came from, the recipe).
    """
    folder = Path(folder)
    if isinstance(model, Exported):
        raise InputError("a model of `logpose export` has no weights to save: the checkpoint is needed")
    state = {f"model.{key}": tensor for key, tensor in model.state_dict().items()}
    if half:
        weights = {name for name, parameter in model.named_parameters() if is_weight(name, parameter)}
        state |= {f"model.{name}": _halved(state[f"model.{name}"]) for name in weights}
    entry = describe(model, loss)
    if loss is not None:
        state |= {f"loss.{key}": tensor for key, tensor in loss.state_dict().items()}
    if isinstance(model, PixelStatistics):  # for other readers, as the file's tensors have them
        entry["pixels"] = {name: getattr(model, f"pixel_{name}").flatten().tolist() for name in ("mean", "std")}
    entry |= notes
    folder.mkdir(parents=True, exist_ok=True)
    parts = {name: folder / f"{name}.part" for name in (TENSORS, CONFIG)}
    try:
        # Not `save_file`, whose files nobody else may read, whatever the umask.
        parts[TENSORS].write_bytes(to_bytes({key: tensor.contiguous() for key, tensor in state.items()}))
        entry[CHECKSUM] = _digest(parts[TENSORS])
        parts[CONFIG].write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
        for name, part in parts.items():
            part.replace(folder / name)
    except OSError as error:  # a full disk, for one
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from error
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def calibration_place(path: str | Path, out: str | Path | None = None) -> Path:
    """The file or folder that `keep_calibration` will write.

    Raises:
        InputError: if it is a built-in model or one of the Hub's and there is no `out`; if that is taken.
    """
    source = checkpoint_path(path)
    if is_exported(source):
        raise InputError(f"{path}: is a file of `logpose export`; calibrate the checkpoint, and export it again")
    if out is None:
        if not Path(path).exists():
            raise InputError(f"{path}: is not a checkpoint of yours; name one to write with --out")
        return source
    if source.is_dir() and Path(out).resolve() != source.resolve():
        refuse_taken(out)
    elif Path(out).is_dir():
        raise InputError(f"{out}: is a folder, and {source} a file")
    return Path(out)


def keep_calibration(
    path: str | Path,
    calibration: Calibration,
    out: str | Path | None = None,
    figures: Mapping[str, float] | None = None,
) -> Path:
    """Write a calibration into a checkpoint, whole or not at all.

    Args:
        path: the checkpoint, as of `load`.
        calibration: of its model.
        out: a checkpoint to write in its place: a file, or of a folder of `save` a new folder.
        figures: that take the place of those in the checkpoint which the calibration changes.

    Returns:
        the file or folder that was written.

    Raises:
        InputError: as `calibration_place`, or if it cannot be written.
    """
    source, target = checkpoint_path(path), calibration_place(path, out)
    content = read(source)
    entry = {**content["logpose"], CALIBRATION: calibration.config()}
    if "figures" in entry:
        entry["figures"] = {**entry["figures"], **(figures or {})}
    text = json.dumps(entry, indent=2) + "\n"
    try:
        if not source.is_dir():
            with whole_file(target) as file:
                torch.save({**content, "logpose": entry}, file)
        elif target != source:
            with whole_folder(target) as folder:
                shutil.copytree(source, folder, dirs_exist_ok=True)
                (folder / CONFIG).write_text(text, encoding="utf-8")
        else:
            with whole_file(target / CONFIG) as file:
                file.write(text.encode())
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from error
    return target


def _halved(weights: Tensor) -> Tensor:
    """Weights in half precision, unless that has no numbers as large as theirs."""
    small = weights.is_floating_point() and bool((weights.abs() <= torch.finfo(torch.float16).max).all())
    return weights.half() if small else weights


def _fill(module: nn.Module, prefix: str, state: dict[str, Any]) -> None:
    module.load_state_dict({key.removeprefix(prefix): t for key, t in state.items() if key.startswith(prefix)})
