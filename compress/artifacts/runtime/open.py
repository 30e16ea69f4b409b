"""Opens an artifact in its own runtime."""

from collections.abc import Mapping
from pathlib import Path

from compress.artifacts.runtime.base import Option, Runner
from compress.artifacts.runtime.contents import Contents
from compress.artifacts.runtime.staged import StagedRunner
from compress.artifacts.stages import STAGES
from compress.errors import InputError
from compress.recipe.schema import Format


def open_runner(
    path: Path,
    format: Format,
    threads: int,
    options: Mapping[str, Option] | None = None,
    contents: Contents | None = None,
) -> Runner:
    """Load an artifact into its runtime, on the CPU, on a fixed number of threads; of three graphs, which lie in one
    folder, ``path`` is any.

    ``options`` are the runtime's own settings and win over the defaults. ``contents``: what is loaded, where it was
    read already; ``path`` only names it then. Raises InputError (no such file, a setting
    that the runtime does not know), Unavailable (the runtime is not installed), VerificationError (damaged artifact).
    """
    if threads < 1:
        raise InputError(f"threads (={threads}) must be 1 or more: give the number of physical cores")
    if contents is None and not path.is_file():
        raise InputError(f"{path}: no such artifact: check the path")
    kind = _runner(format)
    if path.stem not in STAGES:
        return kind(path, threads, options or {}, contents)
    stages = {}
    for stage in STAGES:
        file = path.with_stem(stage)
        if contents is None and not file.is_file():
            raise InputError(f"{path}: {file.name} is not beside it: copy all three graphs of the artifact")
        stages[stage] = kind(file, threads, options or {}, contents.stages[stage] if contents else None)
    return StagedRunner(stages)


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
