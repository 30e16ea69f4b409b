"""Progress in lines, on a terminal, and silent."""

import io
import re
from contextlib import suppress
from typing import Any

import pytest

from compress import progress
from compress.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[str]:
    return [re.sub(r"\d+\.\d s", "_ s", line) for line in stream.getvalue().splitlines()]


def test_a_stage_tells_start_tenths_and_end() -> None:
    stream = io.StringIO()
    with Progress(stream=stream).stage("calibrate", 40) as stage:
        for _ in range(40):
            stage.advance()
    tenths = [f"calibrate: {n} of 40" for n in range(4, 40, 4)]
    assert lines(stream) == ["calibrate ...", *tenths, "calibrate: done in _ s"]


def test_a_stage_of_unknown_length_tells_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    stream = io.StringIO()
    with Progress(stream=stream).stage("train") as stage:
        for step in range(12):
            now += 2.5
            stage.note(f"loss {step}")
            stage.advance()
    messages = ["train: 3 (loss 3)", "train: 7 (loss 7)", "train: 11 (loss 11)"]
    assert lines(stream) == ["train ...", *messages, "train: done in _ s (loss 11)"]


def test_a_long_stage_tells_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    stream = io.StringIO()
    with Progress(stream=stream).stage("restore", 4) as stage:
        for _ in range(4):
            now += 300
            stage.advance()
    messages = ["restore: 1 of 4, about 15 minutes left", "restore: 2 of 4, about 10 minutes left"]
    assert lines(stream)[1:4] == [*messages, "restore: 3 of 4, about 5 minutes left"]


def test_a_line_is_not_repeated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    stream = io.StringIO()
    with Progress(stream=stream).stage("measure", 4, even=False) as stage:
        stage.advance(2)
        for _ in range(13):
            now += 10
            stage.note("timed runs")
    assert lines(stream)[1:-1] == ["measure: 2 of 4", *["measure: 2 of 4 (timed runs)"] * 3]


def told_left(monkeypatch: pytest.MonkeyPatch, seconds: list[float], **kind: Any) -> list[int]:
    """Minutes left that a stage tells whose parts take ``seconds``, with a look at it halfway through each."""
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    stream = io.StringIO()
    with Progress(stream=stream).stage("measure", len(seconds), **kind) as stage:
        for part in seconds:
            now += part / 2
            stage.note("at work")
            now += part / 2
            stage.advance()
    return [int(minutes) for minutes in re.findall(r"about (\d+) minutes left", stream.getvalue())]


def test_the_time_left_falls_while_a_part_is_at_work_and_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a part that had not ended was counted, but not the part: the rest grew with every look."""
    left = told_left(monkeypatch, [300, 350, 280, 330, 310, 320, 300, 290])
    assert len(left) > 8 and left == sorted(left, reverse=True)
    slower = told_left(monkeypatch, [200, 200, 900, 900, 900])
    assert max(slower) > slower[0], "work that got slower takes longer"


def test_uneven_parts_tell_no_time_left_unless_their_effort_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told_left(monkeypatch, [200, 300, 4000], even=False) == []
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    stream = io.StringIO()
    with Progress(stream=stream).stage("profile", 3, effort=21) as stage:
        for effort in (1, 4, 16):
            now += 60 * effort
            stage.advance(effort=effort)
    assert lines(stream)[1:3] == ["profile: 1 of 3, about 20 minutes left", "profile: 2 of 3, about 16 minutes left"]


def test_what_was_done_before_tells_nothing_of_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    stream = io.StringIO()
    with Progress(stream=stream).stage("layers", 100) as stage:
        stage.advance(90, worked=False)
        now += 120
        stage.advance()
    assert lines(stream)[1:3] == ["layers: 90 of 100", "layers: 91 of 100, about 18 minutes left"]


def test_a_stage_that_fails_says_so() -> None:
    stream = io.StringIO()
    with suppress(ValueError), Progress(stream=stream).stage("export"):
        raise ValueError
    assert lines(stream) == ["export ...", "export: stopped after _ s"]


def test_stages_nest() -> None:
    stream = io.StringIO()
    shown = Progress(stream=stream)
    with shown.stage("outer"):
        shown.say("reused: encoder")
        with shown.stage("inner"):
            pass
    assert lines(stream) == ["outer ...", "reused: encoder", "inner ...", "inner: done in _ s", "outer: done in _ s"]


def test_a_terminal_gets_bars_and_the_closing_lines() -> None:
    stream = Terminal()
    shown = Progress(stream=stream)
    assert shown.mode == "bars"
    with shown.stage("outer [1]", 2) as outer, shown.stage("inner", 3) as inner:
        outer.note("[bold]")
        inner.advance(3)
    text = stream.getvalue()
    assert "outer [1]: done in" in text
    assert "inner: done in" in text
    assert "0/3" in text
    assert "([bold])" in text


def test_silent_is_silent() -> None:
    stream = io.StringIO()
    with Progress("silent", stream).stage("x", 2) as stage:
        stage.advance(2)
    assert stream.getvalue() == ""


def test_the_time_of_outer_stages_is_kept() -> None:
    progress = Progress("silent")
    with progress.stage("outer"), progress.stage("inner"):
        pass
    with progress.stage("next"):
        pass
    assert [name for name, seconds in progress.times if seconds >= 0] == ["outer", "next"]
