"""ExecuTorch on the CPU."""

import importlib.metadata
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from compress.artifacts.about import KEYS
from compress.artifacts.backends import backend_in
from compress.artifacts.runtime.base import IMAGE, SEED, Option, Runner, check_shapes, damaged, load_library
from compress.artifacts.runtime.contents import Contents
from compress.artifacts.stages import INPUTS
from compress.errors import InputError, Unavailable
from compress.files import read_plain
from compress.quiet import quiet_native

MOST_ABOUT, MOST_PROGRAM = 100_000, 2**33  # bytes
# A .pte has inputs by place, not by name; the first and the second by their types, of torch's numbers.
NAMES = ({6: "lq", 0: IMAGE}, {6: "noise", 4: SEED})
METHOD = "forward"
# A method runs in memory of its own, and XNNPACK's work space and threads belong to the process.
_ONE_AT_A_TIME = threading.Lock()


class ExecutorchRunner(Runner):
    """A .pte file, by the CPU kernels that the wheel links: XNNPACK, portable, quantized.

    The thread pool belongs to the process: every open ``ExecutorchRunner`` must be opened with the same ``threads``.
    """

    def __init__(self, path: Path, threads: int, options: Mapping[str, Option], contents: Contents | None) -> None:
        if options:
            raise InputError(f"option {next(iter(options))}: ExecuTorch takes none: remove it")
        backend = backend_in(contents.entry if contents else read_plain(path, MOST_PROGRAM))
        if backend.not_run:
            raise Unavailable(f"{path}: is a program for {backend.title}, and not run here: {backend.not_run}")
        runtime = load_library("executorch")
        # On a virtual CPU cpuinfo, which sizes the pool, complains of files that only ARM has.
        with quiet_native():
            threads = _set_threads(threads)
        try:
            # A program keeps no reference of its own to what its methods need: hold it as long as the method.
            self._program = runtime.Runtime.get().load_program(contents.entry if contents else path)
            self._method = self._program.load_method(METHOD)
            facts = self._method.metadata
            inputs, output = _shapes(facts, path.stem), tuple(facts.output_tensor_meta(0).sizes())
        except (RuntimeError, LookupError, ValueError, TypeError) as error:
            raise damaged(path, "ExecuTorch program", error) from None
        self.shapes, self.output = check_shapes(path, inputs, output)
        self.about = _about(contents.about if contents else _beside(path))
        self.facts = {"executorch": importlib.metadata.version("executorch"), "threads": threads}

    def _execute(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        import torch

        # torch warns of an array that must not be written to, as Pillow's are.
        own = (inputs[name] for name in self.shapes)
        given = [torch.from_numpy(values if values.flags.writeable else values.copy()) for values in own]
        with _ONE_AT_A_TIME:
            return self._method.execute(given)[0].numpy()


def _beside(path: Path) -> bytes:
    """The .json beside a .pte; empty where there is none of ours."""
    try:
        return read_plain(path.with_suffix(".json"), MOST_ABOUT)
    except (OSError, ValueError):
        return b""


def _about(text: bytes) -> dict[str, str]:
    """What the .json beside a .pte says; nothing where it is none of ours."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {key: values[key] for key in KEYS if isinstance(values, dict) and isinstance(values.get(key), str)}


def _set_threads(threads: int) -> int:
    """Fix the size of the process's thread pool; returns the size in force."""
    from executorch.extension.pybindings import portable_lib as pool

    # Resetting replaces the pool under programs that are loaded already: only when it must change.
    if pool._threadpool_get_thread_count() != threads:
        pool._unsafe_reset_threadpool(threads)
    return pool._threadpool_get_thread_count()


def _shapes(metadata: Any, stem: str) -> dict[str, tuple[int, ...]]:
    tensors = [metadata.input_tensor_meta(i) for i in range(metadata.num_inputs())]
    known = [
        name.get(tensor.dtype(), f"input {i}") for i, (name, tensor) in enumerate(zip(NAMES, tensors, strict=False))
    ]
    names = list(INPUTS.get(stem, known))
    names += [f"input {i}" for i in range(len(names), len(tensors))]
    return {name: tuple(tensor.sizes()) for name, tensor in zip(names, tensors, strict=False)}
