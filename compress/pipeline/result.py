"""What ``apply`` gives back: a bundle, its results, and the exit code they mean."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import GoalMissed, Unavailable
from compress.results.document import Results
from compress.results.parity import Parity

if TYPE_CHECKING:
    from rich.console import Group

LONGEST = 10
"""Stages named at the end of a run: so many, none that rounds to 0 s."""


@dataclass(frozen=True)
class ApplyResult:
    """A bundle and its results; ``reused`` if nothing had to be done.

    ``exit_code`` 3: a goal was missed; 4: a target was not available, and no goal was missed for another reason.
    """

    folder: Path
    document: Results
    reused: bool

    def __repr__(self) -> str:
        return f"<ApplyResult {self.folder}, exit code {self.exit_code}: {self.document.summary}>"

    @cached_property
    def results(self) -> dict[str, Any]:
        """``results.json``, as plain data."""
        return self.document.to_json()

    @property
    def exit_code(self) -> int:
        absent = bool(self.unavailable)
        missed = [g for g in self.document.goals if not g.met and not (absent and g.value is None)]
        if missed or self._wrong:
            return GoalMissed.exit_code
        return Unavailable.exit_code if absent else 0

    @property
    def _wrong(self) -> list[Parity]:
        return [p for p in self.document.parity if p.met is False]

    @property
    def unavailable(self) -> list[str]:
        """One line for each target that was not available: why, and what to do."""
        return self.document.unavailable

    @property
    def missed(self) -> list[str]:
        """Names of the goals that were measured and missed, each once."""
        return list(dict.fromkeys(g.goal for g in self.document.goals if not g.met and g.value is not None))

    @property
    def unmeasured(self) -> list[str]:
        """Names of the goals that no target measured, though none was left out."""
        return [] if self.unavailable else [g.goal for g in self.document.goals if not g.met and g.value is None]

    def to_json(self) -> dict[str, Any]:
        """``results.json`` with the bundle's folder and whether it was reused."""
        return {"bundle": str(self.folder), "reused": self.reused, **self.results}

    def table(self) -> "Group":
        """What the terminal shows at the end: results, missed goals, and the paths of what was written."""
        from rich.console import Group
        from rich.text import Text

        from compress.report import goals_table, results_table

        goals = self.document.goals
        missed = [g for g in goals if not g.met]
        lines = [f"goals: {len(goals) - len(missed)} of {len(goals)} met" if goals else "goals: none set"]
        lines += [_parity_missed(p) for p in self._wrong]
        where = "unchanged, reused" if self.reused else f"{self.document.seconds:.0f} s"
        lines += [f"bundle: {self.folder} ({where}); open {self.folder / 'report.html'}"]
        shown = [goals_table(missed)] if missed else []
        times = [] if self.reused else [Text(line) for line in self._where_the_time_went()]
        return Group(results_table(self.document), *shown, *times, Text("\n".join(lines)))

    def _where_the_time_went(self) -> list[str]:
        """The longest stages of the run, in seconds, in one line; none for a bundle of an older version."""
        stages = sorted(self.document.seconds_by_stage, key=lambda stage: -stage.seconds)[:LONGEST]
        rest = (self.document.seconds or 0.0) - sum(stage.seconds for stage in stages)
        longest = [f"{stage.stage} {stage.seconds:.0f} s" for stage in stages if round(stage.seconds)]
        return [f"where the time went: {', '.join(longest)}; all else {max(0.0, rest):.0f} s"] if longest else []


def _parity_missed(parity: Parity) -> str:
    """A float file against torch; an int8 one by how close to fp32 it is, beside its simulation in torch."""
    who, goal, simulated = f"parity MISSED: {parity.artifact}", parity.goal or 0.0, parity.fidelity_simulated_db
    if simulated is None:
        return f"{who} against {parity.against}: {parity.psnr_db:.2f} dB, bound {goal:.2f}"
    return (
        f"{who}: {parity.fidelity_artifact_db:.2f} dB to fp32, its simulation in torch {simulated:.2f} dB: the gap may "
        f"be {goal:g} dB"
    )
