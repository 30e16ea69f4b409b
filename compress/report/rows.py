"""``results.json`` joined into one row an artifact."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compress.report.text import get, goal_state

Results = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One artifact with its quality on one data set, its speed on one target, and its goals."""

    artifact: Mapping[str, Any]
    quality: Mapping[str, Any]
    performance: Mapping[str, Any]
    goals: tuple[Mapping[str, Any], ...]

    @property
    def id(self) -> str:
        return str(self.artifact.get("id"))

    @property
    def is_reference(self) -> bool:
        """The fp32 artifact, which the others of its format are held against."""
        return self.artifact.get("precision") == "fp32"

    @property
    def verdict(self) -> str:
        """``met``, ``1 missed`` and so on, or nothing where no goal is set for the artifact."""
        missed = sum(goal_state(goal) != "met" for goal in self.goals)
        return "" if not self.goals else f"{missed} missed" if missed else "met"


def listed(results: Results, key: str) -> list[Mapping[str, Any]]:
    """The mappings of one list of the results; empty where it is null or absent."""
    return [item for item in results.get(key) or [] if isinstance(item, Mapping)]


def datasets(results: Results) -> list[str]:
    """Names of the data sets, in the order of the results."""
    return list(dict.fromkeys(str(row.get("dataset")) for row in listed(results, "quality")))


def targets(results: Results) -> list[str]:
    """Names of the targets, in the order of the results."""
    return list(dict.fromkeys(str(row.get("target")) for row in listed(results, "performance")))


def precisions(results: Results) -> dict[str, str]:
    """Artifact id -> precision."""
    return {str(item.get("id")): str(item.get("precision")) for item in listed(results, "artifacts")}


def rows(results: Results, dataset: str | None = None) -> list[Row]:
    """One row an artifact: quality on ``dataset`` (none: the first), speed on its first target that measured it."""
    name = dataset or next(iter(datasets(results)), None)
    return [_row(results, artifact, name) for artifact in listed(results, "artifacts")]


def _row(results: Results, artifact: Mapping[str, Any], dataset: str | None) -> Row:
    own = {key: _of(results, key, artifact.get("id")) for key in ("quality", "performance", "goals")}
    quality = next((row for row in own["quality"] if row.get("dataset") == dataset), {})
    timed = (row for row in own["performance"] if get(row, "latency_ms", "p50") is not None)
    performance = next(timed, next(iter(own["performance"]), {}))
    return Row(artifact, quality, performance, tuple(own["goals"]))


def _of(results: Results, key: str, artifact: Any) -> list[Mapping[str, Any]]:
    return [row for row in listed(results, key) if row.get("artifact") == artifact]
