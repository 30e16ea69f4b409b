"""`compress sweep status`: how a sweep stands, read from its folder and its store, from any process."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import InputError
from compress.files import read_plain
from compress.pipeline.workers import Store
from compress.results.json_text import parse_json
from compress.sweep.record import STORE, FailedUnit, PlanFile, RunningUnit
from compress.text import printable

if TYPE_CHECKING:
    from rich.console import Group

MOST_BYTES = 64 << 20
"""Largest size of a sweep's plan: a plan of ten thousand units takes 2 MB."""


@dataclass(frozen=True)
class Status:
    """Units by what became of them. ``running`` ones say where; one whose node died says so until it is repeated."""

    name: str
    units: int
    done: int
    running: list[dict[str, Any]]
    failed: list[dict[str, Any]]
    exit_code: int = 0

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        return {name: value for name, value in asdict(self).items() if name != "exit_code"}

    def table(self) -> "Group":
        """The status for a terminal."""
        from rich.console import Group
        from rich.text import Text

        lines = [f"{self.name}: {self.done} of {self.units} units done, {len(self.running)} running, "]
        lines[0] += f"{len(self.failed)} failed"
        lines += [f"running: {unit['label']} ({unit['host']})" for unit in self.running]
        lines += [f"failed: {unit['label']}: {unit['message']}" for unit in self.failed]
        return Group(Text("\n".join(map(printable, lines))))


def folder_of(words: Sequence[str], out: Path | None, store: str | None = None) -> tuple[Path, str | None]:
    """The folder that ``out`` or a sweep's file names, and ``store`` or the file's. Raises InputError for neither."""
    if out is not None:
        return out, store
    if len(words) != 1:
        raise InputError("sweep status: give the sweep's YAML file, or --out with its folder")
    from compress.recipe.validation import load_model
    from compress.sweep.schema import Sweep

    asked = load_model(Sweep, Path(words[0]))
    return Path("runs") / asked.name, store or asked.store


def status(folder: Path, store: str | None = None) -> Status:
    """How the sweep of ``folder`` stands. Raises InputError for a folder without one, or whose store is to be named.

    ``store``: where it keeps its files, as its plan has it. The plan may be a stranger's, and its store any place that
    opens a connection or sends credentials: only the folder's own is followed unasked.
    """
    from compress.sweep.run import PLAN

    try:
        plan = PlanFile.model_validate(parse_json(read_plain(folder / PLAN, MOST_BYTES)))
    except (OSError, ValueError):
        raise InputError(f"{folder}: no sweep has run there: give its --out, or its YAML file") from None
    opened, keys = _store(folder, plan.store, store), {unit.key for unit in plan.units}
    done = opened.names("units") & keys
    running = [opened.read_as(RunningUnit, f"running/{key}.json") for key in (opened.names("running") & keys) - done]
    failed = [opened.read_as(FailedUnit, f"failed/{key}.json") for key in (opened.names("failed") & keys) - done]
    return Status(plan.name, len(keys), len(done), _by_label(running), _by_label(failed))


def _store(folder: Path, planned: str, asked: str | None) -> Store:
    """The store that ``planned`` names, if it is the folder's own or the one that was ``asked`` for."""
    if asked is None and Path(planned).absolute() != (folder / STORE).absolute():
        raise InputError(
            f"{folder}: its files are in the store {printable(Store(planned).place)}, not in this folder: give that "
            "store, if you trust it (--store)"
        )
    return Store(planned if asked is None else asked)


def _by_label(units: Sequence[RunningUnit | FailedUnit | None]) -> list[dict[str, Any]]:
    """Those that were still there when they were read."""
    return [unit.to_json() for unit in sorted((unit for unit in units if unit), key=lambda unit: unit.label)]
