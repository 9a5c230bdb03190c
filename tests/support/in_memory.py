"""A network of a file, but in memory: what the graph itself computes."""

from __future__ import annotations

import json

import numpy as np
import torch

from logpose.export.graph import facts_of, graph_of
from logpose.models import Model
from logpose.runtime import Network


class InMemory(Network):
    def __init__(self, model: Model) -> None:
        self.graph = graph_of(model).eval()
        self.facts = json.loads(json.dumps(facts_of(self.graph, "single", {})))

    def __call__(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            found = self.graph(*map(torch.from_numpy, inputs))
        return {name: values.numpy() for name, values in zip(self.graph.outputs, found, strict=True)}
