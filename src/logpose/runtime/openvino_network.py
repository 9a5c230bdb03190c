"""A model of `logpose export --to openvino`, run by OpenVINO."""

from __future__ import annotations

from typing import Any

from logpose.runtime.predict import Network

__all__ = ["OpenVinoNetwork"]


class OpenVinoNetwork(Network):
    """The same of a file .xml with the .bin beside it."""

    def _opened(self, path: str, threads: int) -> tuple[str, Any]:
        import openvino

        model = openvino.Core().read_model(path)
        # By itself it computes in bfloat16 where the processor can, and positions come in steps.
        settings = {"INFERENCE_PRECISION_HINT": "f32"} | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
        compiled = openvino.compile_model(model, "CPU", settings)
        facts = model.get_rt_info("logpose").astype(str) if model.has_rt_info("logpose") else ""
        return facts, lambda *inputs: compiled(list(inputs)).values()
