"""Intel's NPU compiler: part of OpenVINO's Windows wheel, run natively on Windows and by Wine elsewhere."""

import shutil
import sys
from pathlib import Path

from compress.errors import Unavailable
from compress.targets.tools.base import NATIVE, Step, Tool, installed
from compress.targets.tools.packages import Apt, check_debian, pip_download, run, unpack_debs, unpack_wheels, zig

SOURCE, PROGRAM = "npu_compile.c", "npu_compile.exe"
WINE = ("wine64", "libwine", "libz-mingw-w64", "libunwind8")
PLATFORM = "win_amd64"
# OpenVINO needs Microsoft's C++ runtime itself, not Wine's; the rest would open windows or write menus.
RUNTIME = (
    "msvcp140",
    "msvcp140_1",
    "msvcp140_2",
    "msvcp140_atomic_wait",
    "vcruntime140",
    "vcruntime140_1",
    "concrt140",
)
OVERRIDES = f"mscoree,mshtml,winemenubuilder.exe=;{','.join(RUNTIME)}=n,b"
# Without C's runtime, which zig would build from 400 files first.
ALONE = ("-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-sanitize=all", "-Wl,--entry=start")
NATIVELY = sys.platform == "win32"


class IntelNpuCompiler(Tool):
    """Compiles for NPUs that are not here: accepted or not, and Intel's own estimate of the time."""

    name = "intel-npu-compiler"
    purpose = "Intel NPUs, compile-only: accepted or not, Intel's own estimate"
    download_mb = 290
    sources = (SOURCE,)

    def versions(self) -> dict[str, str]:
        """OpenVINO's: the one that is installed here."""
        return {"openvino": installed("openvino")}

    def check(self) -> None:
        """Raise Unavailable unless this is Windows, or a Debian or Ubuntu on x86_64."""
        if not NATIVELY:
            check_debian()

    def steps(self) -> list[Step]:
        """Each is done once."""
        wine = [] if NATIVELY else [("download Wine", self._wine)]
        return [
            *wine,
            ("download the compiler", self._compiler),
            ("build the driver program", self._program),
            ("try it", self._try),
        ]

    # --- what is inside ------------------------------------------------------------------------------------------

    @property
    def libraries(self) -> Path:
        """OpenVINO's DLLs, and the program that drives them."""
        return self.folder / "openvino" / "openvino" / "libs"

    @property
    def command(self) -> list[str]:
        """The words that begin the driver program's command."""
        program = str(self.libraries / PROGRAM)
        return [program] if NATIVELY else [str(self._wine_folder / "usr/lib/wine/wine64"), program]

    @property
    def environment(self) -> dict[str, str]:
        """Environment of ``command``. Wine keeps its files in the tool's folder, nothing in the user's home."""
        if NATIVELY:
            return {}
        libraries = self._wine_folder / "usr/lib/x86_64-linux-gnu"
        return {
            "HOME": str(self.folder),
            "WINEPREFIX": str(self.folder / "prefix"),
            "WINEDLLPATH": str(libraries / "wine"),
            "WINEDLLOVERRIDES": OVERRIDES,
            "WINEDEBUG": "-all",
            "LD_LIBRARY_PATH": f"{libraries}:{self._wine_folder / 'lib/x86_64-linux-gnu'}",
        }

    # --- steps ---------------------------------------------------------------------------------------------------

    @property
    def _wine_folder(self) -> Path:
        return self.folder / "wine"

    @property
    def _downloads(self) -> Path:
        return self.folder / "downloads"

    def _wine(self) -> None:
        apt = Apt(self._downloads / "apt", ["amd64"])
        apt.update()
        unpack_debs(apt.fetch_alone(WINE), self._wine_folder)
        # Debian's wineserver is a script that looks for the program below /usr.
        programs = self._wine_folder / "usr/lib/wine"
        shutil.copy2(programs / "wineserver64", programs / "wineserver")
        library = self._wine_folder / "usr/x86_64-w64-mingw32/lib/zlib1.dll"
        shutil.copyfile(library, self._wine_folder / "usr/lib/x86_64-linux-gnu/wine/x86_64-windows/zlib1.dll")

    def _compiler(self) -> None:
        wheels = self._downloads / "wheels"
        wanted = [f"openvino=={self.versions()['openvino']}", "msvc-runtime"]
        pip_download(wanted, wheels, f"{sys.version_info.major}.{sys.version_info.minor}", [PLATFORM])
        unpack_wheels(wheels.glob("*.whl"), self.folder / "openvino")
        for file in self.folder.glob("openvino/msvc_runtime-*.data/data/*.dll"):
            shutil.copyfile(file, self.libraries / file.name)

    def _program(self) -> None:
        caches = {f"ZIG_{which}_CACHE_DIR": str(self._downloads / "zig-cache") for which in ("GLOBAL", "LOCAL")}
        compiler = [*zig(self._downloads, "cc"), "-target", "x86_64-windows-gnu", "-O1", "-w", *ALONE]
        command = [*compiler, "-o", str(self.libraries / PROGRAM), str(NATIVE / SOURCE), "-lkernel32"]
        run(command, "build the driver program", caches)

    def _try(self) -> None:
        """The first start makes Wine's own folder."""
        command = [*self.command, "no-such-model.xml", "none.blob"]
        text = run(command, "try the compiler", self.environment, self.folder, succeeds=False)
        if "npuc error" not in text or "openvino_c.dll" in text:
            last = (text.strip().splitlines() or ["no message"])[-1]
            raise Unavailable(f"the compiler does not run here ({last[:200]})")
