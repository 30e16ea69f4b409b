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
from compress.artifacts.stages import INPUTS, STAGES
from compress.elir.latent import LATENT_CHANNELS, SIZE_MULTIPLE, noise_shape
from compress.elir.noise import picture_noise, picture_seed
from compress.elir.noise_torus import check_seed
from compress.errors import CompressError, InputError, Unavailable, VerificationError
from compress.native_work import native_work
from compress.quiet import quiet
from compress.recipe.schema import Format
from compress.text import flat, one_line

Option = str | int | float | bool

Shape = tuple[int, ...]

IMAGE = "image"
"""The input of an artifact that takes pictures of 8 bits."""

SEED = "seed"
"""The input of an artifact that holds its noise: which window of it is taken."""

MOST_SCALE = 8
"""No artifact enlarges more: what it makes of a picture takes memory by the square."""

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

    Attributes: ``shapes``, of ``lq`` (1, 3, H, W), or of ``image`` (1, h, w, 3) where it takes pictures of 8 bits, and,
    unless baked, of ``noise`` (1, 16, H/8, W/8) or ``seed`` (1,); ``output``, the shape of what it gives; ``facts``,
    the runtime's version and the settings in force, for the record; ``about``, what the file says of itself, e.g.
    ``task``.
    """

    shapes: dict[str, Shape]
    output: Shape
    facts: dict[str, Option]
    about: Mapping[str, str] = {}
    name = "the artifact"
    """Name of the artifact's file in messages."""

    @abstractmethod
    def __init__(self, path: Path, threads: int, options: Mapping[str, Option], contents: Contents | None) -> None:
        """Load ``contents``, or else the file ``path``, for ``threads`` threads; errors as ``open_runner``."""

    @abstractmethod
    def _execute(self, inputs: dict[str, np.ndarray]) -> np.ndarray: ...

    @property
    def takes_pictures(self) -> bool:
        """Whether it is run by ``restore``; else by ``run``."""
        return IMAGE in self.shapes

    @property
    def takes_seed(self) -> bool:
        """Whether it holds its noise and takes a seed, (1,) int64, wherever others take their noise."""
        return SEED in self.shapes

    def noise_of(self, seed: int, index: int) -> np.ndarray:
        """What it gets as its noise for picture number ``index`` of a set."""
        return picture_seed(seed, index) if self.takes_seed else picture_noise(self.tile, seed, index)

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of what it gives, in px."""
        height, width = self.output[1:3] if self.takes_pictures else self.output[2:]
        return height, width

    @property
    def scale(self) -> int:
        """How many times it enlarges along a side: 1, unless it takes pictures."""
        return self.output[1] // self.shapes[IMAGE][1] if self.takes_pictures else 1

    def run(self, lq: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        """lq (1, 3, H, W) float32 in [0, 1], noise (1, 16, H/8, W/8) float32, or the seed of it (``takes_seed``)
        -> hq (1, 3, H, W) float32, clipped by the artifact. Noise is ignored where it is baked in.

        Raises InputError for other shapes and a seed out of range, VerificationError for an artifact that fails or
        gives another shape.
        """
        return self._run({"lq": np.ascontiguousarray(lq, np.float32)}, noise)

    def restore(self, image: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        """image (1, h, w, 3) uint8, noise or seed as ``run`` -> (1, H, W, 3) uint8, of an artifact that takes pictures.

        Errors as ``run``'s; InputError for values of another type, too.
        """
        return self._run({IMAGE: np.ascontiguousarray(image)}, noise)

    def _run(self, inputs: dict[str, np.ndarray], noise: np.ndarray | None) -> np.ndarray:
        if noise is not None and "noise" in self.shapes:
            inputs["noise"] = np.ascontiguousarray(noise, np.float32)
        if noise is not None and self.takes_seed:
            inputs[SEED] = noise
        given = {name: (value.shape, str(value.dtype)) for name, value in inputs.items()}
        wanted = {name: (shape, dtype_of(name)) for name, shape in self.shapes.items()}
        if given != wanted:
            raise InputError(f"artifact takes {_told(wanted)}, got {_told(given)}: give inputs of its shapes and types")
        if self.takes_seed:
            check_seed(int(inputs[SEED][0]))
        return self.compute(inputs, self.output)

    def compute(self, inputs: dict[str, np.ndarray], output: Shape) -> np.ndarray:
        """Run on ``inputs``, as they are. Raises VerificationError for an artifact that fails or does not give
        ``output``."""
        try:
            with native_work(self.name):
                made = self._execute(inputs)
        except CompressError:  # a stage's own
            raise
        except MemoryError:
            raise
        except Exception as error:  # the runtimes' exceptions have no common base
            why = " ".join(str(error).split())[:200]
            raise VerificationError(f"artifact fails when it is run ({why}): export it again") from None
        kind = "uint8" if self.takes_pictures else "float32"
        if (shape := getattr(made, "shape", None)) != output or made.dtype != kind:
            got = f"{getattr(made, 'dtype', type(made).__name__)} {shape}"
            given = {name: (value.shape, str(value.dtype)) for name, value in inputs.items()}
            raise VerificationError(f"artifact gives {got} for {_told(given)}: export it again")
        return made


_TYPES = {IMAGE: "uint8", SEED: "int64"}


def dtype_of(name: str) -> str:
    """Type of an input, by its name."""
    return _TYPES.get(name, "float32")


def _told(inputs: Mapping[str, tuple[Shape, str]]) -> str:
    return " and ".join(f"{name} {shape}{f' {t}' if name in _TYPES else ''}" for name, (shape, t) in inputs.items())


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
    why = one_line(re.sub(r"(?:Exception from|Check '[^']*' failed at) \S+?\.[ch]pp:\d+:?\s*", "", flat(str(error))))
    return VerificationError(f"{path}: refused, not a readable {kind} ({why}): export it again")


def check_shapes(path: Path, shapes: Mapping[str, Shape], output: Shape) -> tuple[dict[str, Shape], Shape]:
    """Shapes of inputs and output, when they are an artifact's of ours, or those of the stage that ``path`` names.
    Raises VerificationError otherwise.

    ``output``: as the file states it, which counts where the artifact takes pictures, and of a stage.
    """
    if (stage := path.stem) in STAGES:
        if not _fits_stage(stage, shapes, output):
            found = " and ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise VerificationError(
                f"{path}: not the {stage} graph of a staged artifact, it takes {found or 'nothing'}, gives {output}: "
                "export it again"
            )
        return dict(shapes), output
    if IMAGE not in shapes:
        lq = shapes.get("lq", ())
        height, width = lq[2:] if len(lq) == 4 else (0, 0)
        wanted: dict[str, Shape] = {"lq": (1, 3, height, width)}
        output = wanted["lq"]
    else:
        height, width = output[1:3] if len(output) == 4 and output[::3] == (1, 3) else (0, 0)
        wanted = {IMAGE: _reduced(shapes[IMAGE], height, width)}
    wanted[SEED if SEED in shapes else "noise"] = (1,) if SEED in shapes else noise_shape(height, width)
    if min(height, width) < SIZE_MULTIPLE or any(wanted.get(name) != shape for name, shape in shapes.items()):
        found = " and ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise VerificationError(
            f"{path}: not an ELIR artifact, its inputs are {found or 'none'}: lq (1, 3, H, W), or image (1, h, w, 3), "
            "and noise (1, 16, H/8, W/8), or seed (1,), are wanted, static"
        )
    return dict(shapes), output


def _fits_stage(stage: str, shapes: Mapping[str, Shape], output: Shape) -> bool:
    """The sides of the flow's latent are free (-1), or the largest that it takes."""
    if set(shapes) not in ({*INPUTS[stage]}, {INPUTS[stage][0]} if stage == "decode" else {}):
        return False
    if stage == "flow":
        latent = shapes["latent"]
        return len(latent) == 4 and latent[:2] == (1, LATENT_CHANNELS) and shapes["noise"] == latent == output
    picture, latent = (shapes["lq"], output) if stage == "encode" else (output, shapes["restored_latent"])
    if len(picture) != 4 or picture[:2] != (1, 3) or shapes.get("lq", picture) != picture or min(picture) < 1:
        return False
    return not any(side % SIZE_MULTIPLE for side in picture[2:]) and latent == noise_shape(*picture[2:])


def _reduced(image: Shape, height: int, width: int) -> Shape:
    """Shape of a picture that ``image`` is, by 1, 2, 4 ... up to ``MOST_SCALE``, of height x width; () for none."""
    scale = height // image[1] if len(image) == 4 and image[1] > 0 else 0
    # Tiles lie on a grid of 32 px, which another factor does not divide: the small picture has none.
    if not 1 <= scale <= MOST_SCALE or SIZE_MULTIPLE % scale or height % scale or width % scale:
        return ()
    return (1, height // scale, width // scale, 3)
