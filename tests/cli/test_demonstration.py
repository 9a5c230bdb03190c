"""The demo, on a handful of people: it writes what it promises and says what to do next."""

from __future__ import annotations

import json

import pytest

from logpose.cli.demonstration import run_demo
from logpose.core.errors import InputError
from logpose.recipes import synthetic


def test_it_writes_everything_and_names_the_next_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(synthetic, "VAL", 12)
    folder = tmp_path / "demo"
    figures = run_demo(folder, epochs=1, people=40)
    out, err = capsys.readouterr()
    assert set(figures) == {"RLE", "L1"}
    assert json.loads((folder / "metrics.json").read_text())["RLE"]["people"] == 12
    made = {path.name for path in folder.iterdir()}
    assert made >= {"best.ckpt", "report.html", "predictions.png", "density.png", "calibration.png", "curves.png"}
    assert f"logpose predict {folder / 'best.ckpt'} photo.jpg" in out.replace("\n", "")
    assert "RLE" in out
    assert "Training" in err
    page = (folder / "report.html").read_text()
    assert "A negative NLL is normal" in page
    assert page.count("data:image/png;base64,") == 4
    again = run_demo(folder, epochs=1, people=40)  # its own folder it may write over
    assert again["L1"]["true_error_px"] == pytest.approx(figures["L1"]["true_error_px"])


def test_it_leaves_folders_of_others_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="no empty folder"):
        run_demo(tmp_path)
    (tmp_path / "metrics.json").write_text("{}")  # a name that a demo also writes makes it no demo's folder
    (tmp_path / "rle").mkdir()
    with pytest.raises(InputError, match="no empty folder"):
        run_demo(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "precious"
    with pytest.raises(InputError, match="no empty folder"):
        run_demo(tmp_path / "mine.txt")
