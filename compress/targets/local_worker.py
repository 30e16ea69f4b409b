"""Measures artifacts in a process of its own: ``python -m compress.targets.local_worker``, job on stdin, result on
stdout.

Both are one JSON document. A job: ``artifacts`` {id: [path, format]}, ``threads``, ``options``, ``inputs`` (path of an
.npz with lq and noise), and either ``kind`` "cold" (load and one inference, of one artifact) or "warm" (``mode`` quick
or full, ``seed``; all artifacts, interleaved). A result: one entry an id, or ``error`` {message, exit_code}.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compress.artifacts.runtime.base import Runner, load_library
from compress.artifacts.runtime.open import open_runner
from compress.errors import CompressError
from compress.measure.latency import PROTOCOLS, measure_interleaved

STATUS = Path("/proc/self/status")
DONE = "measured "  # begins a line on stderr for every artifact that is done


def cold(job: Mapping[str, Any], inputs: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Load time and first inference (ms), highest resident memory of the process (MB), and the runtime's facts."""
    result = {}
    for name, (_, format) in job["artifacts"].items():
        # The runtime's import is the same for every artifact and no part of loading one.
        load_library(format)
        started = time.perf_counter()
        runner = _open(job, name)
        loaded = time.perf_counter()
        runner.run(*inputs)
        finished = time.perf_counter()
        result[name] = {
            "load_ms": round(1000 * (loaded - started), 2),
            "first_inference_ms": round(1000 * (finished - loaded), 2),
            "peak_rss_mb": peak_rss_mb(),
            "facts": runner.facts,
        }
    return result


def warm(job: Mapping[str, Any], inputs: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Samples (ms) and warm-up runs of every artifact, interleaved."""
    runners = {name: _open(job, name) for name in job["artifacts"]}
    calls: dict[str, Callable[[], object]] = {name: partial(runner.run, *inputs) for name, runner in runners.items()}
    latencies = measure_interleaved(calls, PROTOCOLS[job["mode"]], job["seed"], _tell)
    return {name: {"samples": latency.samples, "warmup": latency.warmup} for name, latency in latencies.items()}


def _tell(name: str) -> None:
    print(f"{DONE}{name}", file=sys.stderr, flush=True)


def _open(job: Mapping[str, Any], name: str) -> Runner:
    path, format = job["artifacts"][name]
    return open_runner(Path(path), format, job["threads"], job["options"])


def peak_rss_mb() -> float | None:
    """Highest resident memory of this process so far; None where the system does not tell."""
    match = re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text()) if STATUS.exists() else None
    return round(int(match[1]) / 1024, 1) if match else None


def main() -> None:
    """Do the job on stdin."""
    # Runtimes print to stdout, from C too: keep the real one for the result.
    with os.fdopen(os.dup(1), "w") as results:
        os.dup2(2, 1)
        job = json.load(sys.stdin)
        try:
            with np.load(job["inputs"]) as stored:
                inputs = stored["lq"], stored["noise"]
            result = {"cold": cold, "warm": warm}[job["kind"]](job, inputs)
        except CompressError as error:
            result = {"error": {"message": str(error), "exit_code": error.exit_code}}
        json.dump(result, results)


if __name__ == "__main__":
    main()
