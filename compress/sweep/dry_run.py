"""The plan of `compress sweep --dry-run`: what would run, what is there, time and space as far as they are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from compress.errors import InputError
from compress.pipeline.workers import Store
from compress.sweep.points import Points
from compress.sweep.schema import Optuna
from compress.sweep.units import Unit, count

if TYPE_CHECKING:
    from rich.console import Group

SECONDS = "seconds.json"  # in the store: kind -> what earlier units took
SHOWN = 20  # units in the terminal's table


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep would do. ``seconds``: of one worker, by what earlier units of the same kind took; None: not known.

    ``cached``: keys of the units that are in the store; None: it is on another machine, and was not asked. ``trials``:
    of a search that finds its points only while it runs.
    """

    name: str
    folder: Path
    store: str
    units: list[Unit]
    cached: frozenset[str] | None
    seconds: float | None
    trials: int | None
    exit_code: int = 0

    @property
    def todo(self) -> list[Unit]:
        """Units whose record is not in the store, as far as that is known."""
        return [unit for unit in self.units if not self._is_there(unit)]

    def _is_there(self, unit: Unit) -> bool | None:
        return None if self.cached is None else unit.task.key in self.cached

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        return {
            "dry_run": True,
            "name": self.name,
            "folder": str(self.folder),
            "store": self.store,
            "trials": self.trials,
            "units": [
                {"key": u.task.key, "kind": u.kind, "label": u.task.label, "cached": self._is_there(u)}
                for u in self.units
            ],
            "to_run": count(self.todo),
            "cached": None if self.cached is None else len(self.units) - len(self.todo),
            "estimated_seconds": self.seconds,
            "estimated_bytes": sum(unit.estimated_bytes for unit in self.todo),
        }

    def table(self) -> "Group":
        """The plan for a terminal."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        plan = self.to_json()
        table = Table(title=f"{self.name}: nothing was run", title_justify="left")
        for name in ("unit", "what", "is there"):
            table.add_column(name)
        for unit in plan["units"][:SHOWN]:
            table.add_row(unit["kind"], unit["label"], {True: "yes", False: "-", None: "?"}[unit["cached"]])
        more = len(self.units) - SHOWN
        kinds = ", ".join(f"{n} {kind}" for kind, n in plan["to_run"].items()) or "nothing"
        lines = [f"and {more} more"] if more > 0 else []
        if self.trials is not None:
            lines.append(f"{self.trials} trials of a search: which points they are is known only while it runs")
        there = "what the store holds is not known: a dry run opens no connection"
        lines.append(f"to run: {kinds}; {there if self.cached is None else f'{len(self.cached)} are there'}")
        lines.append(
            f"time: {'not known' if self.seconds is None else f'about {self.seconds / 60:.1f} min'}, one worker"
        )
        lines.append(f"space: about {plan['estimated_bytes'] / 1e6:.0f} MB in {self.store}")
        return Group(table, Text("\n".join(lines)))


def plan(points: Points, folder: Path, units: Sequence[Unit], store: Store) -> SweepPlan:
    """The plan of ``units``. A store that is not there yet holds nothing; one on another machine is not asked: the
    sweep's file may be a stranger's, and a connection sends credentials.
    """
    search = points.sweep.search
    trials = search.trials if isinstance(search, Optuna) else None
    cached, seconds = None, None
    if store.is_here:
        cached = frozenset(store.names("units") & {unit.task.key for unit in units})
        seconds = _seconds(units, cached, store)
    return SweepPlan(points.sweep.name, folder, store.place, list(units), cached, seconds, trials)


def _seconds(units: Sequence[Unit], cached: frozenset[str], store: Store) -> float | None:
    """Expected time, by the mean of earlier units of each kind; None where a kind has none."""
    try:
        took = store.read_as(dict[str, list[float]], SECONDS) or {}
    except InputError:
        return None
    kinds = count(unit for unit in units if unit.task.key not in cached)
    if not all(took.get(kind) for kind in kinds):
        return None
    return sum(n * fmean(took[kind]) for kind, n in kinds.items())
