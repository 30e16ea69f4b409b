"""Artifacts on a device behind ssh -> ``performance`` entries: the job that is sent, and what comes back."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.artifacts.artifact import ENTRY
from compress.files import sha256_file, temporary_folder
from compress.measure.latency import Mode
from compress.measure.machine import FEATURES
from compress.recipe.schema import DeployTarget
from compress.targets.entries import Artifacts, Pictures, measured, precision_of
from compress.targets.job import INPUTS, Job, JobArtifact, JobFile, NativeRunner, job_for
from compress.targets.runner.worker import LOAD_S, START_S

if TYPE_CHECKING:
    from compress.progress import Progress
    from compress.targets.answers import RunnerResult

NATIVE = "native"
SLACK_S = 600  # for what is quick by itself: hashes, accuracy, connections that come back
IDLE_S = 900  # a runner whose files stop arriving for this long gives up and cleans up


def bench_over_ssh(
    chosen: Artifacts, target: DeployTarget, pictures: Pictures, mode: Mode, progress: "Progress", seed: int
) -> list[dict[str, Any]]:
    """Measure every artifact on the device behind ssh. Raises as ``compress.targets.ssh.device.run_on_device`` does."""
    import numpy as np

    from compress.targets.ssh.device import run_on_device

    assert target.ssh is not None
    wanted = {*_INPUT_KEYS, *(f"{kind}-{name}" for kind in ("output", "simulated") for name in chosen)}
    sent = {key: value for key, value in pictures.items() if key in wanted}
    with temporary_folder() as folder:
        np.savez(Path(folder) / INPUTS, **sent)  # type: ignore[arg-type]
        files = {INPUTS: Path(folder) / INPUTS, **_files(chosen), **_native(target)}
        job = _job(chosen, target, files, mode, seed)
        result = run_on_device(target.name, target.ssh, job, files, progress, limit_s(job))
    return _entries(result, target, mode, seed)


_INPUT_KEYS = ("lq", "noise", "clean")


def limit_s(job: Job) -> float:
    """How long the runner may take by its own limits, once it has every file."""
    rounds = 3 * (job.protocol.max_s + job.protocol.warmup_s)
    return SLACK_S + START_S + LOAD_S + len(job.artifacts) * (LOAD_S + rounds) + job.cooldown_s


def _place(artifact: str, format: str) -> str:
    """An entry file's name on the device, whatever it is called here."""
    return f"{artifact}/{ENTRY[format]}"


def _files(chosen: Artifacts) -> dict[str, Path]:
    """Every artifact's files, by their names on the device."""
    found = {}
    for name, (path, format) in chosen.items():
        found[_place(name, format)] = path
        if format == "openvino":
            found[f"{name}/model.bin"] = path.with_suffix(".bin")
    return found


def _native(target: DeployTarget) -> dict[str, Path]:
    """ExecuTorch's native runner for ARM, if it is set up here: such a board needs no torch."""
    if target.runtime != "executorch" or target.arch != "aarch64":
        return {}
    from compress.targets.tools.arm_emulator import ArmEmulator, runner_files

    tool = ArmEmulator()
    return {f"{NATIVE}/{name}": path for name, path in runner_files(tool).items()} if tool.ready else {}


def _job(chosen: Artifacts, target: DeployTarget, files: Mapping[str, Path], mode: Mode, seed: int) -> Job:
    listed = {n: JobFile(name=n, bytes=path.stat().st_size, sha256=sha256_file(path)) for n, path in files.items()}

    def below(folder: str) -> list[JobFile]:
        return [file for name, file in listed.items() if name.startswith(f"{folder}/")]

    artifacts = {
        name: JobArtifact(entry=_place(name, format), precision=precision_of(name), files=below(name))
        for name, (_, format) in chosen.items()
    }
    native = NativeRunner(version=version("executorch"), files=below(NATIVE)) if below(NATIVE) else None
    more = {"inputs": listed[INPUTS], "native": native, "outputs": True, "idle_s": IDLE_S}
    return job_for(target, artifacts, mode, seed).model_copy(update=more)


def _entries(result: "RunnerResult", target: DeployTarget, mode: Mode, seed: int) -> list[dict[str, Any]]:
    machine = result.machine.model_dump()
    machine["features"] = [name for name in FEATURES if name in machine["features"]]
    common = {"threads": result.threads, "protocol": mode, "machine": machine, "device": result.sampled.model_dump()}
    others = {
        name: {
            **run.model_dump(include={"first_inference_ms", "load_ms", "peak_rss_mb"}),
            "accuracy": run.accuracy.model_dump(exclude_unset=True) if run.accuracy else None,
            "runtime": run.facts,
            **common,
        }
        for name, run in result.artifacts.items()
    }
    return measured(target, result.artifacts, others, seed)
