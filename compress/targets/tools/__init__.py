"""What ``compress targets setup`` installs, each in the user's cache folder, without root: ``ready`` and ``setup``."""

from pathlib import Path

from compress.cache import cache_folder
from compress.errors import InputError
from compress.targets.tools.base import Tool

__all__ = ["NAMES", "Tool", "cache_folder", "tool"]

BUILT = "executorch-vulkan"
"""The one that is built from sources of the user's."""
NAMES = ("arm-emulator", "ethos-u-vela", BUILT, "hexagon-simulator", "intel-npu-compiler", "tensorrt-rtx")


def tool(name: str, source: Path | None = None) -> Tool:
    """The tool of that name, which is built from ``source``.

    Raises InputError, with the nearest name, for another, and for a source of one that is not built from any.
    """
    if source is not None and name != BUILT:
        raise InputError(f"source {source}: only {BUILT} is built from sources: leave it out")
    match name:
        case "arm-emulator":
            from compress.targets.tools.arm_emulator import ArmEmulator

            return ArmEmulator()
        case "hexagon-simulator":
            from compress.targets.tools.hexagon_simulator import HexagonSimulator

            return HexagonSimulator()
        case "ethos-u-vela":
            from compress.targets.tools.ethos_u_vela import EthosUVela

            return EthosUVela()
        case "executorch-vulkan":
            from compress.targets.tools.executorch_vulkan import ExecutorchVulkan

            return ExecutorchVulkan(source)
        case "intel-npu-compiler":
            from compress.targets.tools.intel_npu_compiler import IntelNpuCompiler

            return IntelNpuCompiler()
        case "tensorrt-rtx":
            from compress.targets.tools.tensorrt_rtx import TensorrtRtx

            return TensorrtRtx()
    from compress.recipe.library import nearest

    raise InputError(f"{name!r}: unknown tool{nearest(name, NAMES)}")
