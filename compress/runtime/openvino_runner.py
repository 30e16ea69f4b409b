"""OpenVINO on the CPU."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from compress.errors import InputError
from compress.runtime.base import Option, Runner, check_shapes, damaged, load_library


class OpenvinoRunner(Runner):
    """An IR (.xml beside its .bin), one stream, tuned for latency.

    Computes in float32 unless ``options`` say otherwise: left alone on CPUs with AMX or AVX512-BF16, OpenVINO runs a
    float32 IR in bfloat16, and the float baseline would be another model.
    """

    def __init__(self, path: Path, threads: int, options: Mapping[str, Option]) -> None:
        ov = load_library("openvino")
        core = ov.Core()
        try:
            model = core.read_model(path)
        except RuntimeError as error:
            raise damaged(path, "OpenVINO IR", error) from None
        self.shapes = check_shapes(path, {port.any_name: _shape(port) for port in model.inputs})
        settings: dict[str, Option] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",
            **options,
        }
        self._request = _compile(core, model, settings, path).create_infer_request()
        self.facts = {"openvino": ov.__version__, **settings}

    def _execute(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        return self._request.infer(inputs, share_inputs=True)[0]


def _shape(port: Any) -> tuple[int, ...]:
    partial = port.partial_shape
    return tuple(d.get_length() if d.is_static else -1 for d in partial)


def _compile(core: Any, model: Any, settings: dict[str, Option], path: Path) -> Any:
    try:
        return core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        text = " ".join(str(error).split())
        unknown = [key for key in settings if key in text]
        if unknown:
            raise InputError(f"option {unknown[0]}={settings[unknown[0]]}: refused by OpenVINO: correct it") from None
        raise damaged(path, "OpenVINO IR", error) from None
