"""QEMU in user mode, an ARM root with Python and the runtimes, an instruction counter and ExecuTorch's native runner.

The packages come from the system's own apt sources (architecture arm64 beside the machine's own) and the user's
package index; nothing is installed outside the cache folder, and root is not needed.
"""

from pathlib import Path

from compress.errors import Unavailable
from compress.targets.tools.base import NATIVE, Step, Tool, installed
from compress.targets.tools.packages import Apt, c_compiler, check_debian, pip_download, run, unpack_debs, unpack_wheels

RUNTIMES = ("onnxruntime", "executorch", "numpy")
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
GUEST = ("python3-minimal:arm64", "libpython3-stdlib:arm64", "libstdc++6:arm64")
HOST = ("qemu-user:amd64", "g++-aarch64-linux-gnu:amd64")
# The host's own C library runs the host's programs.
HOST_LIBC = r"^(libc6|libc-bin|libgcc-s1)_"
LINKED = ("", "_kernels_optimized", "_kernels_quantized", "_backend_xnnpack", "_threadpool")
RUNNER, COUNTER = "et_runner.cpp", "qemu_insn_count.c"
_ARMV8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_ARMV82 = f"{_ARMV8} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp ssbs"
CORES = {"cortex-a72": (_ARMV8, 0xD08), "cortex-a76": (_ARMV82, 0xD0B), "neoverse-n1": (_ARMV82, 0xD0C)}
"""What each core's /proc/cpuinfo says: features and part. Kernels are chosen by it: one feature too many, and they end
with an illegal instruction."""
CPUINFO = """processor\t: 0
BogoMIPS\t: 50.00
Features\t: {features}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: {part:#x}
CPU revision\t: 0

"""


class ArmEmulator(Tool):
    """Artifacts on emulated ARM cores: exact numerics, instruction counts, no time."""

    name = "arm-emulator"
    purpose = "emulated ARM CPUs: numerics and instruction counts"
    download_mb = 190
    sources = (RUNNER, COUNTER)

    def versions(self) -> dict[str, str]:
        """The runtimes' versions: those that are installed here, so that outputs can be compared."""
        return {name: installed(name) for name in RUNTIMES}

    def check(self) -> None:
        """Raise Unavailable unless this is a Debian or Ubuntu on x86_64."""
        check_debian()

    def steps(self) -> list[Step]:
        """Each is done once."""
        return [
            ("download QEMU and the cross compiler", lambda: self._unpack(HOST, self.host, HOST_LIBC)),
            ("download the ARM root", lambda: self._unpack(GUEST, self.root)),
            ("download the runtimes", self._runtimes),
            ("compile the instruction counter", self._counter),
            ("compile the ExecuTorch runner", self._runner),
            ("try it", self._try),
        ]

    # --- what is inside ------------------------------------------------------------------------------------------

    @property
    def host(self) -> Path:
        """The host's programs: QEMU and the cross compiler."""
        return self.folder / "host"

    @property
    def root(self) -> Path:
        """The emulated system's files."""
        return self.folder / "root"

    @property
    def site(self) -> Path:
        """The emulated Python's packages."""
        return self.folder / "site"

    @property
    def counter(self) -> Path:
        """QEMU's plugin that counts instructions."""
        return self.folder / "insn_count.so"

    @property
    def executorch_runner(self) -> Path:
        """ExecuTorch's native runner, an ARM program, beside the libraries that it needs."""
        return self.site / "executorch" / "lib" / "et_runner"

    @property
    def python(self) -> Path:
        """The emulated Python."""
        interpreters = sorted(path for path in (self.root / "usr/bin").glob("python3.*") if path.name[8:].isdigit())
        if not interpreters:
            raise Unavailable(f"{self.folder}: holds no emulated Python: delete the folder and set it up again")
        return interpreters[-1]

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for the host's programs."""
        return {"LD_LIBRARY_PATH": ":".join(str(self.host / name / "x86_64-linux-gnu") for name in ("usr/lib", "lib"))}

    def emulate(self, cpu: str, folder: Path) -> list[str]:
        """The words that begin an emulated command on a core of ``CORES``; ``folder`` gets the root that it sees."""
        features, part = CORES[cpu]
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("lib", "usr", "etc"):
            if (self.root / name).exists() and not (folder / name).exists():
                (folder / name).symlink_to(self.root / name)
        (folder / "proc").mkdir(exist_ok=True)
        (folder / "proc" / "cpuinfo").write_text(CPUINFO.format(features=features, part=part))
        qemu = [str(self.host / "usr/bin/qemu-aarch64"), "-cpu", cpu, "-L", str(folder), "-U", "LD_LIBRARY_PATH"]
        return [*qemu, "-E", f"PYTHONPATH={self.site}", "-plugin", str(self.counter)]

    # --- steps ---------------------------------------------------------------------------------------------------

    @property
    def _downloads(self) -> Path:
        return self.folder / "downloads"

    def _unpack(self, packages: tuple[str, ...], into: Path, without: str = r"^$") -> None:
        """Each list in a folder of its own: both have a libc6."""
        apt = Apt(self._downloads / "apt", ("amd64", "arm64"))
        apt.update()
        archives = apt.folder / "archives"
        for file in archives.glob("*.deb"):
            file.unlink()
        unpack_debs(apt.fetch(packages), into, without)

    def _runtimes(self) -> None:
        wheels = self._downloads / "wheels"
        wanted = [f"{name}=={version}" for name, version in self.versions().items()]
        pip_download(wanted, wheels, self.python.name.removeprefix("python"), PLATFORMS)
        unpack_wheels(wheels.glob("*.whl"), self.site)

    def _counter(self) -> None:
        command = [*c_compiler(self._downloads), "-shared", "-fPIC", "-O2", "-o", str(self.counter)]
        run([*command, str(NATIVE / COUNTER)], "compile the instruction counter")

    def _runner(self) -> None:
        package = self.site / "executorch"
        headers = (package / "include", package / "include/executorch/runtime/core/portable_type/c10")
        compiler = [
            str(self.host / "usr/bin/aarch64-linux-gnu-g++"),
            f"--sysroot={self.host}",
            "-O2",
            "-w",
            "-std=c++17",
        ]
        defined = ["-DC10_USING_CUSTOM_GENERATED_MACROS", *(f"-I{folder}" for folder in headers)]
        libraries = [f"-lexecutorch{name}" for name in LINKED]
        linked = [f"-L{package / 'lib'}", "-Wl,--no-as-needed", *libraries, "-Wl,--allow-shlib-undefined"]
        command = [*compiler, *defined, str(NATIVE / RUNNER), "-o", str(self.executorch_runner), *linked]
        run([*command, "-Wl,-rpath,$ORIGIN"], "compile the ExecuTorch runner", self.environment)

    def _try(self) -> None:
        code = "import sys; sys.path[:] = filter(None, sys.path);"
        code += " import onnxruntime, numpy; print(onnxruntime.__version__)"
        command = [*self.emulate("cortex-a76", self._downloads / "view"), str(self.python), "-S", "-c", code]
        run(command, "try the emulated ONNX Runtime", self.environment)


def runner_files(tool: ArmEmulator) -> dict[str, Path]:
    """ExecuTorch's native runner and its libraries, by file name: what a board without torch needs."""
    files = [tool.executorch_runner, *(tool.executorch_runner.parent / f"libexecutorch{name}.so" for name in LINKED)]
    return {file.name: file for file in files}
