"""What labels are read into needs no torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from logpose.core.samples import LabelledSet, People, Sample
from logpose.data.synthetic import SyntheticPeople

CHECK = """
import sys
import logpose.core.calibration, logpose.core.samples, logpose.data.files, logpose.metrics.oks, logpose.report.page
assert "torch" not in sys.modules
"""


def test_labels_are_read_and_figures_computed_without_torch():
    subprocess.run([sys.executable, "-c", CHECK], check=True)


def test_a_sample_is_annotated_unless_a_detector_found_it():
    sample = Sample(np.zeros((4, 4, 3), np.uint8), np.ones(4), np.zeros((2, 2)), np.zeros(2, np.int64), 1.0, 3, 7)
    assert (sample.score, sample.category_id) == (1.0, 1)


def test_data_sets_are_known_by_what_they_offer():
    people = SyntheticPeople(2, seed=0)
    assert isinstance(people, People)
    assert isinstance(people, LabelledSet)
    assert not isinstance([1, 2], People)
