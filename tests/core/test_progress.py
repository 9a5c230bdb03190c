"""Progress where there is no terminal, by a clock that is set."""

from __future__ import annotations

import io

import pytest

from logpose.core.progress import ProgressLines, duration, on_terminal, track


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_first_line_after_ten_seconds_then_every_thirty(clock: Clock) -> None:
    stream = io.StringIO()
    lines = ProgressLines(stream, clock)
    written = []
    for second in range(0, 100, 4):
        clock.now = 100 + second
        if lines.write(lambda second=second: f"at {second}"):
            written.append(second)
    assert written == [12, 44, 76]
    assert stream.getvalue() == "at 12\nat 44\nat 76\n"


def test_a_line_that_is_not_due_is_not_made(clock: Clock) -> None:
    def fail() -> str:
        raise AssertionError

    assert not ProgressLines(io.StringIO(), clock).write(fail)


def test_items_pass_with_rate_and_time_left(clock: Clock) -> None:
    stream = io.StringIO()
    seen = []
    for item in track(range(40), "evaluating", unit="batches", lines=ProgressLines(stream, clock)):
        seen.append(item)
        clock.now += 2
    assert seen == list(range(40))
    assert stream.getvalue().splitlines() == [
        "evaluating: 5/40 batches, 0.5/s, 70 s left",
        "evaluating: 20/40 batches, 0.5/s, 40 s left",
        "evaluating: 35/40 batches, 0.5/s, 10 s left",
    ]


def test_of_items_that_cannot_be_counted_no_time_is_left(clock: Clock) -> None:
    stream = io.StringIO()
    for _ in track(iter(range(3)), "predicting", lines=ProgressLines(stream, clock)):
        clock.now += 10
    assert stream.getvalue().splitlines() == ["predicting: 1, 0.1/s"]
    stream.seek(0)
    for _ in track(iter(range(3)), "predicting", 3, lines=ProgressLines(stream, clock)):
        clock.now += 10
    assert "1/3" in stream.getvalue()


def test_short_work_without_a_terminal_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert not on_terminal()
    assert list(track([1, 2], "evaluating")) == [1, 2]
    assert capsys.readouterr().err == ""


def test_a_bar_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert on_terminal()
    assert list(track([1, 2], "evaluating")) == [1, 2]
    out, err = capsys.readouterr()
    assert "evaluating" in err
    assert out == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (99, "99 s"), (100, "2 min"), (5940, "99 min"), (11100, "3 h 05 min"), (187200, "2 d 4 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
