"""The page of `eval --report`: of every kind of model, with the figures that the command prints."""

from __future__ import annotations

import base64
import html
import json
import math
import re

import cv2
import numpy as np
import pytest
import torch

from logpose.data.synthetic_oct import ScanNoise, SyntheticScans
from logpose.losses import RLELoss
from logpose.models import BoundaryModel
from logpose.report.evaluation import MEANINGS
from logpose.training.checkpoint import save


def cells(page: str, title: str) -> list[list[str]]:
    """The table under a heading, row by row."""
    part = re.search(rf"<h2>{re.escape(title)}</h2>(.*?)(<h2>|</body>)", page, re.DOTALL)
    assert part, title
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", part[1])]


def pictures(page: str) -> dict[str, np.ndarray]:
    """Each picture by its heading."""
    found = re.findall(r'<img alt="(.*?)" src="data:image/\w+;base64,(.*?)">', page)
    return {
        html.unescape(name): cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), 1) for name, data in found
    }


@pytest.fixture
def page(command, tmp_path):
    """Run `eval … --report`; returns the figures that it prints and the page that it writes."""

    def written(*words: object) -> tuple[dict[str, float], str]:
        code, out, err = command("eval", *words, "--json", "--device", "cpu", "--report", tmp_path / "new" / "p.html")
        assert code == 0, err
        assert f"wrote {tmp_path / 'new' / 'p.html'}" in err
        return json.loads(out), (tmp_path / "new" / "p.html").read_text()

    return written


def check_figures(figures: dict[str, float], page: str, elsewhere: int = 0) -> None:
    """Every figure stands in one table or the other, with its value."""
    told = {row[0]: row[1] for row in cells(page, "What was measured")[1:]}
    if "<h2>In detail</h2>" in page:
        told |= {row[0]: row[1] for row in cells(page, "In detail")[1:]}
    assert len(figures) == len(told) + elsewhere
    for name, text in told.items():
        expected = math.nan if figures[name] is None else figures[name]
        assert float(text) == pytest.approx(expected, rel=1e-3, abs=1e-6, nan_ok=True), name


def test_of_crops(page, tiny_run, coco_folder):
    figures, text = page(tiny_run / "best.ckpt", "--data", coco_folder)
    check_figures(figures, text)
    joints = cells(text, "By joint")
    assert len(joints) == 18
    assert sum(int(row[1]) for row in joints[1:]) == figures["joints"]
    weighted = sum(int(row[1]) * float(row[2]) for row in joints[1:] if row[2] != "–") / figures["joints"]
    assert weighted == pytest.approx(figures["error_px"], rel=0.01)
    inside = sum(int(row[1]) * float(row[4]) for row in joints[1:] if row[4] != "–") / figures["joints"]
    assert inside == pytest.approx(figures["coverage@0.9"], abs=0.002)
    shown = pictures(text)
    assert set(shown) == {"What it sees", "Does sigma mean what it says?", "The error's density", "Training"}
    assert all(picture.std() > 5 for picture in shown.values())


def test_of_poses_in_space(page, lifters, lifting_files):
    figures, text = page(lifters["humaneva"], "--data", lifting_files[0], "--subjects", "Val")
    check_figures(figures, text)
    assert "mpjpe_walk" in {row[0] for row in cells(text, "In detail")}
    assert set(pictures(text)) == {"Does sigma mean what it says?", "The error's density"}


def test_of_what_knows_nothing_of_its_errors(page, lifters, lifting_files):
    _, text = page(lifters["unsure"], "--data", lifting_files[0], "--subjects", "Val")
    assert not pictures(text)
    assert "trained without a likelihood" in text


@pytest.mark.parametrize("likely", [True, False])
def test_of_boundaries(page, scans_file, tmp_path, likely):
    torch.manual_seed(0)
    model = BoundaryModel(SyntheticScans(1).skeleton, (112, 64), channels=2, depth=1, cells=2, shown=160)
    loss = RLELoss(dim=8).eval() if likely else None
    if loss is not None:
        model.set_error_distribution(loss.error_distribution())
    save(model, loss, tmp_path / "model")
    figures, text = page(tmp_path / "model", "--data", scans_file)
    names = model.skeleton.joints
    check_figures(figures, text, elsewhere=len(names))
    rows = cells(text, "By boundary")
    assert [row[0] for row in rows[1:]] == list(names)
    for row in rows[1:]:
        assert float(row[2]) == pytest.approx(figures[f"error_px_{row[0]}"], abs=0.006)
    shown = pictures(text)
    assert shown["What it sees"].shape[1] == 960
    assert ("trained without a likelihood" in text) != likely
    if likely:
        inside = np.average([float(row[4]) for row in rows[1:]], weights=[int(row[1]) for row in rows[1:]])
        assert inside == pytest.approx(figures["band@0.9"], abs=0.001)
        assert {"Does sigma mean what it says?", "The error's density"} < set(shown)
        assert "–" not in {row[4] for row in rows[1:]}


@pytest.fixture
def scans_file(tmp_path):
    """A `.mat` file in the Duke layout of three drawn scans, one of them with columns that nobody labelled."""
    from scipy.io import savemat

    scans = SyntheticScans(3, seed=2, noise=ScanNoise(missing=0.2))
    parts = [scans[i] for i in range(3)]
    savemat(
        tmp_path / "Subject_01.mat",
        {
            "images": np.stack([s.image for s in parts], axis=-1),
            "manualLayers1": np.stack([s.rows + 1 for s in parts], axis=-1),
        },
    )
    return tmp_path / "Subject_01.mat"


def test_a_folder_is_no_page(refused, tiny_run, coco_folder, tmp_path):
    told = refused("eval", tiny_run / "best.ckpt", "--data", coco_folder, "--report", tmp_path)
    assert "is a folder, not a file" in told


def test_every_meaning_is_a_name_s_only_one():
    names = ["ap", "ap50", "ap_medium", "ar", "ar75", "error_px", "pck@0.1", "pck_torso@0.2", "pckh@0.5", "pckh_auc"]
    names += ["mpjpe", "pa_mpjpe", "velocity", "nll", "coverage@0.9", "band@0.5", "std_mm", "sigma_rank", "people"]
    for name in names:
        assert sum(bool(re.fullmatch(form, name)) for form, _ in MEANINGS) == 1, name
