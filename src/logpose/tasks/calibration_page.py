"""The page and the text of a calibration: coverage and size of regions before and after."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Bool

from logpose.core.calibration import PLURAL, Calibration
from logpose.report.page import Section, plot_parts, write_page
from logpose.tasks.calibrate import Measured

__all__ = ["calibration_text", "write_calibration_page"]

WHEN = ("before", "after")
HELD_OUT = (
    "Both columns are of labels that no calibration used: each fifth of the {several} is measured by the calibration "
    "on the others. The checkpoint has the one on all {groups} {several}. Coverage is a mean in which each {group} "
    "counts once."
)
GUARANTEE = (
    "A region of level 90 % holds a label drawn at random from a new {group} with a probability of at least 90 %, on "
    "average over calibration sets, if that {group} is as those here: same cameras, kind of people and labels. It does "
    "not say so of every person, of every size, or of people unlike these; the table shows the parts."
)


def _cells(measured: Measured, part: Bool[np.ndarray, "N J"]) -> list[str]:
    """Coverage of each level in a part of the labels, before and after."""
    each = [measured.coverage(when, part) for when in WHEN]
    return [f"{each[i][level]:.3f}" for level in range(len(measured.levels)) for i in (0, 1)]


def _by_level(measured: Measured) -> Iterator[tuple[float, ...]]:
    """Each level, coverage before and after, and median radius before and after."""
    columns = (of(when) for of in (measured.coverage, measured.size) for when in WHEN)
    return zip(measured.levels, *columns, strict=True)


def calibration_text(measured: Measured) -> Iterator[str]:
    """A line for each level, and one about the likelihood."""
    unit = measured.errors.unit
    yield f"{'level':8}{'coverage before':>17}{'after':>9}{f'median radius before, {unit}':>28}{'after':>9}"
    for level, *values in _by_level(measured):
        yield "{:<8g}{:17.3f}{:9.3f}{:28.2f}{:9.2f}".format(level, *values)
    if measured.nll_change == measured.nll_change:
        yield f"NLL {measured.nll_change:+.4f} nats a label"
    figures = measured.figures()
    if "visible_ece after" in figures:
        before, after = (figures[f"visible_ece {when}"] for when in WHEN)
        yield f"expected calibration error of being visible: {before:.3f} before, {after:.3f} after"


def write_calibration_page(
    path: str | Path,
    checkpoint: str | Path,
    data: str | Path,
    measured: Measured,
    calibration: Calibration,
    joints: Sequence[str],
) -> None:
    """Write the page of a calibration, whole or not at all.

    Args:
        path: HTML file to write.
        checkpoint: of the model.
        data: what it was calibrated on.
        measured: what the calibration changes.
        calibration: the one that the checkpoint has.
        joints: names of the joints, or boundaries.
    """
    facts = {"group": calibration.group, "groups": calibration.groups, "several": PLURAL[calibration.group]}
    of = f"<code>{html.escape(str(checkpoint))}</code>, calibrated on <code>{html.escape(str(data))}</code>."
    head = ["", *(f"{level:g} {when}" for level in measured.levels for when in WHEN)]
    parts = measured.parts(joints)
    rows = [["level", "coverage before", "after", f"median radius before, {measured.errors.unit}", "after"]]
    rows += ["{:g} {:.3f} {:.3f} {:.2f} {:.2f}".format(*values).split() for values in _by_level(measured)]
    cells = [[name, *_cells(measured, labels)] for name, labels in parts.items()]
    factors = [["", "factor of the standard deviation"]]
    factors += [[name, f"{factor:.3f}"] for name, factor in zip(joints, calibration.factor, strict=True)]
    with TemporaryDirectory() as temporary:
        plot = Path(temporary) / "coverage.png"
        shares = {when: np.stack([measured.coverage(when, parts[joint]) for joint in joints]) for when in WHEN}
        plot_parts(measured.levels, shares, joints, plot)
        sections = [
            Section("Before and after", [of, HELD_OUT.format(**facts), GUARANTEE.format(**facts)], table=rows),
            Section("Coverage by part", [], plot, [head, *cells]),
            Section("Standard deviations", [], table=factors),
        ]
        write_page("logpose calibrate", sections, path)
