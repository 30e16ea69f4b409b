"""Artifacts on a device behind ssh -> ``performance`` entries: the job that is sent, and what comes back."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from compress.artifacts.artifact import ENTRY, Artifact
from compress.artifacts.inspect.external_data import files_beside
from compress.files import sha256_file, temporary_folder
from compress.measure.machine import FEATURES
from compress.results.performance import Performance
from compress.targets.entries import GIVEN, Bench
from compress.targets.job import INPUTS, Job, JobArtifact, JobFile, NativeRunner, job_for
from compress.targets.runner.worker import LOAD_S, START_S

if TYPE_CHECKING:
    from compress.targets.answers import RunnerResult

NATIVE = "native"
SLACK_S = 600  # for what is quick by itself: hashes, accuracy, connections that come back
IDLE_S = 900  # a runner whose files stop arriving for this long gives up and cleans up


def bench_over_ssh(bench: Bench) -> list[Performance]:
    """Measure every artifact on the device behind ssh. Raises as ``compress.targets.ssh.device.run_on_device`` does."""
    import numpy as np

    from compress.targets.ssh.device import run_on_device

    target = bench.target
    assert target.ssh is not None
    own = {f"{kind}-{artifact.id}" for kind in ("output", "simulated") for artifact in bench.artifacts}
    sent = {key: value for key, value in bench.pictures.items() if key in {*GIVEN, "clean", *own}}
    with temporary_folder() as folder:
        np.savez(Path(folder) / INPUTS, **sent)  # type: ignore[arg-type]
        files = {INPUTS: Path(folder) / INPUTS, **_files(bench), **_native(bench)}
        job = _job(bench, files)
        result = run_on_device(target.name, target.ssh, job, files, bench.progress, limit_s(job))
    return _entries(result, bench)


def limit_s(job: Job) -> float:
    """How long the runner may take by its own limits, once it has every file."""
    rounds = 3 * (job.protocol.max_s + job.protocol.warmup_s)
    return SLACK_S + START_S + LOAD_S + len(job.artifacts) * (LOAD_S + rounds) + job.cooldown_s


def _files(bench: Bench) -> dict[str, Path]:
    """Every artifact's files, by their names on the device, whatever they are called here."""
    files = {}
    for artifact, entry in bench.artifacts.items():
        for path in artifact.graphs_at(entry):
            name = f"{artifact.id}/{_name(artifact, path)}"
            files[name] = path
            for other, weights in files_beside(path, artifact.format).items():
                beside = name.replace(".xml", ".bin") if artifact.format == "openvino" else f"{artifact.id}/{other}"
                files[beside] = weights
    return files


def _name(artifact: Artifact, path: Path) -> str:
    """Name of a graph's file on the device; each of three graphs is named by its stage."""
    return ENTRY[artifact.format] if artifact.layout == "single" else path.name


def _native(bench: Bench) -> dict[str, Path]:
    """ExecuTorch's native runner for ARM, if it is set up here: such a board needs no torch. It runs one program."""
    target = bench.target
    if target.runtime != "executorch" or target.arch != "aarch64" or any(a.layout == "staged" for a in bench.artifacts):
        return {}
    from compress.targets.tools.arm_emulator import ArmEmulator, runner_files

    tool = ArmEmulator()
    return {f"{NATIVE}/{name}": path for name, path in runner_files(tool).items()} if tool.ready else {}


def _job(bench: Bench, files: Mapping[str, Path]) -> Job:
    listed = {n: JobFile(name=n, bytes=path.stat().st_size, sha256=sha256_file(path)) for n, path in files.items()}

    def below(folder: str) -> list[JobFile]:
        return [file for name, file in listed.items() if name.startswith(f"{folder}/")]

    artifacts = {
        artifact.id: JobArtifact(
            entry=f"{artifact.id}/{_name(artifact, path)}", precision=artifact.precision, files=below(artifact.id)
        )
        for artifact, path in bench.artifacts.items()
    }
    native = NativeRunner(version=version("executorch"), files=below(NATIVE)) if below(NATIVE) else None
    more = {"inputs": listed[INPUTS], "native": native, "outputs": True, "idle_s": IDLE_S}
    return job_for(bench, artifacts).model_copy(update=more)


def _entries(result: "RunnerResult", bench: Bench) -> list[Performance]:
    features = [name for name in FEATURES if name in result.machine.features]
    machine = result.machine.model_copy(update={"features": features})
    return bench.ran(result.artifacts, threads=result.threads, machine=machine, device=result.sampled)
