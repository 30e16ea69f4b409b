"""What runs in processes of its own: an artifact cold, all of them warm, instructions counted."""

import contextlib
import os
import re
from functools import partial
from typing import Any, Callable, Dict, List

from compress.targets.runner.accuracy import as_picture, picture
from compress.targets.runner.failure import DAMAGED, Failure
from compress.targets.runner.machine import PROC, read_text
from compress.targets.runner.runtimes import load, version
from compress.targets.runner.state import Job
from compress.targets.runner.tensorrt import TensorRt
from compress.targets.runner.timer import interleaved, timed

TIMED = "timed"
"""A file that grows by one byte for every artifact whose timed runs are done."""


def stored_pictures(folder: str, job: Job) -> Dict[str, Any]:
    import numpy as np

    with np.load(os.path.join(folder, job["inputs"]["name"])) as file:
        return dict(file)


def cold(folder: str, job: Job, name: str) -> Dict[str, Any]:
    """Load time, first inference, memory; where the job asks for ``outputs``, every picture's, kept beside it.

    The runtime's import is the same for every artifact and no part of loading one.
    """
    runtime_version = version(job)
    stored = stored_pictures(folder, job)
    first = picture(stored, 0)
    if job["runtime"] == "tensorrt":  # building an engine takes minutes, and is not part of loading it
        TensorRt.prepare(os.path.join(folder, job["artifacts"][name]["entry"]), {**job, "folder": folder})
    opened: List[Any] = []
    load_ms = timed(lambda: opened.append(load(folder, job, name, first)))
    runner = opened[0]
    outputs: List[Any] = []
    first_ms = timed(lambda: outputs.append(first_run(name, runner, first)))
    peak = peak_rss_mb(getattr(runner, "pid", "self"))
    if job["outputs"]:
        keep_outputs(os.path.join(folder, f"output-{name}.npy"), as_picture(outputs[0]), runner, stored)
    return {
        "load_ms": round(load_ms, 2),
        "first_inference_ms": round(first_ms, 2),
        "peak_rss_mb": peak,
        "facts": {job["runtime"]: runtime_version, **runner.facts},
    }


def first_run(name: str, runner: Any, inputs: Dict[str, Any]) -> Any:
    """What the artifact gives. Raises Failure for one that fails, or that gives another shape than its picture's."""
    try:
        hq = runner.run(inputs)
        shape, kind = hq.shape, str(hq.dtype)
    except (Failure, MemoryError):
        raise
    except Exception as error:  # the runtimes' exceptions have no common base
        why = " ".join(str(error).split())[:200]
        raise Failure(f"{name} fails when it is run ({why}): do not use it", DAMAGED) from None
    if "lq" in inputs:
        fits = (shape, kind) == (inputs["lq"].shape, "float32")
    else:
        fits = len(shape) == 4 and (shape[0], shape[3], kind) == (1, 3, "uint8")
    if not fits:
        raise Failure(f"{name} gives {kind} {shape}, no picture of what it is given: do not use it", DAMAGED)
    return hq


def peak_rss_mb(pid: Any) -> Any:
    """Highest resident memory of a process so far; None where the system does not tell."""
    match = re.search(r"VmHWM:\s*(\d+) kB", read_text(f"{PROC}/{pid}/status"))
    return round(int(match.group(1)) / 1024, 1) if match else None


def keep_outputs(path: str, first: Any, runner: Any, stored: Dict[str, Any]) -> None:
    """Write a runner's output of every picture, (N, H, W, 3) uint8. ``first``: that of the first, which is there."""
    import numpy as np

    rest = [as_picture(runner.run(picture(stored, i))) for i in range(1, len(stored["lq"]))]
    np.save(path, np.stack([first, *rest]))


def warm(folder: str, job: Job) -> Dict[str, Any]:
    """Samples of every artifact on the first picture, interleaved."""
    version(job)
    inputs = picture(stored_pictures(folder, job), 0)
    runners = {name: load(folder, job, name, inputs) for name in job["artifacts"]}
    runs: Dict[str, Callable[[], Any]] = {
        name: partial(getattr(runner, "infer", runner.run), inputs) for name, runner in runners.items()
    }
    with open(os.path.join(folder, TIMED), "wb", buffering=0) as file:
        return interleaved(runs, job["protocol"], job["seed"], lambda name: file.write(b"."))


def mark(tag: int) -> None:
    """Where an emulator's instruction counter begins or ends a region; elsewhere nothing."""
    with contextlib.suppress(OSError):
        os.getpriority(0x5150, tag)


def count(folder: str, job: Job, name: str) -> Dict[str, Any]:
    """Under an emulator: the outputs, float32, of the first pictures, each run between two marks."""
    import numpy as np

    stored = stored_pictures(folder, job)
    runner, outputs = load(folder, job, name, picture(stored, 0)), []
    for i in range(len(stored["lq"])):
        inputs = picture(stored, i)
        mark(1)
        outputs.append(runner.run(inputs)[0])
        mark(2)
    np.save(os.path.join(folder, f"output-{name}.npy"), np.stack(outputs))
    return dict(runner.facts)
