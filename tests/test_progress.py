"""Progress in lines, on a terminal, and silent."""

import io
import re
from contextlib import suppress

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
