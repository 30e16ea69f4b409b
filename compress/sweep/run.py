"""`compress sweep`: plan, then run on workers, with progress, records and what can be resumed."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compress.errors import CompressError
from compress.files import write_text
from compress.folders import Owner, check_folder, claimed, source_of
from compress.measure.machine import physical_cores
from compress.pipeline.inputs import node_facts
from compress.pipeline.workers import Outcome, Store, Workers, workers_at
from compress.progress import Progress
from compress.progress import Stage as Shown
from compress.sweep.dry_run import SECONDS, SweepPlan, plan
from compress.sweep.points import Point, Points
from compress.sweep.record import STORE, UnitRecord
from compress.sweep.result import Best, SweepResult, UnitState, best, digest, rows_of, worst
from compress.sweep.schema import Optuna
from compress.sweep.units import Planner, Unit
from compress.sweep.work import finished

PLAN = "plan.json"
EVERY_S = 1.0
LAST = 100  # units of a kind whose seconds are kept


def sweep(
    path: Path, out: Path | None, address: str | None, progress: Progress, *, dry_run: bool = False
) -> SweepResult | SweepPlan:
    """Run a sweep's file into ``out`` (runs/<its name> by default), or plan it; ``address`` as of ``open_workers``.

    Finished units are in the store, and are not repeated. Raises InputError for the file, its points, the store or
    the workers; Unavailable where they are not there.
    """
    points = Points(path)
    checked = points.checked
    folder = out or Path("runs") / points.sweep.name
    store = Store(points.sweep.store or str((folder / STORE).absolute()))
    planner = Planner(store.url, points.sweep.cpus or physical_cores(), points.sweep.reuse)
    planner.check_passes(checked)
    units = planner.units(points.known)
    owner = Owner("sweep", points.sweep.name, source_of(str(path), folder))
    check_folder(folder, owner)
    if dry_run:
        return plan(points, folder, units, store)
    devices = sorted({unit.task.device for unit in units if unit.task.device})
    with workers_at(address, node_facts, devices) as workers, claimed(folder, owner, progress.say):
        store.check()  # the default store lies in the folder: before it is claimed, it would be a stranger's file
        return SweepRun(points, folder, store, planner, workers, progress).run(units)


@dataclass
class SweepRun:
    """A sweep at work; ``outcomes`` of every unit that has ended, by its key."""

    points: Points
    folder: Path
    store: Store
    planner: Planner
    workers: Workers
    progress: Progress
    units: list[Unit] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def run(self, units: list[Unit]) -> SweepResult:
        """Every unit, or every trial of an Optuna search; the result is written to the sweep's folder."""
        started = time.monotonic()
        search = self.points.sweep.search
        if isinstance(search, Optuna):
            self._search(search)
        else:
            self._round(units)
        result = SweepResult(
            self.points.sweep.name,
            self.folder,
            self.store.place,
            round(time.monotonic() - started, 1),
            [_state(unit, self.outcomes[unit.task.key]) for unit in self.units],
            rows_of(self.units, self.outcomes),
            digest(self.units, self.outcomes),
        )
        result.write()
        return result

    def _round(self, units: list[Unit]) -> None:
        """Run units that are not known yet."""
        fresh = [unit for unit in units if unit.task.key not in self.outcomes]
        self.units += fresh
        self._write_plan()
        stored = self.store.names("units")
        with self.progress.stage(self.points.sweep.name, len(fresh), even=False) as stage:
            monitor = _Monitor(self, stage)
            for unit in fresh:
                if unit.task.key in stored:
                    monitor.ended(Outcome(unit.task.key, "done", finished(self.store, unit.task.key)))
            todo = [unit for unit in fresh if unit.task.key not in stored]
            try:
                self.workers.run([unit.task for unit in todo], monitor.ended, monitor.tick)
            except BaseException:
                self._forget_running()
                raise
            monitor.show()
        self._write_seconds(todo)

    def _forget_running(self) -> None:
        """Markers of units that were stopped with the sweep."""
        for key in self.store.names("running") & {unit.task.key for unit in self.units}:
            self.store.remove(f"running/{key}.json")

    def _write_seconds(self, units: list[Unit]) -> None:
        """What units of each kind took, for the plans of later sweeps."""
        took = self.store.read_as(dict[str, list[float]], SECONDS) or {}
        for unit in units:
            outcome = self.outcomes[unit.task.key]
            if outcome.status == "done":
                took[unit.kind] = [*took.get(unit.kind, []), outcome.seconds][-LAST:]
        self.store.write(SECONDS, took)

    def _write_plan(self) -> None:
        """Write the list of units, which `compress sweep status` reads."""
        units = [{"key": u.task.key, "kind": u.kind, "label": u.task.label} for u in self.units]
        document = {"name": self.points.sweep.name, "store": self.store.url, "units": units}
        write_text(self.folder / PLAN, json.dumps(document))

    def _search(self, search: Optuna) -> None:
        """Rounds of proposals; a resumed search proposes the same again, and finds them done."""
        from compress.sweep.optuna_study import Study

        study = Study(search)
        for done in range(0, search.trials, search.at_once):
            proposed = study.propose(min(search.at_once, search.trials - done))
            points = [self.points.of([settings]) for settings in proposed]
            self._round(self.planner.units([point for some in points for point in some]))
            for some in points:
                study.tell(self._figures(some, search))

    def _figures(self, points: list[Point], search: Optuna) -> list[float] | None:
        """The worst of a point's int8 artifacts, by each goal; None where one was not measured."""
        labels = {point.label for point in points}
        rows = [row for row in rows_of(self.units, self.outcomes) if row.point in labels]
        values = [worst(rows, goal) for goal in search.goals]
        return None if None in values else [v for v in values if v is not None]


