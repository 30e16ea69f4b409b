"""The schemas of recipes and deploy targets.

Unknown keys are refused; each field says what it is, in which unit and range.
"""

import itertools
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from compress.recipe.names import Name, Version
from compress.recipe.pass_item import PassItem
from compress.recipe.passes import PtqSettings
from compress.recipe.search_and_fallback import Fallback, Search
from compress.recipe.strict import Strict
from compress.recipe.student import DistillSettings
from compress.recipe.target_parts import Browser, Emulator, Measuring, Quantization, Reach, Ssh, VendorCompiler
from compress.recipe.task import Task

# --- recipes --------------------------------------------------------------------------------------------------


class RecipeModel(Strict):
    """The model to compress."""

    task: Task = "sr_x4"
    weights: str = Field("elir_sr_x4", min_length=1, description="bundled name, or path of a checkpoint")
    image_size: int = Field(256, ge=64, le=4096, multiple_of=32, description="side of the static input, in px")
    k_steps: int | None = Field(None, gt=0, le=64, description="Euler steps; none: as the checkpoint says")
    sigma_s: float | None = Field(None, ge=0, le=10, description="source noise; none: as the checkpoint says")
    seed: int = Field(0, ge=0, description="of the noise")


class RecipeData(Strict):
    """Calibration and validation sets: names, paths of set files, or folders of pictures. Disjoint, or refused."""

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
        None, min_length=1, description="none: fp32, fp16, and what the recipe's passes make: int8 (ptq) or weights"
    )


class OnnxExport(FormatExport):
    """ONNX. TensorRT's int8 file is symmetric and has no bias QDQ."""

    opset: Literal[18, 19, 20] = Field(20, description="TensorRT takes no more than 20")
    tensorrt: bool = Field(True, description="also write int8/onnx/model_tensorrt.onnx")


class Exports(Strict):
    """Formats to write; none of a format: it is left out."""

    openvino: FormatExport | None = None
    onnx: OnnxExport | None = None
    executorch: FormatExport | None = None
    noise: Literal["input", "baked"] = Field("input", description="baked: a seeded noise inside the graph")


class SpeedGoal(Strict):
    """Least ratio of median latencies."""

    vs: Literal["fp32", "best_float"] = "fp32"
    min: float = Field(gt=0)


def _speed_form(value: Any) -> str:
    by_format = isinstance(value, dict) and not {"vs", "min"} & set(value)
    return "by_format" if by_format else "for_all"


Format = Literal["openvino", "onnx", "executorch"]
FORMAT_OF: dict[str, Format] = {
    "openvino": "openvino",
    "onnxruntime": "onnx",
    "executorch": "executorch",
    "tensorrt": "onnx",
    "onnxruntime-web": "onnx",
}
SpeedGoals = Annotated[
    Annotated[SpeedGoal, Tag("for_all")] | Annotated[dict[Format, SpeedGoal], Tag("by_format")],
    Discriminator(_speed_form),
]


class Goals(Strict):
    """Bounds for every quantized artifact, on every validation set. None: not asked for."""

    psnr_drop_db: float | None = Field(None, description="at most, dB")
    ssim_drop: float | None = Field(None, description="at most")
    lpips_rise: float | None = Field(None, description="at most")
    fidelity_db: float | None = Field(None, gt=0, description="at least, PSNR against the fp32 artifact's output, dB")
    color_shift: float | None = Field(None, gt=0, description="at most, mean shift against fp32, in 1/255")
    histogram: float | None = Field(
        2.0, gt=0, description="at most, of any picture, earth mover's distance of histograms to fp32's, in 1/255"
    )
    size_ratio: float | None = Field(None, gt=0, description="at most, of the fp32 artifact's bytes")
    speedup: SpeedGoals | None = Field(None, description="one for all formats, or one a format")
    instructions_ratio: float | None = Field(
        None, gt=0, description="at least, emulated: the fp32 artifact's instructions a picture by the int8 one's"
    )
    estimated_speedup: float | None = Field(
        None, gt=0, description="at least, against fp16, by the estimates of the device's compiler"
    )
    breaches: int | None = Field(
        None, ge=0, description="at most: refusals by a target's compiler or parser, and rules of its runtime broken"
    )


