"""TensorRT-RTX's ONNX parser, of the same family as TensorRT's on a Jetson; it runs without a GPU."""

import sys
from pathlib import Path

from compress.errors import Unavailable
from compress.python_process import python_command, python_environment
from compress.targets.tools.base import Step, Tool
from compress.targets.tools.packages import pip_download, run, unpack_wheels

VERSION = "1.7.1.116"
PACKAGES = ("tensorrt-rtx-cu13-libs", "tensorrt-rtx-cu13-bindings")


class TensorrtRtx(Tool):
    """Parses ONNX files as TensorRT does: accepted or the parser's error."""

    name = "tensorrt-rtx"
    purpose = "NVIDIA Jetson, parse-only: accepted or not"
    download_mb = 97

    def versions(self) -> dict[str, str]:
        """The wheels' version, and Python's, whose bindings are fetched."""
        return {"tensorrt-rtx": VERSION, "python": f"{sys.version_info.major}.{sys.version_info.minor}"}

    def check(self) -> None:
        """Raise Unavailable on a system for which there are no wheels."""
        if sys.platform not in ("linux", "win32"):
            raise Unavailable("TensorRT-RTX has wheels for Linux and Windows only: set it up there")

    def steps(self) -> list[Step]:
        """Each is done once."""
        return [("download", self._download), ("try it", self._try)]

    @property
    def site(self) -> Path:
        """Its Python packages."""
        return self.folder / "site"

    def _download(self) -> None:
        wheels = self.folder / "downloads"
        pip_download([f"{name}=={VERSION}" for name in PACKAGES], wheels)
        unpack_wheels(wheels.glob("*.whl"), self.site)

    def _try(self) -> None:
        code = "import tensorrt_rtx_bindings as trt; print(trt.Builder(trt.Logger(trt.Logger.ERROR)))"
        run(python_command("-c", code), "try TensorRT-RTX", python_environment(self.site))
