"""Clock, temperature and power while something runs."""

import re
import shutil
import statistics
import subprocess
import threading
import time
from typing import Any, Dict, List, Optional, Tuple

from compress.targets.runner.machine import package_joules, values

PART_OF_OTHERS = ("VDDQ_VDD2_1V8AO",)
"""Rails of a Jetson AGX Orin that another rail, VIN_SYS_5V0, feeds."""


class Sampler:
    """Clock, temperature and power while something runs: hwmon, thermal zones, powercap (RAPL), tegrastats."""

    def __init__(self) -> None:
        self.series: Dict[str, List[float]] = {"clock_mhz": [], "temperature_c": [], "power_w": []}
        self.sources: Dict[str, str] = {}
        self.energy: Optional[Tuple[float, float]] = None
        self.joules: Optional[float] = None  # from the first sample of power to the last
        self.powered: Optional[float] = None  # when that was
        self.tegra: Optional[subprocess.Popen[str]] = None
        if shutil.which("tegrastats"):
            pipe = subprocess.PIPE
            self.tegra = subprocess.Popen(["tegrastats", "--interval", "1000"], stdout=pipe, universal_newlines=True)
            threading.Thread(target=self._listen, daemon=True).start()

    def take(self) -> None:
        """One sample of each."""
        clocks = values("/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq", 1e3)
        self._add("clock_mhz", max(clocks, default=None), "cpufreq")
        heat = values("/class/thermal/thermal_zone*/temp", 1e3) or values("/class/hwmon/hwmon*/temp*_input", 1e3)
        self._add("temperature_c", max(heat, default=None), "thermal zones, the hottest")
        self._energy()
        if self.tegra is None and self.energy is None:
            watts = values("/class/hwmon/hwmon*/power*_input", 1e6)
            self._power(sum(watts) if watts else None, "hwmon, all sensors", time.monotonic())

    def _energy(self) -> None:
        packages = package_joules()
        now = time.monotonic()
        if packages and self.energy and sum(packages) >= self.energy[1] and now > self.energy[0]:
            watts = (sum(packages) - self.energy[1]) / (now - self.energy[0])
            self._power(watts, "RAPL, all packages", now)
        if packages and self.energy is None:
            self.powered = now  # a counter's power is of the interval before it
        self.energy = (now, sum(packages)) if packages else None

    def _listen(self) -> None:
        assert self.tegra is not None and self.tegra.stdout is not None
        for line in self.tegra.stdout:
            self.tegra_line(line)

    def tegra_line(self, line: str) -> None:
        """``... cpu@45.5C ... VDD_IN 4940mW/4940mW ...``: the board's input rail, or the sum of the rails."""
        # Whole words: "RAM 2448/7620MB" is no rail, and POM_5V_IN is none called V_IN.
        rails = re.findall(r"(?<!\S)([A-Z]\w*) (\d+)(?:mW)?/\d+(?:mW)?(?!\S)", line)
        whole = [float(value) for name, value in rails if name in ("VDD_IN", "POM_5V_IN", "VIN")]
        watts = whole or [float(value) for name, value in rails if name not in PART_OF_OTHERS]
        source = "tegrastats" + (", input rail" if whole else "")
        self._power(sum(watts) / 1000 if watts else None, source, time.monotonic())
        heat = [float(value) for name, value in re.findall(r"(\w+)@(\d+(?:\.\d+)?)C", line) if name != "PMIC"]
        self._add("temperature_c", max(heat, default=None), "tegrastats, the hottest")

    def _add(self, name: str, value: Optional[float], source: str) -> None:
        if value is not None:
            self.series[name].append(value)
            self.sources[name] = source

    def _power(self, watts: Optional[float], source: str, now: float) -> None:
        self._add("power_w", watts, source)
        if watts is None:
            return
        if self.powered is not None:  # a counter that wrapped meanwhile: two intervals, by the power of the later one
            self.joules = (self.joules or 0.0) + watts * (now - self.powered)
        self.powered = now

    def stop(self) -> Dict[str, Any]:
        """{min, median, max, n, source} of each; None for what the system does not offer."""
        if self.tegra is not None:
            self.tegra.kill()
            self.tegra.wait()
        return {name: self._summary(name) for name in self.series}

    def _summary(self, name: str) -> Optional[Dict[str, Any]]:
        series = list(self.series[name])
        if not series:
            return None
        spread = {"min": min(series), "median": statistics.median(series), "max": max(series)}
        return {**{k: round(v, 2) for k, v in spread.items()}, "n": len(series), "source": self.sources[name]}