class Recipe(Strict):
    """`compress apply`: one experiment."""

    version: Literal[1]
    name: Name
    description: str = ""
    extends: str | None = Field(None, description="a recipe to start from, deep-merged")
    model: RecipeModel = RecipeModel()
    data: RecipeData = RecipeData()
    passes: list[PassItem] = Field(min_length=1, description="single-key mappings, in order")
    export: Exports = Exports()
    targets: list[str] = Field(default=[], description="deploy targets to measure on")
    measure: Literal["quick", "full"] = Field("quick", description="quick for development, full for publication")
    goals: Goals = Goals()
    search: Search = Search()
    fallback: Fallback | None = Field(None, description="what to try, in order, when a goal is missed")

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
        passes = [item.changed(**settings) if item.ptq else item for item in self.passes]
        return self.model_copy(update={"passes": passes})


# --- deploy targets -------------------------------------------------------------------------------------------


class DeployTarget(Strict):
    """One device and how it is reached."""

    version: Literal[1]
    name: Name
    description: str = ""
    runtime: Literal["openvino", "onnxruntime", "executorch", "tensorrt", "onnxruntime-web"]
    runtime_min: Version | None = Field(None, description="oldest version of it that will do")
    format: Format
    reach: Reach = Field("local", description="local: this machine")
    ssh: Ssh | None = None
    emulator: Emulator | None = None
    compiler: VendorCompiler | None = None
    browser: Browser | None = None
    arch: Literal["x86_64", "aarch64", "wasm32"] = "x86_64"
    model: str | None = Field(None, min_length=1, description="part of the name that the device gives itself")
    device: Literal["CPU", "GPU", "NPU"] = Field("CPU", description="which of its processors")
    threads: int = Field(0, ge=0, le=256, description="0: one a physical core; recorded")
    memory_mb: int | None = Field(None, gt=0, description="most that the process may take")
    shapes: Literal["static", "dynamic"] = Field("static", description="what its runtime runs at full speed")
    options: dict[str, str | int | float | bool] = Field(default={}, description="the runtime's own settings")
    precisions: list[KernelPrecision] = Field(default=["fp32", "fp16", "int8"], description="what its kernels run")
    quantization: Quantization | None = Field(None, description="of its int8 kernels")
    min_delegated: float | None = Field(
        None, ge=0, le=1, description="least share of an ExecuTorch program's MACs that its backend must run"
    )
    measuring: Measuring = Measuring()
    needs: str = Field("", description="what a new device of this kind needs")

    @model_validator(mode="after")
    def _fits(self) -> "DeployTarget":
        if self.format != FORMAT_OF[self.runtime]:
            raise ValueError(f"format must be {FORMAT_OF[self.runtime]} for runtime {self.runtime}, got {self.format}")
        if (self.reach == "browser") != (self.runtime == "onnxruntime-web"):
            raise ValueError("runtime onnxruntime-web and reach browser belong together: give both or neither")
        if self.min_delegated is not None and self.runtime != "executorch":
            raise ValueError(f"min_delegated must be left out for runtime {self.runtime}: only ExecuTorch delegates")
        blocks = {"ssh": self.ssh, "emulator": self.emulator, "vendor-compiler": self.compiler, "browser": self.browser}
        for reach, block in blocks.items():
            key = "compiler" if reach == "vendor-compiler" else reach
            if (self.reach == reach) != (block is not None):
                rule = "is missing: add it" if block is None else "must be left out"
                raise ValueError(f"{key} {rule}, since reach is {self.reach}")
        return self
