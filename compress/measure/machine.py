"""Facts about this machine that a latency means nothing without."""

import os
import platform
import re
from pathlib import Path
from typing import Any

# What int8 and float kernels choose by.
FEATURES = (
    *("sse4_2", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_int8", "amx_bf16", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)
CPUINFO = Path("/proc/cpuinfo")
MEMINFO = Path("/proc/meminfo")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def machine_facts() -> dict[str, Any]:
    """cpu, cores (physical, usable), logical_cores, features, memory_gb, load_average (1 min), governor, os.

    What the system does not tell is None (features: an empty list).
    """
    text = _read(CPUINFO)
    return {
        "cpu": _field(text, "model name") or platform.processor() or platform.machine(),
        "cores": physical_cores(),
        "logical_cores": len(_usable()),
        "features": _features(text),
        "memory_gb": _memory_gb(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "governor": _read(GOVERNOR).strip() or None,
        "os": platform.platform(),
    }


def physical_cores() -> int:
    """Physical cores that this process may use, at least 1: hyper-threads counted once."""
    physical = _physical()
    # A logical core of which the system does not tell the physical one counts as one.
    return max(1, len({physical.get(logical, logical) for logical in _usable()}))


def _usable() -> set[int]:
    """Logical cores that this process may use, by number."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _physical() -> dict[int, tuple[str, str]]:
    """(socket, core) of each logical core."""
    found = {}
    for block in _read(CPUINFO).split("\n\n"):
        processor, socket, core = (_field(block, name) for name in ("processor", "physical id", "core id"))
        if processor and socket and core:
            found[int(processor)] = (socket, core)
    return found


def _features(cpuinfo: str) -> list[str]:
    present = set((_field(cpuinfo, "flags") or _field(cpuinfo, "Features") or "").split())
    return [name for name in FEATURES if name in present]


def _memory_gb() -> float | None:
    total = _field(_read(MEMINFO), "MemTotal")
    return round(int(total.split()[0]) / 2**20, 1) if total else None


def _field(text: str, name: str) -> str | None:
    match = re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
