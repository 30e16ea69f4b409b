"""Facts about this machine that a latency means nothing without."""

import platform
import re
from pathlib import Path

import psutil

from compress.results.machine import Machine

# What int8 and float kernels choose by.
FEATURES = (
    *("sse4_2", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_int8", "amx_bf16", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)
CPUINFO = Path("/proc/cpuinfo")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def machine_facts() -> Machine:
    """This machine. What the system does not tell is None."""
    text = _read(CPUINFO)
    return Machine(
        cpu=_field(text, "model name") or platform.processor() or platform.machine(),
        cores=physical_cores(),
        logical_cores=len(_usable()),
        features=_features(text),
        memory_gb=round(psutil.virtual_memory().total / 2**30, 1),
        load_average=round(psutil.getloadavg()[0], 2),
        governor=_read(GOVERNOR).strip() or None,
        os=platform.platform(),
    )


def physical_cores() -> int:
    """Physical cores that this process may use, at least 1: hyper-threads counted once."""
    physical, usable = _physical(), _usable()
    if not physical and (cores := psutil.cpu_count(logical=False)):
        return min(cores, len(usable))
    # A logical core of which the system does not tell the physical one counts as one.
    return max(1, len({physical.get(logical, logical) for logical in usable}))


def _usable() -> set[int]:
    """Logical cores that this process may use, by number."""
    process = psutil.Process()
    return set(process.cpu_affinity() if hasattr(process, "cpu_affinity") else range(psutil.cpu_count() or 1))


def _physical() -> dict[int, tuple[str, str]]:
    """(socket, core) of each logical core, where Linux tells it: psutil counts cores whatever this process may use."""
    core_of = {}
    for block in _read(CPUINFO).split("\n\n"):
        processor, socket, core = (_field(block, name) for name in ("processor", "physical id", "core id"))
        if processor and socket and core:
            core_of[int(processor)] = (socket, core)
    return core_of


def _features(cpuinfo: str) -> list[str]:
    present = set((_field(cpuinfo, "flags") or _field(cpuinfo, "Features") or "").split())
    return [name for name in FEATURES if name in present]


def _field(text: str, name: str) -> str | None:
    match = re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
