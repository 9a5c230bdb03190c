"""What a kind of file needs is asked for before anything is written."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from logpose.core.errors import InputError
from logpose.export.target import Target, explained


class Imagined(Target):
    name, suffix, needs, extra = "imagined", ".im", ("json", "no_such_package"), "more"

    def write(self, graph, facts, path, inputs):
        with explained(self):
            raise inputs


def test_what_is_missing_is_named():
    with pytest.raises(
        InputError, match=r"--to imagined needs no_such_package: pip install 'logpose-keypoints\[more\]'"
    ):
        Imagined().check("single", SimpleNamespace(inputs=("inputs",)))
    with pytest.raises(InputError, match="--to imagined writes weights in single precision only"):
        Imagined().check("int8", SimpleNamespace(inputs=("inputs",)))


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ModuleNotFoundError("no", name="library"), r"--to imagined needs library: pip install"),
        (RuntimeError("operator aten::new\nis unknown"), r"--to imagined: this network .* \(operator aten::new\)"),
        (InputError("plain"), "^plain$"),
    ],
)
def test_errors_of_libraries_are_sentences(error, sentence):
    with pytest.raises(InputError, match=sentence):
        Imagined().write(None, {}, "", error)
