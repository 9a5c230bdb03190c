"""`logpose complexity`."""

from __future__ import annotations

import json

from logpose.cli.main import main


def run(capsys, *words):
    """Exit code, stdout and stderr of `logpose WORDS`."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as ended:
        code = ended.code or 0
    out, err = capsys.readouterr()
    return code, out, err


def test_complexity(capsys, refused, tiny_run):
    code, out, _ = run(capsys, "complexity", "resnet50_rle", "--json")
    assert code == 0
    assert json.loads(out)["models"]["resnet50_rle"]["parameters"] == 23_647_364
    code, out, _ = run(capsys, "complexity", tiny_run / "best.ckpt")
    assert code == 0
    assert "64×48" in out
    assert "did you mean resnet50_simplepose" in refused("complexity", "resnet50_simplpose")
