"""What else this machine is busy with while something is measured."""

import os
import time

import psutil

from compress.results.machine import BusyProcess

LEAST = 0.1  # cores


ENDED = "processes that ended"


class OtherWork:
    """What other processes take of the processor from now on."""

    def __init__(self) -> None:
        self._before, self._others_s, self._began = _seconds(), _others_s(), time.monotonic()

    def processes(self) -> list[BusyProcess]:
        """Those that took a tenth of a core or more on average until now, the busiest first; what those took that
        ended before, as one.
        """
        elapsed, all_s = time.monotonic() - self._began, _others_s() - self._others_s
        took = {
            pid: (name, seconds - self._before.get(pid, ("", 0.0))[1])
            for pid, (name, seconds) in _seconds().items()
            if pid != os.getpid()
        }
        named = [*took.values(), (ENDED, all_s - sum(seconds for _, seconds in took.values()))]
        processes = [BusyProcess(name=name, cores=round(max(0.0, s) / elapsed, 2)) for name, s in named]
        return sorted((item for item in processes if item.cores >= LEAST), key=lambda item: -item.cores)


def _others_s() -> float:
    """Processor time, in s, of all but this process and its children that ended."""
    machine, own = psutil.cpu_times(), os.times()
    at_work = sum(getattr(machine, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq"))
    return float(at_work) - (own.user + own.system + own.children_user + own.children_system)


def _seconds() -> dict[int, tuple[str, float]]:
    """Name and processor time, in s, of every process that this one may see."""
    seconds = {}
    for process in psutil.process_iter(["name", "cpu_times"]):
        if times := process.info["cpu_times"]:
            seconds[process.pid] = (process.info["name"] or "", times.user + times.system)
    return seconds
