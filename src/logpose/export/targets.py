"""ONNX and OpenVINO files, and all kinds of files by name."""

from __future__ import annotations

import json
import logging
import re
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from logpose.core.errors import InputError
from logpose.core.messages import only_errors
from logpose.export.graph import ExportGraph
from logpose.export.target import Precision, Target, explained
from logpose.export.torch_targets import ExecuTorchTarget, LiteRtTarget, TorchScriptTarget

__all__ = ["TARGETS", "OnnxTarget", "OpenVinoTarget"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
LARGE = 256  # numbers of a constant from which on it is stored in half precision
OPSET = 18


class OnnxTarget(Target):
    """ONNX, of opset 18, by torch.export."""

    name, suffix, needs = "onnx", ".onnx", ("onnx", "onnxscript", "onnxruntime")
    precisions, several_inputs = PRECISIONS, True

    def write(self, graph: ExportGraph, facts: dict[str, Any], path: str | Path, inputs: Sequence[np.ndarray]) -> None:
        """Write an .onnx file."""
        path = Path(path)
        with explained(self):
            import onnx

            model = onnx_model(graph)
            precision = facts["export"]["precision"]
            if precision == "half":
                _halve(model)
            elif precision == "int8":
                model = _quantised(model, path, inputs, _outside(model, graph))
            _forget(model)
            onnx.helper.set_model_props(model, {"logpose": json.dumps(facts)})
            onnx.save(model, str(path))


class OpenVinoTarget(Target):
    """OpenVINO's intermediate representation: an .xml file and the weights beside it."""

    name, suffix, needs = "openvino", ".xml", ("onnx", "onnxscript", "openvino")
    precisions, several_inputs = PRECISIONS, True

    def packages(self, precision: Precision) -> tuple[str, ...]:
        """What is needed for weights of a precision."""
        return (*self.needs, "nncf") if precision == "int8" else self.needs

    def write(self, graph: ExportGraph, facts: dict[str, Any], path: str | Path, inputs: Sequence[np.ndarray]) -> None:
        """Write an .xml and a .bin file."""
        path = Path(path)
        with explained(self):
            import onnx
            import openvino

            precision, source = facts["export"]["precision"], path.with_suffix(".part.onnx")
            try:
                exported = onnx_model(graph)
                onnx.save(exported, str(source))
                model = openvino.Core().read_model(source)  # convert_model would report its use to the vendor
            finally:
                source.unlink(missing_ok=True)
            if precision == "int8":
                import nncf

                names = {node.get_friendly_name() for node in model.get_ops()}
                kept = [name for name in _outside(exported, graph) if name in names]
                rows = [row[None] for batch in inputs for row in batch]
                nncf.set_log_level(logging.WARNING)
                scope = nncf.IgnoredScope(names=kept)
                with redirect_stdout(sys.stderr):  # its progress
                    model = nncf.quantize(model, nncf.Dataset(rows), subset_size=len(rows), ignored_scope=scope)
            model.set_rt_info(json.dumps(facts), "logpose")
            openvino.save_model(model, path, compress_to_fp16=precision == "half")


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (OnnxTarget(), OpenVinoTarget(), TorchScriptTarget(), ExecuTorchTarget(), LiteRtTarget())
}
"""By name."""


def onnx_model(graph: ExportGraph) -> Any:
    """The graph as an ONNX model whose inputs vary as the graph's may."""
    import onnxscript  # noqa: F401  (named where it is missing)

    with only_errors("torch.onnx"), only_errors("onnx_ir"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own code
        program = torch.onnx.export(
            graph.eval(), graph.example(), input_names=list(graph.inputs), output_names=list(graph.outputs),
            opset_version=OPSET, dynamic_shapes=graph.varies(), dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    given = [(value, list(axes)) for value, axes in zip(model.graph.input, graph.varies(), strict=True)]
    by_row = [(value, [0]) for value in model.graph.output if 0 in graph.varies()[0]]
    for value, axes in (*given, *by_row):
        if not all(value.type.tensor_type.shape.dim[axis].dim_param for axis in axes):
            raise InputError(f"the network takes inputs of one size only (its {value.name}), and is not exported")
    return model


def _forget(model: Any) -> None:
    """Remove what the exporter notes of its own: stack traces have the paths of a machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def _halve(model: Any) -> None:
    """Store large constants in half precision, each with a conversion to single behind it."""
    import onnx

    largest, casts = float(np.finfo(np.float16).max), []
    for constant in model.graph.initializer:
        values = onnx.numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < LARGE or not (np.abs(values) <= largest).all():
            continue
        name = constant.name
        constant.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}/half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}/half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _outside(model: Any, graph: ExportGraph) -> list[str]:
    """Names of the nodes of an ONNX model that are not of its backbone: heads and positions need all their digits.

    Of a network without a backbone they are those outside its largest part.
    """
    parts = dict(graph.model.named_children())
    backbone = graph.model.backbone_path
    if backbone not in parts:
        backbone = max(parts, key=lambda name: sum(each.numel() for each in parts[name].parameters()))
    inside = re.compile(rf"/model\.{re.escape(backbone)}[.:]")
    spaces = {
        node.name: {p.key: p.value for p in node.metadata_props}.get("namespace", "") for node in model.graph.node
    }
    return [name for name, space in spaces.items() if not inside.search(space)]


def _quantised(model: Any, path: Path, inputs: Sequence[np.ndarray], kept: list[str]) -> Any:
    """The model with 8-bit weights and activations in its convolutions, whose ranges are those of the inputs.

    `kept` are the names of nodes that are left as they are.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = iter(inputs)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(({"inputs": batch} for batch in self.batches), None)

    target, root = path.with_suffix(".part.onnx"), logging.getLogger()
    handlers = root.handlers[:]
    try:
        with only_errors(None):  # its advice is about graphs that are not optimised yet
            quantize_static(
                model, str(target), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                op_types_to_quantize=["Conv", "Gemm", "MatMul"], nodes_to_exclude=kept,
            )  # fmt: skip
        return onnx.load(str(target))
    finally:
        root.handlers[:] = handlers  # it adds one, and all later messages would be printed twice
        target.unlink(missing_ok=True)
