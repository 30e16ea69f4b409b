"""What the device samples: clock, heat and power, from wherever its system tells them."""

from pathlib import Path

import pytest

from compress.targets.runner import machine, sampler
from compress.targets.runner.sampler import Sampler


def put(folder: Path, path: str, text: str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text + "\n")


def test_clock_heat_and_power_from_sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SYS", str(tmp_path))
    monkeypatch.setattr(sampler.shutil, "which", lambda name: None)
    assert Sampler().stop() == {"clock_mhz": None, "temperature_c": None, "power_w": None}
    put(tmp_path, "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1500000")
    put(tmp_path, "devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "2400000")
    put(tmp_path, "class/hwmon/hwmon0/temp1_input", "48312")
    put(tmp_path, "class/hwmon/hwmon0/power1_input", "3250000")
    taken = Sampler()
    taken.take()
    put(tmp_path, "devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "1000000")
    taken.take()
    result = taken.stop()
    assert result["clock_mhz"] == {"min": 1500, "median": 1950, "max": 2400, "n": 2, "source": "cpufreq"}
    assert result["temperature_c"]["max"] == 48.31
    assert (result["power_w"]["median"], result["power_w"]["source"]) == (3.25, "hwmon, all sensors")


def test_power_from_rapl_counters_that_wrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 12.0, 14.0])
    monkeypatch.setattr(machine, "SYS", str(tmp_path))
    monkeypatch.setattr(sampler.shutil, "which", lambda name: None)
    monkeypatch.setattr(sampler.time, "monotonic", lambda: next(now))
    taken = Sampler()
    joules_of = []
    for joules in (100, 130, 1):
        put(tmp_path, "class/powercap/intel-rapl:0/energy_uj", str(joules * 1_000_000))
        put(tmp_path, "class/powercap/intel-rapl:0:0/energy_uj", "999000000")
        taken.take()
        joules_of.append(taken.joules)
    assert joules_of == [None, 30, 30], "what is not known of the interval in which the counter wrapped is left out"
    assert taken.stop()["power_w"] == {"min": 15, "median": 15, "max": 15, "n": 1, "source": "RAPL, all packages"}


def test_power_from_tegrastats() -> None:
    taken = Sampler()
    taken.tegra_line(
        "RAM 2448/7620MB CPU [5%@1510,3%@1510] cpu@48.5C tj@50.2C VDD_IN 4940mW/4900mW VDD_SOC 1200mW/1190mW"
    )
    taken.tegra_line("CPU@30C VDD_GPU_SOC 2000mW/2000mW VDD_CPU_CV 1000mW/1000mW")
    result = taken.stop()
    assert (result["power_w"]["min"], result["power_w"]["max"]) == (3.0, 4.94)
    assert (result["temperature_c"]["min"], result["temperature_c"]["max"]) == (30.0, 50.2)
