"""What ``compress targets setup`` installs, each in the user's cache folder, without root: ``ready`` and ``setup``."""

from compress.cache import cache_folder
from compress.targets.tools.base import Tool

__all__ = ["NAMES", "Tool", "cache_folder", "tool"]

NAMES = ("arm-emulator", "ethos-u-vela", "hexagon-simulator", "intel-npu-compiler", "tensorrt-rtx")


def tool(name: str) -> Tool:
    """The tool of that name. Raises InputError, with the nearest name, for another."""
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
        case "intel-npu-compiler":
            from compress.targets.tools.intel_npu_compiler import IntelNpuCompiler

            return IntelNpuCompiler()
        case "tensorrt-rtx":
            from compress.targets.tools.tensorrt_rtx import TensorrtRtx

            return TensorrtRtx()
    from compress.errors import InputError
    from compress.recipe.library import nearest

    raise InputError(f"{name!r}: unknown tool{nearest(name, NAMES)}")
