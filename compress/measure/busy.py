"""What else this machine is busy with, before a measurement."""

import os
import time

import psutil

from compress.results.machine import BusyProcess

SECONDS = 0.3
LEAST = 0.1  # cores


def busy_processes() -> list[BusyProcess]:
    """Other processes that take a tenth of a core or more, the busiest first."""
    before, began = _seconds(), time.monotonic()
    time.sleep(SECONDS)
    after, elapsed = _seconds(), time.monotonic() - began
    processes = [
        BusyProcess(name=name, cores=round((seconds - before[pid][1]) / elapsed, 2))
        for pid, (name, seconds) in after.items()
        if pid in before and pid != os.getpid()
    ]
    return sorted((item for item in processes if item.cores >= LEAST), key=lambda item: -item.cores)


def _seconds() -> dict[int, tuple[str, float]]:
    """Name and processor time, in s, of every process that this one may see."""
    seconds = {}
    for process in psutil.process_iter(["name", "cpu_times"]):
        if times := process.info["cpu_times"]:
            seconds[process.pid] = (process.info["name"] or "", times.user + times.system)
    return seconds
