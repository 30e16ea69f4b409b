"""What `compress check` found: for a terminal, as JUnit XML and as Markdown."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as xml

from compress.errors import GoalMissed
from compress.text import markdown, plain, printable

if TYPE_CHECKING:
    from rich.console import Group

HEADINGS = ("artifact", "limit", "before", "now", "worse by", "bound", "")

BUSY = "timed on a busy machine: measure again on an idle one"
STATES = {True: "met", False: "REGRESSION", None: "not compared"}


def table(checked: "CheckResult") -> "Group":
    """One line a limit."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for index, heading in enumerate(HEADINGS):
        shown.add_column(heading, justify="right" if 1 < index < len(HEADINGS) - 1 else "left", overflow="fold")
    for verdict in checked.verdicts:
        shown.add_row(*map(Text, map(printable, _cells(verdict))), style="bold red" if verdict.met is False else "")
    return Group(shown, Text(printable(summary(checked))))


def summary(checked: "CheckResult") -> str:
    """One line: how many of how many, against what."""
    judged = [verdict for verdict in checked.verdicts if verdict.met is not None]
    count = len(checked.regressions)
    what = "no regression" if not count else f"{count} regression{'s' if count > 1 else ''}"
    return f"{what} in {len(judged)} checks of {checked.bundle} against {checked.against}"


def markdown_summary(checked: "CheckResult") -> str:
    """Markdown for a pull request: a heading, and a table with one line per limit."""
    lines = [HEADINGS, ("---", "---", "---:", "---:", "---:", "---:", "---"), *map(_cells, checked.verdicts)]
    body = "\n".join("| " + " | ".join(markdown(cell) for cell in line) + " |" for line in lines)
    return f"### {markdown(summary(checked))}\n\n{body}\n"


def junit_xml(checked: "CheckResult") -> str:
    """One test case a limit; a regression is a failure, what has nothing to be compared with is skipped."""
    skipped = sum(verdict.met is None for verdict in checked.verdicts)
    counts = {"tests": len(checked.verdicts), "failures": len(checked.regressions), "errors": 0, "skipped": skipped}
    attributes = {"name": "compress check", **{name: str(count) for name, count in counts.items()}}
    root = xml.Element("testsuites", attributes)
    suite = xml.SubElement(root, "testsuite", attributes)
    for verdict in checked.verdicts:
        case = xml.SubElement(
            suite, "testcase", {"classname": printable(verdict.artifact), "name": printable(verdict.name), "time": "0"}
        )
        if verdict.met is None:
            xml.SubElement(case, "skipped", {"message": printable(verdict.reason or "")})
        elif not verdict.met:
            xml.SubElement(case, "failure", {"type": "regression", "message": _message(verdict)})
    xml.indent(root)
    return xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _message(verdict: "Verdict") -> str:
    if verdict.value is None:
        return verdict.reason or ""
    before, now = ("-" if value is None else plain(value, 7) for value in (verdict.before, verdict.now))
    remark = f"; {verdict.reason}" if verdict.reason else ""
    return f"{verdict.value:.6g}, at most {verdict.bound:g} is allowed: {before} before, {now} now{remark}"


def _cells(verdict: "Verdict") -> tuple[str, ...]:
    values = (verdict.before, verdict.now, verdict.value)
    figures = ("-" if value is None else plain(value, 6) for value in values)
    return (verdict.artifact, verdict.name, *figures, f"{verdict.bound:g}", _state(verdict))


def _state(verdict: "Verdict") -> str:
    state = STATES[verdict.met]
    return f"{state} (busy machine)" if verdict.reason == BUSY else state


@dataclass(frozen=True)
class Verdict:
    """One limit on one row: ``met`` is None where there is nothing to hold it against.

    ``reason``: why, or what makes the comparison doubtful.
    """

    artifact: str
    target: str | None
    dataset: str | None
    limit: str
    bound: float
    value: float | None
    before: float | None
    now: float | None
    against: str | None
    interval: dict[str, Any] | None
    met: bool | None
    reason: str | None = None

    @property
    def name(self) -> str:
        """Limit, target and data set."""
        return " · ".join(text for text in (self.limit, self.target, self.dataset) if text)


@dataclass(frozen=True)
class CheckResult:
    """What ``compress check`` found."""

    bundle: str
    against: str
    verdicts: list[Verdict]

    @property
    def regressions(self) -> list[Verdict]:
        """Limits that were passed."""
        return [verdict for verdict in self.verdicts if verdict.met is False]

    @property
    def exit_code(self) -> int:
        return GoalMissed.exit_code if self.regressions else 0

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        checks = [asdict(verdict) for verdict in self.verdicts]
        return {"bundle": self.bundle, "against": self.against, "passed": not self.regressions, "checks": checks}

    def table(self) -> "Group":
        """The result for a terminal."""

        return table(self)

    def write(self, junit: Path | None, markdown: Path | None) -> None:
        """The reports that are asked for. Raises InputError where one cannot be written."""
        from compress.files import write_text

        if junit is not None:
            write_text(junit, junit_xml(self))
        if markdown is not None:
            write_text(markdown, markdown_summary(self))
