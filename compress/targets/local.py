"""Speed of artifacts on this machine: worker processes, and the ``performance`` entries of results.json."""

import json
import platform
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from compress.errors import CompressError, GoalMissed, InputError, Unavailable, VerificationError
from compress.files import temporary_folder
from compress.measure.busy import busy_processes
from compress.measure.latency import PROTOCOLS, Mode
from compress.measure.machine import machine_facts, physical_cores
from compress.python_process import python_command, python_environment
from compress.recipe.schema import DeployTarget
from compress.targets.entries import Artifacts, kernels_of, measured

if TYPE_CHECKING:
    import numpy as np

    from compress.progress import Progress

ARCHES = {"amd64": "x86_64", "arm64": "aarch64"}

ERRORS = {kind.exit_code: kind for kind in (CompressError, InputError, GoalMissed, Unavailable, VerificationError)}

DONE = "measured "  # as compress.targets.local_worker writes it

SPARE_S = 300  # for loading, beside what the protocol may take


def bench_local(
    artifacts: Artifacts,
    target: DeployTarget,
    inputs: "tuple[np.ndarray, np.ndarray]",
    mode: Mode,
    progress: "Progress",
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Measure every artifact that ``target`` runs (by format and precision) -> ``performance`` entries.

    ``inputs``: lq (1, 3, H, W) in [0, 1] and noise (1, 16, H/8, W/8). All are timed interleaved in one process; load
    time, first inference and memory come from a process each. Raises Unavailable when this machine is not such a
    target or the runtime is missing, VerificationError for a damaged artifact.
    """
    check_arch(target)
    chosen = {name: item for name, item in artifacts.items() if _runs(target, name, item[1])}
    if not chosen:
        return []
    threads = target.threads or physical_cores()
    facts = machine_facts() | {"busy": busy_processes()}
    with temporary_folder() as folder:
        job = _job(target, inputs, threads, Path(folder))
        cold, timed = _measure(chosen, job, mode, seed, progress, target)
    common = {"threads": threads, "protocol": mode, "machine": facts}
    kept = ("first_inference_ms", "load_ms", "peak_rss_mb")
    others = {n: {key: c[key] for key in kept} | {"runtime": c["facts"], **common} for n, c in cold.items()}
    return measured(target, timed, others, seed)


def check_arch(target: DeployTarget) -> None:
    """Raise Unavailable unless this machine has the target's architecture."""
    here = platform.machine().lower()
    here = ARCHES.get(here, here)
    if here != target.arch:
        raise Unavailable(f"target {target.name}: needs {target.arch}, this machine is {here}: measure it there")


def _runs(target: DeployTarget, artifact: str, format: str) -> bool:
    return format == target.format and kernels_of(artifact) in target.precisions


def _job(target: DeployTarget, inputs: "tuple[np.ndarray, np.ndarray]", threads: int, folder: Path) -> dict[str, Any]:
    import numpy as np

    path = folder / "inputs.npz"
    np.savez(path, lq=inputs[0], noise=inputs[1])
    options = dict(target.options)
    if target.device != "CPU":
        # Compiling for an NPU takes seconds to minutes: the timed runs take what the first load compiled.
        options |= {"DEVICE": target.device, "CACHE_DIR": str(folder / "compiled")}
    return {"threads": threads, "options": options, "inputs": str(path)}


def _measure(
    chosen: Artifacts, job: dict[str, Any], mode: Mode, seed: int, progress: "Progress", target: DeployTarget
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Results of the worker: cold by artifact, then all warm."""
    listed = {name: [str(path), format] for name, (path, format) in chosen.items()}
    cold: dict[str, Any] = {}
    with progress.stage(f"measure {target.name}", total=2 * len(listed)) as stage:
        for name, item in listed.items():
            stage.note(f"load {name}")
            cold |= run_worker({**job, "kind": "cold", "artifacts": {name: item}}, SPARE_S)
            stage.advance()
        stage.note(f"{mode}, interleaved")
        protocol = PROTOCOLS[mode]
        limit_s = SPARE_S + len(listed) * 3 * (protocol.max_s + protocol.warmup_s)
        warm = {**job, "kind": "warm", "artifacts": listed, "mode": mode, "seed": seed}
        return cold, run_worker(warm, limit_s, lambda name: stage.advance())


def run_worker(job: Mapping[str, Any], limit_s: float, on_done: Callable[[str], None] = lambda name: None) -> Any:
    """Do ``job`` in a fresh process. Raises what the worker raised, or CompressError when it died or took too long."""
    command = python_command("-m", "compress.targets.local_worker")
    pipe = subprocess.PIPE
    worker = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=python_environment())
    assert worker.stdin and worker.stdout and worker.stderr
    late = threading.Event()

    def stop() -> None:
        late.set()
        worker.kill()

    timer = threading.Timer(limit_s, stop)
    timer.start()
    try:
        last: deque[str] = deque(maxlen=1)
        reader = threading.Thread(target=_listen, args=(worker.stderr, on_done, last), daemon=True)
        reader.start()
        with suppress(BrokenPipeError), worker.stdin as stdin:
            json.dump(dict(job), stdin)
        output = worker.stdout.read()
        code = worker.wait()
        reader.join()
    finally:
        timer.cancel()
        worker.kill()
        worker.wait()
    names = ", ".join(job["artifacts"])
    if code and late.is_set():
        raise CompressError(f"measuring {names}: not done after {limit_s:.10g} s, so it was stopped: run it again")
    return _result(output, code, names, last)


def _listen(stream: IO[str], on_done: Callable[[str], None], last: deque[str]) -> None:
    for line in stream:
        if line.startswith(DONE):
            on_done(line.removeprefix(DONE).strip())
        elif line.strip():
            last.append(line.strip())


def _result(output: str, code: int, names: str, last: Iterable[str]) -> Any:
    if code:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        raise CompressError(f"measuring {names}: the worker {how} ({' '.join(last) or 'no message'})")
    result = json.loads(output)
    if "error" in result:
        raise ERRORS[result["error"]["exit_code"]](result["error"]["message"])
    return result
