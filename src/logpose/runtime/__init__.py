"""Models of `logpose export` without torch: NumPy, OpenCV, and ONNX Runtime or OpenVINO."""

from __future__ import annotations

from pathlib import Path

from logpose.runtime import predict
from logpose.runtime.openvino_network import OpenVinoNetwork
from logpose.runtime.predict import Network, People

__all__ = ["Network", "OpenVinoNetwork", "People", "Predictor", "open_network"]


def open_network(path: str | Path, threads: int = 0) -> Network:
    """The network of a file: of OpenVINO if it ends in .xml, else of ONNX.

    Args:
        path: the file.
        threads: that compute; as many as there are cores when 0.

    Raises:
        ValueError: if it is not a file of `logpose export`, or its runtime is not installed.
    """
    return (OpenVinoNetwork if Path(path).suffix == ".xml" else Network)(path, threads)


class Predictor(predict.Predictor):
    """Finds the joints of the people in an image.

    Args:
        model: the file of a pose model, .onnx or .xml, or its `Network`.
        batch_size: crops at a time.

    Raises:
        ValueError: as `open_network`, and if it is a model of another task.
    """

    def __init__(self, model: str | Path | Network, batch_size: int = 64) -> None:
        super().__init__(model if isinstance(model, Network) else open_network(model), batch_size)
