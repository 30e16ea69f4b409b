"""Where an ONNX artifact's bytes and milliseconds go: encoder, MMSE estimator, each Euler step, decoder."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from compress.artifacts.inspect.external_data import files_beside
from compress.files import temporary_folder
from compress.results.artifact import WeightShare

RUNS, WARMUP = 5, 2
PART = re.compile(r"^model\.(enc|mmse|fmir|dec)\.")
NAMES = {"enc": "encoder", "mmse": "MMSE estimator", "fmir": "flow", "dec": "decoder"}
ADDED = re.compile(r"(_nchwc|_token_\d+|/duplicated|_kernel_time)+$")
OTHER = "graph and other constants"


def onnx_shares(
    artifact: str, paths: Sequence[Path], threads: int, inputs: Mapping[str, np.ndarray]
) -> list[WeightShare]:
    """What each stage takes of the files of ``artifact``, an id, in the order of its graphs, which read ``inputs`` and
    what those before them make.

    ``bytes`` are the files' weights; the flow's are shared by its steps, and stand in a row of their own, whose ``ms``
    is None. ``ms``: mean of ``RUNS`` profiled inferences, in ONNX Runtime on ``threads`` threads.
    Empty for files whose weights do not bear the networks' names.
    """
    import onnx

    weights: dict[str, int] = {}
    times: dict[str, float] = {}
    values = dict(inputs)
    for path in paths:
        graph = onnx.load(path).graph
        if not (own := _weights(graph.initializer)):
            return []
        weights |= own
        times |= _times(path, threads, values, dict(_places(graph)))
    stages = dict.fromkeys([*times, *weights])
    files = [file for path in paths for file in (path, *files_beside(path, "onnx").values())]
    other = sum(file.stat().st_size for file in files) - sum(weights.values())
    shares = [WeightShare(artifact=artifact, stage=s, bytes=weights.get(s), ms=times.get(s)) for s in stages]
    return [*shares, WeightShare(artifact=artifact, stage=OTHER, bytes=other, ms=None)]


def _weights(initializers: Any) -> dict[str, int]:
    sizes: Counter[str] = Counter()
    for tensor in initializers:
        if match := PART.match(tensor.name):
            sizes["flow, shared by the steps" if match[1] == "fmir" else NAMES[match[1]]] += tensor.ByteSize()
    return dict(sizes)


def _places(graph: Any) -> Iterator[tuple[str, str]]:
    """(name of a node or of its output, stage): a node belongs to the stage whose weights were last used before it."""
    stage, opening, step = "", "", 0
    for node in graph.node:
        for name, part in ((name, match[1]) for name in node.input if (match := PART.match(name))):
            if part == "fmir":
                # The steps share their weights: each begins where the first of them is used again.
                opening = opening or name
                step += name == opening
            stage = f"flow, step {step}" if part == "fmir" else NAMES[part]
        for name in (node.name, *node.output):
            yield name, stage


def _times(path: Path, threads: int, values: dict[str, np.ndarray], places: dict[str, str]) -> dict[str, float]:
    """``values``: what the graph reads; what it makes is added."""
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = threads, 3
    settings.enable_profiling = True
    with temporary_folder() as folder:
        settings.profile_file_prefix = f"{folder}/profile"
        session = ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        wanted = {port.name: values[port.name] for port in session.get_inputs()}
        for _ in range(WARMUP + RUNS):
            values[session.get_outputs()[0].name] = session.run(None, wanted)[0]
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    timed = [event for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")]
    timed = timed[len(timed) * WARMUP // (WARMUP + RUNS) :]
    return _summed(timed, places)


def _summed(timed: Sequence[Mapping[str, Any]], places: dict[str, str]) -> dict[str, float]:
    """Stage -> ms of one run. What the runtime itself put in (layout changes) counts for the stage that it is in."""
    first = next(stage for stage in places.values() if stage)
    stage, sums = first, dict.fromkeys(filter(None, places.values()), 0.0)
    for event in timed:
        stage = places.get(ADDED.sub("", event["name"]), stage) or first
        sums[stage] += event["dur"] / 1000 / RUNS
    return {name: round(value, 3) for name, value in sums.items()}
