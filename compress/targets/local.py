"""Speed of artifacts on this machine, by the runner that is sent to devices -> ``performance`` entries."""

import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress.errors import Unavailable, error_of
from compress.files import temporary_folder
from compress.measure.busy import OtherWork
from compress.measure.machine import machine_facts, physical_cores
from compress.python_process import python_environment
from compress.recipe.deploy_target import DeployTarget
from compress.results.performance import Performance
from compress.targets.answers import ArtifactRun
from compress.targets.entries import BF16, GIVEN, Bench
from compress.targets.job import INPUTS, Job, JobArtifact, job_for
from compress.targets.runner.accuracy import accuracy
from compress.targets.runner.failure import Failure
from compress.targets.runner.worker import Children

PRECISION = "INFERENCE_PRECISION_HINT"
ARCHES = {"amd64": "x86_64", "arm64": "aarch64"}


def bench_local(bench: Bench) -> list[Performance]:
    """Measure every artifact of ``bench`` on this machine.

    All are timed on the first picture, interleaved in one process; load time, first inference and memory come from a
    process each. Raises Unavailable when this machine is not such a target or the runtime is missing, InputError for
    an option that it does not know, VerificationError for a damaged artifact.
    """
    check_arch(bench.target)
    entries = {
        artifact.id: JobArtifact(entry=str(path.absolute()), precision=artifact.precision)
        for artifact, path in bench.artifacts.items()
    }
    if bench.fp32 and _computes_in_bf16(bench.target):
        options = {PRECISION: "bf16"}
        entries[BF16] = entries[bench.fp32.id].model_copy(update={"options": options})
    job = job_for(bench, entries).model_copy(update={"threads": bench.target.threads or physical_cores()})
    machine, others = machine_facts(), OtherWork()
    runs = timed_runs(run_here(job, bench))
    return bench.ran(runs, threads=job.threads, machine=machine.model_copy(update={"busy": others.processes()}))


def check_arch(target: DeployTarget) -> None:
    """Raise Unavailable unless this machine has the target's architecture."""
    here = platform.machine().lower()
    here = ARCHES.get(here, here)
    if here != target.arch:
        raise Unavailable(f"target {target.name}: needs {target.arch}, this machine is {here}: measure it there")


def _computes_in_bf16(target: DeployTarget) -> bool:
    """Whether OpenVINO, left to itself, computes float models in bfloat16 here: on CPUs with AMX, where that is much
    faster, and on those with AVX512-BF16 alone, where it may be slower.
    """
    if target.runtime != "openvino" or target.device != "CPU" or target.options.get(PRECISION, "f32") != "f32":
        return False
    import openvino as ov

    from compress.artifacts.runtime.openvino_runner import shared_core

    return bool(shared_core().get_property("CPU", PRECISION) == ov.Type.bf16)


def timed_runs(answers: Mapping[str, dict[str, Any]]) -> dict[str, ArtifactRun]:
    """What ``run_here`` gives of runs that were timed."""
    return {id_: ArtifactRun.model_validate(answer) for id_, answer in answers.items()}


def run_here(job: Job, bench: Bench, *, timed: bool = True) -> dict[str, dict[str, Any]]:
    """What the runner says of each artifact of ``job``, with ``accuracy`` where the job keeps outputs.

    ``timed``: whether they are timed, too, beyond the first inference.
    """
    import numpy as np

    name, steps = bench.target.name, (2 if timed else 1) * len(job.artifacts)
    with temporary_folder() as folder, bench.progress.stage(f"measure {name}", steps, even=False) as stage:
        first_picture = {key: bench.pictures[key][:1] for key in GIVEN if key in bench.pictures}
        pictures = dict(bench.pictures) if job.outputs else first_picture
        np.savez(Path(folder) / INPUTS, **pictures)  # type: ignore[arg-type]
        (Path(folder) / "job.json").write_text(job.model_dump_json())

        def note(text: str, done: int) -> None:
            stage.advance(done - stage.done)
            stage.note(text)

        children = Children(str(folder), job.model_dump(), python_environment())
        try:
            first = children.load_each(note)
            if job.outputs:
                scores = accuracy(folder, job.model_dump())
                first = {id_: {**answer, "accuracy": scores[id_]} for id_, answer in first.items()}
            if timed:
                time.sleep(job.cooldown_s)
                times = children.time_all(note)
                first = {id_: {**answer, **times[id_]} for id_, answer in first.items()}
        except Failure as error:
            raise error_of(error.exit_code)(f"target {name}: {error}") from None
        stage.advance(steps - stage.done)
    return first
