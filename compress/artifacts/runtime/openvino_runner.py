"""OpenVINO, on the CPU, or on another of its devices."""

import functools
import io
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from compress.artifacts.about import ABOUT, KEYS
from compress.artifacts.inspect.external_data import weights_of
from compress.artifacts.runtime.base import Option, Runner, check_shapes, damaged, load_library
from compress.artifacts.runtime.contents import Contents
from compress.errors import InputError, VerificationError
from compress.files import open_plain

DEVICE = "DEVICE"


@functools.cache
def shared_core() -> Any:
    """The one ``openvino.Core`` of this process that compiles models. Raises Unavailable without OpenVINO.

    With several, a signal can end the process by SIGSEGV on a CPU with AMX: each Core's CPU plugin gives the thread a
    stack for signals, and a Core that ends before one begun earlier leaves the thread with a stack that is unmapped
    (``SigAltStackSetup`` of the plugin, 2026.4).
    """
    ov = load_library("openvino")
    # Its binding fills its tables of types at their first use, under a lock inside which it waits for Python's: two
    # threads that begin their first inferences at once would wait for each other for ever.
    ov.Tensor(np.zeros(1, np.float32), shared_memory=True).element_type.to_dtype()
    return ov.Core()


def npu_architecture() -> str | None:
    """The NPU's architecture that OpenVINO finds on this machine (3720, 4000, 5010); None without one."""
    core = shared_core()
    if not any(name.split(".")[0] == "NPU" for name in core.available_devices):
        return None
    return str(core.get_property("NPU", "DEVICE_ARCHITECTURE"))


# Its messages quote a damaged file, whose bytes need not be UTF-8: then Python's binding fails at the message itself.
REFUSED = (RuntimeError, UnicodeDecodeError)


class OpenvinoRunner(Runner):
    """An IR (.xml beside its .bin), one stream, tuned for latency.

    Computes in float32 unless ``options`` say otherwise: left alone on CPUs with AMX or AVX512-BF16, OpenVINO runs a
    float32 IR in bfloat16, and the float baseline would be another model. ``options`` may name the ``DEVICE``, CPU, GPU
    or NPU; everything else there is OpenVINO's own (``CACHE_DIR``: keeps what was compiled for an NPU).
    """

    def __init__(self, path: Path, threads: int, options: Mapping[str, Option], contents: Contents | None) -> None:
        ov, core = load_library("openvino"), shared_core()
        _check_ir(path, contents)
        try:
            model = core.read_model(contents.entry, contents.weights) if contents else _read(core, path)
        except REFUSED as error:
            weights = weights_of(path)
            if not (contents.weights if contents else weights.is_file()):
                raise VerificationError(
                    f"{path}: its weights, {weights.name}, are not beside it: copy both files of the artifact"
                ) from None
            raise damaged(path, "OpenVINO IR", error) from None
        try:
            inputs, output = {port.any_name: _shape(port) for port in model.inputs}, _shape(model.outputs[0])
        except (RuntimeError, LookupError) as error:  # a port without a name, or without a rank; no output
            raise damaged(path, "OpenVINO IR", error) from None
        self.shapes, self.output = check_shapes(path, inputs, output)
        self.about = _about(model)
        given = dict(options)
        device = str(given.pop(DEVICE, "CPU"))
        settings: dict[str, Option] = {"PERFORMANCE_HINT": "LATENCY"}
        if device == "CPU":
            settings |= {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        settings |= given
        self._compiled = _compile(core, model, device, settings, path)
        # A request holds one inference's tensors: shared by threads, it would give one's picture to another.
        self._own = threading.local()
        self._own.request = self._compiled.create_infer_request()
        self.facts = {"openvino": ov.__version__, "device": device, **settings}

    def _execute(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._compiled.create_infer_request()
        return request.infer(inputs, share_inputs=True)[0]


HEAD = 16384
"""Bytes in which an IR begins, comments before it included."""


def _check_ir(path: Path, contents: Contents | None) -> None:
    """Raise VerificationError for what begins as no IR: OpenVINO would try it as every other kind of model that it
    reads, and TensorFlow's parser prints what it thinks of it.
    """
    try:
        with nullcontext(io.BytesIO(contents.entry)) if contents else open_plain(path) as file:
            head = file.read(HEAD)
    except (FileNotFoundError, ValueError) as error:
        raise damaged(path, "OpenVINO IR", error) from None
    if not _begins_as_ir(head):
        raise damaged(path, "OpenVINO IR", ValueError("it does not begin as one"))


def _begins_as_ir(head: bytes) -> bool:
    """Whether ``<net`` is the first element. Not by one pattern, which takes for ever where comments have no end."""
    rest = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if rest.startswith(b"<?xml"):
        rest = rest.partition(b"?>")[2].lstrip()
    while rest.startswith(b"<!--"):
        rest = rest.partition(b"-->")[2].lstrip()
    return rest[:4] == b"<net" and rest[4:5] in (b" ", b"\t", b"\r", b"\n", b">")


def _read(core: Any, path: Path) -> Any:
    weights = weights_of(path)
    return core.read_model(path, weights) if weights.is_file() else core.read_model(path)


def _about(model: Any) -> dict[str, str]:
    paths = {key: [ABOUT, key] for key in KEYS}
    told = {key: model.get_rt_info(path).value for key, path in paths.items() if model.has_rt_info(path)}
    return {key: value for key, value in told.items() if isinstance(value, str)}  # a stranger's may be a tree


def _shape(port: Any) -> tuple[int, ...]:
    partial = port.partial_shape
    return tuple(d.get_length() if d.is_static else -1 for d in partial)


def _compile(core: Any, model: Any, device: str, settings: dict[str, Option], path: Path) -> Any:
    try:
        return core.compile_model(model, device, settings)
    except REFUSED as error:
        text = " ".join(str(error).split())
        unknown = [key for key in settings if key in text]
        if unknown:
            raise InputError(f"option {unknown[0]}={settings[unknown[0]]}: refused by OpenVINO: correct it") from None
        raise damaged(path, "OpenVINO IR", error) from None
