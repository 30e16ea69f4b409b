"""Artifacts on a device behind ssh -> ``performance`` entries: the job that is sent, and what comes back."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.files import sha256_file, temporary_folder
from compress.measure.latency import PROTOCOLS, Mode
from compress.measure.machine import FEATURES
from compress.recipe.schema import DeployTarget
from compress.targets.entries import Artifacts, Pictures, measured, precision_of

if TYPE_CHECKING:
    from compress.progress import Progress

INPUTS, NATIVE = "inputs.npz", "native"
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
        result = run_on_device(target.name, target.ssh, _job(chosen, target, files, mode, seed), files, progress)
    return _entries(result, target, mode, seed)


_INPUT_KEYS = ("lq", "noise", "clean")


def _place(artifact: str, path: Path) -> str:
    return f"{artifact}/{path.name}"


def _files(chosen: Artifacts) -> dict[str, Path]:
    """Every artifact's files, by their names on the device."""
    found = {}
    for name, (path, format) in chosen.items():
        for file in (path, path.with_suffix(".bin")) if format == "openvino" else (path,):
            found[_place(name, file)] = file
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
                "entry": _place(name, path),
                "precision": precision_of(name),
                "files": [file for place, file in listed.items() if place.startswith(f"{name}/")],
            }
            for name, (path, _) in chosen.items()
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


def _entries(result: Mapping[str, Any], target: DeployTarget, mode: Mode, seed: int) -> list[dict[str, Any]]:
    artifacts = result["artifacts"]
    machine = {**result["machine"], "features": [name for name in FEATURES if name in result["machine"]["features"]]}
    common = {"threads": result["threads"], "protocol": mode, "machine": machine, "device": result["sampled"]}
    kept = ("first_inference_ms", "load_ms", "peak_rss_mb", "accuracy")
    others = {n: {key: i[key] for key in kept} | {"runtime": i["facts"], **common} for n, i in artifacts.items()}
    return measured(target, artifacts, others, seed)
