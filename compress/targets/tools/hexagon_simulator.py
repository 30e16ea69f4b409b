"""Qualcomm's compiler for Hexagon NPUs and its simulator, as ONNX Runtime's execution provider brings them."""

import platform
import sys

from compress.errors import Unavailable
from compress.python_process import python_command, python_environment
from compress.targets.tools.base import Step, Tool
from compress.targets.tools.packages import pip_download, run, unpack_wheels

VERSION = "2.7.0"
GLIBC = (2, 35)
TRY = (
    "import onnxruntime as ort, onnxruntime_qnn as qnn; "
    "ort.register_execution_provider_library(qnn.EP_NAME, qnn.get_library_path())"
)


class HexagonSimulator(Tool):
    """Compiles ONNX files for an NPU of Qualcomm's, and computes there what the NPU would."""

    name = "hexagon-simulator"
    purpose = "Qualcomm NPU: accepted or not, and its outputs, without time"
    download_mb = 99

    def versions(self) -> dict[str, str]:
        """The wheel's version, and Python's, for which it is built."""
        return {"onnxruntime-qnn": VERSION, "python": f"{sys.version_info.major}.{sys.version_info.minor}"}

    def check(self) -> None:
        """Raise Unavailable on a system that the simulator is not built for."""
        library, version = platform.libc_ver()
        new = library == "glibc" and tuple(map(int, version.split(".")[:2])) >= GLIBC
        if sys.platform != "linux" or platform.machine() != "x86_64" or not new:
            raise Unavailable("Qualcomm's simulator needs Linux on x86-64 with glibc 2.35 or newer: set it up there")

    def steps(self) -> list[Step]:
        """Each is done once."""
        return [("download", self._download), ("try it", self._try)]

    @property
    def environment(self) -> dict[str, str]:
        """What Python needs to find it."""
        return python_environment(self.folder / "site")

    def _download(self) -> None:
        wheels = self.folder / "downloads"
        pip_download([f"onnxruntime-qnn=={VERSION}"], wheels)
        unpack_wheels(wheels.glob("*.whl"), self.folder / "site")

    def _try(self) -> None:
        run(python_command("-c", TRY), "try Qualcomm's simulator", self.environment)
