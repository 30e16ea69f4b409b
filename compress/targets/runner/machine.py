"""Facts about the device: its cores, its name, its power and clock settings."""

import glob
import os
import platform
import re
import shutil
import subprocess
from typing import Any, Dict, List, Optional, Sequence

SYS, PROC = "/sys", "/proc"


def read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip().strip("\0")
    except OSError:
        return ""


def values(pattern: str, unit: float) -> List[float]:
    texts = [read_text(path) for path in sorted(glob.glob(SYS + pattern))]
    return [int(text) / unit for text in texts if re.match(r"-?\d+$", text)]


def package_joules() -> List[float]:
    """Energy that each package has taken so far; not that of psys, the whole laptop, which holds them."""
    folders = sorted(glob.glob(SYS + "/class/powercap/intel-rapl:*"))
    packages = [path for path in folders if path.rpartition("/")[2].count(":") == 1]
    return [
        joules
        for path in packages
        if read_text(path + "/name") != "psys"
        for joules in values(path[len(SYS) :] + "/energy_uj", 1e6)
    ]


def field(text: str, name: str) -> str:
    """A field of /proc/cpuinfo and its like; "" for what it does not have."""
    match = re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
    return match.group(1).strip() if match else ""


def cores() -> int:
    """Physical cores that this process may use, at least 1: hyper-threads counted once."""
    physical = set()
    blocks = {field(block, "processor"): block for block in read_text(PROC + "/cpuinfo").split("\n\n")}
    for logical in os.sched_getaffinity(0):
        block = blocks.get(str(logical), "")
        core = field(block, "physical id"), field(block, "core id")
        # A logical core of which the system does not tell the physical one counts as one.
        physical.add(core if all(core) else logical)
    return max(1, len(physical))


def machine() -> Dict[str, Any]:
    """The device, as ``machine`` of results.json has it, and ``model``, the name that it gives itself."""
    info = read_text(PROC + "/cpuinfo")
    model = read_text(PROC + "/device-tree/model") or read_text(SYS + "/devices/virtual/dmi/id/product_name")
    total = field(read_text(PROC + "/meminfo"), "MemTotal")
    return {
        "cpu": field(info, "model name") or model or platform.machine(),
        "model": model or None,
        "cores": cores(),
        "logical_cores": len(os.sched_getaffinity(0)),
        "features": (field(info, "flags") or field(info, "Features")).split(),
        "memory_gb": round(int(total.split()[0]) / 2**20, 1) if total else None,
        "load_average": round(os.getloadavg()[0], 2),
        "governor": read_text(SYS + "/devices/system/cpu/cpu0/cpufreq/scaling_governor") or None,
        "os": platform.platform(),
        "python": platform.python_version(),
    }


COMMANDS = {
    "nvpmodel": ["nvpmodel", "-q"],
    "jetson_clocks": ["jetson_clocks", "--show"],
    "get_throttled": ["vcgencmd", "get_throttled"],
}

PATHS = {
    "governor": "/devices/system/cpu/cpu0/cpufreq/scaling_governor",
    "platform_profile": "/firmware/acpi/platform_profile",
}


def _printed(command: Sequence[str]) -> str:
    """What a command prints, on one line; "" where it fails, or never ends."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return " ".join(done.stdout.decode("utf-8", "replace").split()) if done.returncode == 0 else ""


def recorded(names: List[str]) -> Dict[str, Optional[str]]:
    """Power and clock settings by name; None for what the system does not tell."""
    texts: Dict[str, Optional[str]] = {}
    for name in names:
        text = read_text(SYS + PATHS[name]) if name in PATHS else ""
        if name in COMMANDS and shutil.which(COMMANDS[name][0]):
            text = _printed(COMMANDS[name])
        texts[name] = text or None
    return texts
