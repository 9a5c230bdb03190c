"""Files for programs in C++, for phones and for small devices: TorchScript, ExecuTorch, LiteRT."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from logpose.core.errors import InputError
from logpose.core.messages import only_errors
from logpose.export.graph import ExportGraph
from logpose.export.target import Target, explained
from logpose.runtime.torch_networks import FACTS

__all__ = ["ExecuTorchTarget", "LiteRtTarget", "TorchScriptTarget"]


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
        example = graph.model.example_input()
        with explained(self), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # shapes are traced for one size, and TorchScript is no longer developed
            traced = torch.jit.trace(  # type: ignore[no-untyped-call]
                graph.eval(), torch.cat([example, example]), check_trace=False
            )
            if any(len(found) != 3 for found in traced(torch.cat([example] * 3))):
                raise InputError("the network takes batches of one size only, and is not exported")
            torch.jit.save(traced, str(path), _extra_files={FACTS: json.dumps(facts)})


class ExecuTorchTarget(Target):
    """ExecuTorch with XNNPACK, for phones: one row at a time."""

    name, suffix, needs, extra = "executorch", ".pte", ("executorch",), "executorch"

    def write(
        self,
        graph: ExportGraph,
        facts: dict[str, Any],
        path: str | Path,
        inputs: Sequence[np.ndarray],  # noqa: ARG002
    ) -> None:
        """Write a .pte file."""
        with explained(self), only_errors(None), warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower

            program = torch.export.export(graph.eval(), (graph.model.example_input(),))
            lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
            Path(path).write_bytes(lowered.to_executorch().buffer)
        _keep(facts, path)


class LiteRtTarget(Target):
    """LiteRT, formerly TensorFlow Lite, for phones and small devices: one row at a time."""

    name, suffix, needs, extra = "litert", ".tflite", ("litert_torch", "ai_edge_litert"), "litert"

    def write(
        self,
        graph: ExportGraph,
        facts: dict[str, Any],
        path: str | Path,
        inputs: Sequence[np.ndarray],  # noqa: ARG002
    ) -> None:
        """Write a .tflite file."""
        with explained(self), only_errors(None), warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            import litert_torch

            litert_torch.convert(graph.eval(), (graph.model.example_input(),)).export(str(path))
        _keep(facts, path)


def _keep(facts: dict[str, Any], path: str | Path) -> None:
    """Append a ZIP archive of one file, as TensorFlow Lite does with metadata: what reads the model stops before it."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FACTS, json.dumps(facts))
