"""`logpose demo`, on a handful of people: it writes what it promises, and refuses what cannot be."""

from __future__ import annotations

import json

import numpy as np
import pytest

from logpose.cli import demo
from logpose.cli.demo import DemoOptions, run
from logpose.core.errors import InputError
from logpose.recipes import synthetic
from logpose.report.page import save_image


@pytest.mark.parametrize(
    ("words", "token"),
    [
        (("demo", "--epochs", 0), "epochs must be at least 1"),
        (("demo", "--people", 0), "needs 32 people"),
        (("demo", "--seed", -1), "seed must be at least 0"),
        (("demo", "--photo", "none.jpg"), "none.jpg"),
    ],
)
def test_a_demo_that_cannot_be_leaves_nothing(refused, tmp_path, words, token):
    assert token in refused(*words, "--out", tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


@pytest.mark.usefixtures("thin_resnets")
def test_it_writes_everything_and_names_the_next_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(synthetic, "VAL", 12)
    folder = tmp_path / "demo"
    photo = tmp_path / "grey.png"
    save_image(np.full((60, 90, 3), 128, np.uint8), photo)
    assert run(DemoOptions(out=folder, epochs=1, people=40, photo=photo)) == 0
    figures = json.loads((folder / "metrics.json").read_text())
    out, err = capsys.readouterr()
    assert set(figures) == {"RLE", "L1"}
    assert figures["RLE"]["people"] == 12
    made = {path.name for path in folder.iterdir()}
    assert made >= {"best.ckpt", "report.html", "predictions.png", "density.png", "calibration.png", "curves.png"}
    assert "logpose predict photo.jpg" in out.replace("\n", "")
    assert "RLE" in out
    assert "Training" in err
    page = (folder / "report.html").read_text()
    assert "A negative NLL is normal" in page
    assert page.count("data:image/png;base64,") == 4
    assert page.count("data:image/jpeg;base64,") == 1
    assert "it found nobody" in page
    monkeypatch.setattr(demo, "_plots", lambda *_: [])  # which take longer than the training
    run(DemoOptions(out=folder, epochs=1, people=40))  # its own folder it may write over
    again = json.loads((folder / "metrics.json").read_text())
    assert again["L1"]["true_error_px"] == pytest.approx(figures["L1"]["true_error_px"])


def test_it_leaves_folders_of_others_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="--out"):
        run(DemoOptions(out=tmp_path))
    (tmp_path / "metrics.json").write_text("{}")  # a name that a demo also writes makes it no demo's folder
    (tmp_path / "rle").mkdir()
    with pytest.raises(InputError, match="--out"):
        run(DemoOptions(out=tmp_path))
    assert (tmp_path / "mine.txt").read_text() == "precious"
    with pytest.raises(InputError, match="--out"):
        run(DemoOptions(out=tmp_path / "mine.txt"))
