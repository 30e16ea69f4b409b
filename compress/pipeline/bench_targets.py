"""`compress bench`: a bundle on one or more targets, and what the terminal shows of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compress.artifacts.artifact import artifact_of
from compress.bundle.open import open_bundle
from compress.errors import GoalMissed, InputError, Unavailable
from compress.ledger.record import record_bench
from compress.pipeline.bench import Record, bench, fitting_artifacts, loaded_target
from compress.progress import Progress
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.library import find, is_path, read_document
from compress.recipe.validation import load_model
from compress.refusals import Refusals
from compress.report.gaps import RUNS_FOR_P90
from compress.results.machine import busy_notes
from compress.results.performance import Latency, Performance, WholePicture
from compress.targets.bench import BenchResult, runs

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

RECIPE = "recipe.yaml"
HEADINGS = ("artifact", "target", "p50 ms", "p90 ms", "vs fp32", "first ms", "load ms", "peak MB", "evidence")
WORDS = ("artifact", "target", "evidence", "what")
WHOLE_HEADINGS = ("artifact", "target", "what", "restored px", "tiles", "s", "MP/s", "peak MB", "J/MP")
WHOLE_CAPTION = "MP: megapixels of the restored picture; s: median time of all that is named, files not read or written"


@dataclass(frozen=True)
class Benches:
    """The measurements on each target."""

    bundle: Path
    results: list[BenchResult]

    def __repr__(self) -> str:
        timed = ((e, e.latency_ms.p50) for e in self.performance if e.latency_ms and e.latency_ms.p50 is not None)
        figures = ", ".join(f"{entry.artifact} {p50:.3g} ms on {entry.target}" for entry, p50 in timed)
        return f"<Benches {self.bundle}: {figures or 'nothing was timed'}>"

    @property
    def exit_code(self) -> int:
        """4: something was not measured; 3: a gate of a target was missed."""
        codes = {result.exit_code for result in self.results}
        return next((code for code in (Unavailable.exit_code, GoalMissed.exit_code) if code in codes), 0)

    @property
    def messages(self) -> list[str]:
        """One line for each thing that was not measured, and for each gate that was missed."""
        return [line for result in self.results for line in (result.why, *result.missed) if line]

    @property
    def performance(self) -> list[Performance]:
        return [entry for result in self.results for entry in result.performance]

    def to_json(self) -> dict[str, object]:
        """The bundle and its performance entries, as plain data."""
        return {"bundle": str(self.bundle), "performance": [entry.to_json() for entry in self.performance]}

    def _without_p90(self) -> list[str]:
        """Why a column shows a dash beside a median."""
        timed = [
            entry.latency_ms for entry in self.performance if entry.latency_ms and entry.latency_ms.p50 is not None
        ]
        if all(times.p90 is not None for times in timed):
            return []
        return [f"p90 -: it needs {RUNS_FOR_P90} timed runs or more; `measure: full` in the recipe makes as many"]

    def table(self) -> "RenderableType":
        """One row per artifact and target; below, if any were measured, one row per artifact and picture or clip."""
        from rich.console import Group

        notes = busy_notes(entry.busy for entry in self.performance)
        lines = ["every figure: `compress bench --json`", *self._without_p90(), *notes]
        whole = [_whole_cells(entry, item) for entry in self.performance for item in entry.whole_pictures or ()]
        tables = [_table(str(self.bundle), HEADINGS, [_cells(entry) for entry in self.performance], lines)]
        if whole:
            tables.append(_table("whole pictures", WHOLE_HEADINGS, whole, [WHOLE_CAPTION, *notes]))
        return tables[0] if len(tables) == 1 else Group(*tables)


def _table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], caption: Iterable[str]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    about = Text("\n".join(caption))
    table = Table(
        title=Text(title), caption=about, caption_justify="left", box=box.SIMPLE_HEAD, padding=0, pad_edge=False
    )
    for heading in headings:
        right = heading not in WORDS
        table.add_column(heading, justify="right" if right else "left", no_wrap=right or heading == "artifact")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _whole_cells(entry: Performance, item: WholePicture) -> list[str]:
    clip = f", {item.frames} frames" if item.kind == "clip" else ""
    return [
        entry.artifact,
        entry.target or "-",
        f"{item.kind}{clip}",
        f"{item.width} x {item.height}",
        str(item.tiles),
        f"{item.seconds:.2f}",
        f"{item.megapixels_per_s:.3f}{'*' if entry.busy else ''}",
        _number(item.peak_rss_mb),
        _number(item.joules_per_megapixel),
    ]


def _cells(entry: Performance) -> list[str]:
    times = entry.latency_ms or Latency()
    against = entry.speedup_vs.fp32 if entry.speedup_vs else None
    mark = "*" if entry.busy else ""
    return [
        entry.artifact,
        entry.target or "-",
        "-" if times.p50 is None else f"{_number(times.p50)}{mark}",
        _number(times.p90),
        "-" if against is None or against.value is None else f"{against.value:.2f}x",
        _number(entry.first_inference_ms),
        _number(entry.load_ms),
        _number(entry.peak_rss_mb),
        _evidence(entry),
    ]


def _evidence(entry: Performance) -> str:
    """The evidence, and the chief figure of what gives no time."""
    facts: list[str] = [entry.evidence]
    if entry.instructions_vs_fp32 is not None:
        facts.append(f"{entry.instructions_vs_fp32:.2f}x fewer instructions than fp32")
    if entry.accepted is not None:
        facts.append("accepted" if entry.accepted else "refused")
    if entry.estimate is not None:
        facts.append(f"estimated {_number(entry.estimate.latency_ms)} ms")
    return ", ".join(facts)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def bench_targets(
    bundle: Path,
    targets: Sequence[str],
    progress: Progress,
    host: str | None = None,
    record: Record = record_bench,
    *,
    only: str | None = None,
) -> Benches:
    """Measure ``bundle`` on ``targets``; without any, on those of its recipe.

    ``host``, ``record``, ``only``: see ``compress.pipeline.bench.bench``. Raises InputError for a host of several
    targets, or where neither names a target, and what measuring on a target raises.
    """
    named = targets_of(bundle, targets, only)
    if host is not None and len(named) > 1:
        raise InputError(f"host {host}: is one device, got {len(named)} targets: give one (--target)")
    opened, refusals = open_bundle(bundle), Refusals()
    for name in named:  # before the first one is measured, for minutes
        with refusals.gathered():
            fitting_artifacts(opened, loaded_target(name, host), name, only)
    refusals.refuse()
    return Benches(bundle, [bench(bundle, target, progress, host, record, only=only) for target in named])


def targets_of(bundle: Path, targets: Sequence[str], only: str | None = None) -> list[str]:
    """``targets``; without any, those of the bundle's recipe that run the artifact ``only``, where that is given.

    Raises InputError where neither names one.
    """
    if targets:
        return list(targets)
    opened = open_bundle(bundle)
    named = read_document(bundle / RECIPE, opened.read(RECIPE)).data.get("targets")
    if not isinstance(named, list) or not named:
        raise InputError(f"{bundle}: its recipe names no target: give one (--target; `compress ls targets` lists them)")
    own = [str(target) for target in named]
    for name in own:
        # A target says what is reached by ssh and with which settings: a bundle may come from a stranger.
        if is_path(name):
            raise InputError(f"{bundle}: its recipe's target is a file, {name}: give it (--target), if it is yours")
    if only is None:
        return own
    facts = opened.artifact(only)
    artifact = artifact_of(only, facts.format, facts.precision, facts.layout)
    fitting = [name for name in own if runs(load_model(DeployTarget, find("targets", name)), artifact)]
    if not fitting:
        raise InputError(f"{bundle}: no target of its recipe runs {only}: name one that does (`compress ls targets`)")
    return fitting
