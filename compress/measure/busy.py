"""What else this machine is busy with while something is measured."""

import os
import time

import psutil

from compress.results.machine import BusyProcess

LEAST = 0.1  # cores


class OtherWork:
    """What other processes take of the processor from now on. One that ends before it is asked for is not seen."""

    def __init__(self) -> None:
        self._before, self._began = _seconds(), time.monotonic()

    def processes(self) -> list[BusyProcess]:
        """Those that took a tenth of a core or more on average until now, the busiest first."""
        elapsed = time.monotonic() - self._began
        processes = [
            BusyProcess(name=name, cores=round((seconds - self._before.get(pid, ("", 0.0))[1]) / elapsed, 2))
            for pid, (name, seconds) in _seconds().items()
            if pid != os.getpid()
        ]
        return sorted((item for item in processes if item.cores >= LEAST), key=lambda item: -item.cores)


def _seconds() -> dict[int, tuple[str, float]]:
    """Name and processor time, in s, of every process that this one may see."""
    seconds = {}
    for process in psutil.process_iter(["name", "cpu_times"]):
        if times := process.info["cpu_times"]:
            seconds[process.pid] = (process.info["name"] or "", times.user + times.system)
    return seconds
