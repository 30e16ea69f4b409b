"""`compress bench`: a bundle's artifacts measured on a target again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from compress.artifacts.artifact import artifact_of
from compress.bundle.manifest import changed_files, noise_seed, read_manifest, read_samples
from compress.errors import InputError, Unavailable, VerificationError
from compress.ledger.record import record_bench
from compress.progress import Progress
from compress.recipe.library import find
from compress.recipe.schema import DeployTarget
from compress.recipe.validation import load_model
from compress.results.file import read_results
from compress.targets.bench import BenchResult, at_host, bench_target, check_target, runs, sample_pictures, unavailable
from compress.targets.entries import Bench


def bench(
    bundle: Path,
    target: str,
    progress: Progress,
    host: str | None = None,
    record: Callable[[Path, list[dict[str, Any]], Callable[[str], None]], None] = record_bench,
) -> BenchResult:
    """Measure a bundle's artifacts on ``target`` again; where that cannot be done, entries with evidence unavailable.

    ``host``: of the device, as ssh takes it, whatever the target says of how it is reached. ``record`` what was
    measured: by default, in the ledger.
    Raises InputError for no bundle, VerificationError when an artifact differs from the manifest.
    """
    manifest = read_manifest(bundle)
    if changed := changed_files(bundle, manifest):
        raise VerificationError("\n".join(f"{bundle}/{line}" for line in changed))
    loaded = load_model(DeployTarget, find("targets", target))
    if host is not None:
        loaded = at_host(loaded, host)
    artifacts = {artifact_of(a["id"], a["format"], a["precision"]): bundle / a["entry"] for a in manifest["artifacts"]}
    seed, mode = noise_seed(bundle, manifest), (manifest.get("recipe") or {}).get("measure", "quick")
    chosen = {artifact: path for artifact, path in artifacts.items() if runs(loaded, artifact)}
    if not chosen:
        raise InputError(f"{bundle}: holds no {loaded.format} artifact for target {target}: choose another target")
    try:
        check_target(loaded)
        results = read_results(bundle)
        pictures = sample_pictures(bundle, read_samples(bundle, manifest), seed)
        macs = next((a.macs for a in results.artifacts), None)
        entries = bench_target(Bench(chosen, loaded, pictures, mode, progress, seed), macs)
    except Unavailable as error:
        return BenchResult(bundle, unavailable(loaded, chosen, str(error)), str(error))
    record(bundle, [entry.to_json() for entry in entries], progress.say)
    return BenchResult(bundle, entries, next((entry.why for entry in entries if entry.why), None))
