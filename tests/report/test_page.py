"""The report: images are made, curves are read right, and the page needs nothing but itself."""

from __future__ import annotations

from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from logpose.data.coco import CocoKeypoints
from logpose.data.files import annotation_files
from logpose.losses import Laplace
from logpose.report.page import (
    Section,
    plot_calibration,
    plot_curves,
    plot_density,
    plot_parts,
    read_curves,
    save_image,
    write_page,
)
from logpose.tasks.pose.evaluate import evaluate
from logpose.training.checkpoint import load


def is_image(path):
    image = cv2.imread(str(path))
    return image is not None and image.std() > 5


def test_every_plot_is_made(tiny_run, coco_folder, tmp_path):
    model, loss = load(tiny_run / "best.ckpt")
    people = CocoKeypoints(annotation_files(coco_folder)["val"])
    plot_density(loss, tmp_path / "density.png")
    plot_density(Laplace(3), tmp_path / "three.png")
    plot_calibration(evaluate(model, people, loss).arrays().deviations(model), tmp_path / "calibration.png")
    halves = {"before": np.array([[0.4], [0.6]]), "after": np.array([[0.5], [0.5]])}
    plot_parts([0.5], halves, ["ankle", "knee"], tmp_path / "parts.png")
    plot_curves({"RLE": read_curves(tiny_run), "L1": {}}, tmp_path / "curves.png")
    for name in ("density", "three", "calibration", "curves", "parts"):
        assert is_image(tmp_path / f"{name}.png"), name


def test_curves_of_a_resumed_run_are_one(tmp_path):
    for part in ("csv-1", "csv-2"):
        (tmp_path / part).mkdir()
    (tmp_path / "csv-1" / "metrics.csv").write_text("epoch,step,val/nll\n0,1,3.0\n1,2,2.0\n")
    (tmp_path / "csv-2" / "metrics.csv").write_text("epoch,step,val/nll,lr\n1,2,2.5,\n,3,,0.1\n2,3,1.0,\n")
    assert read_curves(tmp_path) == {"val/nll": [(1, 3.0), (2, 2.5), (3, 1.0)]}


def test_images_keep_their_colours(tmp_path):
    image = np.zeros((8, 8, 3), np.uint8)
    image[..., 0] = 200
    save_image(image, tmp_path / "new" / "red.png")
    assert tuple(cv2.imread(str(tmp_path / "new" / "red.png"))[0, 0]) == (0, 0, 200)
    with pytest.raises((ValueError, cv2.error)):
        save_image(image, tmp_path / "red.nonsense")


def test_the_page_is_well_formed_and_self_contained(tmp_path):
    save_image(np.zeros((8, 8, 3), np.uint8), tmp_path / "p.png")
    sections = [Section("A < B", ["text <b>bold</b>"], tmp_path / "p.png", [["", "x<y"], ["row", "1"]])]
    write_page("T & t", sections, tmp_path / "page.html")

    class Reader(HTMLParser):
        open_tags: list[str] = []  # noqa: RUF012
        sources: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "img"):
                self.open_tags.append(tag)
            self.sources += [value for name, value in attrs if name in ("src", "href")]

        def handle_endtag(self, tag):
            assert self.open_tags.pop() == tag

    reader = Reader()
    text = (tmp_path / "page.html").read_text()
    reader.feed(text)
    assert not reader.open_tags
    assert len(reader.sources) == 1
    assert reader.sources[0].startswith("data:image/png;base64,")
    assert "A &lt; B" in text
    assert "x&lt;y" in text
    assert "<b>bold</b>" in text
