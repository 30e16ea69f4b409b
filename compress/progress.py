"""Progress of long work, on stderr: a bar on a terminal, plain lines without timestamps elsewhere."""

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, TextIO

from compress.text import duration, printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

SHOW_CURSOR = "\x1b[?25h\n"
EVERY_S = 10.0
SAME_EVERY_S = 60.0
"""A line that says what the one before it said is printed as seldom."""
EVERY_SHARE = 0.1
WORTH_SAYING_S = 30.0
RISE = 1.25
"""A forecast of the time left rises only where the newest estimate is so many times as long: work got slower."""


def say_last(line: str) -> None:
    """The last words of a process that is being ended: on stderr, below whatever a bar left there, with the cursor that
    it hid. Nothing else is used, for another thread may hold any lock.
    """
    shown = SHOW_CURSOR if os.isatty(2) else ""
    with suppress(OSError):
        os.write(2, f"{shown}{printable(line)}\n".encode(errors="backslashreplace"))


class Stage:
    """One stage at work; ``advance`` and ``note`` are cheap enough for every step."""

    def __init__(self, owner: "Progress", name: str, total: int | None, effort: float | None) -> None:
        self.name, self.total, self.done, self.text = name, total, 0, ""
        self._owner = owner
        self.started = self._told = time.monotonic()
        self._told_at, self._line = 0, ""
        self._worked, self._rest = 0.0, effort
        self._end: float | None = None
        self._task = owner._add(self)

    def advance(self, n: int = 1, *, effort: float | None = None, worked: bool = True) -> None:
        """``n`` more of ``total`` are done, by so much of the stage's ``effort``, by default as much as for any others.

        Not ``worked``: they were done before, and tell nothing of how long the rest will take.
        """
        self.done += n
        if self._rest is not None:
            spent = n if effort is None else effort
            self._rest -= spent
            self._worked += spent if worked else 0
            self._forecast(self._rest)
        self._show(advance=n)

    def note(self, text: str) -> None:
        """What stands beside the progress from now on, for instance the loss."""
        self.text = text
        self._show(note=text)

    def _show(self, **change: Any) -> None:
        if self._task is not None:
            self._owner._update(self._task, **change)
        elif self._due():
            line = f"{self.name}: {self._far()}"
            if line == self._line and time.monotonic() - self._told < SAME_EVERY_S:
                return
            self._told, self._told_at, self._line = time.monotonic(), self.done, line
            self._owner._line(line)

    def _due(self) -> bool:
        if self.total and self.done >= self.total:
            return False  # the closing line says it
        share = (self.done - self._told_at) / self.total if self.total else 0.0
        return share >= EVERY_SHARE or time.monotonic() - self._told >= EVERY_S

    def _far(self) -> str:
        """How far it is; what nobody counts has its note alone."""
        if not self.total and not self.done:
            return self.text or "at work"
        of = f" of {self.total}" if self.total else ""
        return f"{self.done}{of}{self._left()}{self._beside()}"

    def _forecast(self, rest: float) -> None:
        """Expect an end by the time that the effort until now took. Until the next step, the time left only falls."""
        if not self._worked:
            return
        now = time.monotonic()
        left = (now - self.started) / self._worked * rest
        before = None if self._end is None else self._end - now
        if before is None or not before <= left <= RISE * before:
            self._end = now + left

    def left(self) -> str:
        """About how long the rest takes, where that is long enough to go and do something else."""
        left = 0.0 if self._end is None else self._end - time.monotonic()
        return f"about {duration(left)} left" if left >= WORTH_SAYING_S else ""

    def _left(self) -> str:
        return f", {left}" if (left := self.left()) else ""

    def _beside(self) -> str:
        return f" ({self.text})" if self.text else ""

    def _closing(self, how: str) -> str:
        return f"{self.name}: {how} {time.monotonic() - self.started:.1f} s{self._beside()}"


class Progress:
    """Shows stages, nested ones too. ``mode`` auto: bars when ``stream`` (stderr) is a terminal, else lines."""

    def __init__(self, mode: Literal["auto", "bars", "lines", "silent"] = "auto", stream: TextIO | None = None) -> None:
        self._stream = stream
        if mode == "auto":
            mode = "bars" if self.stream.isatty() else "lines"
        self.mode = mode
        self._bars: Bars | None = None
        self._open = 0
        self._remarks: set[str] = set()
        self.times: list[tuple[str, float]] = []
        """Name and seconds of every stage that has ended, those inside of others left out."""

    @property
    def stream(self) -> TextIO:
        return self._stream or sys.stderr or io.StringIO()  # closed: nobody listens

    @contextmanager
    def stage(
        self, name: str, total: int | None = None, *, effort: float | None = None, even: bool = True
    ) -> Iterator[Stage]:
        """A stage of ``total`` parts (none: not known); its time is printed at the end, or where it stopped.

        ``even``: parts take about as long each, or their ``effort`` tells how long: then those that are done tell how
        long the others will take. ``effort``: the sum over all parts, in any unit.
        """
        self._open += 1
        stage = Stage(self, name, total, (effort or total) if even else None)
        self._line(f"{name} ..." if self.mode == "lines" else "")
        how = "stopped after"
        try:
            yield stage
            how = "done in"
        finally:
            self._open -= 1
            if not self._open:
                self.times.append((name, time.monotonic() - stage.started))
            self._remove(stage._task)
            self._line(stage._closing(how))

    def say(self, text: str) -> None:
        """One line of its own, above the bars."""
        self._line(text)

    def remark(self, text: str) -> None:
        """``say``, unless there is nothing to say, or it was said."""
        if text and text not in self._remarks:
            self._remarks.add(text)
            self.say(text)

    def _line(self, text: str) -> None:
        if not text or self.mode == "silent":
            return
        text = printable(text)
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=self.stream, flush=True)

    # --- bars --------------------------------------------------------------------------------------------------

    def _add(self, stage: Stage) -> Any:
        if self.mode != "bars":
            return None
        if self._bars is None:
            self._bars = _bars(self.stream)
            self._bars.start()
        return self._bars.add_task(printable(stage.name), total=stage.total, note="", stage=stage)

    def _update(self, task: Any, advance: int = 0, note: str | None = None) -> None:
        assert self._bars is not None
        fields: dict[str, Any] = {} if note is None else {"note": printable(note)}
        self._bars.update(task, advance=advance, **fields)

    def _remove(self, task: Any) -> None:
        if self._bars is None:
            return
        self._bars.remove_task(task)
        if not self._open:
            self._bars.stop()
            self._bars = None


def _bars(stream: TextIO) -> "Bars":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import Progress as Bars
    from rich.text import Text

    class TimeLeft(ProgressColumn):
        """The stage's own forecast: rich's follows the last steps alone, up and down."""

        def render(self, task: Any) -> Text:
            return Text(task.fields["stage"].left())

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeLeft(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    return Bars(*columns, console=Console(file=stream), transient=True, redirect_stdout=False, redirect_stderr=False)
