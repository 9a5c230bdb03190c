"""The text of `logpose inspect`, of any task."""

from __future__ import annotations

from dataclasses import dataclass

from logpose.report.inspection import LISTED, inspection_text, summary


@dataclass
class Wrong:
    kind: str
    row: int

    def __str__(self) -> str:
        return f"row {self.row}: {self.kind}"


def test_wrong_rows_are_counted_by_kind_and_the_first_listed():
    found = summary([Wrong("late", row) for row in range(30)] + [Wrong("early", 30)])
    assert found["by kind"] == {"late": 30, "early": 1}
    assert found["first"] == [f"row {row}: late" for row in range(LISTED)]


def test_the_text_has_the_tasks_lines_in_their_places():
    facts = {
        "counts": {"signals": 3}, "problems": summary([Wrong("late", 7)]), "hints": ["few"], "contact_sheet": "s.png",
    }  # fmt: skip
    text = inspection_text({"a.npz": facts}, lambda facts: ([f"  own {len(facts)}"], ["  end"]))
    assert text.splitlines() == [
        "a.npz",
        "  3 signals",
        "  own 4",
        "  wrong rows, which training leaves out: 1",
        "    1 × late",
        "    row 7: late",
        "  worth a look: few",
        "  contact sheet: s.png",
        "  end",
    ]
    facts["problems"] = summary([])
    assert "leaves out: none" in inspection_text({"a": facts}, lambda _: ([], []))
