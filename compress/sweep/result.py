"""What a sweep found: every unit, the best by each measure, the frontier of each target."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.files import sha256_text, write_text
from compress.ledger.pareto import frontier
from compress.pipeline.workers import Outcome
from compress.results.artifact import ArtifactEntry
from compress.results.file import dump_json
from compress.results.performance import Performance
from compress.results.quality import Quality
from compress.sweep.record import UnitRecord
from compress.sweep.schema import HIGHER, MEASURES
from compress.sweep.units import Unit

if TYPE_CHECKING:
    from rich.console import Group

FILE = "sweep.json"


@dataclass(frozen=True)
class Row:
    """An artifact of a built point, judged on one data set and, where a target timed it, its latency there."""

    point: str
    artifact: str
    precision: str
    bytes: int
    size_ratio: float | None
    sha256: str
    dataset: str
    psnr_db: float | None
    lpips: float | None
    fidelity_db: float | None
    psnr_drop_db: float | None
    lpips_rise: float | None
    target: str | None
    latency_p50_ms: float | None


@dataclass(frozen=True)
class UnitState:
    """What became of a unit. ``message``: why it failed; ``exit_code``: that of a command that fails so, 0 if done."""

    key: str
    kind: str
    label: str
    status: str
    message: str | None
    seconds: float
    host: str
    exit_code: int


@dataclass(frozen=True)
class Best:
    """The best value by one measure, and whose it is."""

    value: float
    point: str
    artifact: str
    target: str | None


@dataclass(frozen=True)
class SweepResult:
    """A finished sweep. ``sha256``: of all artifacts and figures but times; equal for equal work, however it went."""

    name: str
    folder: Path
    store: str
    seconds: float
    units: list[UnitState]
    rows: list[Row]
    sha256: str

    @property
    def exit_code(self) -> int:
        """0 if any unit was done, since failures are recorded; otherwise the smallest of the units' exit codes."""
        return min((unit.exit_code for unit in self.units), default=0)

    def to_json(self) -> dict[str, Any]:
        """One JSON document; ``frontier`` holds the rows that no other beats in cost and PSNR, a list a target."""
        best_values = {name: asdict(item) for name, item in best(self.rows).items()}
        frontier = {title: [asdict(row) for row in rows] for title, rows in self.frontiers().items()}
        return {**asdict(self), "folder": str(self.folder), "best": best_values, "frontier": frontier}

    def write(self) -> None:
        """Write ``sweep.json`` into the sweep's folder."""
        write_text(self.folder / FILE, dump_json(self.to_json()))

    def frontiers(self) -> dict[str, list[Row]]:
        """Rows that no other beats in cost (median latency; bytes, where nothing was timed) and PSNR, by target."""
        return {_title(target, dataset): front(rows) for (target, dataset), rows in groups(self.rows).items()}

    def table(self) -> "Group":
        """Tables for a terminal: a frontier for each target, what failed, where things are."""
        from rich.console import Group
        from rich.text import Text

        tables = [_table(title, rows, self.rows) for title, rows in self.frontiers().items()]
        failed = [u for u in self.units if u.status == "failed"]
        lines = [f"failed: {u.label}: {u.message}" for u in failed]
        done = len(self.units) - len(failed)
        lines.append(f"{done} of {len(self.units)} units done, {self.seconds:.0f} s; result {self.sha256[:16]}")
        lines.append(f"{self.folder / FILE}; artifacts: {self.store}")
        return Group(*tables, Text("\n".join(lines)))


def _table(title: str, rows: Sequence[Row], everything: Sequence[Row]) -> Any:
    from rich.table import Table
    from rich.text import Text

    of = sum(1 for row in everything if _title(row.target, row.dataset) == title)
    table = Table(title=Text(title), title_justify="left", caption=f"{of - len(rows)} more, beaten")
    figures = ("p50 ms", "MB", "PSNR dB", "fidelity dB")
    for name in (*figures, "artifact", "point"):
        table.add_column(name, justify="right" if name in figures else "left", overflow="fold")
    for row in rows:
        speed, quality = _figure(row.latency_p50_ms, 1), (_figure(row.psnr_db, 3), _figure(row.fidelity_db, 2))
        table.add_row(speed, _figure(row.bytes / 1e6, 2), *quality, row.artifact, row.point)
    return table


