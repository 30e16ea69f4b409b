"""Journals of runs, and the list of what was found, as the tables of docs/reliability_figures.md."""

import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- written by python -m tests.reliability --table -->", "<!-- end -->"
FINDINGS = Path(__file__).with_name("findings.toml")


def write_table(page: Path, journals: Sequence[Path]) -> None:
    """Replace what stands between the marks in ``page``. Raises ValueError where it has no marks."""
    text = page.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: has no marks {BEGIN} and {END}: add them where the table belongs")
    entries = [json.loads(line) for path in journals for line in path.read_text(encoding="utf-8").splitlines()]
    findings = tomllib.loads(FINDINGS.read_text(encoding="utf-8"))["finding"]
    page.write_text(f"{head}{BEGIN}\n\n{tables(entries, findings)}\n{END}{tail}", encoding="utf-8")


def tables(entries: Sequence[dict[str, Any]], findings: Sequence[dict[str, str]]) -> str:
    """Sections; kinds of cases; figures; what was found."""
    cases = [entry for entry in entries if "kind" in entry]
    figures = {f"{e['section']}: {e['figure']}": e["value"] for e in entries if "figure" in e}
    parts = [_sections(cases, findings), _kinds(cases), _rows(("figure", "value"), figures.items())]
    faults = [(f["section"], f["what"], f["fixed"] or "left", f["test"]) for f in findings]
    return "\n".join([*parts, _rows(("section", "what was found", "what was done", "test"), faults)])


def _sections(cases: Sequence[dict[str, Any]], findings: Sequence[dict[str, str]]) -> str:
    names = dict.fromkeys([*(c["section"] for c in cases), *(f["section"] for f in findings)])
    rows = []
    for name in names:
        own = [case for case in cases if case["section"] == name]
        faults = [finding for finding in findings if finding["section"] == name]
        fixed = sum(bool(finding["fixed"]) for finding in faults)
        failing = sum(bool(case["problems"]) for case in own)
        rows.append((name, len(own), failing, len(faults), fixed, len(faults) - fixed))
    columns = ("section", "cases tried", "failing now", "failures found", "fixed", "left")
    return _rows(columns, rows)


def _kinds(cases: Sequence[dict[str, Any]]) -> str:
    kinds = dict.fromkeys((case["section"], case["kind"]) for case in cases)
    rows = []
    for section, kind in kinds:
        own = [case for case in cases if (case["section"], case["kind"]) == (section, kind)]
        codes = Counter(case["code"] for case in own if case["code"] is not None)
        message = ", ".join(f"{code}: {n}" for code, n in sorted(codes.items()))
        rows.append((section, kind, len(own), sum(bool(case["problems"]) for case in own), message))
    return _rows(("section", "kind of case", "cases", "failing", "exit codes"), rows)


def _rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines) + "\n"
