"""The parts of a deploy target: how it is reached, what its kernels run, how it is measured."""

from typing import Literal

from pydantic import Field

from compress.recipe.names import Folder, Host, Lock, Python
from compress.recipe.strict import Strict

Reach = Literal["local", "ssh", "emulator", "vendor-compiler", "parser", "browser"]
Fact = Literal["governor", "platform_profile", "nvpmodel", "jetson_clocks", "get_throttled"]


class Ssh(Strict):
    """A device behind the system's OpenSSH client; user, port, key and jump hosts stand in ~/.ssh/config."""

    host: Host = Field(description="as ssh takes it")
    python: Python = Field("python3", description="Python 3.8 or newer there, with numpy and the runtime")
    folder: Folder = Field("~/.cache/elir-compress", description="there; each job has one inside, removed")
    lock: Lock = Field("/tmp/elir-compress.lock", description="there; held while the device is in use")


class Emulator(Strict):
    """QEMU in user mode: numerics and instruction counts, never time."""

    cpu: Literal["cortex-a72", "cortex-a76", "neoverse-n1"] = Field(description="core model")


class VendorCompiler(Strict):
    """A vendor's compiler for a device that is not here: accepted or not, and the vendor's own estimate."""

    platform: Literal["NPU3720", "NPU4000", "NPU5010"]


class Browser(Strict):
    """A Chromium on this machine, headless."""

    program: str | None = Field(None, min_length=1, description="name or path; none: the first Chromium, Chrome, Edge")


class Quantization(Strict):
    """The int8 scheme that the device's kernels run; everything else is computed in float."""

    weights: Literal["int8_per_channel"] = "int8_per_channel"
    weight_bits: Literal[7, 8] = Field(8, description="7: kernels add pairs of products in 16 bits, and may saturate")
    activations: Literal["uint8_asymmetric", "int8_asymmetric", "int8_symmetric"]
    operators: list[str] = Field(min_length=1, description="operator types that run in int8")


class Measuring(Strict):
    """What comes before and beside the timed runs. Their number is the recipe's ``measure``: quick or full."""

    warmup_s: float | None = Field(None, gt=0, le=600, description="at most; none: 3 s quick, 30 s full")
    cooldown_s: float = Field(0, ge=0, le=600, description="rest before the timed runs, for a device that heats up")
    record: list[Fact] = Field(default=["governor"], description="power and clock settings written to the result")
