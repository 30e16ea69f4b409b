"""What a section of the harness hands back: how many cases it tried, and every one that went wrong."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.reliability.process import OUTSIDE, SENDER, CaseEnd


@dataclass
class Section:
    """A part of the harness. Every case becomes a line of ``journal``, so that a run that is stopped counts too."""

    name: str
    journal: Path | None = None
    cases: int = 0
    faults: int = 0
    figures: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, problems: Collection[str], case: str, ended: CaseEnd | None = None) -> None:
        """Count one case of ``kind``; ``case`` says how to repeat it, ``ended`` how the disturbed command ended."""
        self.cases += 1
        self.faults += bool(problems)
        for problem in problems:
            print(f"{self.name}, {kind}: {problem} ({case})", flush=True)
        code = ended.code if ended else None
        self._write({"kind": kind, "problems": list(problems), "case": case, "code": code})

    def tell(self, name: str, value: Any) -> None:
        """A figure that was measured."""
        self.figures[name] = value
        self._write({"figure": name, "value": value})

    def _write(self, entry: dict[str, Any]) -> None:
        if self.journal is not None:
            with self.journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"section": self.name, **entry}) + "\n")


def problems(ended: CaseEnd, codes: Collection[int], results: bool = True) -> list[str]:
    """What is wrong with how a command ended: a hang, a crash, a traceback, a code that is not among ``codes``, ...

    ``results``: a command that fails may print nothing to stdout.
    """
    if ended.hung:
        return [f"hang: not ended after {ended.seconds:.0f} s"]
    if ended.code < 0:
        return [f"killed by signal {-ended.code}"]
    if ended.code == OUTSIDE:
        return [next((line for line in ended.err.splitlines() if line.startswith("WATCH")), "wrote outside")[:300]]
    result = [line[:300] for line in ended.err.splitlines() if line.startswith(SENDER)]
    last = next(reversed(ended.err.strip().splitlines()), "")
    if "Traceback" in ended.err:
        result.append(f"traceback: {last[:200]}")
    if ended.code not in codes:
        result.append(f"exit {ended.code}: {last[:300]}")
    if ended.code not in (0, 3) and not last:
        result.append(f"exit {ended.code} without a word")
    if ended.code not in (0, 3) and results and ended.out.strip():
        result.append(f"exit {ended.code} with results on stdout: {ended.out.strip()[:80]}")
    return result
