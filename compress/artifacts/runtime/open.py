"""Opens an artifact in its own runtime."""

from collections.abc import Mapping
from pathlib import Path

from compress.artifacts.runtime.base import Option, Runner
from compress.artifacts.runtime.contents import Contents
from compress.artifacts.runtime.staged import StagedRunner
from compress.artifacts.stages import STAGES
from compress.errors import InputError
from compress.native_work import native_work
from compress.recipe.schema import Format


def open_runner(
    path: Path,
    format: Format,
    threads: int,
    options: Mapping[str, Option] | None = None,
    contents: Contents | None = None,
    *,
    streams: int = 1,
) -> Runner:
    """Load an artifact into its runtime, on the CPU, on a fixed number of threads; of three graphs, which lie in one
    folder, ``path`` is any.

    ``streams``: how many inferences can run at once, for as many callers, each on its share of the threads; one of
    those that ``streams_of`` gives. The flow of three graphs, which takes a picture in one piece, has all threads.
    ``options`` are the runtime's own settings and win over the defaults. ``contents``: what is loaded, where it was
    read already; ``path`` only names it then. Raises InputError (no such file, a setting
    that the runtime does not know), Unavailable (the runtime is not installed), VerificationError (damaged artifact).
    """
    if threads < 1:
        raise InputError(f"threads (={threads}) must be 1 or more: give the number of physical cores")
    if contents is None and not path.is_file():
        raise InputError(f"{path}: no such artifact: check the path")
    kind, own = _runner(format), dict(options or {})
    own_threads, shared = _share(format, threads, streams)
    if path.stem not in STAGES:
        return _loaded(kind, path, own_threads, {**shared, **own}, contents)
    stages = {}
    for stage in STAGES:
        file = path.with_stem(stage)
        if contents is None and not file.is_file():
            raise InputError(f"{path}: {file.name} is not beside it: copy all three graphs of the artifact")
        inside = contents.stages[stage] if contents else None
        whole = stage == "flow"
        settings = own if whole else {**shared, **own}
        stages[stage] = _loaded(kind, file, threads if whole else own_threads, settings, inside)
    return StagedRunner(stages)


def _loaded(
    kind: type[Runner], path: Path, threads: int, settings: Mapping[str, Option], contents: Contents | None
) -> Runner:
    with native_work(path):
        runner = kind(path, threads, settings, contents)
    runner.name = str(path)
    return runner


MOST_STREAMS = 4
"""Each holds the tensors of an inference, and gains less than the one before."""


def streams_of(format: Format, threads: int) -> int:
    """How many inferences at once use ``threads`` threads best where many are to be done: the most that all have
    equally many threads. ExecuTorch computes one at a time."""
    if format == "executorch":
        return 1
    return max(n for n in range(1, MOST_STREAMS + 1) if threads % n == 0)


def _share(format: Format, threads: int, streams: int) -> tuple[int, dict[str, Option]]:
    """Threads and settings of a runner that computes ``streams`` inferences at once."""
    if streams == 1:
        return threads, {}
    if format == "openvino":
        return threads, {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": streams}
    return threads // streams, {}


def _runner(format: Format) -> type[Runner]:
    match format:
        case "openvino":
            from compress.artifacts.runtime.openvino_runner import OpenvinoRunner

            return OpenvinoRunner
        case "onnx":
            from compress.artifacts.runtime.onnxruntime_runner import OnnxruntimeRunner

            return OnnxruntimeRunner
        case "executorch":
            from compress.artifacts.runtime.executorch_runner import ExecutorchRunner

            return ExecutorchRunner
