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
        put(tmp_path, "class/powercap/intel-rapl:1/energy_uj", str(joules * 2_000_000))
        put(tmp_path, "class/powercap/intel-rapl:1/name", "psys")
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


@pytest.mark.parametrize(
    ("line", "watts", "heat"),
    [
        (
            "RAM 2448/3964MB (lfb 1x4MB) IRAM 0/252kB CPU [5%@102] PLL@27C CPU@29.5C PMIC@100C "
            "POM_5V_IN 2532/2532 POM_5V_GPU 40/40 POM_5V_CPU 280/280",
            2.53,
            29.5,
        ),
        (
            "RAM 2448/31920MB SWAP 0/15960MB GPU@33C PMIC@100C GPU 0/0 CPU 311/311 SOC 932/932 CV 0/0 VDDRQ 155/155 "
            "SYS5V 1465/1465",
            2.86,
            33,
        ),
        (
            "RAM 2448/30536MB cpu@40C VDD_GPU_SOC 2000mW/2000mW VDD_CPU_CV 789mW/789mW VIN_SYS_5V0 3211mW/3211mW "
            "VDDQ_VDD2_1V8AO 500mW/500mW",
            6.0,
            40,
        ),
    ],
)
def test_power_of_boards_without_one_input_rail(line: str, watts: float, heat: float) -> None:
    """A Nano, an AGX Xavier and an AGX Orin."""
    taken = Sampler()
    taken.tegra_line(line)
    result = taken.stop()
    assert (result["power_w"]["max"], result["temperature_c"]["max"]) == (watts, heat)
