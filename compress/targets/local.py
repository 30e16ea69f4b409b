"""Speed of artifacts on this machine, by the runner that is sent to devices -> ``performance`` entries."""

import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import CompressError, InputError, Unavailable, VerificationError
from compress.files import temporary_folder
from compress.measure.busy import busy_processes
from compress.measure.latency import Mode
from compress.measure.machine import machine_facts, physical_cores
from compress.python_process import python_environment
from compress.recipe.schema import DeployTarget
from compress.targets.answers import ArtifactRun
from compress.targets.entries import Artifacts, Pictures, kernels_of, measured, precision_of
from compress.targets.job import INPUTS, Job, JobArtifact, job_for
from compress.targets.runner.failure import Failure
from compress.targets.runner.worker import Children

if TYPE_CHECKING:
    from compress.progress import Progress

ARCHES = {"amd64": "x86_64", "arm64": "aarch64"}

ERRORS = {kind.exit_code: kind for kind in (CompressError, InputError, Unavailable, VerificationError)}


def bench_local(
    artifacts: Artifacts, target: DeployTarget, pictures: Pictures, mode: Mode, progress: "Progress", seed: int = 0
) -> list[dict[str, Any]]:
    """Measure every artifact that ``target`` runs (by format and precision) -> ``performance`` entries.

    All are timed on the first of ``pictures``, interleaved in one process; load time, first inference and memory come
    from a process each. Raises Unavailable when this machine is not such a target or the runtime is missing,
    InputError for an option that it does not know, VerificationError for a damaged artifact.
    """
    check_arch(target)
    chosen = {name: item for name, item in artifacts.items() if _runs(target, name, item[1])}
    if not chosen:
        return []
    entries = {n: JobArtifact(entry=str(p.absolute()), precision=precision_of(n)) for n, (p, _) in chosen.items()}
    job = job_for(target, entries, mode, seed).model_copy(update={"threads": target.threads or physical_cores()})
    machine = machine_facts() | {"busy": busy_processes()}
    runs = _run(job, pictures, target, progress)
    common = {"threads": job.threads, "protocol": mode, "machine": machine}
    kept = {"first_inference_ms", "load_ms", "peak_rss_mb"}
    others = {n: run.model_dump(include=kept) | {"runtime": run.facts, **common} for n, run in runs.items()}
    return measured(target, runs, others, seed)


def check_arch(target: DeployTarget) -> None:
    """Raise Unavailable unless this machine has the target's architecture."""
    here = platform.machine().lower()
    here = ARCHES.get(here, here)
    if here != target.arch:
        raise Unavailable(f"target {target.name}: needs {target.arch}, this machine is {here}: measure it there")


def _runs(target: DeployTarget, artifact: str, format: str) -> bool:
    return format == target.format and kernels_of(artifact) in target.precisions


def _run(job: Job, pictures: Pictures, target: DeployTarget, progress: "Progress") -> dict[str, ArtifactRun]:
    import numpy as np

    with temporary_folder() as folder, progress.stage(f"measure {target.name}", total=2 * len(job.artifacts)) as stage:
        np.savez(Path(folder) / INPUTS, lq=pictures["lq"][:1], noise=pictures["noise"][:1])
        (Path(folder) / "job.json").write_text(job.model_dump_json())

        def note(text: str, done: int) -> None:
            stage.advance(done - stage.done)
            stage.note(text)

        children = Children(str(folder), job.model_dump(), python_environment())
        try:
            first = children.load_each(note)
            time.sleep(job.cooldown_s)
            times = children.time_all(note)
        except Failure as error:
            raise ERRORS[error.exit_code](f"target {target.name}: {error}") from None
        stage.advance(stage.total - stage.done if stage.total else 0)
    return {name: ArtifactRun.model_validate({**first[name], **times[name]}) for name in first}
