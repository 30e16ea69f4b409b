"""The schema of a deploy target: one device, and how it is reached.

Unknown keys are refused; each field says what it is, in which unit and range.
"""

from functools import partial
from operator import eq, is_
from typing import Literal

from pydantic import Field, field_validator, model_validator

from compress.recipe.backends import Accelerator, Backend, check_accelerator
from compress.recipe.names import Name, Version, names_a_path
from compress.recipe.numbers import Megabytes
from compress.recipe.schema import Format, KernelPrecision
from compress.recipe.strict import Strict
from compress.recipe.target_parts import (
    Browser,
    Emulator,
    Measuring,
    Provider,
    Quantization,
    Reach,
    Simulator,
    Ssh,
    VendorCompiler,
)

FORMAT_OF: dict[str, Format] = {
    "openvino": "openvino",
    "onnxruntime": "onnx",
    "executorch": "executorch",
    "tensorrt": "onnx",
    "onnxruntime-web": "onnx",
}


class DeployTarget(Strict):
    """One device, and how to reach it."""

    version: Literal[1]
    name: Name
    description: str = ""
    runtime: Literal["openvino", "onnxruntime", "executorch", "tensorrt", "onnxruntime-web"]
    backend: Backend = Field(
        "xnnpack",
        exclude_if=partial(eq, "xnnpack"),
        description="ExecuTorch backend whose programs the target takes.",
    )
    accelerator: Accelerator | None = Field(
        None,
        exclude_if=partial(is_, None),
        description="Ethos-U whose programs the target takes, as Arm's compiler Vela names it.",
    )
    runtime_min: Version | None = Field(None, description="Oldest version of the runtime that is accepted.")
    format: Format
    reach: Reach = Field("local", description="How to reach the target; local is this machine.")
    ssh: Ssh | None = None
    emulator: Emulator | None = None
    simulator: Simulator | None = Field(None, exclude_if=partial(is_, None))
    compiler: VendorCompiler | None = None
    browser: Browser | None = None
    provider: Provider = Field(
        "cpu",
        exclude_if=partial(eq, "cpu"),
        description="Execution provider of ONNX Runtime; the CPU runs the parts of a model that the provider does not "
        "take.",
    )
    arch: Literal["x86_64", "aarch64", "wasm32"] = "x86_64"
    model: str | None = Field(None, min_length=1, description="Part of the name that the device reports for itself.")
    device: Literal["CPU", "GPU", "NPU"] = Field(
        "CPU", description="Which of the device's processors runs the artifact."
    )
    threads: int = Field(
        0, ge=0, le=256, description="Number of threads; 0 means one per physical core. Results record the number."
    )
    memory_mb: Megabytes | None = Field(None, description="Largest amount of memory that the process may take.")
    shapes: Literal["static", "dynamic"] = Field(
        "static",
        description="Shapes that the target's runtime takes. For information only.",
    )
    options: dict[str, str | int | float | bool] = Field(
        default={}, description="Settings that are passed to the runtime unchanged."
    )
    precisions: list[KernelPrecision] = Field(
        default=["fp32", "fp16", "int8"], description="Precisions of the artifacts that the target's kernels run."
    )
    quantization: Quantization | None = Field(
        None, description="How the target's int8 kernels quantize. For information only."
    )
    min_delegated: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Smallest share of an ExecuTorch program's multiply-accumulates that its backend must run.",
    )
    measuring: Measuring = Measuring()
    needs: str = Field("", description="What a new device of this kind needs before it can be measured.")

    @property
    def runs_staged(self) -> bool:
        """Whether it runs an artifact of three graphs, one of which takes a latent of any size."""
        return self.reach in ("local", "ssh") and self.device != "NPU" and self.runtime != "tensorrt"

    @property
    def no_staged(self) -> str:
        """Says that it does not."""
        what = (
            self.reach if self.reach not in ("local", "ssh") else self.device if self.device == "NPU" else self.runtime
        )
        return f"target {self.name} ({what}) runs no artifact of export.layout: staged"

    @property
    def export_hint(self) -> str:
        """What to do where none of a bundle's artifacts is for it."""
        if self.backend == "xnnpack":
            backend = " for xnnpack" if self.format == "executorch" else ""
            return f"add {self.format}{backend} to the recipe's export"
        export = f"{{executorch: {self.export_options}}}"
        return f"export for it (`compress apply RECIPE --set export='{export}' --target TARGET`)"

    @property
    def export_options(self) -> str:
        """What to set export's key of its format to for an artifact that it takes."""
        if self.backend == "xnnpack":
            return "{}"
        accelerator = f", accelerator: {self.accelerator}" if self.accelerator else ""
        return f"{{backend: {self.backend}{accelerator}}}"

    def measurement_key(self) -> str:
        """What a measurement depends on: an edit of prose, or of what only people read, measures nothing again."""
        return self.model_dump_json(exclude={"description", "needs", "shapes", "quantization"})

    @field_validator("options")
    @classmethod
    def _no_paths(cls, options: dict[str, str | int | float | bool]) -> dict[str, str | int | float | bool]:
        # OpenVINO's CACHE_DIR, for instance, would fill any folder of the device's user.
        for key, value in options.items():
            if names_a_path(key, str(value)):
                raise ValueError(f"option {key} must not name a file or folder, got {value!r}: remove it")
        return options

    @model_validator(mode="after")
    def _fits(self) -> "DeployTarget":
        if self.format != FORMAT_OF[self.runtime]:
            raise ValueError(f"format must be {FORMAT_OF[self.runtime]} for runtime {self.runtime}, got {self.format}")
        if (self.reach == "browser") != (self.runtime == "onnxruntime-web"):
            raise ValueError("runtime onnxruntime-web and reach browser belong together: give both or neither")
        if self.min_delegated is not None and self.runtime != "executorch":
            raise ValueError(f"min_delegated must be left out for runtime {self.runtime}: only ExecuTorch delegates")
        if self.provider != "cpu" and self.runtime != "onnxruntime":
            raise ValueError(f"provider must be left out for runtime {self.runtime}: only onnxruntime has some")
        if self.simulator is not None and self.provider != "qnn":
            raise ValueError(f"provider must be qnn beside simulator, got {self.provider}: Hexagon has no other")
        check_accelerator(self.backend, self.accelerator)
        if self.backend != "xnnpack" and self.runtime != "executorch":
            raise ValueError(f"backend must be left out for runtime {self.runtime}: only ExecuTorch has backends")
        if self.reach not in ("lowering", "local") and self.backend != "xnnpack":
            raise ValueError(f"reach must be lowering, or local for vulkan, since backend is {self.backend}")
        if self.reach == "local" and self.backend not in ("xnnpack", "vulkan"):
            raise ValueError(f"reach must be lowering, since backend is {self.backend}, which does not run here")
        if self.reach == "lowering" and (self.runtime != "executorch" or self.backend == "xnnpack"):
            raise ValueError(
                "reach lowering is for ExecuTorch's backends that do not run here: give runtime executorch and "
                "another backend than xnnpack"
            )
        blocks = {
            "ssh": self.ssh,
            "emulator": self.emulator,
            "simulator": self.simulator,
            "vendor-compiler": self.compiler,
            "browser": self.browser,
        }
        for reach, block in blocks.items():
            key = "compiler" if reach == "vendor-compiler" else reach
            if (self.reach == reach) != (block is not None):
                rule = "is missing: add it" if block is None else "must be left out"
                raise ValueError(f"{key} {rule}, since reach is {self.reach}")
        return self
