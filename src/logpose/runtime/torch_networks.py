"""Models of `logpose export --to torchscript executorch litert`, each run by its own runtime."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from logpose.runtime.predict import Network

__all__ = ["FACTS", "ExecuTorchNetwork", "LiteRtNetwork", "TorchScriptNetwork"]

FACTS = "logpose.json"
"""Name, in the ZIP archive that a file is or that lies at its end, of what is kept beside the graph."""


class TorchScriptNetwork(Network):
    """A file .torchscript, run by PyTorch with the threads that it has."""

    def _opened(self, path: str, threads: int) -> tuple[str, Any]:  # noqa: ARG002
        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is no longer developed
            network = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]

        def run(inputs: np.ndarray) -> list[np.ndarray]:
            with torch.inference_mode():
                return [found.numpy() for found in network(torch.from_numpy(inputs))]

        return _facts(path), run


class ExecuTorchNetwork(Network):
    """A file .pte, run by ExecuTorch with the threads that it has."""

    def _opened(self, path: str, threads: int) -> tuple[str, Any]:  # noqa: ARG002
        import torch
        from executorch.runtime import Runtime

        program = Runtime.get().load_program(path)
        method = program.load_method("forward")
        if method is None:
            raise ValueError("it has no method `forward`")
        return _facts(path), _each(lambda row: [np.array(found) for found in method.execute([torch.from_numpy(row)])])


class LiteRtNetwork(Network):
    """A file .tflite, run by LiteRT."""

    def _opened(self, path: str, threads: int) -> tuple[str, Any]:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(path, num_threads=threads or None)
        runner = interpreter.get_signature_runner()
        (name,) = runner.get_input_details()
        names = [f"output_{i}" for i in range(len(runner.get_output_details()))]

        def run(row: np.ndarray) -> list[np.ndarray]:
            found = runner(**{name: row})
            return [np.array(found[each]) for each in names]

        return _facts(path), _each(run)


def _facts(path: str) -> str:
    """What is kept beside a graph; nothing if there is no archive."""
    if not zipfile.is_zipfile(path):
        return ""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.rpartition("/")[2] == FACTS]
        return archive.read(names[0]).decode() if names else ""


def _each(run: Callable[[np.ndarray], Sequence[np.ndarray]]) -> Callable[[np.ndarray], list[np.ndarray]]:
    """A network of one row as one of batches."""
    return lambda inputs: [
        np.concatenate(parts) for parts in zip(*(run(inputs[i : i + 1]) for i in range(len(inputs))), strict=True)
    ]
