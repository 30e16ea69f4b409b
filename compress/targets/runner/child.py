"""What runs in processes of its own: an artifact cold, all of them warm, instructions counted."""

import contextlib
import os
import re
from functools import partial
from typing import Any, Callable, Dict, List

from compress.targets.runner.accuracy import picture
from compress.targets.runner.machine import PROC, read_text
from compress.targets.runner.runtimes import load, version
from compress.targets.runner.state import Job
from compress.targets.runner.tensorrt import TensorRt
from compress.targets.runner.timer import interleaved, timed


def cold(folder: str, job: Job, name: str) -> Dict[str, Any]:
    """Load time, first inference, memory; then every picture's output, kept beside the artifacts."""
    import numpy as np

    found = version(job)
    with np.load(os.path.join(folder, job["inputs"]["name"])) as file:
        stored = dict(file)
    first = picture(stored, 0)
    if job["runtime"] == "tensorrt":  # building an engine takes minutes, and is no part of loading it
        TensorRt.prepare(os.path.join(folder, job["artifacts"][name]["entry"]), {**job, "folder": folder})
    opened: List[Any] = []
    load_ms = timed(lambda: opened.append(load(folder, job, name)))
    runner = opened[0]
    first_ms = timed(lambda: runner.run(first))
    rss = re.search(r"VmHWM:\s*(\d+) kB", read_text("{}/{}/status".format(PROC, getattr(runner, "pid", "self"))))
    outputs = [runner.run(picture(stored, i))[0] for i in range(len(stored["lq"]))]
    bytes_ = [(hq.clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0) for hq in outputs]
    np.save(os.path.join(folder, f"output-{name}.npy"), np.stack(bytes_))
    return {
        "load_ms": round(load_ms, 2),
        "first_inference_ms": round(first_ms, 2),
        "peak_rss_mb": round(int(rss.group(1)) / 1024, 1) if rss else None,
        "facts": {job["runtime"]: found, **runner.facts},
    }


def warm(folder: str, job: Job) -> Dict[str, Any]:
    """Samples of every artifact on the first picture, interleaved."""
    import numpy as np

    with np.load(os.path.join(folder, job["inputs"]["name"])) as file:
        inputs = picture(dict(file), 0)
    runners = {name: load(folder, job, name) for name in job["artifacts"]}
    runs: Dict[str, Callable[[], Any]] = {
        name: partial(getattr(runner, "infer", runner.run), inputs) for name, runner in runners.items()
    }
    return interleaved(runs, job["protocol"], job["seed"])


def mark(tag: int) -> None:
    """Where an emulator's instruction counter begins or ends a region; elsewhere nothing."""
    with contextlib.suppress(OSError):
        os.getpriority(0x5150, tag)


def count(folder: str, job: Job, name: str) -> Dict[str, Any]:
    """Under an emulator: the outputs, float32, of the first pictures, each run between two marks."""
    import numpy as np

    with np.load(os.path.join(folder, job["inputs"]["name"])) as file:
        stored = dict(file)
    runner, outputs = load(folder, job, name), []
    for i in range(len(stored["lq"])):
        inputs = picture(stored, i)
        mark(1)
        outputs.append(runner.run(inputs)[0])
        mark(2)
    np.save(os.path.join(folder, f"output-{name}.npy"), np.stack(outputs))
    return dict(runner.facts)
