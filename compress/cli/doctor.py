"""What this machine has: runtimes, extras, CPU features that int8 needs, memory and disk; and what a lack means."""

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from compress.errors import CompressError
from compress.python_process import python_command, python_environment
from compress.targets.tools import NAMES, tool
from compress.text import install_extra

if TYPE_CHECKING:
    from rich.table import Table

    from compress.progress import Progress

RUNTIMES = {  # distribution -> module
    "torch": "torch",
    "torchao": "torchao",
    "openvino": "openvino",
    "nncf": "nncf",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "onnxscript": "onnxscript",
    "executorch": "executorch.runtime",
    "datasets": "datasets",
    "scikit-image": "skimage",
}
EXTRAS = {  # distribution -> (module, extra that installs it)
    "neural_compressor": ("neural_compressor.torch.quantization", "neural-compressor"),
    "psycopg": ("psycopg", "postgresql"),
    "mlflow-skinny": ("mlflow", "mlflow"),
    "ray": ("ray", "ray"),
    "optuna": ("optuna", "optuna"),
    "pyiqa": ("pyiqa", "iqa"),
    "cryptography": ("cryptography", "supply"),
    "cyclonedx-python-lib": ("cyclonedx", "supply"),
    "mkdocs-material": ("material", "docs"),
}
IMPORT_LIMIT_S = 120
_INT8 = {
    "AVX2": "avx2",
    "AVX512-VNNI": "avx512_vnni",
    "AVX-VNNI": "avx_vnni",
    "AMX-INT8": "amx_int8",
    "dot product": "asimddp",
    "i8mm": "i8mm",
}
_VNNI = {"avx512_vnni", "avx_vnni", "amx_int8"}


@dataclass(frozen=True)
class Fact:
    """One finding. ``ok`` is None where nothing is expected."""

    name: str
    value: str
    ok: bool | None = None
    meaning: str = ""


@dataclass(frozen=True)
class Findings:
    """Everything that `compress doctor` reports."""

    facts: list[Fact]

    @classmethod
    def of_this_machine(cls, progress: "Progress") -> "Findings":
        """Takes tens of seconds: each runtime is imported in a process of its own."""
        jobs: list[tuple[str, Callable[[], Fact]]] = [
            *((name, partial(_runtime, name, module)) for name, module in RUNTIMES.items()),
            *((name, partial(_runtime, name, module, extra)) for name, (module, extra) in EXTRAS.items()),
            ("OpenVINO's devices", _openvino_devices),
        ]
        with progress.stage("try the runtimes, each in its own process", len(jobs), even=False) as stage:

            def run(job: tuple[str, Callable[[], Fact]]) -> Fact:
                stage.note(job[0])
                fact = job[1]()
                stage.advance()
                return fact

            with ThreadPoolExecutor(2) as pool:
                runtimes = list(pool.map(run, jobs))
        machine = [_python(), _cpu(), _int8(), _cores(), _memory(), _disk()]
        return cls([*machine, *runtimes, _ssh(), *map(_tool, NAMES)])

    def to_json(self) -> dict[str, object]:
        """The findings as plain data."""
        return {"facts": [asdict(fact) for fact in self.facts]}

    def table(self) -> "Table":
        """The findings for a terminal."""
        from rich.table import Table

        table = Table("", "what", "found", "meaning")
        for fact in self.facts:
            table.add_row({True: "ok", False: "!", None: ""}[fact.ok], fact.name, fact.value, fact.meaning)
        return table


def cpu_flags() -> set[str]:
    """Feature flags by Linux's names; empty where the system has no /proc/cpuinfo."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(x.split(":")[1].split()) for x in lines if x.lower().startswith(("flags", "features"))), set())


def saturation(flags: set[str], machine: str) -> tuple[bool | None, str]:
    """Whether 8-bit products are added exactly, and what that means for int8 artifacts."""
    if machine.lower() not in ("x86_64", "amd64"):
        return None, "int8 products are added without saturation; the x86 targets cannot be measured here"
    if not flags:
        return None, "the CPU's features are not known here"
    if flags & _VNNI:
        return True, "int8 products are added in 32 bits: no saturation, full int8 speed"
    if "avx2" in flags:
        return None, (
            "no VNNI: OpenVINO and ONNX Runtime add pairs of int8 products in 16 bits. The weights that this program "
            "writes are chosen so that no pair saturates; files made with pair_limit: false, or with other tools' "
            "8-bit weights, may give wrong pictures here. int8 gains less speed than with VNNI"
        )
    return False, "no AVX2: int8 runs slowly; speed goals will be missed"


def _python() -> Fact:
    return Fact("Python", f"{platform.python_version()} on {platform.platform()}", True)


def _cpu() -> Fact:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), platform.processor())
    return Fact("CPU", model or platform.machine())


def _int8() -> Fact:
    flags = cpu_flags()
    ok, meaning = saturation(flags, platform.machine())
    return Fact("int8 features", ", ".join(n for n, flag in _INT8.items() if flag in flags) or "none seen", ok, meaning)


def _cores() -> Fact:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Fact("cores", f"{usable} usable of {os.cpu_count()}")


def _memory() -> Fact:
    try:
        rows = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        total, free = (int(rows[key].split()[0]) / 2**20 for key in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        return Fact("memory", "not known")
    enough = free >= 4
    meaning = "" if enough else "`compress apply` needs about 4 GiB"
    return Fact("memory", f"{free:.1f} of {total:.1f} GiB free", enough, meaning)


def _disk() -> Fact:
    free = shutil.disk_usage(".").free / 2**30
    enough = free >= 2
    return Fact("disk here", f"{free:.1f} GiB free", enough, "" if enough else "a bundle may take 2 GiB")


def _runtime(distribution: str, module: str, extra: str | None = None) -> Fact:
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        hint = f"optional: {install_extra(extra)}" if extra else "reinstall elir-compress, which brings it"
        return Fact(distribution, "not installed", None if extra else False, hint)
    why = _import_error(module)
    return Fact(distribution, version, why is None, "" if why is None else f"does not import: {why}")


def _openvino_devices() -> Fact:
    code = "import openvino; print(*openvino.Core().available_devices, sep=', ')"
    done = _run_python(code)
    devices = (done.stdout.strip().splitlines() or ["none"])[-1]
    npu = "NPU" in devices
    return Fact(
        "OpenVINO devices",
        devices,
        None,
        "" if npu else "no NPU: artifacts for the intel-npu-* targets are compiled, not run",
    )


def _ssh() -> Fact:
    program = shutil.which("ssh")
    return Fact(
        "ssh",
        program or "not installed",
        None,
        "" if program else "needed to measure devices over ssh: install openssh-client",
    )


def _tool(name: str) -> Fact:
    installed = tool(name)
    try:
        ready = installed.ready
    except CompressError as error:  # there is no cache folder to look in
        return Fact(name, "not set up", None, str(error))
    if ready:
        return Fact(name, "set up", True, installed.purpose)
    return Fact(
        name, "not set up", None, f"{installed.purpose}: `{installed.setup_command}`, {installed.download_mb} MB"
    )


def _import_error(module: str) -> str | None:
    """None when ``module`` imports; in its own process, since a broken runtime may end the one that loads it."""
    try:
        done = _run_python(f"import {module}")
    except subprocess.TimeoutExpired:
        return f"not done after {IMPORT_LIMIT_S} s"
    last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
    return last[0] if done.returncode else None


def _run_python(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        python_command("-c", code), capture_output=True, text=True, timeout=IMPORT_LIMIT_S, env=python_environment()
    )
