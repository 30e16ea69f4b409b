"""What a sweep found: every unit, the best by each measure, the frontier of each target."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.files import sha256_text, write_text
from compress.ledger.pareto import frontier
from compress.pipeline.workers import Outcome
from compress.results.file import dump_json
from compress.sweep.schema import HIGHER, MEASURES
from compress.sweep.units import Unit

if TYPE_CHECKING:
    from rich.console import Group

FILE = "sweep.json"
Row = dict[str, Any]


@dataclass(frozen=True)
class SweepResult:
    """A finished sweep. ``sha256``: of all artifacts and figures but times; equal for equal work, however it went."""

    name: str
    folder: Path
    store: str
    seconds: float
    units: list[Row]
    rows: list[Row]
    sha256: str

    @property
    def exit_code(self) -> int:
        """0, also where units failed: each is recorded with its message; 1 where all of them did."""
        return 1 if self.units and all(u["status"] == "failed" for u in self.units) else 0

    def to_json(self) -> dict[str, Any]:
        """One JSON document; ``frontier`` holds the rows that no other beats in cost and PSNR, a list a target."""
        return {**asdict(self), "folder": str(self.folder), "best": best(self.rows), "frontier": self.frontiers()}

    def write(self) -> None:
        """Write ``sweep.json`` into the sweep's folder."""
        write_text(self.folder / FILE, dump_json(self.to_json()))

    def frontiers(self) -> dict[str, list[Row]]:
        """Rows that no other beats in cost (median latency; bytes, where nothing was timed) and PSNR, by target."""
        return {_title(target, dataset): front(rows) for (target, dataset), rows in groups(self.rows).items()}

    def table(self) -> "Group":
        """For a terminal: a frontier a target, what failed, where things are."""
        from rich.console import Group
        from rich.text import Text

        tables = [_table(title, rows, self.rows) for title, rows in self.frontiers().items()]
        failed = [u for u in self.units if u["status"] == "failed"]
        lines = [f"failed: {u['label']}: {u['message']}" for u in failed]
        done = len(self.units) - len(failed)
        lines.append(f"{done} of {len(self.units)} units done, {self.seconds:.0f} s; result {self.sha256[:16]}")
        lines.append(f"{self.folder / FILE}; artifacts: {self.store}")
        return Group(*tables, Text("\n".join(lines)))


def _table(title: str, rows: Sequence[Row], everything: Sequence[Row]) -> Any:
    from rich.table import Table
    from rich.text import Text

    of = sum(1 for row in everything if _title(row["target"], row["dataset"]) == title)
    table = Table(title=Text(title), title_justify="left", caption=f"{of - len(rows)} more, beaten")
    columns = {"p50 ms": "latency_p50_ms", "MB": "bytes", "PSNR dB": "psnr_db", "fidelity dB": "fidelity_db"}
    for name in (*columns, "artifact", "point"):
        table.add_column(name, justify="right" if name in columns else "left", overflow="fold")
    for row in rows:
        p50, size, psnr, fidelity = (row[key] for key in columns.values())
        figures = (_told(p50, 1), _told(size / 1e6, 2), _told(psnr, 3), _told(fidelity, 2))
        table.add_row(*figures, row["artifact"], row["point"])
    return table


def _title(target: str | None, dataset: str) -> str:
    return f"{target or 'not timed'} · {dataset}"


def _told(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def rows_of(units: Sequence[Unit], outcomes: Mapping[str, Outcome]) -> list[Row]:
    """One row for each artifact of each built point, by data set and target (None: not timed)."""
    built = {u.task.key: outcomes[u.task.key].value for u in units if u.kind == "build" and _done(u, outcomes)}
    timed: dict[tuple[str, str], list[Row]] = {}
    for unit in units:
        if unit.kind == "bench" and _done(unit, outcomes):
            for entry in outcomes[unit.task.key].value["performance"]:
                timed.setdefault((unit.task.after[0], entry["artifact"]), []).append(entry)
    return [
        {
            "point": unit.point,
            "artifact": artifact["id"],
            "precision": artifact["precision"],
            "bytes": artifact["bytes"],
            "size_ratio": artifact["size_ratio"],
            "sha256": artifact["sha256"],
            "dataset": quality["dataset"],
            **{name: quality[name] for name in ("psnr_db", "lpips", "fidelity_db", "psnr_drop_db", "lpips_rise")},
            "target": entry.get("target"),
            "latency_p50_ms": (entry.get("latency_ms") or {}).get("p50"),
        }
        for unit in units
        if unit.kind == "build" and unit.task.key in built
        for artifact in built[unit.task.key]["artifacts"]
        for quality in built[unit.task.key]["quality"]
        if quality["artifact"] == artifact["id"]
        for entry in timed.get((unit.task.key, artifact["id"]), [{}])
    ]


def _done(unit: Unit, outcomes: Mapping[str, Outcome]) -> bool:
    return unit.task.key in outcomes and outcomes[unit.task.key].status == "done"


def groups(rows: Iterable[Row]) -> dict[tuple[str | None, str], list[Row]]:
    """Rows that can be compared: of one target and one data set."""
    found: dict[tuple[str | None, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["target"], row["dataset"]), []).append(row)
    return found


def front(rows: Sequence[Row]) -> list[Row]:
    """The rows that no other beats in cost and PSNR, cheapest first."""
    cost = "latency_p50_ms" if all(row["latency_p50_ms"] is not None for row in rows) else "bytes"
    kept = frontier([(str(i), row[cost], row["psnr_db"]) for i, row in enumerate(rows)], higher_is_better=True)
    return [rows[int(i)] for i in kept]


def best(rows: Iterable[Row]) -> dict[str, Row]:
    """By measure, the int8 artifact that is best so far: its value, point, artifact and target."""
    found: dict[str, Row] = {}
    for row in rows:
        for name in MEASURES if row["precision"] == "int8" else ():
            value = row[name]
            if value is not None and (name not in found or _beats(name, value, found[name]["value"])):
                where = {key: row[key] for key in ("point", "artifact", "target")}
                found[name] = {"value": value, **where}
    return found


def worst(rows: Iterable[Row], measure: str) -> float | None:
    """Of int8 rows, the worst value by a measure; None where nothing was measured."""
    values = [row[measure] for row in rows if row["precision"] == "int8" and row[measure] is not None]
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
        value = outcome.value or {}
        made = {name: value.get(name) for name in ("kept", "artifacts", "quality")}
        facts.append([unit.task.key, outcome.status, made])
    return sha256_text(json.dumps(sorted(facts, key=lambda fact: str(fact[0])), sort_keys=True))
