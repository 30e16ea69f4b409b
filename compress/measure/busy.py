"""What else this machine is busy with, before a measurement."""

import os
import time
from pathlib import Path
from typing import Any

PROC = Path("/proc")
SECONDS = 0.3
LEAST = 0.1  # cores
UTIME, STIME = 11, 12  # of /proc/PID/stat, counted behind the name


def busy_processes() -> list[dict[str, Any]]:
    """Other processes that take a tenth of a core or more, the busiest first: name, cores. Empty where unknown."""
    if not PROC.is_dir():
        return []
    before, began = _ticks(), time.monotonic()
    time.sleep(SECONDS)
    after, elapsed = _ticks(), time.monotonic() - began
    per_second = os.sysconf("SC_CLK_TCK")
    found = [
        (round((ticks - before[pid][1]) / per_second / elapsed, 2), name)
        for pid, (name, ticks) in after.items()
        if pid in before and pid != os.getpid()
    ]
    return [{"name": name, "cores": cores} for cores, name in sorted(found, reverse=True) if cores >= LEAST]


def _ticks() -> dict[int, tuple[str, int]]:
    """Name and processor time of every process."""
    found = {}
    for folder in PROC.iterdir():
        try:
            text = (folder / "stat").read_text() if folder.name.isdigit() else ""
        except OSError:
            continue  # it has ended
        head, _, rest = text.rpartition(")")
        if rest:
            fields = rest.split()
            found[int(folder.name)] = (head.partition("(")[2], int(fields[UTIME]) + int(fields[STIME]))
    return found
