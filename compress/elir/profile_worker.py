"""Profiles one checkpoint at one size: ``python -m compress.elir.profile_worker``, job on stdin, result on stdout, as
JSON.

A process of its own for each size: memory that an earlier size has freed, but the allocator kept, would hide a peak.
"""

import json
import os
import re
import sys
import time
from pathlib import Path
from statistics import median
from typing import TypedDict

import torch

from compress.elir.checkpoint import load_checkpoint
from compress.elir.latent import noise_shape
from compress.elir.macs import stage_macs
from compress.elir.model import Elir
from compress.elir.overparam import collapse

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
PICTURES_SEED = 0


class StageCost(TypedDict):
    """``ms``: median of the runs but the first. ``peak_mb``: highest resident memory in the stage above what the
    process held before the first stage; None where the system does not say."""

    macs: int
    ms: float
    peak_mb: float | None


def profile_size(model: Elir, size: int, runs: int) -> dict[str, StageCost]:
    """Every stage of ``model`` at ``size`` px, measured ``runs`` times after one more."""
    generator = torch.Generator().manual_seed(PICTURES_SEED)
    pair = torch.rand(1, 3, size, size, generator=generator), torch.randn(noise_shape(size, size), generator=generator)
    macs = stage_macs(model, *pair)
    times: dict[str, list[float]] = {name: [] for name in macs}
    peaks: dict[str, float | None] = {}
    for _ in range(runs + 1):
        held = _memory_mb("VmRSS")
        _reset_peak()
        since = time.perf_counter()
        for name, _value in model.iter_stages(*pair):
            times[name].append(1000 * (time.perf_counter() - since))
            peak = _memory_mb("VmHWM")
            peaks[name] = None if peak is None or held is None else round(max(0.0, peak - held), 1)
            _reset_peak()
            since = time.perf_counter()
    return {
        name: {"macs": macs[name], "ms": round(median(values[1:]), 3), "peak_mb": peaks[name]}
        for name, values in times.items()
    }


def _reset_peak() -> None:
    if CLEAR_REFS.exists():
        CLEAR_REFS.write_text("5")


def _memory_mb(field: str) -> float | None:
    match = re.search(rf"{field}:\s*(\d+) kB", STATUS.read_text()) if STATUS.exists() else None
    return int(match[1]) / 1024 if match else None


def main() -> None:
    """Do the job on stdin: ``checkpoint``, ``k_steps``, ``sigma_s``, ``size``, ``runs``, ``threads``."""
    with os.fdopen(os.dup(1), "w") as results:
        os.dup2(2, 1)
        job = json.load(sys.stdin)
        torch.set_num_threads(job["threads"])
        model = load_checkpoint(job["checkpoint"], job["k_steps"], job["sigma_s"])
        collapse(model)
        with torch.inference_mode():
            json.dump(profile_size(model, job["size"], job["runs"]), results)


if __name__ == "__main__":
    main()
