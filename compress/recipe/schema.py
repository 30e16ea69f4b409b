"""The schemas of the YAML files: Recipe, CalibrationSet, DeployTarget; TrainRecipe is in `training_schema`.

Unknown keys are refused; each field says what it is, in which unit and range.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from compress.recipe.degradation import (
    BlindFace,
    BlindSuperResolution,
    Blur,
    Degradation,
    GaussianNoise,
    Grey,
    Jpeg,
    Mask,
    MotionBlur,
    Strict,
    SuperResolution,
)
from compress.recipe.search_and_fallback import Fallback, Search
from compress.recipe.target_parts import Browser, Emulator, Measuring, Quantization, Reach, Ssh, VendorCompiler

__all__ = ["BlindFace", "BlindSuperResolution", "Blur", "Degradation", "GaussianNoise", "Jpeg", "Mask", "MotionBlur"]
__all__ += ["Grey", "Strict", "SuperResolution"]

_OwnTask = Literal["sr_x2", "sr_x4", "sr_x8", "blind_sr_x4", "denoise", "deblur", "inpaint", "blind_face"]
_Restorations = Literal["sr_x8_published", "blind_sr_x4_published", "denoise_published", "blind_face_published"]
_Fillings = Literal["inpaint_published", "inpaint_square", "colorize"]
Task = Literal[_OwnTask, _Restorations, _Fillings]
TASKS: dict[Task, tuple[Degradation, ...]] = {
    "sr_x2": (SuperResolution(scale=2),),
    "sr_x4": (SuperResolution(scale=4),),
    "sr_x8": (SuperResolution(scale=8),),
    "blind_sr_x4": (BlindSuperResolution(scale=4),),
    "denoise": (GaussianNoise(sigma=25),),
    "deblur": (Blur(sigma=2), GaussianNoise(sigma=2)),
    "inpaint": (Mask(pattern="pixels", share=0.9),),
    "blind_face": (BlindFace(),),
    # As ELIR's authors trained; where a name above was taken, `_published`.
    "sr_x8_published": (SuperResolution(scale=8, noise=12.8, enlargement="nearest-exact"),),
    "blind_sr_x4_published": (BlindSuperResolution(scale=4, second_order=0),),
    "denoise_published": (GaussianNoise(sigma=89.6),),
    "blind_face_published": (
        BlindFace(
            kernels="isotropic",
            blur_sigma=[0.1, 15.0],
            downsample=[1 / 1.2, 32.0],
            uniform="side",
            noise=[0.0, 20.0],
            jpeg=[30.0, 100.0],
        ),
    ),
    "inpaint_published": (Mask(pattern="pixels", share=0.9), GaussianNoise(sigma=25.6)),
    "inpaint_square": (Mask(pattern="square", share=0.25), GaussianNoise(sigma=25.6)),
    "colorize": (Grey(), GaussianNoise(sigma=64)),
}
_INPUTS: dict[Task, str] = {
    "denoise": "noisy input",
    "deblur": "blurred input",
    "inpaint": "masked input",
    "blind_face": "degraded input",
    "sr_x8_published": "nearest enlargement",
    "denoise_published": "noisy input",
    "inpaint_published": "masked input",
    "blind_face_published": "degraded input",
    "inpaint_square": "masked input",
    "colorize": "grey input",
}


def task_degradation(task: Task) -> list[Degradation]:
    """The degradation that a task undoes."""
    return list(TASKS[task])


def task_scale(task: Task) -> int:
    """Output pixels per input pixel, along one side."""
    step = TASKS[task][0]
    return step.scale if isinstance(step, SuperResolution | BlindSuperResolution) else 1


def task_border(task: Task) -> int:
    """Pixels that measures on luma leave out at every side: the scale in super-resolution, else none."""
    return task_scale(task) if task_scale(task) > 1 else 0


def task_input(task: Task) -> str:
    """What the input, left as it is, is called beside a model: the baseline to beat."""
    return _INPUTS.get(task, "bicubic")


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]

# --- calibration sets -----------------------------------------------------------------------------------------


class BundledSource(Strict):
    """Photographs that the package carries."""

    kind: Literal["bundled"] = "bundled"
    folder: Literal["calibration", "validation"] = Field(description="which of the two disjoint folders")


class FolderSource(Strict):
    """A local folder, searched recursively."""

    kind: Literal["folder"] = "folder"
    path: str = Field(min_length=1)


class HubSource(Strict):
    """A data set of the Hugging Face hub, through `datasets`, streamed."""

    kind: Literal["hub"] = "hub"
    name: str = Field(min_length=1, description="hub name, owner/set")
    split: str = Field("train", min_length=1)
    column: str = Field("image", min_length=1, description="column that holds the pictures")


Source = Annotated[BundledSource | FolderSource | HubSource, Field(discriminator="kind")]


class CalibrationSet(Strict):
    """A set of clean pictures, for calibration or validation; inputs come by the degradation."""

    version: Literal[1]
    name: Name
    description: str = ""
    source: Source
    count: int | None = Field(None, gt=0, description="pictures taken; none: all")
    crop: int = Field(256, gt=0, multiple_of=32, description="side of the square crop, in px")
    crop_at: Literal["center", "random"] = Field("center", description="random: seeded, one crop a picture")
    degradation: Annotated[
        Annotated[list[Degradation], Tag("steps")] | Annotated[Literal["task"], Tag("name")],
        Discriminator(lambda value: "steps" if isinstance(value, list) else "name"),
    ] = Field("task", description="steps in order; task: as the recipe's task")
    seed: int = Field(0, ge=0)


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
    passes: list[dict[str, dict[str, Any]]] = Field(min_length=1, description="single-key mappings, in order")
    export: Exports = Exports()
    targets: list[str] = Field(default=[], description="deploy targets to measure on")
    measure: Literal["quick", "full"] = Field("quick", description="quick for development, full for publication")
    goals: Goals = Goals()
    search: Search = Search()
    fallback: Fallback | None = Field(None, description="what to try, in order, when a goal is missed")

    @field_validator("passes", mode="before")
    @classmethod
    def _bare_is_default(cls, value: Any) -> Any:
        """``- collapse:`` with nothing after it takes every default."""
        if not isinstance(value, list):
            return value
        return [{k: {} if v is None else v for k, v in p.items()} if isinstance(p, dict) else p for p in value]

    @field_validator("passes")
    @classmethod
    def _single_key(cls, value: list[dict[str, dict[str, Any]]]) -> list[dict[str, dict[str, Any]]]:
        for i, item in enumerate(value):
            if len(item) != 1:
                raise ValueError(f"item {i} must be a mapping of one pass name to its settings, got {len(item)} keys")
        return value


# --- deploy targets -------------------------------------------------------------------------------------------


class DeployTarget(Strict):
    """One device and how it is reached."""

    version: Literal[1]
    name: Name
    description: str = ""
    runtime: Literal["openvino", "onnxruntime", "executorch", "tensorrt", "onnxruntime-web"]
    runtime_min: str | None = Field(None, pattern=r"^\d+(\.\d+)*$", description="oldest version of it that will do")
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
