"""Arm's compiler Vela for the Ethos-U, and TOSA's serializer, by which ExecuTorch gives it a graph.

Their wheels ask for an older numpy and flatbuffers than the other packages run with, and do without: they are unpacked
into a folder of their own, which stands last among the places that Python imports from.
"""

import sys
from pathlib import Path

from compress.errors import Unavailable
from compress.python_process import python_command, python_environment
from compress.targets.tools.base import Step, Tool
from compress.targets.tools.packages import pip_download, run, unpack_wheels

# What ExecuTorch 1.5's own extra, ethos-u, asks for.
VERSIONS = {"ethos-u-vela": "5.1.0", "tosa-tools": "2026.5.0"}


class EthosUVela(Tool):
    """Compiles TOSA graphs for an Ethos-U, and estimates cycles and memory."""

    name = "ethos-u-vela"
    purpose = "Arm Ethos-U: compiled, with Vela's estimate of cycles and memory"
    download_mb = 40

    def versions(self) -> dict[str, str]:
        """The wheels' versions, and Python's, for which they are compiled."""
        return {**VERSIONS, "python": f"{sys.version_info.major}.{sys.version_info.minor}"}

    def check(self) -> None:
        """Raise Unavailable on a system for which there are no wheels."""
        if sys.platform not in ("linux", "darwin", "win32"):
            raise Unavailable(
                "ethos-u-vela and tosa-tools have wheels for Linux, macOS and Windows only: set it up there"
            )

    def steps(self) -> list[Step]:
        """Each is done once."""
        return [("download", self._download), ("try it", self._try)]

    @property
    def site(self) -> Path:
        """Its Python packages."""
        return self.folder / "site"

    def enable(self) -> None:
        """Let this process import them; nothing where it is not set up."""
        if self.ready and str(self.site) not in sys.path:
            sys.path.append(str(self.site))

    def _download(self) -> None:
        wheels = self.folder / "downloads"
        pip_download([f"{name}=={version}" for name, version in VERSIONS.items()], wheels)
        unpack_wheels(wheels.glob("*.whl"), self.site)

    def _try(self) -> None:
        code = "import tosa_serializer; from ethosu.vela import vela; vela.main(['--version'])"
        run(python_command("-c", code), "try Vela", python_environment(self.site))
