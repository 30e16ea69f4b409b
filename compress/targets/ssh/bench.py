"""Artifacts on a device behind ssh -> ``performance`` entries: the job that is sent, and what comes back."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.artifacts.artifact import ENTRY
from compress.files import sha256_file, temporary_folder
from compress.measure.latency import PROTOCOLS, Mode
from compress.measure.machine import FEATURES
from compress.recipe.schema import DeployTarget
from compress.targets.entries import Artifacts, Pictures, measured, precision_of
from compress.targets.runner.worker import LOAD_S, START_S

if TYPE_CHECKING:
    from compress.progress import Progress
    from compress.targets.answers import RunnerResult

INPUTS, NATIVE = "inputs.npz", "native"
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


def limit_s(job: Mapping[str, Any]) -> float:
    """How long the runner may take by its own limits, once it has every file."""
    artifacts, protocol = len(job["artifacts"]), job["protocol"]
    rounds = artifacts * 3 * (protocol["max_s"] + protocol["warmup_s"])
    return SLACK_S + START_S + (artifacts + 1) * LOAD_S + job["cooldown_s"] + rounds


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


def _job(chosen: Artifacts, target: DeployTarget, files: Mapping[str, Path], mode: Mode, seed: int) -> dict[str, Any]:
    listed = {
        name: {"name": name, "bytes": path.stat().st_size, "sha256": sha256_file(path)} for name, path in files.items()
    }
    protocol = asdict(PROTOCOLS[mode])
    protocol["warmup_s"] = target.measuring.warmup_s or protocol["warmup_s"]
    return {
        "artifacts": {
            name: {
                "entry": _place(name, format),
                "precision": precision_of(name),
                "files": [file for place, file in listed.items() if place.startswith(f"{name}/")],
            }
            for name, (_, format) in chosen.items()
        },
        "inputs": listed[INPUTS],
        "native": _native_job(listed),
        **target.model_dump(
            include={"runtime", "runtime_min", "options", "device", "threads", "arch", "model", "memory_mb"}
        ),
        "protocol": protocol,
        "cooldown_s": target.measuring.cooldown_s,
        "record": target.measuring.record,
        "seed": seed,
        "idle_s": IDLE_S,
    }


def _native_job(listed: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    from importlib.metadata import version

    files = [file for place, file in listed.items() if place.startswith(f"{NATIVE}/")]
    return {"version": version("executorch"), "files": files} if files else None


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
    timed = {name: {"samples": run.samples, "warmup": run.warmup} for name, run in result.artifacts.items()}
    return measured(target, timed, others, seed)
