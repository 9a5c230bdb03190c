"""Models of `logpose export`, each by its runtime: of ONNX and OpenVINO without torch."""

from __future__ import annotations

from pathlib import Path

from logpose.runtime import finder, predict
from logpose.runtime.openvino_network import OpenVinoNetwork
from logpose.runtime.predict import Network, People
from logpose.runtime.torch_networks import ExecuTorchNetwork, LiteRtNetwork, TorchScriptNetwork

__all__ = [
    "NETWORKS",
    "ExecuTorchNetwork",
    "Finder",
    "LiteRtNetwork",
    "Network",
    "OpenVinoNetwork",
    "People",
    "Predictor",
    "TorchScriptNetwork",
    "open_network",
]

NETWORKS: dict[str, type[Network]] = {
    ".onnx": Network,
    ".xml": OpenVinoNetwork,
    ".torchscript": TorchScriptNetwork,
    ".pte": ExecuTorchNetwork,
    ".tflite": LiteRtNetwork,
}
"""By the suffix of their files."""


def open_network(path: str | Path, threads: int = 0) -> Network:
    """The network of a file, by its suffix; of ONNX by default.

    Args:
        path: the file.
        threads: that compute, as many as there are cores when 0; of ONNX Runtime, OpenVINO and LiteRT.

    Raises:
        ValueError: if it is not a file of `logpose export`, or its runtime is not installed.
    """
    return NETWORKS.get(Path(path).suffix.lower(), Network)(path, threads)


class Predictor(predict.Predictor):
    """Finds the joints of the people in an image.

    Args:
        model: the file of a pose model, or its `Network`.
        batch_size: crops at a time.

    Raises:
        ValueError: as `open_network`, and if it is a model of another task.
    """

    def __init__(self, model: str | Path | Network, batch_size: int = 64) -> None:
        network = model if isinstance(model, Network) else open_network(model)
        if network.facts["export"]["task"] == "detection":
            raise ValueError("is a model of whole images: logpose.runtime.Finder takes it")
        super().__init__(network, batch_size)


class Finder(finder.Finder):
    """Finds the people in whole images, and their joints.

    Args:
        model: the file of a detector, or its `Network`.
        least_score: lowest score of a box; the model's own threshold when None.

    Raises:
        ValueError: as `open_network`, and if it is a model of another task.
    """

    def __init__(self, model: str | Path | Network, least_score: float | None = None) -> None:
        super().__init__(model if isinstance(model, Network) else open_network(model), least_score)
