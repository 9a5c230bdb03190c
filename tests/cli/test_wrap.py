"""`logpose wrap`, and the commands that take what it writes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.support.predicting_program import JOINTS, world, write

from logpose.cli.main import main


@pytest.fixture(scope="module")
def wrapper(tmp_path_factory):
    """A folder with a wrapper of two views, and the files that it was fitted to."""
    folder = tmp_path_factory.mktemp("wrapped")
    files = write(folder, world(60), "some-")
    words = [str(files[0]), "--labels", str(files[1]), "--mirrored", str(files[2]), "--out", str(folder / "wrapper")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("logpose.tasks.wrapping.fit.STEPS", 100)
        patch.setattr("logpose.tasks.wrapping.fit.EPOCHS", 1)
        assert main(["wrap", *words]) == 0
    return folder, files


def test_it_adds_to_the_rows_of_a_program(wrapper, tmp_path):
    folder, _ = wrapper
    predictions, _, mirrored = write(tmp_path, world(30, seed=5), "new-")
    out = tmp_path / "out.json"
    words = [str(folder / "wrapper"), str(predictions), "--mirrored", str(mirrored), "--save-json", str(out)]
    assert main(["predict", *words, "--save-npz", str(tmp_path / "out.npz")]) == 0
    given, found = json.loads(predictions.read_text()), json.loads(out.read_text())
    arrays = np.load(tmp_path / "out.npz")
    assert len(found) == len(arrays["keypoints"]) == 30
    for before, after in zip(given, found, strict=True):
        assert {name: after[name] for name in before} == before
        assert sorted(after.keys() - before.keys()) == ["expected_oks", "oks50", "radius", "sigma"]
        assert len(after["sigma"]) == 2 * len(JOINTS)
        assert list(after["radius"]) == ["0.5", "0.9", "0.95"]
    assert arrays["sigma"].ravel() == pytest.approx(np.ravel([row["sigma"] for row in found]), abs=1e-3)


def test_eval_calibrate_and_audit_take_it(wrapper, tmp_path, capsys):
    folder, _ = wrapper
    predictions, labels, mirrored = write(tmp_path, world(200, seed=6), "other-")
    of = ["--predictions", str(predictions), "--mirrored", str(mirrored)]
    page = tmp_path / "page.html"
    assert main(["eval", str(folder / "wrapper"), str(labels), *of, "--json", "--report", str(page)]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["coverage@0.9"] == pytest.approx(0.9, abs=0.08)
    assert figures["sigma_rank"] > 0.4
    assert abs(figures["oks"] - figures["oks_expected"]) < 0.08
    assert page.is_file()
    again = tmp_path / "again"
    words = [str(folder / "wrapper"), "--data", str(labels), *of, "--out", str(again)]
    assert main(["calibrate", *words]) == 0
    out = tmp_path / "out.json"
    assert main(["predict", str(again), str(predictions), *of[2:], "--save-json", str(out)]) == 0
    capsys.readouterr()
    assert main(["audit", str(out), "--labels", str(labels), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figures"]["own_region@0.9"] == pytest.approx(0.9, abs=0.03)


def test_what_it_was_fitted_to_is_no_measure(wrapper, capsys):
    folder, (predictions, labels, mirrored) = wrapper
    given = ["--predictions", str(predictions), "--mirrored", str(mirrored)]
    assert main(["calibrate", str(folder / "wrapper"), "--data", str(labels), *given]) == 2
    assert "trained on some of it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{wrapper}", "{predictions}"], "name it with --mirrored"),
        (["{wrapper}", "{predictions}", "{labels}", "--mirrored", "{mirrored}"], "one file"),
        (["{wrapper}", "nowhere.json", "--mirrored", "{mirrored}"], "no such file"),
    ],
)
def test_predictions_that_it_cannot_take(wrapper, refused, words, message):
    folder, (predictions, labels, mirrored) = wrapper
    places = {"wrapper": folder / "wrapper", "predictions": predictions, "labels": labels, "mirrored": mirrored}
    assert message in refused("predict", *(word.format(**places) for word in words))


def test_what_is_refused_before_the_fit(wrapper, refused, tmp_path):
    folder, (predictions, labels, _) = wrapper
    given = ["wrap", predictions, "--labels", labels]
    assert "not empty" in refused(*given, "--out", folder / "wrapper")
    assert "--level" in refused(*given, "--out", tmp_path / "a", "--level", "1.5")
    assert "--seed" in refused(*given, "--out", tmp_path / "a", "--seed=-1")


def test_other_people_are_noticed(wrapper, tmp_path, caplog):
    folder, _ = wrapper
    drawn = world(40, seed=7)
    drawn.scores[:] = drawn.scores**4
    predictions, _, mirrored = write(tmp_path, drawn, "new-")
    words = [str(folder / "wrapper"), str(predictions), "--mirrored", str(mirrored), "--json"]
    assert main(["predict", *words]) == 0
    assert "not like the people that the wrapper was fitted on (score" in caplog.text


def test_its_file_gives_what_it_gives(wrapper, tmp_path, capsys):
    pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
    folder, _ = wrapper
    predictions, labels, mirrored = write(tmp_path, world(30, seed=7), "new-")
    of = ["--predictions", str(predictions), "--mirrored", str(mirrored)]
    words = ["export", str(folder / "wrapper"), "--out", str(tmp_path)]
    assert main([*words, "--verify", str(labels)]) == 2
    assert "to verify it give --predictions too, or --unverified" in capsys.readouterr().err
    assert main([*words, "--verify", str(labels), *of, "--json"]) == 0
    (figures,) = json.loads(capsys.readouterr().out)
    assert figures["kept"]
    assert figures["moved_px_largest"] < 0.01
    found = []
    for model in (folder / "wrapper", tmp_path / "model.onnx"):
        words = [str(model), str(predictions), "--mirrored", str(mirrored), "--save-json", str(tmp_path / "out.json")]
        assert main(["predict", *words]) == 0
        found.append(json.loads((tmp_path / "out.json").read_text()))
    for one, other in zip(*found, strict=True):
        assert other["sigma"] == pytest.approx(one["sigma"], abs=2e-3)
        assert other["expected_oks"] == pytest.approx(one["expected_oks"], abs=2e-3)
        assert other["radius"]["0.9"] == pytest.approx(one["radius"]["0.9"], abs=5e-3)
