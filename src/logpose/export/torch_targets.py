"""Files for programs in C++, for phones and for small devices: TorchScript, ExecuTorch, LiteRT."""

from __future__ import annotations

import json
import warnings
import zipfile
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logpose.core.errors import InputError
from logpose.core.messages import only_errors
from logpose.export.graph import ExportGraph
from logpose.export.target import Target, explained
from logpose.runtime.torch_networks import FACTS

__all__ = ["ExecuTorchTarget", "LiteRtTarget", "OneRowTarget", "TorchScriptTarget"]


class TorchScriptTarget(Target):
    """TorchScript, for programs with libtorch: batches of any size."""

    name, suffix, needs = "torchscript", ".torchscript", ()

    def write(
        self,
        graph: ExportGraph,
        facts: dict[str, Any],
        path: str | Path,
        inputs: Sequence[np.ndarray],  # noqa: ARG002
    ) -> None:
        """Write a .torchscript file."""
        (two,) = graph.example()
        with explained(self), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # shapes are traced for one size, and TorchScript is no longer developed
            traced = torch.jit.trace(graph.eval(), two, check_trace=False)  # type: ignore[no-untyped-call]
            if any(len(found) != 3 for found in traced(torch.cat([two, two[:1]]))):
                raise InputError("the network takes batches of one size only, and is not exported")
            torch.jit.save(traced, str(path), _extra_files={FACTS: json.dumps(facts)})


class OneRowTarget(Target):
    """A file that takes one row at a time, with an archive of what is kept beside the graph at its end."""

    def write(
        self,
        graph: ExportGraph,
        facts: dict[str, Any],
        path: str | Path,
        inputs: Sequence[np.ndarray],  # noqa: ARG002
    ) -> None:
        """Write a file."""
        with explained(self), only_errors(None), warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            self.convert(graph.eval(), graph.model.example_input(), path)
        # As TensorFlow Lite does with metadata: what reads the model stops before the archive.
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(FACTS, json.dumps(facts))

    @abstractmethod
    def convert(self, graph: ExportGraph, example: Tensor, path: str | Path) -> None:
        """Write the graph alone.

        Args:
            graph: in evaluation mode.
            example: an input of one row.
            path: the file.
        """


class ExecuTorchTarget(OneRowTarget):
    """ExecuTorch with XNNPACK, for phones."""

    name, suffix, needs, extra = "executorch", ".pte", ("executorch",), "executorch"

    def convert(self, graph: ExportGraph, example: Tensor, path: str | Path) -> None:
        """Write a .pte file."""
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        program = torch.export.export(graph, (example,))
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        Path(path).write_bytes(lowered.to_executorch().buffer)


class LiteRtTarget(OneRowTarget):
    """LiteRT, formerly TensorFlow Lite, for phones and small devices."""

    name, suffix, needs, extra = "litert", ".tflite", ("litert_torch", "ai_edge_litert"), "litert"

    def convert(self, graph: ExportGraph, example: Tensor, path: str | Path) -> None:
        """Write a .tflite file."""
        import litert_torch

        litert_torch.convert(graph, (example,)).export(str(path))
