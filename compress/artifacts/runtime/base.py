"""What every runtime offers: open an artifact, tell its inputs, run it."""

import importlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import numpy as np

from compress.artifacts.runtime.contents import Contents
from compress.artifacts.runtime.executorch_import import without_compiler
from compress.elir.latent import noise_shape
from compress.errors import InputError, Unavailable, VerificationError
from compress.quiet import quiet
from compress.recipe.schema import Format

Option = str | int | float | bool

Shape = tuple[int, ...]

SUFFIXES: dict[str, Format] = {".xml": "openvino", ".onnx": "onnx", ".pte": "executorch"}

PACKAGES: dict[Format, str] = {"openvino": "openvino", "onnx": "onnxruntime", "executorch": "executorch"}

# Without executorch.kernels.quantized, quantize and dequantize outside XNNPACK's partitions have no kernel.
_LIBRARIES: dict[Format, tuple[str, ...]] = {
    "openvino": ("openvino",),
    "onnx": ("onnxruntime",),
    "executorch": ("executorch.runtime", "executorch.kernels.quantized"),
}


class Runner(ABC):
    """An artifact, loaded and ready to run, by any number of threads at once.

    Attributes: ``shapes``, of ``lq`` (1, 3, H, W) and, unless baked, ``noise`` (1, 16, H/8, W/8); ``facts``, the
    runtime's version and the settings in force, for the record; ``about``, what the file says of itself, e.g. ``task``.
    """

    shapes: dict[str, Shape]
    facts: dict[str, Option]
    about: Mapping[str, str] = {}

    @abstractmethod
    def __init__(self, path: Path, threads: int, options: Mapping[str, Option], contents: Contents | None) -> None:
        """Load ``contents``, or else the file ``path``, for ``threads`` threads; errors as ``open_runner``."""

    @abstractmethod
    def _execute(self, inputs: dict[str, np.ndarray]) -> np.ndarray: ...

    def run(self, lq: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        """lq (1, 3, H, W) float32 in [0, 1], noise (1, 16, H/8, W/8) float32 -> hq (1, 3, H, W) float32, clipped by
        the artifact. Noise is ignored where it is baked in.

        Raises InputError for other shapes, VerificationError for an artifact that fails or gives another shape.
        """
        inputs = {"lq": lq} if noise is None or "noise" not in self.shapes else {"lq": lq, "noise": noise}
        given = {name: value.shape for name, value in inputs.items()}
        if given != self.shapes:
            raise InputError(f"artifact takes {_told(self.shapes)}, got {_told(given)}: give inputs of its shapes")
        try:
            hq = self._execute({name: np.ascontiguousarray(value, np.float32) for name, value in inputs.items()})
        except MemoryError:
            raise
        except Exception as error:  # the runtimes' exceptions have no common base
            why = " ".join(str(error).split())[:200]
            raise VerificationError(f"artifact fails when it is run ({why}): export it again") from None
        if (shape := getattr(hq, "shape", None)) != lq.shape:
            raise VerificationError(f"artifact gives {shape} for lq of {lq.shape}: export it again")
        return hq


def _told(shapes: Mapping[str, Shape]) -> str:
    return " and ".join(f"{name} {shape}" for name, shape in shapes.items())


def format_of(path: Path) -> Format:
    """Format of an artifact by its suffix. Raises InputError for an unknown one."""
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: not an artifact: give a .xml (OpenVINO), .onnx or .pte (ExecuTorch) file")
    return SUFFIXES[path.suffix]


def load_library(format: Format) -> ModuleType:
    """Import a format's runtime. Raises Unavailable, naming the package to install."""
    try:
        with quiet(), without_compiler() if format == "executorch" else nullcontext():
            library, *_ = [importlib.import_module(name) for name in _LIBRARIES[format]]
        return library
    except ImportError as error:
        why, package = " ".join(str(error).split()), PACKAGES[format]
        raise Unavailable(f"{package} cannot be imported ({why}): install it, pip install {package}") from None


def damaged(path: Path, kind: str, error: Exception) -> VerificationError:
    """The error for an artifact that its runtime refuses, with the runtime's words on one line."""
    # OpenVINO's messages begin with places in its own source code.
    why = re.sub(r"(?:Exception from|Check '[^']*' failed at) \S+?\.[ch]pp:\d+:?\s*", "", " ".join(str(error).split()))[
        :200
    ]
    return VerificationError(f"{path}: refused, not a readable {kind} ({why}): export it again")


def check_shapes(path: Path, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """``shapes`` as they are, when they are an artifact's of ours. Raises VerificationError otherwise."""
    lq = shapes.get("lq", ())
    height, width = lq[2:] if len(lq) == 4 else (0, 0)
    wanted = {"lq": (1, 3, height, width), "noise": noise_shape(height, width)}
    static = height > 0 and width > 0 and not height % 8 and not width % 8
    if not static or any(wanted.get(name) != shape for name, shape in shapes.items()):
        raise VerificationError(
            f"{path}: not an ELIR artifact, its inputs are {_told(shapes) or 'none'}: "
            "lq (1, 3, H, W) and noise (1, 16, H/8, W/8) are wanted, static"
        )
    return dict(shapes)
