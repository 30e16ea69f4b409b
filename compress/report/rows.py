"""``results.json`` joined into one row an artifact."""

from dataclasses import dataclass

from compress.report.text import goal_state
from compress.results.artifact import ArtifactEntry
from compress.results.document import Results
from compress.results.goal import Goal
from compress.results.performance import Latency, Performance, Speedup
from compress.results.quality import Quality


@dataclass(frozen=True)
class Row:
    """One artifact with its quality on one data set, its speed on one target, and its goals."""

    artifact: ArtifactEntry
    quality: Quality | None
    performance: Performance | None
    goals: tuple[Goal, ...]

    @property
    def id(self) -> str:
        return self.artifact.id

    @property
    def is_reference(self) -> bool:
        """The fp32 artifact, which the others of its format are held against."""
        return self.artifact.precision == "fp32"

    @property
    def p50_ms(self) -> float | None:
        return latency(self.performance).p50

    @property
    def verdict(self) -> str:
        """``met``, ``1 missed`` and so on, or nothing where no goal is set for the artifact."""
        missed = sum(goal_state(goal) != "met" for goal in self.goals)
        return "" if not self.goals else f"{missed} missed" if missed else "met"


def latency(timed: Performance | None) -> Latency:
    """The latencies of an entry; of one without, all are None."""
    return (timed and timed.latency_ms) or Latency()


def against_fp32(timed: Performance | None) -> Speedup | None:
    """The speedup over the fp32 artifact."""
    return timed.speedup_vs.fp32 if timed and timed.speedup_vs else None


def against_best_float(timed: Performance | None) -> Speedup | None:
    """The speedup over the fastest float artifact."""
    return timed.speedup_vs.best_float if timed and timed.speedup_vs else None


def datasets(results: Results) -> list[str]:
    """Names of the data sets, in the order of the results."""
    return list(dict.fromkeys(row.dataset for row in results.quality))


def targets(results: Results) -> list[str]:
    """Names of the targets, in the order of the results."""
    return list(dict.fromkeys(row.target for row in results.performance if row.target is not None))


def precisions(results: Results) -> dict[str, str]:
    """Artifact id -> precision."""
    return {artifact.id: artifact.precision for artifact in results.artifacts}


def rows(results: Results, dataset: str | None = None) -> list[Row]:
    """One row an artifact: quality on ``dataset`` (none: the first), speed on its first target that measured it."""
    name = dataset or next(iter(datasets(results)), None)
    return [_row(results, artifact, name) for artifact in results.artifacts]


def _row(results: Results, artifact: ArtifactEntry, dataset: str | None) -> Row:
    judged = (row for row in results.quality if row.artifact == artifact.id and row.dataset == dataset)
    timed = [row for row in results.performance if row.artifact == artifact.id]
    performance = next((row for row in timed if latency(row).p50 is not None), next(iter(timed), None))
    goals = tuple(goal for goal in results.goals if goal.artifact == artifact.id)
    return Row(artifact, next(judged, None), performance, goals)
