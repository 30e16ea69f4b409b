"""ONNX Runtime on the CPU."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from compress.artifacts.about import ABOUT
from compress.artifacts.runtime.base import Option, Runner, check_shapes, damaged, load_library
from compress.artifacts.runtime.contents import Contents
from compress.errors import InputError

LEVEL = "graph_optimization_level"
LEVELS = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "disable": "ORT_DISABLE_ALL",
}
LOG_FATAL = 4  # errors are raised; printed as well, they would bring names of nodes to the terminal as they are


class OnnxruntimeRunner(Runner):
    """A .onnx file, sequential execution, all graph optimisations unless ``graph_optimization_level`` says otherwise.

    Other ``options`` are session configuration entries (``session.*``).
    """

    def __init__(self, path: Path, threads: int, options: Mapping[str, Option], contents: Contents | None) -> None:
        ort = load_library("onnx")
        settings = _settings(ort, threads, options)
        try:
            model = contents.entry if contents else str(path)
            if contents and contents.external:
                names, data = list(contents.external), list(contents.external.values())
                settings.add_external_initializers_from_files_in_memory(names, data, list(map(len, data)))
            self._session = ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
            inputs = {port.name: _shape(port) for port in self._session.get_inputs()}
            output = _shape(self._session.get_outputs()[0])
        except Exception as error:
            # ONNX Runtime's exceptions have no common base but Exception.
            raise damaged(path, "ONNX model", error) from None
        self.shapes, self.output = check_shapes(path, inputs, output)
        said = self._session.get_modelmeta().custom_metadata_map
        self.about = {k.removeprefix(f"{ABOUT}."): v for k, v in said.items() if k.startswith(f"{ABOUT}.")}
        self.facts = {"onnxruntime": ort.__version__, "threads": threads, LEVEL: "all", **options}

    def _execute(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        return self._session.run(None, inputs)[0]


def _shape(port: Any) -> tuple[int, ...]:
    return tuple(d if isinstance(d, int) else -1 for d in port.shape)


def _settings(ort: Any, threads: int, options: Mapping[str, Option]) -> Any:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    settings.log_severity_level = LOG_FATAL
    level = str(options.get(LEVEL, "all"))
    if level not in LEVELS:
        raise InputError(f"option {LEVEL} must be one of {', '.join(LEVELS)}, got {level}: correct it")
    settings.graph_optimization_level = getattr(ort.GraphOptimizationLevel, LEVELS[level])
    for key, value in options.items():
        if key != LEVEL and not key.startswith("session."):
            raise InputError(f"option {key}: unknown to ONNX Runtime: give {LEVEL} or session.* entries")
        if key != LEVEL:
            settings.add_session_config_entry(key, str(int(value) if isinstance(value, bool) else value))
    return settings
