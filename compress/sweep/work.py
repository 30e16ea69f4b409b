"""What a unit of a sweep does, wherever it runs: plain data in, plain data out, files by the store."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.bundle.manifest import MANIFEST
from compress.errors import Unavailable
from compress.files import locked, sha256_file
from compress.measure.latency import Mode
from compress.pipeline.workers import SharedFiles, Store, scratch
from compress.progress import Progress
from compress.recipe.schema import Goals, Recipe
from compress.results.artifact import ArtifactEntry
from compress.results.measurement import Measurement
from compress.results.performance import Performance
from compress.results.quality import Quality
from compress.sweep.record import UnitRecord

if TYPE_CHECKING:
    from compress.pipeline.context import RunContext

QUALITY = {"artifact", "dataset", "n", "psnr_db", "ssim", "lpips", "psnr_drop_db", "lpips_rise", "fidelity_db"}
TIMED = {"artifact", "target", "evidence", "latency_ms", "speedup_vs", "threads", "protocol", "load_ms", "machine"}
LISTED = {"id", "format", "precision", "entry", "bytes", "size_ratio", "sha256", "engine"}


@dataclass(frozen=True)
class Job:
    """What every unit gets. ``store``: its URL; ``cpus``: cores of torch, None: it does without."""

    key: str
    label: str
    store: str
    cpus: int | None = None


def silent(text: str) -> None:
    """Units run unseen; what they found is in their record."""


def prefix(job: Job, recipe: str, *, reuse: bool) -> UnitRecord:
    """Run a recipe's passes, and leave what they keep in the store. ``recipe``: as JSON, it ends in the pass wanted."""

    def work(folder: Path, opened: Store) -> UnitRecord:
        from compress.pipeline.models import Models

        context = _context(recipe, folder, opened, reuse=reuse)
        models = Models(context)
        _ = models.quantized if context.recipe.ptq else models.subject
        kept = sorted((folder / ".stages").glob("*.safetensors"))
        return UnitRecord(kept={path.stem: sha256_file(path) for path in kept})

    return once(job, work)


def build(job: Job, recipe: str, *, reuse: bool, record: bool) -> UnitRecord:
    """Compress, export, check and judge one point; its bundle goes to the store. ``record``: with the ledger's rows."""

    def work(folder: Path, opened: Store) -> UnitRecord:
        from compress.pipeline.run import Run

        results = Run(_context(recipe, folder, opened, reuse=reuse), ()).run()
        opened.put_folder(folder, f"bundles/{job.key}", MANIFEST)
        return UnitRecord(
            rows=_rows(folder, opened, job.key) if record else [],
            bundle=f"bundles/{job.key}",
            artifacts=[ArtifactEntry.model_validate(a.model_dump(include=LISTED)) for a in results.artifacts],
            quality=[Quality.model_validate(q.model_dump(include=QUALITY)) for q in results.quality],
            goals=results.goals,
        )

    return once(job, work)


def bench(job: Job, built: str, target: str, mode: Mode, goals: dict[str, Any]) -> UnitRecord:
    """Time a built point on one target, in ``mode``, and judge it by ``goals``, as `Goals` has them.

    Raises Unavailable where that cannot be done from here.
    """

    def work(folder: Path, opened: Store) -> UnitRecord:
        from compress.bundle.open import open_bundle
        from compress.pipeline.bench import bench as measure
        from compress.pipeline.goals import check_goals

        opened.get_folder(f"bundles/{built}", folder, MANIFEST)
        # Nodes may share a machine; two that time at once would measure each other.
        with locked(scratch("bench"), silent):
            benched = measure(folder, target, Progress("silent"), record=lambda at, entries, say: None, mode=mode)
        if benched.why:
            raise Unavailable(benched.why)
        bundle = open_bundle(folder)
        results = bundle.results().model_copy(update={"performance": benched.performance})
        return UnitRecord(
            bundle=f"bundles/{built}",
            performance=[Performance.model_validate(p.model_dump(include=TIMED)) for p in benched.performance],
            goals=check_goals(Goals.model_validate(goals), results),
            rows=_rows(folder, opened, built, benched.performance),
        )

    return once(job, work)


def _context(recipe: str, folder: Path, store: Store, *, reuse: bool) -> "RunContext":
    from compress.pipeline.context import RunContext

    chosen = Recipe.model_validate_json(recipe)
    return RunContext(chosen, folder, Progress("silent"), reuse=reuse, shared=SharedFiles(store))


def _rows(folder: Path, store: Store, key: str, timed: Sequence[Performance] | None = None) -> list[Measurement]:
    """A bundle's rows of the ledger, or those of what was timed of it now; they name the bundle in the store.

    Whoever runs the sweep appends them: nodes need no way to the ledger.
    """
    from compress.bundle.open import open_bundle
    from compress.ledger.from_bundle import benched, measurements
    from compress.ledger.record import new_run, now

    bundle = open_bundle(folder)
    rows = measurements(bundle) if timed is None else benched(bundle, timed, new_run(), now())
    place = f"{store.place}/bundles/{key}"
    return [row.model_copy(update={"bundle": place}) for row in rows]


def finished(store: Store, key: str) -> UnitRecord | None:
    """The record of a unit; None where it is not done."""
    return store.read_as(UnitRecord, f"units/{key}.json")


def once(job: Job, work: Callable[[Path, Store], UnitRecord]) -> UnitRecord:
    """The record of a finished unit, or ``work`` and its record; the scratch folder goes when it is done."""
    opened = Store(job.store)
    record = finished(opened, job.key)
    if record is not None:
        return record
    folder = scratch(job.key)
    with _running(opened, job.key, job.label), locked(folder, silent), _threads(job.cpus):
        record = work(folder, opened)
        opened.write(f"units/{job.key}.json", record.to_json())
    shutil.rmtree(folder, ignore_errors=True)
    return record


@contextmanager
def _running(store: Store, key: str, label: str) -> Iterator[None]:
    """While it runs, the store says so, for `compress sweep status`."""
    store.write(f"running/{key}.json", {"label": label, "host": socket.gethostname(), "pid": os.getpid()})
    try:
        yield
    finally:
        store.remove(f"running/{key}.json")


@contextmanager
def _threads(cpus: int | None) -> Iterator[None]:
    """torch on so many cores (None: no torch): sums in another order would be another artifact."""
    if cpus is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(cpus)
    try:
        yield
    finally:
        torch.set_num_threads(before)
