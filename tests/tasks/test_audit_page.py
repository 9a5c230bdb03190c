"""Text and page of an audit."""

from __future__ import annotations

import cv2
import numpy as np
from tests.tasks.test_audit import drawn

from logpose.metrics.reliability import RegionsOfScores
from logpose.tasks.audit import Audit, matched_people
from logpose.tasks.audit_page import audit_text, meaning_of, write_audit_page


def test_every_figure_has_a_meaning():
    found, people = drawn(300)
    found.radii = [{"0.9": np.ones((2, 2))}] * 300
    audit = Audit(matched_people(found, people), noise=np.ones(2))
    lines = list(audit_text(audit))
    assert len(lines) == len(audit.figures())
    assert all(meaning_of(name) for name in audit.figures())
    assert any("regions that the program gives" in line for line in lines)


def test_the_page_has_plots_and_the_worst_images_that_are_there(tmp_path):
    found, people = drawn(300)
    audit = Audit(matched_people(found, people))
    assert isinstance(audit.regions, RegionsOfScores)
    cv2.imwrite(str(tmp_path / "there.png"), np.full((120, 90, 3), 200, np.uint8))
    images = {image: str(tmp_path / ("there.png" if image % 2 else "gone.png")) for image in range(300)}
    write_audit_page(tmp_path / "page.html", "a<b.json", "labels.json", audit, images)
    page = (tmp_path / "page.html").read_text()
    assert "a&lt;b.json" in page
    assert page.count("data:image/png") == 2
    assert page.count("data:image/jpeg") == 1
    assert "gone.png" in page
    write_audit_page(tmp_path / "page.html", "a.json", "labels.json", audit, dict.fromkeys(range(300), "gone.png"))
    assert "data:image/jpeg" not in (tmp_path / "page.html").read_text()
