"""The schema of recipes.

Unknown keys are refused; each field says what it is, in which unit and range.
"""

import itertools
from collections.abc import Collection
from functools import partial
from operator import eq, is_
from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from compress.recipe.backends import Accelerator, Backend, check_accelerator, refusal, variant_of
from compress.recipe.image_size import GRID, ImageSize, Shape, check_sides, shape_of, shortest, size_text
from compress.recipe.names import Name
from compress.recipe.numbers import Positive, Real, Seed
from compress.recipe.pass_item import PassItem
from compress.recipe.passes import PtqSettings
from compress.recipe.search_and_fallback import Fallback, Search
from compress.recipe.strict import Strict
from compress.recipe.student import DistillSettings
from compress.recipe.task import Task, task_scale


class RecipeModel(Strict):
    """The model to compress."""

    task: Task = "sr_x4"
    weights: str = Field("elir_sr_x4", min_length=1, description="Name of a built-in model, or path of a checkpoint.")
    padding: Literal["none", "inside"] = Field(
        "none",
        exclude_if=partial(eq, "none"),
        description="With inside, artifacts also take sizes that are not multiples of 32: they extend the picture "
        "below and to the right by mirroring, and crop the output.",
    )
    image_size: ImageSize = Field(
        256,
        description="Size of the artifacts' static input in px: the side of a square, or [height, width], each from 64 "
        "to 4096 and a multiple of 32; with padding: inside, a multiple of the task's scale.",
    )
    image_sizes: list[ImageSize] | None = Field(
        None,
        min_length=1,
        max_length=8,
        exclude_if=partial(is_, None),
        description="Several sizes in place of image_size; one calibration serves all, and each size gets its own "
        "artifact. Everything is decided on the first size.",
    )
    k_steps: int | None = Field(
        None, gt=0, le=64, description="Number of Euler steps; by default what the checkpoint records."
    )
    sigma_s: float | None = Field(
        None, ge=0, le=10, description="Scale of the source noise; by default what the checkpoint records."
    )
    seed: Seed = Field(
        0,
        description="Seed of the sampling noise. Seeds that differ by a multiple of 4096 (with "
        "`export.noise: seed`, of 127) give the same noise.",
    )

    @field_validator("image_size")
    @classmethod
    def _shortest(cls, value: int | list[int], info: ValidationInfo) -> int | list[int]:
        cls._check(value, info)
        return shortest(value)

    @field_validator("image_sizes")
    @classmethod
    def _each(cls, values: list[int | list[int]] | None, info: ValidationInfo) -> list[int | list[int]] | None:
        for value in values or []:
            cls._check(value, info)
        return values

    @staticmethod
    def _check(size: int | list[int], info: ValidationInfo) -> None:
        if "padding" in info.data and "task" in info.data:  # else they are wrong themselves
            check_sides(size, info.data["padding"] == "inside", task_scale(info.data["task"]))

    @model_validator(mode="before")
    @classmethod
    def _first(cls, given: Any) -> Any:
        sizes = given.get("image_sizes") if isinstance(given, dict) else None
        if isinstance(sizes, list) and sizes and "image_size" not in given:
            return {**given, "image_size": sizes[0]}
        return given

    @model_validator(mode="after")
    def _each_once(self) -> "RecipeModel":
        shapes = [size_text(shape) for shape in self.shapes]
        if twice := next((text for text in shapes if shapes.count(text) > 1), None):
            raise ValueError(f"image_sizes holds {twice} twice: take one of them out")
        if shapes[0] != size_text(self.shape):
            raise ValueError(
                f"image_size (={size_text(self.shape)}) must be left out beside image_sizes, or be the first of them "
                f"({shapes[0]})"
            )
        return self

    @property
    def shape(self) -> Shape:
        """Height and width of ``image_size``, the first shape of several."""
        return shape_of(self.image_size)

    @property
    def shapes(self) -> list[Shape]:
        """Height and width of every shape, the first one first."""
        return [shape_of(size) for size in self.image_sizes or [self.image_size]]


