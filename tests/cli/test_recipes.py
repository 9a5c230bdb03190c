"""`logpose recipes`."""

from __future__ import annotations

from logpose.cli.main import main


def run(capsys, *words):
    """Exit code, stdout and stderr of `logpose WORDS`."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as ended:
        code = ended.code or 0
    out, err = capsys.readouterr()
    return code, out, err


def test_recipes_are_listed_one_a_line(capsys):
    code, out, _ = run(capsys, "recipes")
    assert code == 0
    assert any(line.startswith("coco_resnet50_rle ") and "ResNet-50" in line for line in out.splitlines())
