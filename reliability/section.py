"""What a section of the harness hands back: how many cases it tried, and every one that went wrong."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from reliability.process import OUTSIDE, Ended


@dataclass
class Section:
    """A part of the table. ``codes``: exit codes by kind of case. ``faults``: one line a failing case, with what is
    needed to run it again."""

    name: str
    cases: Counter[str] = field(default_factory=Counter)
    codes: dict[str, Counter[int]] = field(default_factory=dict)
    faults: list[dict[str, str]] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, kind: str, problems: Collection[str], case: str) -> None:
        """Count one case of ``kind``; ``case`` says how to repeat it."""
        self.cases[kind] += 1
        for problem in problems:
            self.faults.append({"kind": kind, "problem": problem, "case": case})
            print(f"{self.name}, {kind}: {problem} ({case})", flush=True)

    def ended(self, kind: str, ended: Ended) -> None:
        """Count an exit code."""
        self.codes.setdefault(kind, Counter())[ended.code] += 1

    def to_json(self) -> dict[str, Any]:
        return {
            "section": self.name,
            "cases": dict(self.cases),
            "codes": {kind: dict(sorted(found.items())) for kind, found in self.codes.items()},
            "faults": self.faults,
            "figures": self.figures,
            "seconds": round(self.seconds, 1),
        }


def problems(ended: Ended, codes: Collection[int], results: bool = True) -> list[str]:
    """What is wrong with how a command ended: a hang, a crash, a traceback, a code that is not among ``codes``, ...

    ``results``: a command that fails may print nothing to stdout.
    """
    if ended.hung:
        return [f"hang: not ended after {ended.seconds:.0f} s"]
    if ended.code < 0:
        return [f"killed by signal {-ended.code}"]
    if ended.code == OUTSIDE:
        return [next((line for line in ended.err.splitlines() if line.startswith("WATCH")), "wrote outside")[:300]]
    found = []
    last = next(reversed(ended.err.strip().splitlines()), "")
    if "Traceback" in ended.err:
        found.append(f"traceback: {last[:200]}")
    if ended.code not in codes:
        found.append(f"exit {ended.code}: {last[:300]}")
    if ended.code not in (0, 3) and not last:
        found.append(f"exit {ended.code} without a word")
    if ended.code not in (0, 3) and results and ended.out.strip():
        found.append(f"exit {ended.code} with results on stdout: {ended.out.strip()[:80]}")
    return found