class RecipeData(Strict):
    """Calibration and validation sets: names, paths of set files, or folders of pictures. Sets that share pictures are
    refused.
    """

    calibration: str = "photos_calibration"
    validation: list[str] = Field(default=["photos_validation"], min_length=1)

    @field_validator("validation", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


KernelPrecision = Literal["fp32", "fp16", "int8"]
Precision = Literal["fp32", "fp16", "int8", "weights"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8", "weights")
MADE_BY: dict[str, Precision] = {"ptq": "int8", "weights": "weights"}
"""Precision of what a quantizing pass makes. int8: what kernels compute in; weights: they alone are small."""
QUANTIZED = tuple(MADE_BY.values())


class FormatExport(Strict):
    """Options that every format has."""

    precisions: list[Precision] | None = Field(
        None,
        min_length=1,
        description="Precisions to write; by default fp32, fp16 and the one that the recipe's passes make (int8 from "
        "ptq, or weights).",
    )

    @field_validator("precisions")
    @classmethod
    def _differ(cls, value: list[Precision] | None) -> list[Precision] | None:
        if value and len(set(value)) < len(value):
            raise ValueError(f"must be different precisions, got {', '.join(value)}: write each once")
        return value


class OnnxExport(FormatExport):
    """ONNX. TensorRT's int8 file is symmetric and has no bias QDQ."""

    opset: Literal[18, 19, 20] = Field(20, description="ONNX opset of the file; TensorRT takes no more than 20.")
    tensorrt: bool = Field(
        True, description="Also write a file that follows TensorRT's rules, int8/onnx/model_tensorrt.onnx."
    )
    htp: bool = Field(
        False,
        exclude_if=partial(eq, False),
        description="Also write a file for Qualcomm's Hexagon NPUs, int8/onnx/model_htp.onnx: 8-bit weights, 16-bit "
        "activations, every operator quantized, including the layers in ptq's keep_float.",
    )


class ExecutorchExport(FormatExport):
    """ExecuTorch, for one of its backends."""

    backend: Backend = Field(
        "xnnpack",
        exclude_if=partial(eq, "xnnpack"),
        description="Backend that the program is compiled for. `compress apply` runs programs for xnnpack only; for "
        "the others it writes the file and counts how much of it the backend takes. openvino takes no "
        "int8, ethos_u takes only int8.",
    )
    accelerator: Accelerator | None = Field(
        None,
        exclude_if=partial(is_, None),
        description="Ethos-U that backend ethos_u compiles for, with its multiply-accumulates per cycle, as Arm's "
        "compiler Vela names it.",
    )

    @model_validator(mode="after")
    def _fits_backend(self) -> "ExecutorchExport":
        if why := next(filter(None, (refusal(self.backend, precision) for precision in self.precisions or [])), None):
            raise ValueError(why)
        check_accelerator(self.backend, self.accelerator)
        return self

    @property
    def variant(self) -> str:
        """The part of its artifacts' ids that names the backend."""
        return variant_of(self.backend, self.accelerator)


Layout = Literal["single", "staged"]
NoiseForm = Literal["input", "baked", "seed"]


class Exports(Strict):
    """Formats to write. A format that is not listed is left out."""

    openvino: FormatExport | None = None
    onnx: OnnxExport | None = None
    executorch: ExecutorchExport | None = None
    noise: NoiseForm = Field(
        "input",
        description="Where the noise comes from: an input of the graph (input), a seeded noise inside the graph "
        "(baked), or a window of a larger noise inside the graph, which the graph's input seed chooses "
        "(seed).",
    )
    # Left out of a dump where it changes nothing: the hash in every artifact is over the dump.
    io: Literal["float", "uint8"] = Field(
        "float",
        exclude_if=partial(eq, "float"),
        description="What the graph takes and returns: float planes of the output's size (float), or 8-bit pictures, "
        "which the graph itself enlarges, scales and rounds (uint8).",
    )
    layout: Layout = Field(
        "single",
        exclude_if=partial(eq, "single"),
        description="One graph for the whole model (single), or three (staged): an encoder and a decoder for tiles, "
        "and between them a graph that takes the latent of a whole picture of any size. staged turns "
        "onnx.tensorrt off.",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_tensorrt(cls, given: Any) -> Any:
        """Three graphs come without a file by TensorRT's rules, unless it is asked for, which is refused."""
        onnx = given.get("onnx") if isinstance(given, dict) and given.get("layout") == "staged" else None
        return {**given, "onnx": {"tensorrt": False, **onnx}} if isinstance(onnx, dict) else given

    @model_validator(mode="after")
    def _fits_layout(self) -> "Exports":
        asked = {
            f"noise: {self.noise}": self.noise != "input",
            "io: uint8": self.io == "uint8",
            "onnx.tensorrt: true": self.onnx is not None and self.onnx.tensorrt,
            "onnx.htp: true": self.onnx is not None and self.onnx.htp,
        }
        if self.layout == "staged" and (apart := next((key for key, value in asked.items() if value), None)):
            raise ValueError(f"layout: staged does not go with {apart}: leave one of the two out")
        if asked["io: uint8"] and asked["onnx.htp: true"]:
            raise ValueError("io: uint8 does not go with onnx.htp: true: leave one of the two out")
        backend = self.executorch.backend if self.executorch else "xnnpack"
        if backend == "ethos_u" and self.noise == "baked":
            raise ValueError("executorch.backend: ethos_u does not go with noise: baked: leave one of the two out")
        asked = {
            "layout: staged": self.layout == "staged",
            "io: uint8": self.io == "uint8",
            "noise: seed": self.noise == "seed",
        }
        if backend != "xnnpack" and (apart := next((key for key, value in asked.items() if value), None)):
            raise ValueError(
                f"executorch.backend: {backend} does not go with {apart}: leave one of the two out, or use xnnpack"
            )
        return self


Int8Feature = Literal["amx_int8", "avx512_bf16", "avx512_vnni", "avx_vnni", "avx2", "i8mm", "asimddp"]
"""What decides how much faster int8 is than float, the newest CPUs first; named as in /proc/cpuinfo.

``avx512_bf16`` makes float faster, where a runtime computes in that by default.
"""


def _bound_form(value: Any) -> str:
    return "by_feature" if isinstance(value, dict) else "for_all"


class SpeedGoal(Strict):
    """Smallest ratio of median latencies."""

    vs: Literal["fp32", "best_float"] = "fp32"
    min: Annotated[
        Annotated[Positive, Tag("for_all")]
        | Annotated[dict[Int8Feature, Positive], Field(min_length=1), Tag("by_feature")],
        Discriminator(_bound_form),
    ] = Field(
        description="Smallest ratio: one number for every CPU, or one per int8 feature of the measured CPU. If the CPU "
        "has several of the features that are named, the first in this order counts: amx_int8, "
        "avx512_bf16, avx512_vnni, avx_vnni, avx2, i8mm, asimddp. A CPU with none of the features that are named is "
        "held to the smallest bound."
    )

    def bound(self, features: Collection[str]) -> tuple[float, Int8Feature | None]:
        """The bound for a CPU with ``features``, and the feature by which it was chosen, if any was."""
        if not isinstance(self.min, dict):
            return self.min, None
        best = next((name for name in get_args(Int8Feature) if name in features and name in self.min), None)
        return (min(self.min.values()), None) if best is None else (self.min[best], best)


def _speed_form(value: Any) -> str:
    by_format = isinstance(value, dict) and not {"vs", "min"} & set(value)
    return "by_format" if by_format else "for_all"


Format = Literal["openvino", "onnx", "executorch"]
SpeedGoals = Annotated[
    Annotated[SpeedGoal, Tag("for_all")] | Annotated[dict[Format, SpeedGoal], Tag("by_format")],
    Discriminator(_speed_form),
]


class Goals(Strict):
    """Bounds that every quantized artifact must meet on every validation set. A goal that is none is not checked."""

    psnr_drop_db: Real | None = Field(None, description="Largest loss of PSNR against the fp32 artifact, in dB.")
    ssim_drop: Real | None = Field(None, description="Largest loss of SSIM against the fp32 artifact.")
    lpips_rise: Real | None = Field(None, description="Largest rise of LPIPS against the fp32 artifact.")
    fidelity_db: Positive | None = Field(None, description="Lowest PSNR against the fp32 artifact's output, in dB.")
    color_shift: Positive | None = Field(
        None, description="Largest shift of mean colour against the fp32 artifact, in 1/255."
    )
    histogram: Positive | None = Field(
        2.0,
        description="Largest earth mover's distance between the histograms of any picture and of the fp32 artifact's "
        "picture, in 1/255.",
    )
    size_ratio: Positive | None = Field(None, description="Largest size, as a share of the fp32 artifact's bytes.")
    speedup: SpeedGoals | None = Field(None, description="Smallest speed-up: one for all formats, or one per format.")
    instructions_ratio: Positive | None = Field(
        None,
        description="Smallest ratio of the fp32 artifact's instructions per picture to the int8 one's, on "
        "an emulated target.",
    )
    estimated_speedup: Positive | None = Field(
        None, description="Smallest speed-up against fp16, as the device's compiler estimates it."
    )
    breaches: int | None = Field(
        None,
        ge=0,
        le=1_000_000,
        description="Largest number of refusals by a target's compiler or parser and of rules of its runtime that the "
        "file breaks.",
    )


class Recipe(Strict):
    """A recipe, which `compress apply` runs: one experiment."""

    version: Literal[1]
    name: Name
    description: str = ""
    extends: str | None = Field(
        None,
        description="Recipe to start from: a built-in name or a path. This file is merged into that recipe, key by "
        "key.",
    )
    model: RecipeModel = RecipeModel()
    data: RecipeData = RecipeData()
    passes: list[PassItem] = Field(
        min_length=1, description="Passes to apply to the model, in order; each item is a mapping with one key."
    )
    export: Exports = Exports()
    targets: list[str] = Field(default=[], description="Deploy targets to measure on: built-in names or paths.")
    measure: Literal["quick", "full"] = Field(
        "quick", description="How long to measure: quick for development, full for publication."
    )
    goals: Goals = Goals()
    search: Search = Search()
    fallback: Fallback | None = Field(None, description="What to try, in order, when a goal is missed.")

    @model_validator(mode="after")
    def _falls_back_on_something(self) -> "Recipe":
        if self.fallback is not None and self.ptq is None:
            raise ValueError("fallback changes the pass ptq, which the recipe lacks: add ptq, or leave fallback out")
        return self

    @model_validator(mode="after")
    def _learns_what_is_settled(self) -> "Recipe":
        learner = next((item.name for item in self.passes if item.qat or item.reconstruct), None)
        if learner and self.ptq and self.ptq.engine != "elir":
            raise ValueError(f"passes: {learner} cannot learn what engine {self.ptq.engine} wrote: use engine elir")
        return self

    @model_validator(mode="after")
    def _fits_layout(self) -> "Recipe":
        if self.export.layout == "staged" and len(self.model.shapes) > 1:
            raise ValueError(
                "export.layout: staged does not go with model.image_sizes: it takes pictures of any size, in tiles of "
                "model.image_size"
            )
        if self.export.layout == "staged" and self.ptq and self.ptq.engine != "elir":
            raise ValueError(
                f"export.layout: staged does not go with ptq's engine {self.ptq.engine}, which quantizes one graph of "
                "the whole model: use engine elir, or leave layout out"
            )
        if self.model.padding == "inside" and (other := self._pads_not):
            raise ValueError(
                f"model.padding: inside does not go with {other}: take a size whose sides are multiples of {GRID}, and "
                "leave padding out"
            )
        if self.export.onnx and self.export.onnx.htp and not (self.ptq and self.ptq.engine == "elir"):
            raise ValueError("export.onnx.htp: true needs the pass ptq with engine elir: add it, or leave htp out")
        backend = self.export.executorch.backend if self.export.executorch else "xnnpack"
        if backend == "ethos_u" and self.ptq and self.ptq.engine != "torchao":
            raise ValueError(
                f"export.executorch.backend: ethos_u does not go with ptq's engine {self.ptq.engine}, which leaves "
                "operators in float: use engine torchao"
            )
        if backend in ("vulkan", "coreml") and self.ptq and self.ptq.engine != "elir":
            raise ValueError(
                f"export.executorch.backend: {backend} does not go with ptq's engine {self.ptq.engine}, which "
                "quantizes for XNNPACK: use engine elir, or backend xnnpack"
            )
        return self

    @property
    def _pads_not(self) -> str:
        """What of the recipe no artifact that pads inside is made with."""
        export = self.export
        if export.layout == "staged":
            return "export.layout: staged, which takes tiles of any picture"
        if self.ptq and self.ptq.engine != "elir":
            return f"ptq's engine {self.ptq.engine}"
        if export.onnx and export.onnx.htp:
            return "export.onnx.htp: true"
        backend = export.executorch.backend if export.executorch else "xnnpack"
        return "" if backend == "xnnpack" else f"export.executorch.backend: {backend}"

    @property
    def ptq(self) -> PtqSettings | None:
        """Settings of the pass, where the recipe has it."""
        return next((item.ptq for item in self.passes if item.ptq), None)

    @property
    def distill(self) -> DistillSettings | None:
        """Settings of the pass, where the recipe has it."""
        return next((item.distill for item in self.passes if item.distill), None)

    @property
    def float_passes(self) -> list[PassItem]:
        """Passes before the first quantizing one: what float artifacts depend on."""
        return list(itertools.takewhile(lambda item: item.name not in MADE_BY, self.passes))

    def with_ptq(self, **settings: Any) -> "Recipe":
        """The recipe with other settings of ptq; None takes one away."""
        if self.ptq and self.ptq.weight_bits == 7 and 8 not in settings.get("layer_bits", self.ptq.layer_bits).values():
            settings = {"pair_limit": None, **settings}  # of 8-bit layers, which are gone
        passes = [item.changed(**settings) if item.ptq else item for item in self.passes]
        return self.model_copy(update={"passes": passes})