@dataclass
class _Monitor:
    """Keeps outcomes and shows how a sweep stands."""

    running: SweepRun
    stage: Shown
    shown: float = 0.0

    def ended(self, outcome: Outcome) -> None:
        owner = self.running
        owner.outcomes[outcome.key] = outcome
        if outcome.status == "done":
            self._append(outcome.value)
        if outcome.status == "failed":
            label = next(u.task.label for u in owner.units if u.task.key == outcome.key)
            owner.progress.say(f"failed: {label}: {outcome.message}")
            owner.store.write(f"failed/{outcome.key}.json", {"label": label, "message": outcome.message})
        self.stage.advance()
        self.tick()

    def _append(self, record: UnitRecord) -> None:
        """Its rows, to the ledger, where those that are there already stay as they are."""
        if not record.rows:
            return
        later = "later: run the sweep again, nothing else is repeated"
        try:
            from compress.ledger import open_ledger

            open_ledger().append(record.rows)
        except CompressError as error:
            self.running.progress.remark(f"not recorded: {error}; {later}")
        except Exception as error:  # what was measured is in the store
            what = " ".join(f"{type(error).__name__}: {error}".split())
            self.running.progress.remark(f"not recorded: {what}; {later}")

    def tick(self) -> None:
        """``show``, once a second at most: a store's listing costs."""
        if time.monotonic() - self.shown >= EVERY_S:
            self.show()

    def show(self) -> None:
        """What runs, what failed, and the best so far, beside the progress."""
        self.shown = time.monotonic()
        owner = self.running
        at_work = len(owner.store.names("running"))
        failed = sum(o.status == "failed" for o in owner.outcomes.values())
        parts = [f"{at_work} running, {failed} failed", *best_in_words(best(rows_of(owner.units, owner.outcomes)))]
        self.stage.note("; ".join(parts))


def best_in_words(values: Mapping[str, Best]) -> list[str]:
    """The best so far by each measure, in words."""
    return [f"{name} {item.value:.5g} ({item.artifact})" for name, item in values.items()]


def _state(unit: Unit, outcome: Outcome) -> UnitState:
    return UnitState(
        unit.task.key,
        unit.kind,
        unit.task.label,
        outcome.status,
        outcome.message or None,
        outcome.seconds,
        outcome.host,
        outcome.exit_code,
    )
