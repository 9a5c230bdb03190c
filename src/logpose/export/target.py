"""What every kind of file has in common that a model is exported to."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from logpose.core.errors import InputError
from logpose.core.messages import first_line
from logpose.export.graph import ExportGraph

__all__ = ["Precision", "Target", "explained"]

Precision = Literal["single", "half", "int8"]
"""Of the weights. "half" is that of the file: runtimes compute in single precision by themselves."""


class Target(ABC):
    """A kind of file."""

    name: ClassVar[str]
    suffix: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    """Packages that it is written with."""
    extra: ClassVar[str] = "export"
    precisions: ClassVar[tuple[Precision, ...]] = ("single",)
    several_inputs: ClassVar[bool] = False
    """Whether graphs of several inputs are written."""

    def check(self, precision: Precision, graph: ExportGraph) -> None:
        """Refuse to write where a package is missing, or such a graph or weights of that precision are not written.

        Raises:
            InputError: naming it.
        """
        if precision not in self.precisions:
            raise InputError(f"--to {self.name} writes weights in {' or '.join(self.precisions)} precision only")
        if len(graph.inputs) > 1 and not self.several_inputs:
            raise InputError(f"--to {self.name} does not write models of {graph.model.task}")
        if missing := [name for name in self.packages(precision) if importlib.util.find_spec(name) is None]:
            raise InputError(f"--to {self.name} needs {missing[0]}: {self.install}")

    @property
    def install(self) -> str:
        """The command that installs them."""
        return f"pip install 'logpose-keypoints[{self.extra}]'"

    def packages(self, precision: Precision) -> tuple[str, ...]:  # noqa: ARG002
        """What is needed for weights of a precision."""
        return self.needs

    @abstractmethod
    def write(self, graph: ExportGraph, facts: dict[str, Any], path: str | Path, inputs: Sequence[np.ndarray]) -> None:
        """Write a file.

        Args:
            graph: what is exported.
            facts: what is kept beside it, of which `export.precision` is that of the weights.
            path: the file; others of its name with another suffix may be written too.
            inputs: batches from which the ranges of activations are estimated, for int8.

        Raises:
            InputError: if a library is missing, or the graph cannot be written.
        """


@contextmanager
def explained(target: Target) -> Iterator[None]:
    """Errors of libraries, missing ones too, as a sentence."""
    try:
        yield
    except InputError:
        raise
    except ImportError as error:
        raise InputError(f"--to {target.name} needs {error.name}: {target.install}") from error
    except Exception as error:  # whatever exporter, converter and quantiser raise of a network that they do not know
        raise InputError(f"--to {target.name}: this network cannot be written ({first_line(error):.200})") from error
