"""What a unit of a sweep does, wherever it runs: plain data in, plain data out, files by the store."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compress.bundle.manifest import MANIFEST
from compress.errors import Unavailable
from compress.files import locked, sha256_file
from compress.pipeline.workers import SharedFiles, Store, scratch
from compress.progress import Progress
from compress.recipe.schema import Recipe

Value = dict[str, Any]
QUALITY = ("artifact", "dataset", "n", "psnr_db", "ssim", "lpips", "psnr_drop_db", "lpips_rise", "fidelity_db")
TIMED = ("artifact", "target", "evidence", "latency_ms", "speedup_vs", "threads", "protocol", "load_ms", "machine")


def silent(text: str) -> None:
    """Units run unseen; what they found is in their record."""


def prefix(key: str, label: str, recipe: Value, store: str, cpus: int, reuse: bool) -> Value:
    """Run a recipe's passes, and leave what they keep in the store. ``recipe`` ends in the pass wanted."""

    def work(folder: Path, opened: Store) -> Value:
        from compress.pipeline.context import RunContext
        from compress.pipeline.models import Models

        chosen = Recipe.model_validate(recipe)
        context = RunContext(chosen, folder, Progress("silent"), reuse=reuse, shared=SharedFiles(opened))
        models = Models(context)
        _ = models.quantized if chosen.ptq else models.subject
        kept = sorted((folder / ".stages").glob("*.safetensors"))
        return {"kept": {path.stem: sha256_file(path) for path in kept}}

    return once(key, label, store, cpus, work)


def build(key: str, label: str, recipe: Value, store: str, cpus: int, reuse: bool, record: bool) -> Value:
    """Compress, export, check and judge one point; its bundle goes to the store. ``record``: with the ledger's rows."""

    def work(folder: Path, opened: Store) -> Value:
        from compress.pipeline.context import RunContext
        from compress.pipeline.run import Run

        chosen = Recipe.model_validate(recipe)
        context = RunContext(chosen, folder, Progress("silent"), reuse=reuse, shared=SharedFiles(opened))
        results = Run(context, ()).run()
        opened.put_folder(folder, f"bundles/{key}", MANIFEST)
        return {
            "rows": _rows(folder, opened, key, None) if record else [],
            "bundle": f"bundles/{key}",
            "artifacts": [
                {name: a[name] for name in ("id", "format", "precision", "bytes", "size_ratio", "sha256", "engine")}
                for a in results["artifacts"]
            ],
            "quality": [{name: entry[name] for name in QUALITY} for entry in results["quality"]],
            "goals": results["goals"],
        }

    return once(key, label, store, cpus, work)


def bench(key: str, label: str, built: str, target: str, store: str) -> Value:
    """Time a built point on one target. Raises Unavailable where that cannot be done from here."""

    def work(folder: Path, opened: Store) -> Value:
        from compress.pipeline.bench import bench as measure
        from compress.pipeline.goals import check_goals
        from compress.results.file import read_results

        opened.get_folder(f"bundles/{built}", folder, MANIFEST)
        # Nodes may share a machine; two that time at once would measure each other.
        with locked(scratch("bench"), silent):
            benched = measure(folder, target, Progress("silent"), record=lambda at, entries, say: None)
        if benched.why:
            raise Unavailable(benched.why)
        entries = [entry.to_json() for entry in benched.performance]
        results = read_results(folder).to_json() | {"performance": entries}
        goals = Recipe.model_validate(_recipe(folder)).goals
        performance = [{name: entry.get(name) for name in TIMED} for entry in entries]
        rows = _rows(folder, opened, built, entries)
        goals_of = check_goals(goals, results)
        return {"bundle": f"bundles/{built}", "performance": performance, "goals": goals_of, "rows": rows}

    return once(key, label, store, None, work)


def _recipe(folder: Path) -> Value:
    from compress.bundle.manifest import read_manifest

    recipe = read_manifest(folder).recipe
    return recipe.to_json() if recipe else {}


def _rows(folder: Path, store: Store, key: str, entries: list[Value] | None) -> list[Value]:
    """A bundle's rows of the ledger, or those of what was timed of it now; they name the bundle in the store.

    Whoever runs the sweep appends them: nodes need no way to the ledger.
    """
    from compress.bundle.open import open_bundle
    from compress.ledger.from_bundle import benched, measurements
    from compress.ledger.record import new_run, now
    from compress.results.performance import Performance

    bundle = open_bundle(folder)
    if entries is None:
        rows = measurements(bundle)
    else:
        timed = [Performance.model_validate(entry, strict=False) for entry in entries]
        rows = benched(bundle, timed, new_run(), now())
    place = f"{store.place}/bundles/{key}"
    return [row.model_copy(update={"bundle": place}).model_dump(mode="json") for row in rows]


def once(key: str, label: str, store: str, cpus: int | None, work: Callable[[Path, Store], Value]) -> Value:
    """The record of a finished unit, or ``work`` and its record; the scratch folder goes when it is done."""
    opened = Store(store)
    record: Value | None = opened.read(f"units/{key}.json")
    if record is not None:
        return record
    folder = scratch(key)
    with _running(opened, key, label), locked(folder, silent), _threads(cpus):
        record = work(folder, opened)
        opened.write(f"units/{key}.json", record)
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
