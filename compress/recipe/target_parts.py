"""The parts of a deploy target: how it is reached, what its kernels run, how it is measured."""

from typing import Literal

from pydantic import Field

from compress.recipe.names import Browser as BrowserName
from compress.recipe.names import Folder, Host, Lock, Python
from compress.recipe.strict import Strict

Reach = Literal["local", "ssh", "emulator", "simulator", "vendor-compiler", "parser", "browser", "lowering"]
Provider = Literal["cpu", "qnn", "openvino", "tensorrt", "coreml"]
Fact = Literal["governor", "platform_profile", "nvpmodel", "jetson_clocks", "get_throttled"]


class Ssh(Strict):
    """A device that the system's OpenSSH client reaches; set the user, port, key and jump hosts in ~/.ssh/config."""

    host: Host = Field(description="Host name or address, as the ssh command takes it.")
    python: Python = Field("python3", description="Python 3.8 or newer on the device, with numpy and the runtime.")
    folder: Folder = Field(
        "~/.cache/elir-compress",
        description="Folder on the device; each job works in a folder inside it, which is removed afterwards.",
    )
    lock: Lock = Field(
        "/tmp/elir-compress.lock", description="Lock file on the device, held while the device is in use."
    )


class Emulator(Strict):
    """QEMU in user mode. It gives numerics and instruction counts, but no times."""

    cpu: Literal["cortex-a72", "cortex-a76", "neoverse-n1"] = Field(
        description="Model of the CPU core that is emulated."
    )


class Simulator(Strict):
    """Qualcomm's compiler for a Hexagon NPU, and its simulator on this machine. They give numerics, but no times."""

    soc: Literal["SM8550", "SM8650", "SM8750", "SC8380XP", "QCS6490"] = Field(
        description="Chip whose NPU is simulated: Snapdragon 8 Gen 2, 8 Gen 3 or 8 Elite, Snapdragon X, or the chip of "
        "a board."
    )


class VendorCompiler(Strict):
    """A vendor's compiler for a device that is not here. It tells whether it accepts a file, and gives the vendor's
    estimate.
    """

    platform: Literal["NPU3720", "NPU4000", "NPU5010"]


class Browser(Strict):
    """A headless Chromium on this machine."""

    program: BrowserName | None = Field(
        None, description="Name of the browser; by default the first of Chromium, Chrome and Edge that is found."
    )


class Quantization(Strict):
    """The int8 scheme that the device's kernels run; everything else is computed in float."""

    weights: Literal["int8_per_channel"] = "int8_per_channel"
    weight_bits: Literal[7, 8] = Field(
        8, description="Bits of the weights; 7 where kernels add pairs of products in 16 bits and may saturate."
    )
    activations: Literal["uint8_asymmetric", "int8_asymmetric", "int8_symmetric", "uint16_asymmetric"]
    operators: list[str] = Field(min_length=1, description="Types of operators that run in int8.")


class Measuring(Strict):
    """What happens before and beside the timed runs. The recipe's ``measure``, quick or full, sets how many runs are
    timed.
    """

    warmup_s: float | None = Field(
        None, gt=0, le=600, description="Longest time for the warm-up runs; by default 3 s for quick and 30 s for full."
    )
    cooldown_s: float = Field(0, ge=0, le=600, description="Pause before the timed runs, for a device that heats up.")
    record: list[Fact] = Field(default=["governor"], description="Power and clock settings to record with the result.")