def _title(target: str | None, dataset: str) -> str:
    return f"{target or 'not timed'} · {dataset}"


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def rows_of(units: Sequence[Unit], outcomes: Mapping[str, Outcome]) -> list[Row]:
    """One row for each artifact of each built point, by data set and target (None: not timed)."""
    built = {u.task.key: _record(u, outcomes) for u in units if u.kind == "build" and _done(u, outcomes)}
    timed: dict[tuple[str, str], list[Performance | None]] = {}
    for unit in units:
        if unit.kind == "bench" and _done(unit, outcomes):
            for entry in _record(unit, outcomes).performance:
                timed.setdefault((unit.task.after[0], entry.artifact), []).append(entry)
    return [
        _row(unit.point or "", artifact, quality, entry)
        for unit in units
        if unit.kind == "build" and unit.task.key in built
        for artifact in built[unit.task.key].artifacts
        for quality in built[unit.task.key].quality
        if quality.artifact == artifact.id
        for entry in timed.get((unit.task.key, artifact.id), [None])
    ]


def _row(point: str, artifact: ArtifactEntry, quality: Quality, timed: Performance | None) -> Row:
    return Row(
        point=point,
        artifact=artifact.id,
        precision=artifact.precision,
        bytes=artifact.bytes or 0,
        size_ratio=artifact.size_ratio,
        sha256=artifact.sha256 or "",
        dataset=quality.dataset,
        psnr_db=quality.psnr_db,
        lpips=quality.lpips,
        fidelity_db=quality.fidelity_db,
        psnr_drop_db=quality.psnr_drop_db,
        lpips_rise=quality.lpips_rise,
        target=timed.target if timed else None,
        latency_p50_ms=timed.latency_ms.p50 if timed and timed.latency_ms else None,
    )


def _record(unit: Unit, outcomes: Mapping[str, Outcome]) -> UnitRecord:
    record: UnitRecord = outcomes[unit.task.key].value
    return record


def _done(unit: Unit, outcomes: Mapping[str, Outcome]) -> bool:
    return unit.task.key in outcomes and outcomes[unit.task.key].status == "done"


def groups(rows: Iterable[Row]) -> dict[tuple[str | None, str], list[Row]]:
    """Rows that can be compared: of one target and one data set."""
    rows_of: dict[tuple[str | None, str], list[Row]] = {}
    for row in rows:
        rows_of.setdefault((row.target, row.dataset), []).append(row)
    return rows_of


def front(rows: Sequence[Row]) -> list[Row]:
    """The rows that no other beats in cost and PSNR, cheapest first; of a set without true pictures, in fidelity."""
    cost = "latency_p50_ms" if all(row.latency_p50_ms is not None for row in rows) else "bytes"
    quality = "psnr_db" if any(row.psnr_db is not None for row in rows) else "fidelity_db"
    measured = [(str(i), getattr(row, cost), getattr(row, quality)) for i, row in enumerate(rows)]
    points = [point for point in measured if point[2] is not None]
    return [rows[int(i)] for i in frontier(points, higher_is_better=True)]


def best(rows: Iterable[Row]) -> dict[str, Best]:
    """The best int8 artifact so far, by measure."""
    best_of: dict[str, Best] = {}
    for row in rows:
        for name in MEASURES if row.precision == "int8" else ():
            value = getattr(row, name)
            if value is not None and (name not in best_of or _beats(name, value, best_of[name].value)):
                best_of[name] = Best(value, row.point, row.artifact, row.target)
    return best_of


def worst(rows: Iterable[Row], measure: str) -> float | None:
    """The worst value of int8 rows by a measure; None where nothing was measured."""
    values = [value for row in rows if row.precision == "int8" and (value := getattr(row, measure)) is not None]
    if not values:
        return None
    return float(min(values) if measure in HIGHER else max(values))


def _beats(measure: str, value: float, other: float) -> bool:
    return value > other if measure in HIGHER else value < other


def digest(units: Sequence[Unit], outcomes: Mapping[str, Outcome]) -> str:
    """Hash of what the units made: artifacts, kept tensors and quality; no times, no failures' words."""
    facts = []
    for unit in units:
        outcome = outcomes[unit.task.key]
        value = outcome.value.to_json() if outcome.value else {}
        made = {name: value.get(name) for name in ("kept", "artifacts", "quality")}
        facts.append([unit.task.key, outcome.status, made])
    return sha256_text(json.dumps(sorted(facts, key=lambda fact: str(fact[0])), sort_keys=True))
