"""`logpose complexity`."""

from __future__ import annotations

import json


def test_complexity(command, refused, tiny_run):
    code, out, _ = command("complexity", "resnet50_rle", "--json")
    assert code == 0
    assert json.loads(out)["models"]["resnet50_rle"]["parameters"] == 23_647_364
    code, out, _ = command("complexity", tiny_run / "best.ckpt")
    assert code == 0
    assert "64×48" in out
    assert "did you mean resnet50_simplepose" in refused("complexity", "resnet50_simplpose")
